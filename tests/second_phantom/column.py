"""From a person to where each bone is: centres and axes of eighteen rigid pieces along arcs.

Axes of a bone are columns of a rotation: u to the patient's left, v backwards, w upwards. Frame:
LPS millimetres with the middle of L3 at the origin.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from tests.second_phantom.build import L3, Build


@dataclass(frozen=True)
class Column:
    """Where the bones are.

    Attributes:
        build: The person.
        centres, axes: (18, 3) and (18, 3, 3).
        course: Place of the canal's middle against bones from T8; halves are the discs.
    """

    build: Build
    centres: np.ndarray
    axes: np.ndarray
    course: CubicSpline

    def at(self, bone, u, v, w):
        """Return the LPS millimetres of a place in a bone's own axes."""
        return self.centres[bone] + self.axes[bone] @ np.array([u, v, w], float)

    def wall(self, bone, w=0.0):
        """Return how far behind the middle a body's back wall is; w from -1, low, to 1, high."""
        top, low = self.build.depth[bone]
        return (top * (1 + w) + low * (1 - w)) / 4

    def frame(self, place):
        """Return middle and axes of the canal at one place or several along it."""
        place = np.asarray(place, float)
        up = -self.course(place, 1)
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        low = np.clip(np.floor(place), 0, 16).astype(int)
        share = (place - low)[..., None]
        left = self.axes[low, :, 0] * (1 - share) + self.axes[low + 1, :, 0] * share
        left = left - up * (left * up).sum(-1, keepdims=True)
        left /= np.linalg.norm(left, axis=-1, keepdims=True)
        return self.course(place), np.stack([left, np.cross(up, left), up], -1)


def stand(build):
    """Return where the bones of a person are."""
    pitch = np.concatenate([[0], -np.cumsum(build.bend)])
    pitch += build.lean - pitch[L3]
    axes = np.stack([_axes(*angles) for angles in zip(pitch, build.tilt, build.twist, strict=True)])
    centres = np.zeros((18, 3))
    for n in range(17):
        between = axes[n] + axes[n + 1]
        between /= np.linalg.norm(between, axis=0)
        centres[n + 1] = (
            centres[n]
            - axes[n, :, 2] * build.height[n] / 2
            - between[:, 2] * build.gap[n]
            - axes[n + 1, :, 2] * build.height[n + 1] / 2
            + between[:, 1] * (build.slip[n] + _step(build, n))
        )
    centres -= centres[L3]
    return Column(build, centres, axes, _course(build, centres, axes))


def _step(build, n):
    """Return how far back the next body's middle is, so that the two back walls are in line."""
    behind = build.depth[n, 0] + build.depth[n, 1] - build.depth[n + 1, 0] - build.depth[n + 1, 1]
    return behind / 4


def _axes(pitch, tilt, twist):
    p, t, r = np.deg2rad([pitch, tilt, twist])
    sagittal = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    coronal = np.array([[np.cos(t), 0, np.sin(t)], [0, 1, 0], [-np.sin(t), 0, np.cos(t)]])
    axial = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return coronal @ sagittal @ axial


def _course(build, centres, axes):
    """Return the canal's middle: behind each body and behind each disc."""
    knots = []
    for n in range(18):
        wall, half = build.depth[n].mean() / 2, build.canal[n, 1] / 2
        knots.append(centres[n] + axes[n, :, 1] * (wall + half + 0.5))
        if n < 17:
            below = (build.canal[n, 1] + build.canal[n + 1, 1]) / 4
            upper = axes[n] @ [0, build.depth[n, 1] / 2 + below, -build.height[n] / 2]
            lower = axes[n + 1] @ [0, build.depth[n + 1, 0] / 2 + below, build.height[n + 1] / 2]
            knots.append((centres[n] + upper + centres[n + 1] + lower) / 2)
    return CubicSpline(np.arange(35) / 2, np.stack(knots))

"""Camera: LPS millimetres -> pixels, the same for every renderer and for the writing on top.

A pinhole at `eye_mm` looks at `target_mm` with the patient's head up. Pixels count from the top
left; u to the right, v down. Seen from the patient's left, the front is on the left, as sagittal
pictures are hung.
"""

from dataclasses import dataclass

import numpy as np

from volspine.types import FloatArray

__all__ = ["FRONT_LEFT", "Camera", "frame"]

FRONT_LEFT = (0.80, -0.50, 0.33)
"""Direction from the patient to the viewer: left, front and above."""

_HEAD = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        eye_mm: Where it stands, LPS millimetres, shape (3,).
        target_mm: What stands in the middle of the picture.
        focal_px: Distance of the picture plane in pixels.
        size_px: Width and height of the picture.
    """

    eye_mm: FloatArray
    target_mm: FloatArray
    focal_px: float
    size_px: tuple[int, int]

    @property
    def rotation(self) -> FloatArray:
        """Rows: to the right, down and forward in the picture, in LPS; shape (3, 3)."""
        forward = self.target_mm - self.eye_mm
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, _HEAD)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    @property
    def extrinsic(self) -> FloatArray:
        """LPS to camera coordinates, shape (4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        matrix[:3, 3] = -self.rotation @ self.eye_mm
        return matrix

    def project(self, points_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return pixels (u, v), shape (..., 2), and depth in mm, shape (...)."""
        local = (points_mm - self.eye_mm) @ self.rotation.T
        depth = local[..., 2]
        # Half a pixel less: Open3D and the software renderer put the centre between pixels.
        middle = np.array(self.size_px) / 2 - 0.5
        pixels = local[..., :2] / depth[..., None] * self.focal_px + middle
        return np.asarray(pixels, dtype=np.float64), np.asarray(depth, dtype=np.float64)


def frame(
    bounds_mm: tuple[FloatArray, FloatArray],
    size_px: tuple[int, int],
    *,
    direction: tuple[float, float, float] = FRONT_LEFT,
    fill: float = 0.86,
) -> Camera:
    """Return a camera that sees a whole box.

    Args:
        bounds_mm: Lowest and highest LPS corner.
        size_px: Width and height of the picture.
        direction: From the box to the viewer; not straight up or down.
        fill: Part of the picture that the box may take.
    """
    low, high = bounds_mm
    center = (low + high) / 2
    radius = max(float(np.linalg.norm(high - low)) / 2, 1.0)
    towards = np.asarray(direction) / np.linalg.norm(direction)
    camera = Camera(center + towards * radius * 6, center, 1.0, size_px)
    choice = np.array([low, high])
    corners = np.array(
        [[choice[a, 0], choice[b, 1], choice[c, 2]] for a, b, c in np.ndindex(2, 2, 2)]
    )
    pixels, _ = camera.project(corners)
    spread = np.abs(pixels - (np.array(size_px) / 2 - 0.5)).max(axis=0)
    focal = float((np.array(size_px) / 2 * fill / np.maximum(spread, 1e-9)).min())
    return Camera(camera.eye_mm, camera.target_mm, focal, size_px)

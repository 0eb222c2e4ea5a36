"""Landmarks of made-up and synthetic spines, and stacks whose values say where they are."""

import numpy as np

from volspine.anatomy import LEVELS, MIRRORED_INDEX, TARGETS, Finding, Protocol, Side
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.landmarks import Landmarks

MIRROR = np.array([-1.0, 1.0, 1.0])
STEP_MM = 36.0


def landmarks_of(points_mm, *, chain_mm=None):
    """Landmarks at 25 points; NaN is absent."""
    points = np.array(points_mm, dtype=np.float64)
    found = np.isfinite(points).all(axis=1)
    chain = np.full((7, 3), np.nan) if chain_mm is None else np.array(chain_mm)
    chain[1:6] = points[:5]
    return Landmarks(
        points_mm=points,
        spread_mm=np.where(found, 2.0, np.nan),
        confidence=np.where(found, 0.9, 0.0),
        reasons=tuple("" if there else "not in view" for there in found),
        chain_mm=chain,
        level_confidence=np.full(5, 0.9),
    )


def upright_points():
    """A straight spine: L3/L4 at the origin, foramina 17 mm and recesses 8 mm to the sides."""
    reach = {Finding.CANAL: 0.0, Finding.FORAMEN: 17.0, Finding.RECESS: 8.0}
    sign = {None: 0.0, Side.LEFT: 1.0, Side.RIGHT: -1.0}
    return np.array([
        [sign[t.side] * reach[t.finding], 0.0, STEP_MM * (2 - LEVELS.index(t.level))]
        for t in TARGETS
    ])  # fmt: skip


def mirrored_points(points_mm):
    """The points of the patient in a mirror, sides exchanged."""
    return points_mm[list(MIRRORED_INDEX)] * MIRROR


def field(points_mm):
    """A value that is linear in the place, so that linear interpolation is exact."""
    return 1000.0 + points_mm @ np.array([1.0, 2.0, 3.0])


def linear_stack(affine, shape, *, origins=None):
    """A stack whose voxels hold `field` of their true places."""
    affine = np.asarray(affine, dtype=np.float64)
    if origins is None:
        origins = affine[:3, 3] + np.arange(shape[2])[:, None] * affine[:3, 2]
    i, j = np.indices(shape[:2]).reshape(2, -1)
    plane = i[:, None] * affine[:3, 0] + j[:, None] * affine[:3, 1]
    voxels = np.stack([field(plane + o).reshape(shape[:2]) for o in origins], axis=2)
    return Stack.from_array(voxels.astype(np.float32), affine, np.asarray(origins))


def sagittal_affine(*, middle=(0.0, 0.0, 0.0), shape=(80, 160, 15), step=4.0, pixel=1.25):
    """Columns to the back, rows to the feet, slices to the left, about a middle."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, step], [pixel, 0, 0], [0, -pixel, 0]])
    affine[:3, 3] = np.array(middle) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def axial_affine(*, middle=(0.0, 0.0, 0.0), shape=(80, 70, 5), step=4.0, pixel=1.0, tilt=0.0):
    """Columns to the left, rows to the back, slices to the head; the head leans back by `tilt`."""
    affine = np.eye(4)
    back = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    head = np.array([0.0, np.sin(tilt), np.cos(tilt)])
    affine[:3, :3] = np.column_stack([[pixel, 0, 0], back * pixel, head * step])
    affine[:3, 3] = np.array(middle) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def series_of(protocol, *stacks, name="s", drawbacks=(), frame=""):
    return Series(
        f"1.{name}", name, Protocol(protocol), "known", list(stacks),
        drawbacks=tuple(drawbacks), frame_of_reference=frame,
    )  # fmt: skip


def study_of(*series):
    return Study("made", list(series))


def mirrored_study(study):
    """The study of the patient in a mirror: every stack reflected, its voxels in their order."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    return Study("mirror", [
        Series(s.uid, s.name, s.protocol, s.reason, [
            Stack.from_array(
                np.ascontiguousarray(k.voxels[:, :, ::-1]) if k.plane == "sagittal" else k.voxels,
                *_reflected(k, flip),
            )
            for k in s.stacks
        ])
        for s in study.series
    ])  # fmt: skip


def _reflected(stack, flip):
    """Affine and origins in the mirror; sagittal slices are put in order towards the left again."""
    affine, origins = flip @ stack.affine_lps, stack.slice_origins_mm * MIRROR
    if stack.plane == "sagittal":
        origins = origins[::-1]
        affine[:3, 2] *= -1.0
        affine[:3, 3] = origins[0]
    return affine, origins

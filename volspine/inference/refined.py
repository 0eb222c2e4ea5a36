"""Refined: the foramina that a localizer found, moved to where the roots are seen on native slices.

A localizer reads every third pixel or so; a point refiner (`models.point_refiner`) reads all of
them, in a small patch about each foramen, on sagittal T1 and T2 where they were measured. What the
two say is put together as if the localizer's point were Gaussian with deviation s along each axis:

    step = sum over views p_v d_v / sum p_v,  p_v = 1 / variance_v       variance = n / sum p_v
    point' = point + s^2 / (s^2 + variance) step                         within the slices alone

since the two views look at the same thing, they are averaged and not taken for two witnesses.
Across the slices, and where nothing was measured, the localizer's point stays.

Shapes: 25 targets, in the order of `TARGETS`.
"""

from dataclasses import replace

import numpy as np
import torch

from volspine.anatomy import LEVELS, PROTOCOLS, TARGETS
from volspine.dicom.study import Study
from volspine.inference.device import exact_arithmetic
from volspine.landmarks import Landmarks
from volspine.models.point_refiner import REFINED_VIEWS, PointRefiner
from volspine.types import BoolArray, FloatArray
from volspine.views import TOKENS, VIEWS, StudyCrops
from volspine.volume.level_study import study_crops_of
from volspine.volume.patches import cut_patches
from volspine.volume.study_crops import batched

__all__ = ["FARTHEST_MM", "LOCALIZED_MM", "refine", "refined_in_crops"]

LOCALIZED_MM = 2.0
"""Deviation s of a localizer's foramina along each axis on people of another making than those who
taught it: between the 1 mm on its own phantoms and the 2.9 mm, most of it the same way in everyone,
measured on the second phantom."""

FARTHEST_MM = 8.0
"""A point that would move further stays: it is another root, or none."""

_LEAST_COVERED = 0.5
"""Of the middle slice of a patch that is looked at."""


def refine(
    landmarks: Landmarks, study: Study, *, refiner: PointRefiner, device: torch.device
) -> Landmarks:
    """Return the landmarks with the foramina moved to where the refiner sees them.

    Args:
        landmarks: As located.
        study: The images, native.
        refiner: A trained one, on the device.
        device: Where it computes.
    """
    if not landmarks.found.any():
        return landmarks
    crops, _ = study_crops_of(study, landmarks, device=str(device))
    return refined_in_crops(landmarks, crops, refiner)


def refined_in_crops(landmarks: Landmarks, crops: StudyCrops, refiner: PointRefiner) -> Landmarks:
    """Return the landmarks with the foramina moved; see `refine`.

    Args:
        landmarks: As located.
        crops: Around them, not batched.
        refiner: On the crops' device.
    """
    steps, variance = _steps(crops, landmarks.points_mm, refiner)
    prior = LOCALIZED_MM**2
    moves = steps * (prior / (prior + variance))[:, None]
    # NaN compares as False: a point that was not looked at stays.
    is_moved = np.linalg.norm(moves, axis=1) <= FARTHEST_MM
    plane = prior * variance / (prior + variance)
    spread = np.sqrt(2 * plane + landmarks.spread_mm**2 / 3)
    return replace(
        landmarks,
        points_mm=np.where(is_moved[:, None], landmarks.points_mm + moves, landmarks.points_mm),
        spread_mm=np.where(is_moved, spread, landmarks.spread_mm),
    )


def _steps(
    crops: StudyCrops, points_mm: FloatArray, refiner: PointRefiner
) -> tuple[FloatArray, FloatArray]:
    """Return from each point to where it is seen, (25, 3) LPS mm, and the variance along an axis.

    NaN where nothing is seen of a target.
    """
    patches = cut_patches(batched([crops]), torch.from_numpy(points_mm)[None])
    total, precision, count = np.zeros((25, 3)), np.zeros(25), np.zeros(25)
    for view in REFINED_VIEWS:
        with torch.inference_mode(), exact_arithmetic():
            said = refiner(patches.images[view][0])
        middle = patches.covered[view][0][:, VIEWS[view].slices // 2]
        is_seen: BoolArray = (middle >= _LEAST_COVERED).cpu().numpy()
        targets = np.array([t for v, t in TOKENS if v == view])
        offset = said.offset_mm.double().cpu().numpy()
        weight = is_seen / said.variance_mm2.double().cpu().numpy()
        step = np.einsum("tka,ta->tk", _axes(crops, view, targets), offset)
        total[targets] += weight[:, None] * step
        precision[targets] += weight
        count[targets] += is_seen
    precision = np.where(count > 0, precision, np.nan)
    return total / precision[:, None], count / precision


def _axes(crops: StudyCrops, view: int, targets: np.ndarray) -> FloatArray:
    """Return the unit vectors along rows and columns of the targets' sagittal patches, (T, 3, 2).

    A right side is shown with its slices in reverse; rows and columns run as on the left.
    """
    level = [LEVELS.index(TARGETS[t].level) for t in targets]
    protocol = PROTOCOLS.index(VIEWS[view].protocol)
    plane = crops.affine_lps[level, protocol, :3, 1:3].cpu().numpy()
    return np.asarray(plane / np.linalg.norm(plane, axis=1, keepdims=True), dtype=np.float64)

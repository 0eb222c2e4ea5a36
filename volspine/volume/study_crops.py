"""Levels cropped one by one -> the tensors of a study that patches are cut from; and its mirror.

The one place where values are scaled and levels are stacked, so that crops of DICOM files, of a
store and of a phantom are the same tensors.

    stored value / mean of what was measured in the crop, 0 to `BRIGHTEST`

Shapes:
    B studies      D, H, W  slices, rows and columns of a crop      5 levels      3 protocols
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from volspine.anatomy import MIRRORED_INDEX, PROTOCOLS, Protocol
from volspine.views import StudyCrops

__all__ = ["BRIGHTEST", "Cropped", "batched", "mirrored_crops", "scaled", "stacked_levels"]

BRIGHTEST = 8.0
"""Times the mean; brighter is as bright. Fat on a T1 image is at most some four times the mean."""

Cropped = tuple[Tensor, Tensor, Tensor]
"""Image (D, H, W) of stored values, mask (D, H, W) bool and affine (4, 4) of one crop."""


def scaled(image: Tensor, mask: Tensor) -> Tensor:
    """Return a crop in units of the mean of what was measured, float16; 0 where nothing was.

    Args:
        image: (D, H, W), stored values.
        mask: (D, H, W) bool, what was measured.
    """
    mean = float((image * mask).sum(dtype=torch.float64) / mask.sum().clamp(min=1))
    if not mean > 0:
        return torch.zeros_like(image, dtype=torch.float16)
    return ((image / mean).clamp(0.0, BRIGHTEST) * mask).to(torch.float16)


def stacked_levels(levels: Sequence[Sequence[Cropped]], points_mm: Tensor) -> StudyCrops:
    """Return the crops of a study.

    Args:
        levels: For each of the five levels a crop for each of `PROTOCOLS`.
        points_mm: (25, 3), LPS; NaN where a target was not located.
    """
    axial = PROTOCOLS.index(Protocol.AXIAL_T2)
    planes = [n for n in range(len(PROTOCOLS)) if n != axial]
    images = [[scaled(image, mask) for image, mask, _ in crops] for crops in levels]
    masks = [[mask for _, mask, _ in crops] for crops in levels]
    affines = [torch.stack([affine.double().cpu() for *_, affine in crops]) for crops in levels]
    return StudyCrops(
        sagittal=torch.stack([torch.stack([level[n] for n in planes]) for level in images]),
        axial=torch.stack([level[axial] for level in images]),
        sagittal_mask=torch.stack([torch.stack([level[n] for n in planes]) for level in masks]),
        axial_mask=torch.stack([level[axial] for level in masks]),
        affine_lps=torch.stack(affines),
        points_mm=points_mm.double(),
    )


def batched(studies: Sequence[StudyCrops]) -> StudyCrops:
    """Return studies in one, with a leading axis of B."""
    return StudyCrops(*(torch.stack(parts) for parts in zip(*studies, strict=True)))


def mirrored_crops(crops: StudyCrops) -> StudyCrops:
    """Return what the mirror image of a patient would have given; of a batch too.

    Slices run to the left and columns of axial crops to the left as before, of the other patient.

    Args:
        crops: Of a study or of several; left as they were.
    """
    affine = crops.affine_lps.clone()
    for number, protocol in enumerate(PROTOCOLS):
        is_axial = protocol is Protocol.AXIAL_T2
        axis, size = (2, crops.axial.shape[-1]) if is_axial else (0, crops.sagittal.shape[-3])
        one = affine[..., number, :, :]
        one[..., :3, 3] += one[..., :3, axis] * (size - 1)
        one[..., :3, axis] *= -1.0
    affine[..., 0, :] *= -1.0
    points = crops.points_mm[..., list(MIRRORED_INDEX), :].clone()
    points[..., 0] *= -1.0
    return StudyCrops(
        sagittal=crops.sagittal.flip(-3),
        axial=crops.axial.flip(-1),
        sagittal_mask=crops.sagittal_mask.flip(-3),
        axial_mask=crops.axial_mask.flip(-1),
        affine_lps=affine,
        points_mm=points,
    )

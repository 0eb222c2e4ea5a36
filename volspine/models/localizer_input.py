"""From one sagittal series of any contrast to what a localizer looks at.

Two channels, so that neither the contrast nor the fall-off of a surface coil matters much:

    root      sqrt(min(x / q, 2)), q the 99th percentile of what was measured
    contrast  (root - mean) / (SD + 0.02), mean and SD over a box of about 26 mm

Both count measured voxels only and are 0 elsewhere. Everything is symmetric in each axis, so a
mirrored series gives mirrored channels.

Shapes:
    B  series    C  channels    I J K  voxels, RAS+
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

__all__ = ["BOX_MM", "input_channels", "masked_percentile"]

BOX_MM = 26.0
"""Side of the box of the local contrast: about a vertebra."""

_SHARE, _CEILING, _FLOOR = 0.99, 2.0, 0.02


def input_channels(
    image: Float[Tensor, "B 1 I J K"],
    mask: Shaped[Tensor, "B 1 I J K"],
    *,
    spacing_mm: Sequence[float],
    with_mask: bool = False,
) -> Float[Tensor, "B C I J K"]:
    """Return root intensity, local contrast and, on demand, the mask.

    Args:
        image: Raw intensities of 0 or more; a common factor does not matter.
        mask: Not 0 where voxels were measured.
        spacing_mm: Of the voxels along i, j, k.
        with_mask: Whether the mask is the third channel.
    """
    measured = (mask > 0).float()
    values = image.float().clamp_min(0)
    scale = masked_percentile(values, measured).clamp_min(torch.finfo(torch.float32).tiny)
    root = (values / scale).clamp_max(_CEILING).sqrt() * measured
    box = [_odd(BOX_MM / step) for step in spacing_mm]
    weight = _box_mean(measured, box).clamp_min(1e-6)
    mean = _box_mean(root, box) / weight
    spread = (_box_mean(root * root, box) / weight - mean * mean).clamp_min(0).sqrt()
    contrast = (root - mean) / (spread + _FLOOR) * measured
    return torch.cat([root, contrast, measured] if with_mask else [root, contrast], dim=1)


def masked_percentile(
    values: Float[Tensor, "B 1 I J K"], measured: Float[Tensor, "B 1 I J K"]
) -> Float[Tensor, "B 1 1 1 1"]:
    """Return the 99th percentile of the measured values of each series; 0 where there are none.

    It is the smallest measured value that 99 % of the measured ones do not exceed.

    Args:
        values: Of 0 or more.
        measured: 1 where measured, else 0.
    """
    inner = torch.where(measured > 0, values, -1.0).flatten(1)
    counts = measured.flatten(1).sum(dim=1).tolist()
    size = inner.shape[1]
    ranks = [size - int(n) + math.ceil(_SHARE * n) for n in counts]
    found = [row.kthvalue(max(rank, 1)).values for row, rank in zip(inner, ranks, strict=True)]
    return torch.stack(found).clamp_min(0).view(-1, 1, 1, 1, 1)


def _odd(length: float) -> int:
    """Return the odd number that is nearest, from 1."""
    return 2 * max(round((length - 1) / 2), 0) + 1


def _box_mean(x: Tensor, box: Sequence[int]) -> Tensor:
    """Return the mean over a box around each voxel, with zeros outside; one axis at a time."""
    for axis, size in enumerate(box):
        last = x.movedim(axis + 2, -1)
        sums = F.pad(last, (size // 2 + 1, size // 2)).cumsum(dim=-1)
        means = (sums[..., size:] - sums[..., :-size]) / size
        x = means.movedim(-1, axis + 2)
    return x

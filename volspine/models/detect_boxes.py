"""Boxes: a part of the study's volume around each point, of a given size in millimetres.

A box has voxels of its own size, v mm, and a middle c (a voxel index of the volume, whose voxels
are s mm). Its voxel n of N along an axis shows the volume at

    c + sign (n - (N - 1) / 2) v / s

linearly interpolated, 0 beyond the volume. `sign` is 1, but along i (to the patient's right) it is
-1 for a right side: those boxes come mirrored, so that whoever reads them sees a left side always.

Shapes:
    B  studies    N  boxes    C  channels    I J K  voxels of the volume    d h w  voxels of a box
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from volspine.errors import ConfigurationError

__all__ = ["MAX_BOX_VOXELS", "box_shape", "box_steps", "cut_boxes"]

MAX_BOX_VOXELS = 1 << 18
"""Most voxels of a box: 64 along each axis. More than that is a slip of the units."""


def box_shape(box_mm: Sequence[float], voxel_mm: Sequence[float]) -> tuple[int, int, int]:
    """Return the voxels of a box along i, j, k.

    Args:
        box_mm: Size along the axes, rounded to whole voxels.
        voxel_mm: Size of its voxels.

    Raises:
        ConfigurationError: If a size is not positive, or the box has no voxels or far too many.

    Example:
        >>> box_shape((18, 27, 27), (3.0, 1.5, 1.5))
        (6, 18, 18)
    """
    sizes = [*box_mm, *voxel_mm]
    if len(box_mm) == len(voxel_mm) == 3 and all(0 < s < math.inf for s in sizes):
        d, h, w = (round(mm / step) for mm, step in zip(box_mm, voxel_mm, strict=True))
        if 0 < d * h * w <= MAX_BOX_VOXELS:
            return (d, h, w)
    raise ConfigurationError(
        f"a box of {list(box_mm)} mm with voxels of {list(voxel_mm)} mm is impossible",
        remedy=f"give three positive sizes each, for 1 to {MAX_BOX_VOXELS} voxels in all",
        code="VS-CFG-200",
    )


def box_steps(
    shape: Sequence[int], voxel_mm: Sequence[float], spacing_mm: Sequence[float]
) -> Float[Tensor, "d h w 3"]:
    """Return where the voxels of a box lie about its middle, in voxels of the volume.

    Args:
        shape: Voxels of the box.
        voxel_mm: Their size.
        spacing_mm: Size of the volume's voxels.

    Example:
        >>> box_steps((2, 1, 3), (3.0, 1.5, 1.5), (3.0, 1.5, 3.0))[1, 0].tolist()
        [[0.5, 0.0, -0.5], [0.5, 0.0, 0.0], [0.5, 0.0, 0.5]]
    """
    axes = [
        (torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * voxel / spacing
        for n, voxel, spacing in zip(shape, voxel_mm, spacing_mm, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def cut_boxes(
    volume: Float[Tensor, "B C I J K"],
    middles: Float[Tensor, "B N 3"],
    steps: Float[Tensor, "d h w 3"],
    is_right: Bool[Tensor, " N"],
) -> Float[Tensor, "B N C d h w"]:
    """Return the boxes around some points, those of right sides mirrored.

    Args:
        volume: Of each study.
        middles: Voxel indices (i, j, k) of the volume.
        steps: See `box_steps`.
        is_right: Which boxes are of the patient's right side.
    """
    sign = torch.ones(len(is_right), 3, device=steps.device)
    sign[:, 0] = torch.where(is_right, -1.0, 1.0)
    places = middles[:, :, None, None, None] + sign[:, None, None, None] * steps
    sizes = torch.tensor(volume.shape[2:], device=places.device)
    # grid_sample counts from -1 to 1 between outer edges, the last axis first.
    wanted = ((2 * places + 1) / sizes - 1).flip(-1)
    b, n, d, h, w, _ = wanted.shape
    shown = F.grid_sample(volume, wanted.view(b, n * d, h, w, 3), align_corners=False)
    return shown.view(b, -1, n, d, h, w).transpose(1, 2)

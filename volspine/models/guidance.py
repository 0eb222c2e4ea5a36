"""Guidance: marks of where targets are -> maps that attention is taught, and how far it is off.

Masked as every loss is: a point that is not known counts for nothing. `masked_mean` is the mean
that all losses share.

Shapes:
    B  studies    T  targets    I J K  voxels    i j k  feature cells
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["cell_strides", "guidance_loss", "guidance_target", "masked_mean"]


def masked_mean(values: Float[Tensor, "..."], weights: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """Return sum(w v) / sum(w); 0 where every weight is 0, whatever the values there.

    Example:
        >>> masked_mean(torch.tensor([1.0, 5.0, float("nan")]), torch.tensor([3.0, 1.0, 0.0]))
        tensor(2.)
    """
    kept = torch.where(weights > 0, values, 0.0)
    total = weights.sum()
    return (kept * weights).sum() / torch.where(total > 0, total, 1.0)


def cell_strides(shape: Sequence[int], cells: Sequence[int]) -> tuple[int, ...]:
    """Return the voxels along each axis that one feature cell stands for: a power of two.

    Args:
        shape: Voxels along each axis.
        cells: Cells along each axis, ceil(voxels / stride) of them.

    Example:
        >>> cell_strides((32, 96, 144), (8, 6, 9))
        (4, 16, 16)
    """
    return tuple(1 << (-(-n // m) - 1).bit_length() for n, m in zip(shape, cells, strict=True))


def guidance_target(
    points: Float[Tensor, "B T 3"],
    shape: Sequence[int],
    cells: Sequence[int],
    *,
    sigma_voxels: Sequence[float] = (2.0, 6.0, 6.0),
) -> Float[Tensor, "B T i j k"]:
    """Return a Gaussian around each point on the grid of feature cells, summing to one.

    Cell c along an axis of stride s covers the voxels s c to s c + s - 1, so its centre is at
    voxel s c + (s - 1) / 2.

    Args:
        points: Voxel indices (i, j, k) of each target; anything finite where unknown.
        shape: Voxels of the volume along each axis.
        cells: Feature cells along each axis.
        sigma_voxels: Standard deviation along each axis; at least half a cell is used.
    """
    logits: list[Tensor] = []
    for axis, stride in enumerate(cell_strides(shape, cells)):
        centres = torch.arange(cells[axis], device=points.device) * stride + (stride - 1) / 2
        sigma = max(float(sigma_voxels[axis]), stride / 2)
        logits.append(-0.5 * ((centres - points[..., axis, None]) / sigma) ** 2)
    i, j, k = (logit.softmax(dim=-1) for logit in logits)
    return i[..., :, None, None] * j[..., None, :, None] * k[..., None, None, :]


def guidance_loss(
    attention: Float[Tensor, "B T i j k"],
    points: Float[Tensor, "B T 3"],
    has_point: Bool[Tensor, "B T"],
    *,
    shape: Sequence[int],
    sigma_voxels: Sequence[float] = (2.0, 6.0, 6.0),
) -> Float[Tensor, ""]:
    """Return the divergence of each attention map from a Gaussian around its known point.

    It is the cross-entropy less the entropy of the Gaussian: 0 where the map equals it.

    Args:
        attention: Where each target was looked for; sums to one over the cells.
        points: Voxel indices (i, j, k) of each target.
        has_point: Where a point is known.
        shape: Voxels of the volume along i, j, k.
        sigma_voxels: Standard deviation of the Gaussian; see `guidance_target`.
    """
    known = torch.where(has_point[..., None], points, 0.0)
    target = guidance_target(known, shape, attention.shape[2:], sigma_voxels=sigma_voxels)
    tiny = torch.finfo(torch.float32).tiny
    looked = attention.float().clamp_min(tiny).log()
    divergence = (target * (target.clamp_min(tiny).log() - looked)).sum(dim=(2, 3, 4))
    return masked_mean(divergence, has_point.to(divergence.dtype))

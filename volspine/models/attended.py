"""Attended points: from attention maps to the voxels that were looked at.

The largest cell of a map and its neighbours say where: the mean of their centres, weighted by the
attention they got. Further cells are left out, so that a map with two places does not point between
them.

Shapes:
    B  studies    T  targets    i j k  feature cells
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from volspine.models.guidance import cell_strides

__all__ = ["attended_points"]


def attended_points(
    attention: Float[Tensor, "B T i j k"], shape: Sequence[int]
) -> Float[Tensor, "B T 3"]:
    """Return where each target was looked for, as voxel indices (i, j, k) of the volume.

    Args:
        attention: Not negative; of any sum above 0.
        shape: Voxels of the volume along i, j, k.

    Example:
        >>> attention = torch.zeros(1, 25, 2, 4, 4)
        >>> attention[..., 1, 2, 0] = 1
        >>> attended_points(attention, (8, 16, 16))[0, 0]
        tensor([5.5000, 9.5000, 1.5000])
    """
    cells = attention.shape[2:]
    flat = attention.float().flatten(2)
    best = flat.argmax(dim=-1)
    places = torch.stack(torch.unravel_index(torch.arange(flat.shape[2]), cells), dim=-1)
    places = places.to(flat.device)
    is_near = (places[best][:, :, None] - places).abs().amax(dim=-1) <= 1
    weights = torch.where(is_near, flat, 0.0)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    strides = torch.tensor(cell_strides(shape, cells), device=flat.device)
    centres = places * strides + (strides - 1) / 2
    return weights @ centres

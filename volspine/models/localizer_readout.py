"""From the maps of a localizer to points: around the best cell, soft and with its offsets.

With w the softmax of the logits over the cells near the best one (or near cells that are given),
c their centres and o their offsets, in mm along the axes of the grid:

    point  = sum w (c + o)             spread = sqrt(sum w |c + o - point|^2)
    mass   = share of the softmax over all cells that is near
    presence = logistic(log sum exp(logits) - log N)

Shapes:
    B  series    P  points    N  all cells
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from volspine.landmarks import POINTS
from volspine.models.localizer import STEM, Localizer, Located
from volspine.models.localizer_cells import around, as_list, read_at, voxels_from_cells

__all__ = ["SoftPoints", "locate_soft"]


class SoftPoints(NamedTuple):
    """Points that were read out of the maps.

    Attributes:
        voxels: Fractional voxel indices on the grid of the series.
        spread_mm: Root mean square distance of what the cells near the best one say.
        mass: Share of the softmax over all cells that lies near, 0 to 1.
        presence: How likely the point is in view at all, 0 to 1.
    """

    voxels: Float[Tensor, "B P 3"]
    spread_mm: Float[Tensor, "B P"]
    mass: Float[Tensor, "B P"]
    presence: Float[Tensor, "B P"]


def locate_soft(
    located: Located,
    localizer: Localizer,
    *,
    near: Float[Tensor, "B P 3"] | None = None,
    radius_mm: float = 8.0,
) -> SoftPoints:
    """Return the place of every point, whether or not it is there.

    Args:
        located: What the localizer said.
        localizer: For the size of its cells.
        near: Cells to look near, as cell coordinates; the best of each point if omitted.
        radius_mm: How far to look.
    """
    heat, shape, cell_mm = as_list(located.heat).float(), located.heat.shape[2:], localizer.cell_mm
    points = torch.arange(len(POINTS), device=heat.device)
    total = heat[..., : len(POINTS)].logsumexp(dim=1)
    if near is None:
        best = heat[..., : len(POINTS)].argmax(dim=1)
        near = torch.stack(torch.unravel_index(best, tuple(shape)), dim=-1).to(heat.dtype)
    close = around(near, shape, radius_mm=radius_mm, cell_mm=cell_mm)
    logits = read_at(heat, close.place, points).masked_fill(~close.inside, -torch.inf)
    weight = logits.softmax(dim=-1)[..., None]
    offsets = as_list(located.offset.flatten(1, 2)).float()
    told = [read_at(offsets, close.place, 3 * points + axis) for axis in range(3)]
    size = torch.tensor(cell_mm, device=heat.device)
    places = close.cells * size + torch.stack(told, dim=-1)
    middle = (weight * places).sum(dim=2)
    spread = (weight * (places - middle[:, :, None]) ** 2).sum(dim=(2, 3)).sqrt()
    return SoftPoints(
        voxels=voxels_from_cells(middle / size, STEM),
        spread_mm=spread,
        mass=(logits.logsumexp(dim=-1) - total).exp().clamp_max(1.0),
        presence=(total - math.log(heat.shape[1])).sigmoid(),
    )

"""From a localizer's maps of single series to the 25 named landmarks, as prediction names them.

Every series is decoded by itself, as if it were all that its study has.

Shapes:
    B  series    T  targets, 25
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from volspine.landmarks import POINT_OF_TARGET
from volspine.models.chain_decode import decode
from volspine.models.chain_fuse import Told, cell_grid, cell_mask, fuse
from volspine.models.localizer import Localizer, Located
from volspine.volume.grid import Grid

__all__ = ["NamedPoints", "named_points", "true_points"]


class NamedPoints(NamedTuple):
    """What was found, NaN where nothing was.

    Attributes:
        places_mm: LPS about the middle of the grid.
        spread_mm: Root mean square error that is expected.
    """

    places_mm: Float[Tensor, "B T 3"]
    spread_mm: Float[Tensor, "B T"]


def named_points(
    located: Located, mask: Shaped[Tensor, "B 1 I J K"], localizer: Localizer
) -> NamedPoints:
    """Return the landmarks of each series.

    Args:
        located: What the localizer said.
        mask: Not 0 where measured.
        localizer: For its grid.
    """
    grid = cell_grid(_grid(localizer))
    heat, offset = (part.detach().float().cpu().numpy() for part in located)
    places, spreads = [], []
    for logits, away, measured in zip(heat, offset, (mask[:, 0] > 0).cpu().numpy(), strict=True):
        inside = cell_mask(measured)
        if not inside.any():
            places.append(np.full((len(POINT_OF_TARGET), 3), np.nan))
            spreads.append(np.full(len(POINT_OF_TARGET), np.nan))
            continue
        found = decode(fuse([Told(logits, away, inside)], grid))
        places.append(found.points_mm)
        spreads.append(found.spread_mm)
    return NamedPoints(torch.from_numpy(np.stack(places)), torch.from_numpy(np.stack(spreads)))


def true_points(
    points_index: Float[Tensor, "B P 3"], visible: Bool[Tensor, "B P"], localizer: Localizer
) -> Float[Tensor, "B T 3"]:
    """Return where the targets are, mm as above; NaN where they are not in view.

    Args:
        points_index: Fractional voxel indices of the 27 points.
        visible: Which of them are in view.
        localizer: For its grid.
    """
    shown = torch.where(visible[..., None], points_index.double(), torch.nan)
    chosen = shown[:, list(POINT_OF_TARGET)].cpu().numpy()
    return torch.from_numpy(_grid(localizer).mm_from_index(chosen))


def _grid(localizer: Localizer) -> Grid:
    right, front, head = localizer.spacing_mm
    first, second, third = localizer.shape
    return Grid((right, front, head), (first, second, third), (0.0, 0.0, 0.0))

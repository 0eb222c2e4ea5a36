"""Batch: what a localizer says of a batch of series -> the landmarks of each, by itself.

For training and testing, where series stand alone; studies are located by `volspine.inference`.

Shapes:
    B  series    I J K  voxels    i j k  cells
"""

import numpy as np
from jaxtyping import Shaped
from torch import Tensor

from volspine.landmarks import Landmarks
from volspine.models.chain_decode import decode
from volspine.models.chain_fuse import Told, cell_grid, cell_mask, fuse
from volspine.models.localizer import Located
from volspine.volume.grid import Grid

__all__ = ["decode_batch"]


def decode_batch(
    located: Located, mask: Shaped[Tensor, "B 1 I J K"], grid: Grid
) -> list[Landmarks]:
    """Return the landmarks of each series of a batch.

    Args:
        located: What the localizer said of them.
        mask: Not 0 where each series measured; each must have measured something.
        grid: Of the voxels, the same for all, with its centre; millimetres are relative to it.

    Raises:
        GeometryError: If a series measured nothing.
    """
    heat, offset = (np.asarray(each.detach().float().cpu().numpy()) for each in located)
    inside = np.asarray((mask[:, 0] > 0).cpu().numpy(), dtype=np.bool_)
    cells = cell_grid(grid)
    told = zip(heat, offset, inside, strict=True)
    return [decode(fuse([Told(h, o, cell_mask(m))], cells)) for h, o, m in told]

"""A volume -> what a page needs to cut planes through it and to leave out what is dim.

One byte a voxel, gzipped: 0 is air or not measured, 1 to 255 the intensity of the body. The page
draws a voxel at

    origin + step * (i, j, k)        (LPS millimetres; x and y of a step are negative)

Shapes:
    I, J, K  voxels of the grid: right, front, head
"""

import base64
import gzip
from typing import Any

import numpy as np

from volspine.types import BoolArray
from volspine.viewer.palette import color_of
from volspine.viewer.voxel_layer import Volume

__all__ = ["PAGE_MM", "volume_data"]

PAGE_MM = 1.25
"""Spacing of the volume of a page: a few megabytes a study."""


def volume_data(volume: Volume, kept: BoolArray | None = None) -> dict[str, Any]:
    """Return a volume as plain data.

    Args:
        volume: With its grid.
        kept: What a cut leaves of its voxels, in a shape that goes with (I, J, K).
    """
    bytes_ = np.clip(np.rint(1 + volume.image * 254), 1, 255).astype(np.uint8)
    bytes_[~volume.body] = 0
    everything = np.ones(volume.grid.shape, dtype=np.bool_)
    left = np.argwhere(everything if kept is None else everything & kept)
    table = color_of(np.linspace(0, 1, 256, dtype=np.float32), volume.protocol)
    affine = volume.grid.affine_lps
    return {
        "name": volume.protocol.label,
        "shape": list(volume.grid.shape),
        "origin": affine[:3, 3].tolist(),
        "step": np.diag(affine)[:3].tolist(),
        # The cut is along one axis, so what it leaves is a box.
        "low": left.min(axis=0).tolist() if len(left) else [1, 1, 1],
        "high": left.max(axis=0).tolist() if len(left) else [0, 0, 0],
        "table": base64.b64encode(table.tobytes()).decode("ascii"),
        "voxels": base64.b64encode(gzip.compress(bytes_.tobytes(), 6, mtime=0)).decode("ascii"),
    }

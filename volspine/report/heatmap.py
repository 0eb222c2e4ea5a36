"""Heat maps: what a grade looked at -> a transparent picture that lies over its key image.

Only the slice with most heat is drawn, where it lies in the patient: what the network was shown
mirrored is mirrored back already. The heat's own share of its largest value says how opaque a pixel
is; between the voxels of a patch it is interpolated.
"""

import io

import numpy as np
from PIL import Image

from volspine.report.upright import View
from volspine.types import FloatArray
from volspine.volume.heat import PatchHeat

__all__ = ["COLOUR", "heat_png", "heat_seen"]

COLOUR = (255, 96, 0)
"""Orange, which neither the slices nor what is drawn on them are."""

_OPAQUE = 170
"""Of 255, where the heat is greatest."""


def heat_seen(heat: PatchHeat, view: View) -> FloatArray:
    """Return the heat of the hottest slice at each pixel of a view, 0 to 1; 0 off the patch.

    Args:
        heat: Of one patch.
        view: Of a slice that is near to it; what lies off the slice is projected onto it.
    """
    hottest = heat.hottest_slice
    plane = heat.values[hottest]
    rows, columns = (np.arange(n) for n in view.pixels.shape)
    offset = rows[:, None, None] * view.row_mm + columns[None, :, None] * view.column_mm
    middle = heat.slice_middle_mm(hottest)
    steps = heat.affine_lps[:3, 1:3]
    flat = (view.origin_mm + offset - middle) @ np.linalg.pinv(steps).T
    row, column = np.moveaxis(flat + (np.array(plane.shape) - 1) / 2, -1, 0)
    return heat.in_slice(hottest, row, column) / max(float(plane.max()), 1e-30)


def heat_png(heat: PatchHeat, view: View, *, size: tuple[int, int]) -> bytes:
    """Return the picture of the heat: PNG, transparent where there is none.

    It is half as fine as the picture it is laid over: heat has no more detail than its patch.

    Args:
        heat: Of one patch.
        view: What it is laid over.
        size: Width and height of the picture of the view.
    """
    alpha = np.asarray(np.rint(heat_seen(heat, view) * _OPAQUE), dtype=np.uint8)
    half = (max(1, size[0] // 2), max(1, size[1] // 2))
    shade = Image.new("RGBA", half, (*COLOUR, 255))
    shade.putalpha(Image.fromarray(alpha).resize(half))
    stream = io.BytesIO()
    shade.save(stream, format="PNG", compress_level=6)
    return stream.getvalue()

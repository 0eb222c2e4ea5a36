"""The pelvis, painted: the sacrum's lateral masses and, beside them, the iliac bones.

The wings spread from S1, slope downwards to the sides and taper to S5; bodies, the rudimentary disc
of S1/S2, sacral canal and laminae are those of the column and the arch. The ilium is a curved plate
from the spine behind the sacroiliac joint to the crest, with iliacus inside and gluteal muscles
outside.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.canal import clamp, smooth_max
from volspine.phantom.focus import focus
from volspine.phantom.painting import Canvas, span
from volspine.phantom.section import L5_S1, Section
from volspine.phantom.surroundings import Surroundings
from volspine.phantom.tissues import Tissue

__all__ = ["paint_pelvis", "paint_sacrum"]

Array = NDArray[np.floating]

_PLATE_MM = 114.0
"""Length of the iliac plate across the body."""


def paint_sacrum(canvas: Canvas, c: Section, u: Array) -> None:
    """Paint the lateral masses of the sacrum, with the sacroiliac joint at their side."""
    if c.sacral.any():
        focus(canvas, c, u, c.sacral & (np.abs(u) < 2.6 * c.half_width), _paint_wings)


def _paint_wings(canvas: Canvas, c: Section, u: Array) -> None:
    far = np.abs(u)
    share = c.below / np.maximum(c.below + c.above, np.float32(1.0))
    down = np.maximum(c.segment.astype(np.float32) + share - np.float32(L5_S1 + 1), 0.0)
    side = far - c.half_width * (2.15 - 0.13 * down)
    # The joint runs outwards as it comes forwards.
    side = side + 0.22 * (c.v - 8.0)
    slab = np.abs(c.v - 0.5 * c.half_depth - 0.14 * far) - 13.5 + 2.0 * down
    top = np.where(c.segment == L5_S1, c.over + 0.18 * far, np.float32(-9.0))
    wing = smooth_max(smooth_max(side, slab, 7.0), top, 4.0)
    canvas.paint(wing - 0.8, Tissue.CAPSULE, 0.8)
    canvas.paint(wing, Tissue.CORTEX)
    canvas.paint(wing + 1.0, Tissue.MARROW)


def paint_pelvis(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint the iliac bones and the muscles on both of their faces."""
    size = anatomy.subject.size
    box = p.within(-62.0, 76.0, 125.0 * size)
    p = replace(p, z=p.z - np.float32(anatomy.subject.raised[2]))
    low = span(p.z[:, 0] < -38.0)
    if box is None or not low.stop:
        return
    rows = slice(max(box[0].start, low.start), min(box[0].stop, low.stop))
    canvas, p = canvas.part((rows, box[1])), p.part((rows, box[1]))
    x = p.far - 43.0 * size + clamp(-25.0 - 0.25 * p.z, 0.0, 12.0)
    y = p.back - 50.0 * size
    along, across = 0.553 * x - 0.833 * y, 0.833 * x + 0.553 * y
    across = across + 14.0 - 0.0053 * (along - 52.0) ** 2
    crest = p.z + 42.0 + 0.011 * (along - 75.0) ** 2
    ends = np.maximum(-along, along - _PLATE_MM * size)
    thick = 4.5 + 4.0 * np.exp(-((along / 30.0) ** 2))
    outer = smooth_max(np.maximum(np.abs(across - thick - 11.0) - 12.0, ends - 3.0), crest + 9, 8.0)
    canvas.paint(outer, Tissue.MUSCLE)
    inner = np.maximum(np.abs(across + thick + 4.0) - 6.0, np.maximum(34.0 - along, ends))
    canvas.paint(smooth_max(inner, crest + 4.0, 6.0), Tissue.MUSCLE)
    plate = smooth_max(np.maximum(np.abs(across) - thick, ends), 0.7 * crest, 5.0)
    canvas.paint(plate, Tissue.CORTEX)
    canvas.paint(plate + 1.4, Tissue.MARROW)

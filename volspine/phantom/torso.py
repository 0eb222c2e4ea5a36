"""The rest of the trunk, painted: skin, fat, organs, vessels and muscles around the spine.

Everything here varies slowly along the body, so it is painted once a slice, on the points of
`surroundings`, the back of the body before the front.
"""

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.abdomen import paint_abdomen
from volspine.phantom.anatomy import Anatomy
from volspine.phantom.muscles import back_surface, paint_muscles
from volspine.phantom.painting import Canvas
from volspine.phantom.sacrum import paint_pelvis
from volspine.phantom.surroundings import Surroundings, texture
from volspine.phantom.tissues import Tissue

__all__ = ["Surroundings", "paint_torso", "texture"]

Array = NDArray[np.floating]


def paint_torso(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint skin, fat, the abdomen, muscles and vessels."""
    _paint_wall(canvas, p, anatomy)
    paint_abdomen(canvas, p, anatomy)
    paint_pelvis(canvas, p, anatomy)
    paint_muscles(canvas, p, anatomy)


def _paint_wall(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint skin, the fat under it with its septum, and the belly's muscles."""
    subject = anatomy.subject
    size, thick = subject.size, subject.dorsal_fat
    fascia = p.back - back_surface(p, anatomy)
    skin = np.maximum(fascia - thick, np.maximum(p.far - 178.0 * size, -p.back - 165.0 * size))
    canvas.paint(skin, Tissue.SKIN)
    canvas.paint(skin + 2.4, Tissue.FAT)
    ripple = 0.05 * thick * np.sin(0.11 * p.z + 0.09 * p.far)
    canvas.paint(np.abs(fascia - 0.55 * thick - ripple) - 0.35, Tissue.CAPSULE, 0.55)
    belly = np.maximum(p.far - 158.0 * size, -p.back - 142.0 * size)
    canvas.paint(np.maximum(np.abs(belly) - 5.0, p.back + 8.0), Tissue.MUSCLE, 0.9)

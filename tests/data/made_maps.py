"""Tissue maps that cost nothing to make: a block of muscle with a column of marrow in it."""

import numpy as np

from volspine.landmarks import MIRRORED_POINT, POINTS
from volspine.phantom.spec import Spec
from volspine.phantom.tissue_map import SPACING_MM, TissueMap
from volspine.phantom.tissues import Tissue

SHAPE = (56, 64, 140)


def made_map(spec: Spec) -> TissueMap:
    """A person whose points stand in a row along the column, the sides 20 mm apart."""
    affine = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = -(affine[:3, :3] @ (np.array(SHAPE) - 1)) / 2
    tissues = np.zeros(SHAPE, dtype=np.uint8)
    tissues[6:-6, 4:-4] = Tissue.MUSCLE
    tissues[22:34, 26:40] = Tissue.MARROW
    tissues[:, 26:40, :: 12 + spec.index % 5] = Tissue.ANNULUS
    points = np.zeros((len(POINTS), 3))
    for n, name in enumerate(POINTS):
        level = n if n < 7 else 1 + (n - 7) % 5
        side = 0.0 if MIRRORED_POINT[n] == n else 20.0 if name.startswith("left") else -20.0
        points[n] = side, 8.0, 105.0 - 35.0 * level
    return TissueMap(tissues, affine, points, spec)

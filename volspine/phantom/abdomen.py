"""Organs and vessels in front of the spine, painted: bowel, kidneys, liver, aorta and vena cava.

Bowel fills a lattice of cells, bent by slow waves, one loop a cell: each has a wall and holds
fluid, gas over fluid, or a mixture. Which one follows from the subject's random phases. Sides are
told apart by `handed`, so that a mirrored person has the mirrored organs.
"""

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.canal import clamp
from volspine.phantom.painting import Canvas, box_of
from volspine.phantom.surroundings import Surroundings, cut, oval
from volspine.phantom.tissues import Tissue

__all__ = ["paint_abdomen"]

Array = NDArray[np.floating]

_CELL_MM = (33.0, 27.0, 41.0)
"""Size of a cell of bowel: sideways, front to back, along the body."""

_LOOPS = 211
"""Different loops."""

_EDGE_MM = 3.0
"""How far beyond a vessel its edge can reach."""


def paint_abdomen(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint what lies in front of the spine."""
    box = p.within(-141.0, -12.0, 150.0)
    if box is not None:
        _paint_bowel(canvas.part(box), p.part(box), anatomy)
    # Neither kidneys nor liver come nearer to the middle.
    for box in p.beside(-120.0, 26.0, 35.0, 175.0):
        _paint_solid(canvas.part(box), p.part(box), anatomy)
    box = p.within(-60.0, 0.0, 70.0)
    if box is not None:
        _paint_vessels(canvas.part(box), p.part(box), anatomy)


def _paint_bowel(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint loops of bowel: wall, fluid, gas."""
    phase = anatomy.subject.folds[:, 3].astype(np.float32)
    across = p.x * np.float32(anatomy.handed)  # towards the aorta's side
    bends = (0.055 * p.back + 0.05 * p.z, 0.06 * across + 0.045 * p.z, 0.05 * (across + p.back))
    places = zip((across, p.back, p.z), bends, (11.0, 9.0, 13.0), _CELL_MM, strict=True)
    scaled = [(x + far * np.sin(bend + turn)) / np.float32(size)
              for (x, bend, far, size), turn in zip(places, phase[:3], strict=True)]  # fmt: skip
    # Neighbouring rows are staggered, as bricks are.
    row = np.floor(scaled[1])
    scaled = [scaled[0] + np.float32(0.37) * row, scaled[1], scaled[2] + np.float32(0.61) * row]
    cells = [np.floor(s) for s in scaled]
    number = cells[0] * 7.0 + cells[1] * 31.0 + cells[2] * 83.0
    # On whole numbers the same as a remainder, and far quicker.
    loop = (number - _LOOPS * np.floor(number / _LOOPS)).astype(np.intp)
    tables = np.modf(np.outer(phase[:4] + 3.0, np.arange(1, _LOOPS + 1) ** 1.5))[0]
    round_, long, kind, level = (t.astype(np.float32).take(loop) for t in tables)
    x, y, z = (s - cell - np.float32(0.5) for s, cell in zip(scaled, cells, strict=True))
    squares = ((x / (0.46 + 0.3 * long)) ** 2, (y / (0.42 + 0.14 * round_)) ** 2,
               (z / (0.76 - 0.3 * long)) ** 2)  # fmt: skip
    wall = (np.sqrt(squares[0] + squares[1] + squares[2]) - 1.0) * np.float32(12.0)
    # Where loops touch, the edge of a cell is their wall.
    edge = np.maximum(np.maximum(np.abs(x) * _CELL_MM[0] - _CELL_MM[0] / 2,
                                 np.abs(y) * _CELL_MM[1] - _CELL_MM[1] / 2),
                      np.abs(z) * _CELL_MM[2] - _CELL_MM[2] / 2)  # fmt: skip
    wall = np.maximum(wall, edge)
    behind = (cells[1] + 0.5) * _CELL_MM[1] + 57.0
    column = cells[0] + np.float32(0.5) - np.float32(0.37) * row
    beside = clamp(np.abs(column) * _CELL_MM[0] - 40.0, 0.0, 45.0)
    wall = wall + np.float32(99.0) * (behind > 0.8 * beside)
    canvas.paint(wall, Tissue.MUSCLE, 0.8)
    lumen = np.maximum(wall + 1.2 + 1.5 * round_, edge + 0.9)
    swirl = 2.0 * np.sin(0.21 * across + 0.13 * p.z + 9.0 * level)
    mixed = 0.22 * np.sin(0.5 * p.back + 0.28 * p.z + swirl)
    canvas.paint(lumen, Tissue.BOWEL, clamp(0.2 + 0.9 * kind + mixed, 0.0, 0.95))
    gas = 27.0 * (y + 0.5 - 0.9 * level) + np.float32(199.0) * (kind <= 0.62)
    canvas.paint(np.maximum(lumen + 0.5, gas), Tissue.AIR, 0.95)


def _paint_solid(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint kidneys, the right one lower, with fat in their hilum, and the liver's lower end."""
    other = p.x * np.float32(anatomy.handed) < 0  # the vena cava's side
    middle = np.where(other, 56.0, 68.0).astype(np.float32)
    height = p.z - np.float32(anatomy.subject.raised[1])
    tall = ((height - middle) / 54.0) ** 2
    x, y = p.far - 64.0, p.back + 3.0
    along, across = 0.8 * y + 0.6 * x, 0.8 * x - 0.6 * y
    kidney = (np.sqrt((along / 27.0) ** 2 + (across / 21.0) ** 2 + tall) - 1.0) * 21.0
    canvas.paint(kidney, Tissue.ORGAN)
    canvas.paint(kidney + 8.0 + 2.0 * np.sin(0.45 * along) * np.sin(0.4 * p.z), Tissue.BOWEL, 0.3)
    rays = 1.8 * np.sin(0.5 * x - 0.4 * y)
    hilum = np.maximum(oval(x + 11.0, y + 5.0, 12.0, 6.0) + rays, 32.0 * (np.sqrt(tall) - 0.62))
    canvas.paint(np.maximum(hilum, kidney - 2.0), Tissue.FAT, 0.9)
    liver = (
        ((p.far - 95.0) / 55.0) ** 2 + ((p.back + 60.0) / 62.0) ** 2 + ((height - 150.0) / 110) ** 2
    )
    liver = (np.sqrt(liver) - 1.0) * 50.0 + np.float32(199.0) * ~other
    canvas.paint(np.maximum(liver, -kidney - 3.0 + 6.0), Tissue.ORGAN, 0.8)


def _paint_vessels(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint aorta (left) and vena cava (right), which mostly divide in front of L4."""
    subject, size = anatomy.subject, anatomy.subject.size
    x = p.x * np.float32(anatomy.handed)
    front = p.back + float(subject.depths[7]) / 2
    height = p.z - np.float32(subject.raised[0])
    split = clamp((-height - 28.0) / 90.0, 0.0, 1.0)
    narrow = 1.0 - 0.36 * np.minimum(split * 4.0, 1.0)
    for place, radius, flat in ((8.0, 8.6, 1.0), (-16.0, 10.5, 0.68)):
        wide = radius * size * narrow
        for spread in (-26.0, 22.0):
            aside = x - (place * size + (spread + place * -0.2) * split)
            deep = front + (9.5 + 1.5 * flat) * size - 8.0 * split
            near = (np.abs(aside) < wide + _EDGE_MM) & (np.abs(deep) < flat * wide + _EDGE_MM)
            box = box_of(near)
            if box is not None:
                across, along, broad = (cut(values, box) for values in (aside, deep, wide))
                vessel = oval(across, along, broad, flat * broad)
                part = canvas.part(box)
                part.paint(vessel, Tissue.MUSCLE, 0.7)
                part.paint(vessel + 1.1, Tissue.BLOOD)

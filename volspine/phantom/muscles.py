"""Muscles of the back and beside the spine, painted: compartments, their septa, fat between fibres.

Multifidus, longissimus and iliocostalis lie side by side under the thoracolumbar fascia; psoas
stands beside the bodies and quadratus lumborum behind it. Fat follows the fibres: thin curved
streaks across the body, long ones along it; there is more of it near the spine and deep down.
"""

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.canal import clamp, smooth_max
from volspine.phantom.painting import Canvas
from volspine.phantom.surroundings import Surroundings, oval
from volspine.phantom.tissues import Tissue

__all__ = ["back_surface", "paint_muscles"]

Array = NDArray[np.floating]


def back_surface(p: Surroundings, anatomy: Anatomy) -> Array:
    """Return the depth of the fascia under the fat of the back: two swellings beside a furrow."""
    size = anatomy.subject.size
    wide = p.far / size
    square = wide * wide
    swelling = 6.0 * np.exp(-(((square - 1150.0) / 1800.0) ** 2)) - 5.0 * np.exp(-square / 220.0)
    fall = 0.0018 * np.maximum(wide - 48.0, 0.0) ** 2
    return np.asarray((69.0 + swelling - fall) * size)


def paint_muscles(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint psoas, quadratus lumborum and the muscles of the back."""
    size = anatomy.subject.size
    for box in p.beside(-45.0, 13.0 * size + 3.0, 13.0 * size, 69.0 * size):
        _paint_psoas(canvas.part(box), p.part(box), anatomy)
    for box in p.beside(15.0 * size - 15.0, 15.0 * size + 15.0, 60 * size - 20.0, 60 * size + 20.0):
        _paint_quadratus(canvas.part(box), p.part(box), size)
    back = p.within(26.0 * size - 2.5, 84.0, 92.0 * size)
    if back is not None:
        _paint_back(canvas.part(back), p.part(back), anatomy)


def _paint_psoas(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint the psoas, a slip beside T12 that grows into a round bundle in front of the sacrum."""
    size, grain = anatomy.subject.size, p.grain(anatomy)
    low = clamp((62.0 - p.z) / 140.0, 0.0, 1.0)
    side = p.far - (29.5 + 11.0 * low) * size
    front = p.back + 3.0 + 15.0 * low * low
    lean = side + 0.25 * front * low
    muscle = oval(lean, front, (6.5 + 12.5 * low) * size, (11.0 + 11.0 * low) * size)
    canvas.paint(muscle, Tissue.MUSCLE)
    streak = clamp(0.5 - 0.6 * np.abs(grain - 0.4), 0.0, 0.5) * (0.05 + anatomy.subject.muscle_fat)
    canvas.paint(muscle + 2.0, Tissue.FAT, streak)


def _paint_quadratus(canvas: Canvas, p: Surroundings, size: float) -> None:
    x, y = p.far - 60.0 * size, p.back - 15.0 * size
    along, across = 0.85 * x + 0.53 * y, 0.85 * y - 0.53 * x
    ends = 0.25 * (np.abs(p.z - 15.0) - 66.0)
    canvas.paint(np.maximum(oval(along, across, 18.0, 7.5), ends), Tissue.MUSCLE)


def _paint_back(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint multifidus, longissimus and iliocostalis with their septa, fascia and fat."""
    subject, size, grain = anatomy.subject, anatomy.subject.size, p.grain(anatomy)
    low = clamp((-p.z - 62.0) / 60.0, 0.0, 1.0)
    narrow = (1.0 - 0.38 * low) * size
    deep = (26.0 + 13.0 * np.exp(-((p.far / (17.0 * size)) ** 2))) * size
    fascia = p.back - back_surface(p, anatomy) + 0.5
    whole = oval(p.far - 36.0 * narrow, p.back - 45.0 * size, 41.0 * narrow, 29.0 * size)
    bounds = np.maximum(np.maximum(deep - p.back, fascia), 3.4 - p.far)
    mass = smooth_max(whole, bounds, 5.0)
    canvas.paint(mass, Tissue.MUSCLE)
    t = (p.back - 46.0 * size) / (26.0 * size)
    septa = (p.far - (19.0 + 4.0 * low) * size - 5.0 * t - 6.0 * t * t + 0.9 * grain,
             p.far - 47.0 * narrow - 9.0 * t + 5.0 * t * t + 0.9 * grain)  # fmt: skip
    _paint_streaks(canvas, mass, (grain, p.far - 22.0, t), subject.muscle_fat)
    for septum, thick in zip(septa, (0.5 + 2.0 * subject.muscle_fat, 0.4), strict=True):
        wedge = thick * (1.0 + 0.8 * np.abs(t))
        canvas.paint(np.maximum(np.abs(septum) - wedge, mass + 0.8), Tissue.FAT, 0.7)
    canvas.paint(np.abs(mass) - 0.5, Tissue.LIGAMENT, 0.55)


def _paint_streaks(
    canvas: Canvas, mass: Array, where: tuple[Array, Array, Array], fat: float
) -> None:
    """Paint fat between the fibres: curves where the grain is near zero, wider the more there is.

    Args:
        canvas: Where to paint.
        mass: Distance to the muscles' outline.
        where: The grain, the distance beside the multifidus, and the depth within the muscles.
        fat: Fraction.
    """
    grain, beside, t = where
    medial = 0.6 + 1.2 / (1.0 + np.exp(0.18 * beside))
    patch = 1.0 + 0.5 * np.sin(0.16 * beside + 1.9 * t) * np.sin(0.11 * beside - 3.1 * t)
    wide = 1.3 * fat * medial * patch * (1.05 - 0.35 * t)
    away = np.maximum(grain, -0.4 * grain)  # wider on one side, so that lines grow into patches
    share = clamp(0.25 + 0.8 * wide - 0.8 * away, 0.0, 1.0) * min(0.35 + 1.8 * fat, 0.9)
    canvas.paint(mass + 1.0, Tissue.FAT, np.asarray(share, dtype=np.float32))

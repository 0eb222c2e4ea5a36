"""Sub-slices: where to paint across a slice's profile so that a plain mean stands for the slice.

The profile is flat inside and falls as a cosine does; sub-slices halve equal shares of it,

    integral from 0 to o_i of p(t) dt = (i + 1/2) / n * integral of p,

so all have one weight. Shapes: P offsets of a symmetric pair, or of the middle alone.
"""

import numpy as np

from volspine.phantom.plan import SeriesPlan
from volspine.types import FloatArray

__all__ = ["slice_offsets", "slice_profile"]

_ROLL_OFF = 0.35
"""Share of a slice's thickness over which its profile falls."""


def slice_profile(places: FloatArray) -> FloatArray:
    """Return how strongly a slice of thickness 1 is excited at places from its middle.

    Flat inside, half at +-0.5, with the edges of a cosine: what a windowed pulse excites.
    """
    falling = np.clip((np.abs(places) - 0.5) / _ROLL_OFF, -0.5, 0.5)
    return np.asarray(0.5 - 0.5 * np.sin(np.pi * falling))


def slice_offsets(plan: SeriesPlan) -> list[FloatArray]:
    """Return where a slice's sub-slices lie, mm: symmetric pairs, and the middle if odd.

    They halve equal shares of the profile, so all have the same weight. What both of a pair give is
    added first, so that the sum is the same, bit for bit, in a mirror.
    """
    many = plan.sub_slices
    places = np.linspace(0.0, 0.7, 1401)
    reached = np.cumsum(slice_profile(places))
    wanted = np.arange(many % 2 + 1, many, 2) / many
    outwards = np.interp(wanted, reached / reached[-1], places) * plan.thickness_mm
    pairs = [np.array([-place, place]) for place in outwards[::-1]]
    return pairs + [np.zeros(1)] * (many % 2)

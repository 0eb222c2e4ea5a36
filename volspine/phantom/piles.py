"""Piles: where the slices of an axial series lie.

A third of the public axial series are one block; the others have a pile of parallel slices for a
disc, or for two or three neighbouring discs. Every level that a series covers has its disc inside
a pile.

Legend:
    level   0 for L1/2 to 4 for L5/S1; -1 is T12/L1
    pile    parallel slices: centres (N, 3) in the body frame, mm, and one tilt (radians: how far
            the upward normal leans backwards), cranial to caudal
"""

from dataclasses import dataclass

import numpy as np

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.types import FloatArray

__all__ = ["Pile", "centred", "disc_plane", "draw_piles"]

_COUNTS = {1: 0.33, 2: 0.10, 3: 0.13, 4: 0.20, 5: 0.19, 6: 0.06}
"""Share of axial series with so many piles."""

_PER_DISC = {4: 0.32, 5: 0.42, 6: 0.15, 7: 0.07, 8: 0.04}


@dataclass(frozen=True)
class Pile:
    """Parallel slices.

    Attributes:
        centres_mm: (N, 3), cranial to caudal, body frame.
        tilt: Radians.
    """

    centres_mm: FloatArray
    tilt: float

    def reversed(self) -> "Pile":
        """Return the same slices from caudal to cranial."""
        return Pile(self.centres_mm[::-1], self.tilt)


def disc_plane(anatomy: Anatomy, level: int) -> tuple[FloatArray, float]:
    """Return the middle of a disc, (y, z), and how far its upward normal leans backwards."""
    segment = FIRST_SEGMENT + level
    frame = anatomy.frame
    tilt = float(frame.tilts[segment] + frame.tilts[segment + 1]) / 2
    return frame.locate(segment, 0.5, 0.0), tilt


def centred(count: int, spacing: float) -> FloatArray:
    """Return evenly spaced places around 0."""
    return (np.arange(count, dtype=np.float64) - (count - 1) / 2) * spacing


def draw_piles(
    anatomy: Anatomy, rng: np.random.Generator, levels: range, spacing: float, *, small: bool
) -> list[Pile]:
    """Return the piles of a series that covers neighbouring levels, cranial to caudal.

    Args:
        anatomy: Whose discs.
        rng: Stream of the plan.
        levels: Which levels.
        spacing: Between slice centres, mm.
        small: One pile of three slices a disc, for quick tests.
    """
    wanted = int(rng.choice(list(_COUNTS), p=np.array(list(_COUNTS.values())) / 1.01))
    slices = int(rng.choice(list(_PER_DISC), p=list(_PER_DISC.values())))
    if small:
        return [_pile(anatomy, rng, [level], (3, spacing)) for level in levels]
    if wanted == 1:
        return [_block(anatomy, rng, levels, spacing)]
    if wanted > len(levels) == 5:
        levels = range(levels.start - 1, levels.stop)
    groups = _groups(rng, list(levels), min(wanted, len(levels)))
    return [_pile(anatomy, rng, group, (slices, spacing)) for group in groups]


def _groups(rng: np.random.Generator, levels: list[int], count: int) -> list[list[int]]:
    """Split neighbouring levels into groups of neighbours, as even as can be."""
    sizes = rng.permutation([len(part) for part in np.array_split(levels, count)])
    return [part.tolist() for part in np.split(np.array(levels), np.cumsum(sizes)[:-1])]


def _pile(
    anatomy: Anatomy, rng: np.random.Generator, levels: list[int], size: tuple[int, float]
) -> Pile:
    """Slices along the mean plane of some discs, a few above the first and below the last."""
    count, spacing = size
    planes = [disc_plane(anatomy, level) for level in levels]
    error = np.deg2rad(np.clip(rng.normal(0, 4.0), -9, 9))
    tilt = float(np.mean([tilt for _, tilt in planes]) + error)
    middle, reach = _span(planes[0][0], planes[-1][0], tilt)
    between = int(np.ceil(2 * reach / spacing))
    # Several discs have a slice or two beyond the first and the last, as their planes differ.
    more = count if len(levels) == 1 else 4
    return _stacked(middle, tilt, centred(more + between, spacing))


def _block(anatomy: Anatomy, rng: np.random.Generator, levels: range, spacing: float) -> Pile:
    """Parallel slices from above the first level to below the last."""
    planes = [disc_plane(anatomy, level) for level in levels]
    inner = planes[(len(planes) - 1) // 2 : len(planes) // 2 + 1]
    tilt = float(np.mean([tilt for _, tilt in inner]) + np.deg2rad(rng.uniform(-5, 5)))
    middle, reach = _span(planes[0][0], planes[-1][0], tilt)
    reach += float(rng.uniform(3, 10))
    count = int(np.ceil(2 * reach / spacing)) + 1
    return _stacked(middle, tilt, centred(count, spacing))


def _span(first: FloatArray, last: FloatArray, tilt: float) -> tuple[FloatArray, float]:
    """Return the point between two discs and half their distance along a plane's normal."""
    normal = np.array([np.sin(tilt), np.cos(tilt)])
    return (first + last) / 2, abs(float((first - last) @ normal)) / 2


def _stacked(middle: FloatArray, tilt: float, offsets: FloatArray) -> Pile:
    normal = np.array([0.0, np.sin(tilt), np.cos(tilt)])
    centre = np.array([0.0, middle[0], middle[1]])
    return Pile(centre - offsets[:, None] * normal, tilt)

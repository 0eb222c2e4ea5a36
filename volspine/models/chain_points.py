"""Points: from named discs to the 27 places, with what speaks for each.

The canal's place at a named disc is read off the heat of all seven discs together, so that it stays
right where the network hesitates about the name. A foramen or a recess is looked for around the
canal's place, in axes that follow the spine there,

    up     along the line from the next lower disc to the next higher one
    left   the patient's left, made perpendicular to it
    back   perpendicular to both,

under a Gaussian prior, 17 (foramen) or 8 (recess) mm to its side and 5 mm in front, with standard
deviations of 5, 8 and 7 mm; the prior only decides which peak it is. Neighbouring levels are not
made to agree: where the spine is scoliotic they do not.

Shapes:
    P  27 points    D  7 discs
"""

from dataclasses import dataclass

import numpy as np

from volspine.anatomy import LEVELS, Condition, Finding, Side
from volspine.landmarks import CHAIN, POINTS
from volspine.models.chain_heat import HeatMaps
from volspine.types import BoolArray, FloatArray, IntArray

__all__ = ["ASIDE_MM", "Placed", "place_points"]

ASIDE_MM = {Finding.FORAMEN: 17.0, Finding.RECESS: 8.0}
"""How far from the midline a foramen and a recess lie."""

FORWARD_MM = 5.0
SPREADS_MM = np.array([5.0, 8.0, 7.0])
"""Of a lateral place around where it is expected: to the side, to the back, up."""

_DISCS = range(len(CHAIN))
_SIGN = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
_SIDED = tuple(condition for condition in Condition if condition.side is not None)
_MISSED_SPREAD_MM = 8.0


@dataclass(frozen=True, eq=False)
class Placed:
    """The 27 places and what speaks for each.

    Attributes:
        points_mm: (P, 3) LPS; NaN where there is none.
        moments_mm: (P,); root mean square distance of the votes.
        masses: (P,); heat within 10 mm, of the channels of all levels together.
        seen: (D,); discs that the chain names, the others are interpolated or absent.
    """

    points_mm: FloatArray
    moments_mm: FloatArray
    masses: FloatArray
    seen: BoolArray


def place_points(maps: HeatMaps, candidates_mm: FloatArray, picks: IntArray) -> Placed:
    """Return the places of all points.

    Args:
        maps: The heat.
        candidates_mm: (N, 3); places where discs may be.
        picks: (D,); which of them each disc is, -1 where it is none.
    """
    found = Placed(
        points_mm=np.full((len(POINTS), 3), np.nan),
        moments_mm=np.full(len(POINTS), np.nan),
        masses=np.zeros(len(POINTS)),
        seen=picks >= 0,
    )
    for named in np.flatnonzero(found.seen):
        _put(maps, found, int(named), candidates_mm[picks[named]])
    for missed in _between(found.seen):
        _put_missed(maps, found, missed)
    for number, condition in enumerate(_SIDED):
        for level in range(len(LEVELS)):
            if np.isfinite(found.points_mm[1 + level]).all():
                _put_lateral(maps, found, (number, level), condition)
    return found


def _put(
    maps: HeatMaps, found: Placed, point: int, start_mm: FloatArray, channels: range = _DISCS
) -> None:
    read = maps.read(start_mm, channels)
    found.points_mm[point] = read.point_mm
    found.moments_mm[point] = read.moment_mm
    found.masses[point] = maps.mass(read.point_mm, channels).sum()


def _between(seen: BoolArray) -> list[int]:
    """Return the discs that are not seen though one above and one below are."""
    return [d for d in range(1, len(seen) - 1) if not seen[d] and seen[:d].any() and seen[d:].any()]


def _put_missed(maps: HeatMaps, found: Placed, disc: int) -> None:
    """Look for a disc that no candidate stands for halfway between its neighbours."""
    middle = (found.points_mm[disc - 1] + found.points_mm[disc + 1]) / 2
    box = maps.box(middle, 2 * _MISSED_SPREAD_MM)
    square = ((box.cells_mm - middle) ** 2).sum(axis=-1)
    prior = -0.5 * square / _MISSED_SPREAD_MM**2
    if not np.isfinite(score := maps.log_heat[disc][box.part] + prior).any():
        return
    place = box.cells_mm[np.unravel_index(score.argmax(), score.shape)]
    _put(maps, found, disc, place, range(disc, disc + 1))


def _put_lateral(
    maps: HeatMaps, found: Placed, which: tuple[int, int], condition: Condition
) -> None:
    """Look for one foramen or recess around the canal's place."""
    number, level = which
    first = len(CHAIN) + number * len(LEVELS)
    canal = found.points_mm[1 + level]
    axes = _axes(found.points_mm[: len(CHAIN)], 1 + level)
    side = Side.LEFT if condition.side is None else condition.side
    aside = _SIGN[side] * ASIDE_MM[condition.finding]
    mean = np.array([aside, -FORWARD_MM, 0.0])
    box = maps.box(canal + axes.T @ mean, 2.5 * float(SPREADS_MM.max()))
    local = (box.cells_mm - canal) @ axes.T
    prior = -0.5 * (((local - mean) / SPREADS_MM) ** 2).sum(axis=-1)
    heat: FloatArray = maps.heat[first : first + len(LEVELS), *box.part].sum(
        axis=0, dtype=np.float64
    )
    if not heat.any():
        return
    score = np.log(np.maximum(heat, 1e-30)) + prior
    start = box.cells_mm[np.unravel_index(score.argmax(), score.shape)]
    _put(maps, found, first + level, start, range(first, first + len(LEVELS)))


def _axes(chain_mm: FloatArray, disc: int) -> FloatArray:
    """Return the unit vectors to the left, to the back and up at a disc, as rows."""
    known: BoolArray = np.asarray(np.isfinite(chain_mm).all(axis=1))
    upper = disc - 1 if disc > 0 and known[disc - 1] else disc
    lower = disc + 1 if disc + 1 < len(chain_mm) and known[disc + 1] else disc
    up = np.array([0.0, 0.0, 1.0]) if upper == lower else chain_mm[upper] - chain_mm[lower]
    up = up / np.linalg.norm(up)
    left = np.array([1.0, 0.0, 0.0]) - up[0] * up
    left = left / np.linalg.norm(left)
    return np.stack([left, np.cross(up, left), up])

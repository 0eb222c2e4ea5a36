"""From wanted measures to shapes: the inverse of `measure`, one level at a time.

The same measure has many looks: how much of a narrow canal is due to the disc, to the flavum, to
the facets or to a small sac is drawn at random, and so is the side from which a foramen loses its
fat. The recess is set to its own depth; what the facets take from the canal stops short of it.

Shapes: S segments, A angles around a root, sides (left, right).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from volspine.phantom.anatomy import Narrowing, recess_place
from volspine.phantom.canal import WAIST, CanalSection, sac_distance
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.subject import Subject
from volspine.types import FloatArray

__all__ = ["ANGLES", "RAYS", "Wanted", "narrow", "reference_area", "sac_area"]

ANGLES = 64
"""Directions in which the clearance around a root is kept."""

RAYS = 32
"""Directions in which perineural fat is counted; every second of the kept ones."""

FAT_MM = 1.0
"""Least clearance that counts as fat."""

FLAT = 0.7
"""Axis ratio of a root's section below which it counts as collapsed."""

SHARES = (1.2, 1.2, 1.2, 1.2)
"""Dirichlet weights of what narrows a canal: disc, flavum, facets, and the sac's own size."""

_STEP_MM = 0.3


@dataclass(frozen=True)
class Wanted:
    """Measures to reach at the five graded levels.

    Attributes:
        canal: (5,) area of the sac over that of the neighbouring pedicle levels.
        recess: (5, 2) millimetres.
        foramen: (5, 2) share of directions with perineural fat.
    """

    canal: FloatArray
    recess: FloatArray
    foramen: FloatArray


def narrow(subject: Subject, wanted: Wanted, rng: np.random.Generator) -> Narrowing:
    """Return shapes that measure what is wanted; ungraded segments are normal.

    Args:
        subject: Whose spine.
        wanted: Measures at the graded levels.
        rng: Decides which of many looks a measure takes.
    """
    segments = len(subject.discs)
    result = Narrowing(
        bulge=np.full(segments, 0.3),
        flavum=np.full(segments, 0.3),
        shrink=np.full(segments, 0.97),
        facet=np.zeros((segments, 2)),
        focus=np.zeros(segments),
        recess=np.full((segments, 2), 8.0),
        clearance=np.full((segments, 2, ANGLES), 2.0),
        plug=np.zeros((segments, 2, ANGLES)),
        flatness=np.ones((segments, 2)),
    )
    split = rng.dirichlet(SHARES, size=segments)
    looks = rng.random((segments, 2, 8))
    focal = rng.random((segments, 2))
    for segment in range(segments):
        for side in range(2):
            result.clearance[segment, side] = _normal_clearance(looks[segment, side])
    for level in range(5):
        segment = FIRST_SEGMENT + level
        result.recess[segment] = wanted.recess[level]
        result.focus[segment] = _focus(wanted.recess[level], focal[segment])
        _close_canal(subject, result, segment, float(wanted.canal[level]), split[segment])
        for side in range(2):
            _close_foramen(result, (segment, side), float(wanted.foramen[level, side]),
                           looks[segment, side])  # fmt: skip
    return result


def disc_section(subject: Subject, shapes: Narrowing, segment: int) -> CanalSection:
    """Return the canal's cross-section through the middle of a disc; arrays of shape (1,)."""
    share = _disc_share(subject, segment)

    def mean(values: FloatArray) -> FloatArray:
        return np.atleast_1d(values[segment] * (1 - share) + values[segment + 1] * share)

    return CanalSection(
        at_disc=np.ones(1),
        half_depth=mean(subject.depths) / 2,
        half_width=mean(subject.widths) / 2,
        canal_depth=mean(subject.canal_depths),
        sac_area=mean(subject.sac_areas),
        bulge=shapes.bulge[segment : segment + 1],
        flavum=shapes.flavum[segment : segment + 1],
        shrink=shapes.shrink[segment : segment + 1],
        recess_place=recess_place(subject)[segment : segment + 1],
        recess=(shapes.recess[segment, :1], shapes.recess[segment, 1:]),
        facet=(shapes.facet[segment, :1], shapes.facet[segment, 1:]),
        focus=shapes.focus[segment : segment + 1],
        aspect=np.full(1, subject.sac_aspect),
    )


def _disc_share(subject: Subject, segment: int) -> float:
    """Return how far the disc is from the upper to the lower vertebra, 0 to 1, in the canal.

    Wedged bodies are lower behind, so a disc lies nearer to the more wedged of its neighbours.
    """
    pair = slice(segment, segment + 2)
    behind = float(subject.depths[pair].mean()) / 2 + 8.0
    high, low = subject.heights[pair] / 2 - behind * np.tan(subject.wedges[pair] / 2)
    span = subject.heights[pair].mean() + subject.discs[segment] - behind * subject.bends[segment]
    return float(0.5 + (high - low) / (2.0 * span))


def reference_area(subject: Subject, segment: int, step_mm: float = 0.25) -> float:
    """Return the mean area of the sac at the pedicles of a disc's two neighbours, mm2."""
    return (_open_area(subject, segment, step_mm) + _open_area(subject, segment + 1, step_mm)) / 2


def _open_area(subject: Subject, vertebra: int, step_mm: float) -> float:
    """Return the area of the sac at the middle of a vertebra, where nothing narrows it."""

    def pick(values: FloatArray) -> FloatArray:
        return np.atleast_1d(values[vertebra])

    none = np.zeros(1)
    section = CanalSection(
        at_disc=none,
        half_depth=pick(subject.depths) / 2,
        half_width=pick(subject.widths) / 2 * (1.0 - WAIST),
        canal_depth=pick(subject.canal_depths),
        sac_area=pick(subject.sac_areas),
        bulge=none,
        flavum=none,
        shrink=none,
        recess_place=pick(recess_place(subject)),
        recess=(none, none),
        facet=(none, none),
        focus=none,
        aspect=np.full(1, subject.sac_aspect),
    )
    return sac_area(section, step_mm)


def sac_area(section: CanalSection, step_mm: float = _STEP_MM) -> float:
    """Return the area of the sac in a cross-section, mm2, edges counted by their share."""
    u = np.arange(-13.0, 13.0, step_mm) + step_mm / 2
    front = float(section.half_depth[0])
    v = np.arange(front - 2.0, front + 19.0, step_mm)[:, None] + step_mm / 2
    share = np.clip(0.5 - sac_distance(section, u, v) / step_mm, 0.0, 1.0)
    return float(share.sum()) * step_mm * step_mm


def _close_canal(
    subject: Subject, shapes: Narrowing, segment: int, ratio: float, split: FloatArray
) -> None:
    """Solve for the one number that drives bulge, flavum and sac until the area is right."""
    goal = ratio * reference_area(subject, segment)

    def excess(press: float) -> float:
        _press_canal(shapes, segment, press, split)
        return sac_area(disc_section(subject, shapes, segment)) - goal

    low, high = (-2.5, 0.0) if excess(0.0) < 0 else (0.0, 1.5)
    above, below = excess(low), excess(high)
    if below > 0:
        low, high, above, below = high, 9.0, below, excess(9.0)
    if above <= 0 or below >= 0:
        excess(low if above <= 0 else high)  # as near as this canal can come
        return
    _false_position(excess, (low, above), (high, below), 0.001 * goal)


def _false_position(
    excess: Callable[[float], float],
    high: tuple[float, float],
    low: tuple[float, float],
    tolerance: float,
) -> None:
    """Find where a falling function is zero by the Illinois rule; its last call is the answer.

    Args:
        excess: The function.
        high: Argument and value where it is positive.
        low: Argument and value where it is negative.
        tolerance: Of the value.
    """
    for _ in range(20):
        at = (low[0] * high[1] - high[0] * low[1]) / (high[1] - low[1])
        value = excess(at)
        if abs(value) <= tolerance:
            return
        if value > 0:
            high, low = (at, value), (low[0], low[1] / 2)
        else:
            high, low = (high[0], high[1] / 2), (at, value)


def _press_canal(shapes: Narrowing, segment: int, press: float, split: FloatArray) -> None:
    """Narrow a canal; disc, flavum and facets can take so much, the sac's own size the rest."""
    forward = max(press, 0.0) * split[:3]
    bulge, flavum, facet = _MOST * np.tanh(_GROWTH * forward / _MOST)
    shapes.bulge[segment] = 0.4 + bulge
    shapes.flavum[segment] = 0.4 + flavum
    # The facet is thicker on the side whose recess is narrower.
    shapes.facet[segment] = facet * (1.3 - 0.1 * np.clip(shapes.recess[segment], 0.0, 8.0))
    own = press * (0.02 + 0.35 * split[3]) + (0.015 if press > 0 else -0.1) * press * press
    shapes.shrink[segment] = max(0.97 - own, 0.2)


_GROWTH = np.array([5.0, 9.0, 11.0])
"""Millimetres that bulge, flavum and facet grow at first for one unit of narrowing."""

_MOST = np.array([8.0, 10.0, 10.0])
"""The most that they grow."""


def _focus(recess: FloatArray, look: FloatArray) -> float:
    """Return where a bulge is largest: most lie on the midline, others towards one side."""
    if look[0] < 0.6:
        return 0.0
    towards = 1.0 if recess[0] <= recess[1] else -1.0
    return float(towards * (1.0 + 3.0 * look[1]))


def _decide(clearance: FloatArray) -> FloatArray:
    """Part clearances at the least that counts as fat, so that every direction is clear."""
    less = 0.85 * FAT_MM - 3.0 * (FAT_MM - clearance)
    more = 1.15 * FAT_MM + 1.25 * (clearance - FAT_MM)
    return np.asarray(np.maximum(np.where(clearance < FAT_MM, less, more), 0.0))


def _lobe(angle: FloatArray, centre: float, width: float) -> FloatArray:
    return np.asarray(np.exp((np.cos(angle - centre) - 1.0) / width**2))


def angles() -> FloatArray:
    """Return the directions around a root: 0 posterior, pi/2 caudal, pi anterior; shape (A,)."""
    return np.arange(ANGLES, dtype=np.float64) * (2 * np.pi / ANGLES)


def _normal_clearance(look: FloatArray) -> FloatArray:
    angle = angles()
    tail = (4.5 + 2.0 * look[0]) * _lobe(angle, 0.5 * np.pi + 0.3 * (look[1] - 0.5), 0.42)
    return np.asarray(1.7 + 0.5 * look[2] + tail + 0.3 * np.cos(2 * angle + 6.28 * look[3]))


def _close_foramen(
    shapes: Narrowing, place: tuple[int, int], share: float, look: FloatArray
) -> None:
    """Take fat away from the directions that yield first until the wanted share is left."""
    angle = angles()
    weight = 0.15 + look[4:8] / look[4:8].sum() * 2.0
    centres = (0.0, 0.5 * np.pi, 0.8 * np.pi, 1.5 * np.pi)  # facet, endplate, disc, pedicle
    lobes = [w * _lobe(angle, c, 0.75) for w, c in zip(weight, centres, strict=True)]
    press = np.asarray(0.3 + np.sum(lobes, axis=0))
    full = shapes.clearance[place].copy()
    yields = ((full - FAT_MM) / press)[:: ANGLES // RAYS]
    kept = int(np.clip(round(share * RAYS), 0, RAYS))
    order = np.concatenate([[0.0], np.sort(yields), [yields.max() + 1.0]])
    at = RAYS - kept
    force = (order[at] + order[at + 1]) / 2 if at else 0.0
    left = _decide(full - force * press)
    shapes.clearance[place] = left
    lost = np.clip((full - left) / (0.55 * full), 0.0, 1.0)
    # What has lost its fat is filled to a little beyond where the fat would have ended.
    shapes.plug[place] = left + (full + 0.9 - left) * lost**2
    collapse = np.clip(1.0 - share / 0.12, 0.0, 1.0)
    flat = 1.0 - 0.15 * look[2] - (0.35 * collapse if share < 0.12 else 0.0)
    # Like the clearances, clearly on one side of what counts as collapsed.
    shapes.flatness[place] = FLAT + np.copysign(max(abs(flat - FLAT), 0.04), flat - FLAT)

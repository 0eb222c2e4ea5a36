"""Decode: heat maps of one study -> landmarks with names, spreads, confidences and doubts.

    peaks -> ordered names -> places -> how sure -> absent where out of view or hardly supported

`spread_mm` is sqrt(floor^2 + (scale * moment)^2) of the votes' second moment. `confidence` is the
probability that the level has the right name, times one that the place is right if so, logistic in
the logarithm of the heat near it, of whatever level, and in the moment. Floors and scales were set
on 20 synthetic studies that no network was trained on, none of whose 500 places was more than 10 mm
off, so that the logistic weights are a choice, not a fit. On images unlike those, real ones above
all, errors are larger than the spreads say.

Shapes:
    P  27 points    T  25 targets    D  7 discs
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from volspine.anatomy import LEVELS, TARGETS, Finding, Target
from volspine.landmarks import CHAIN, POINT_OF_TARGET, Landmarks
from volspine.models.chain import Candidates, Named, Rules, name_discs
from volspine.models.chain_doubts import doubts_of, why_absent
from volspine.models.chain_heat import HeatMaps, peaks
from volspine.models.chain_points import Placed, place_points
from volspine.types import FloatArray

__all__ = ["Calibration", "Evidence", "decode", "gather", "nothing_found"]

FAINTEST = 1e-4
"""Heat of a disc near a candidate is taken to be at least this."""

ANY_FLOOR = 0.02


@dataclass(frozen=True)
class Calibration:
    """How evidence becomes millimetres and probabilities; values for canal, foramen and recess.

    Attributes:
        floor_mm: Spread where all votes agree.
        scale: Of the votes' second moment.
        weights: Of 1, log(heat near the place), and the moment in mm.
        least: Points less probable than this are absent.
        outside_mm: So are points farther than this from what was measured.
    """

    floor_mm: tuple[float, float, float] = (0.5, 0.5, 0.5)
    scale: tuple[float, float, float] = (0.55, 0.75, 0.7)
    weights: tuple[tuple[float, float, float], ...] = ((5.0, 1.0, -0.2),) * 3
    least: float = 0.15
    outside_mm: float = 4.0


class Evidence(NamedTuple):
    """What was found before anything is judged.

    Attributes:
        named: The best chain.
        placed: The 27 places.
        level_confidence: (D,); how sure the name of each disc is, 0 where it has no place.
    """

    named: Named
    placed: Placed
    level_confidence: FloatArray


def decode(
    maps: HeatMaps, *, rules: Rules | None = None, calibration: Calibration | None = None
) -> Landmarks:
    """Return the landmarks of one study.

    Args:
        maps: Heat of the study, all of its series together.
        rules: What is known of chains of discs.
        calibration: How evidence becomes millimetres and probabilities.
    """
    how = calibration or Calibration()
    found = gather(maps, rules)
    chain = found.placed.points_mm[: len(CHAIN)]
    confidence = np.array([_confidence(found, t, how) for t in TARGETS])
    reasons = [_why_absent(maps, found, t, how) for t in TARGETS]
    reasons = [
        why or (f"too little speaks for a place of {t.label}" if c < how.least else "")
        for t, c, why in zip(TARGETS, confidence, reasons, strict=True)
    ]
    absent = np.array([bool(why) for why in reasons])
    points = found.placed.points_mm[list(POINT_OF_TARGET)]
    spread = np.array([_spread(found, t, how) for t in TARGETS])
    return Landmarks(
        points_mm=np.where(absent[:, None], np.nan, points),
        spread_mm=np.where(absent, np.nan, spread),
        confidence=np.where(absent, 0.0, confidence),
        reasons=tuple(reasons),
        chain_mm=chain.copy(),
        level_confidence=found.level_confidence[1 : 1 + len(LEVELS)],
        doubts=doubts_of(maps, found.named, chain),
    )


def nothing_found(reason: str) -> Landmarks:
    """Return landmarks without any place, all for one reason.

    Args:
        reason: Why; not empty.
    """
    n = len(TARGETS)
    return Landmarks(
        points_mm=np.full((n, 3), np.nan),
        spread_mm=np.full(n, np.nan),
        confidence=np.zeros(n),
        reasons=(reason,) * n,
        chain_mm=np.full((len(CHAIN), 3), np.nan),
        level_confidence=np.zeros(len(LEVELS)),
    )


def gather(maps: HeatMaps, rules: Rules | None = None) -> Evidence:
    """Return names and places with what speaks for them, before anything is judged."""
    candidates = _candidates(maps)
    named = name_discs(candidates, rules)
    placed = place_points(maps, candidates.points_mm, named.picks)
    return Evidence(named, placed, _level_confidence(named, placed))


def _candidates(maps: HeatMaps) -> Candidates:
    places = peaks(maps)
    masses = [maps.mass(place, range(len(CHAIN))) for place in places]
    rooms = [maps.room_mm(place) for place in places]
    disc = np.array(masses, dtype=np.float64).reshape(-1, len(CHAIN)).T
    room = np.array(rooms, dtype=np.float64).reshape(-1, 2)
    near = np.array([maps.any_near(place) for place in places], dtype=np.float64)
    return Candidates(
        points_mm=places,
        log_disc=np.log(disc + FAINTEST),
        log_any=np.log(near + ANY_FLOOR),
        above_mm=room[:, 0],
        below_mm=room[:, 1],
        in_view=maps.presence[: len(CHAIN)],
    )


def _level_confidence(named: Named, placed: Placed) -> FloatArray:
    discs = np.arange(len(CHAIN))
    at = named.picks >= 0
    sure = np.zeros(len(CHAIN))
    sure[at] = named.probabilities[discs[at], named.picks[at]]
    for disc in np.flatnonzero(~at & np.isfinite(placed.points_mm[: len(CHAIN)]).all(axis=1)):
        sure[disc] = 0.5 * min(sure[disc - 1], sure[disc + 1])
    return np.clip(sure, 0.0, 1.0)


def _group(target: Target) -> int:
    return list(Finding).index(target.finding)


def _disc(target: Target) -> int:
    return 1 + LEVELS.index(target.level)


def _why_absent(maps: HeatMaps, found: Evidence, target: Target, how: Calibration) -> str:
    point = found.placed.points_mm[POINT_OF_TARGET[target.index]]
    if not np.isfinite(found.placed.points_mm[_disc(target)]).all():
        return why_absent(found.named, _disc(target))
    if not np.isfinite(point).all():
        return f"{target.label} lies outside the field of view"
    if maps.outside_mm(point) > how.outside_mm:
        return f"{target.label} lies outside the field of view"
    return ""


def _confidence(found: Evidence, target: Target, how: Calibration) -> float:
    point = POINT_OF_TARGET[target.index]
    if not np.isfinite(found.placed.points_mm[point]).all():
        return 0.0
    heat = float(np.log(found.placed.masses[point] + FAINTEST))
    moment = float(found.placed.moments_mm[point])
    place = float(expit(np.dot(how.weights[_group(target)], [1.0, heat, moment])))
    return place * float(found.level_confidence[_disc(target)])


def _spread(found: Evidence, target: Target, how: Calibration) -> float:
    group = _group(target)
    moment = found.placed.moments_mm[POINT_OF_TARGET[target.index]]
    return float(np.hypot(how.floor_mm[group], how.scale[group] * moment))

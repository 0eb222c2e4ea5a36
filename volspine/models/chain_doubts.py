"""Doubts: why the numbering of the levels may be wrong, and why a point is absent, in words.

A chain that is found may still bear the wrong names: a network that errs by one level does so with
confidence. So besides what the heat says, plain facts count: the sacrum, which the names are
counted from, is not in view; discs lie unusually near or far from one another; the disc S1/S2 looks
like a lumbar one.

Shapes:
    D  7 discs, T12/L1 to S1/S2    N  candidates
"""

import numpy as np

from volspine.landmarks import CHAIN
from volspine.models.chain import Named
from volspine.models.chain_heat import HeatMaps
from volspine.types import BoolArray, FloatArray

__all__ = ["disc_label", "doubts_of", "why_absent"]

_L5_S1, _S1_S2 = CHAIN.index("l5_s1"), CHAIN.index("s1_s2")

SHIFTED = 0.2
"""A chain shifted by one is nearly as good from this probability on."""

SACRUM_ROOM_MM = 30.0
"""Below L5/S1 at least this much must have been measured for the sacrum to be seen."""

USUAL_MM = (22.0, 50.0)
"""Distances of neighbouring discs beyond these are unusual."""

UNLIKE = 1.5
"""So is a distance this many times the median of the chain, or this many times less."""

TRANSITIONAL_ANY, TRANSITIONAL_MM = 0.6, 37.0
"""S1/S2 looks like a lumbar disc if it is this clear, and this far from L5/S1. The farthest of 14
phantoms without a transitional vertebra was 35 mm, of 13 with one 34: only marked ones are told."""


def disc_label(disc: int) -> str:
    """Return the name of a disc of the chain as in a report: `T12/L1`."""
    return CHAIN[disc].upper().replace("_", "/")


def doubts_of(maps: HeatMaps, named: Named, chain_mm: FloatArray) -> tuple[str, ...]:
    """Return why the numbering is doubtful; empty where nothing speaks against it.

    Args:
        maps: The heat.
        named: The best chain and how likely every other name is.
        chain_mm: (D, 3) places of the discs; NaN where there is none.
    """
    seen = named.picks >= 0
    if not seen.any():
        return ()
    found = [
        _no_sacrum(maps, seen, chain_mm),
        _shifted(named),
        _unusual(chain_mm),
        _transitional(maps, seen, chain_mm),
    ]
    return tuple(doubt for doubt in found if doubt)


def why_absent(named: Named, disc: int) -> str:
    """Return why a disc of the chain has no place."""
    label, seen = disc_label(disc), np.flatnonzero(named.picks >= 0)
    if not seen.size:
        return "no disc of a lumbar spine was found"
    if disc < seen[0]:
        return f"{label} lies above the field of view, or nothing speaks for it"
    if disc > seen[-1]:
        return f"{label} lies below the field of view, or nothing speaks for it"
    return f"too little speaks for a place of {label}"


def _no_sacrum(maps: HeatMaps, seen: BoolArray, chain_mm: FloatArray) -> str:
    if not seen[_L5_S1] and not seen[_S1_S2]:
        return "no sacrum is in view: neither L5/S1 nor S1/S2 was seen"
    lowest = int(np.flatnonzero(seen)[-1])
    if lowest == _L5_S1 and maps.room_mm(chain_mm[lowest])[1] < SACRUM_ROOM_MM:
        return "the sacrum is hardly in view: what was measured ends just below L5/S1"
    return ""


def _shifted(named: Named) -> str:
    """Say if the chain with every name moved by one is nearly as good."""
    down, up = [], []
    for disc in np.flatnonzero(named.picks >= 0):
        of = named.probabilities[:, named.picks[disc]]
        down.append(of[disc + 1] if disc + 1 < len(CHAIN) else 0.0)
        up.append(of[disc - 1] if disc > 0 else 0.0)
    share = {"lower": float(np.median(down)), "higher": float(np.median(up))}
    way = max(share, key=share.__getitem__)
    return f"one level {way} the names fit nearly as well" if share[way] >= SHIFTED else ""


def _unusual(chain_mm: FloatArray) -> str:
    """Say which neighbours lie unusually near or far from one another."""
    steps = np.linalg.norm(np.diff(chain_mm, axis=0), axis=1)
    usual = np.nanmedian(steps) if np.isfinite(steps).any() else np.nan
    with np.errstate(invalid="ignore"):
        odd = (steps < USUAL_MM[0]) | (steps > USUAL_MM[1])
        odd |= (steps > UNLIKE * usual) | (steps * UNLIKE < usual)
    pairs = [
        f"{disc_label(int(d))} and {disc_label(int(d) + 1)} {steps[d]:.0f} mm"
        for d in np.flatnonzero(odd)
    ]
    return f"unusual distance of neighbouring discs: {', '.join(pairs)}" if pairs else ""


def _transitional(maps: HeatMaps, seen: BoolArray, chain_mm: FloatArray) -> str:
    if not (seen[_S1_S2] and seen[_L5_S1]):
        return ""
    step = float(np.linalg.norm(chain_mm[_S1_S2] - chain_mm[_L5_S1]))
    clear = maps.any_near(chain_mm[_S1_S2])
    if clear < TRANSITIONAL_ANY or step < TRANSITIONAL_MM:
        return ""
    return "a transitional vertebra is possible: S1/S2 looks like a lumbar disc"

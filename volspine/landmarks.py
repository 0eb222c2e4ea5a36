"""Landmarks: the places that a localizer looks for, and what it found of them in one study.

A localizer looks for 27 *points*: the canal at seven discs in a row, T12/L1 to S1/S2 (the
*chain*, whose two ends help to name the rest), then the left and the right foramen and the left and
the right subarticular zone at the five graded levels. 25 of them are the targets;
`POINT_OF_TARGET[t]` is the point of target `t`.

Left and right are the patient's. Millimetres are LPS.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Condition, Finding, Target
from volspine.errors import GeometryError
from volspine.types import BoolArray, FloatArray

__all__ = ["CHAIN", "MIRRORED_POINT", "POINTS", "POINT_OF_TARGET", "Landmarks"]

CHAIN = ("t12_l1", *(level.value for level in LEVELS), "s1_s2")
"""Discs whose canal points are looked for, cranial to caudal."""

_LATERAL = tuple(Target(c, level) for c in Condition if c.side for level in LEVELS)

POINTS = (*(f"canal_{disc}" for disc in CHAIN), *(target.name for target in _LATERAL))
"""Names of the 27 points in canonical order."""

POINT_OF_TARGET = tuple(
    1 + LEVELS.index(t.level) if t.finding is Finding.CANAL else len(CHAIN) + _LATERAL.index(t)
    for t in TARGETS
)
"""For each of the 25 targets, its index in `POINTS`."""

MIRRORED_POINT = (
    *range(len(CHAIN)),
    *(len(CHAIN) + _LATERAL.index(target.mirrored) for target in _LATERAL),
)
"""Where each point goes when the patient is mirrored left to right; its own inverse."""


@dataclass(frozen=True)
class Landmarks:
    """Where the 25 targets of a study are; valid once constructed.

    Attributes:
        points_mm: (25, 3) LPS millimetres in the order of `TARGETS`; NaN where absent.
        spread_mm: (25,) root mean square distance to the true place that is expected; NaN where
            absent.
        confidence: (25,) probability, as far as the localizer can tell, that the point is within
            10 mm of the true place; 0 where absent.
        reasons: 25 texts; why a point is absent, else empty.
        chain_mm: (7, 3) canal at the discs of `CHAIN`; NaN where absent.
        level_confidence: (5,) how sure the name of each level is, 0 to 1.
        doubts: Why the numbering of the levels is doubtful, in words; empty where it is not.

    Raises:
        GeometryError: If shapes or values cannot be.
    """

    points_mm: FloatArray
    spread_mm: FloatArray
    confidence: FloatArray
    reasons: tuple[str, ...]
    chain_mm: FloatArray
    level_confidence: FloatArray
    doubts: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n = len(TARGETS)
        fits = (
            self.points_mm.shape == (n, 3)
            and self.spread_mm.shape == self.confidence.shape == (n,)
            and len(self.reasons) == n
            and self.chain_mm.shape == (len(CHAIN), 3)
            and self.level_confidence.shape == (len(LEVELS),)
        )
        if not fits:
            raise GeometryError("landmarks of a wrong shape", code="VS-GEO-060")
        explained = np.array([bool(reason) for reason in self.reasons])
        shares = np.concatenate([self.confidence, self.level_confidence])
        if np.any(explained == self.found) or not np.all((shares >= 0) & (shares <= 1)):
            raise GeometryError("landmarks that contradict themselves", code="VS-GEO-061")

    @property
    def found(self) -> BoolArray:
        """Which targets have a place, shape (25,)."""
        return np.asarray(np.isfinite(self.points_mm).all(axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for `result.json`; absent places are None."""
        points = [_plain(point) for point in self.points_mm]
        return {
            "frame": "LPS",
            "unit": "mm",
            "points": {
                target.name: {
                    "mm": points[n],
                    "spread_mm": None if points[n] is None else round(float(self.spread_mm[n]), 2),
                    "confidence": round(float(self.confidence[n]), 4),
                    "reason": self.reasons[n],
                }
                for n, target in enumerate(TARGETS)
            },
            "chain": {n: _plain(p) for n, p in zip(CHAIN, self.chain_mm, strict=True)},
            "level_confidence": {
                level.value: round(float(c), 4)
                for level, c in zip(LEVELS, self.level_confidence, strict=True)
            },
            "doubts": list(self.doubts),
        }


def _plain(point: FloatArray) -> list[float] | None:
    return [round(float(v), 2) for v in point] if np.isfinite(point).all() else None

"""PointErrors: how far off the points of a localizer are, while it is trained.

Every series stands alone here, read out at the best cell of each point: neither order nor fusion of
several series helps yet, so the numbers are what the network does by itself. A test adds what comes
out once the points are named in order; see `volspine.metrics.landmarks`.

Shapes:
    B  series    P  points
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from volspine.anatomy import Finding
from volspine.landmarks import CHAIN, POINTS
from volspine.types import BoolArray, FloatArray

__all__ = ["PointErrors"]

_CAP_MM = 20.0
_FAR_MM = 10.0
_FIRST = len(CHAIN)
_GROUPS: dict[str, list[int]] = {
    "canal": [*range(1, _FIRST - 1)],
    "ends": [0, _FIRST - 1],
    "foramen": [*range(_FIRST, _FIRST + 10)],
    "recess": [*range(_FIRST + 10, len(POINTS))],
}


@dataclass
class PointErrors:
    """Errors of many series, added up batch by batch.

    Attributes:
        away: Distances from the true places.
        presence: How likely each point was said to be in view.
        visible: Whether it was.
        named: Scores of the points once they were named in order, by name; none in training.
    """

    away: list[Tensor] = field(default_factory=list)
    presence: list[Tensor] = field(default_factory=list)
    visible: list[Tensor] = field(default_factory=list)
    named: Mapping[str, float] = field(default_factory=dict)

    def add(
        self,
        away: Float[Tensor, "B P"],
        presence: Float[Tensor, "B P"],
        visible: Bool[Tensor, "B P"],
    ) -> None:
        """Add a batch.

        Args:
            away: Distance from the true place, mm.
            presence: How likely each point is in view, as told.
            visible: Whether it is.
        """
        self.away.append(away.detach().float().cpu())
        self.presence.append(presence.detach().float().cpu())
        self.visible.append(visible.cpu())

    def summary(self) -> dict[str, float]:
        """Return numbers to log; NaN where there was nothing to see.

        `error` is the mean distance, each at most 20 mm, which is both precise and sure; `near` is
        the share of canal points within 10 mm, `presence` the share of points of which it is said
        rightly whether they are in view.
        """
        away, told, seen = self._arrays()
        canal = away[:, _GROUPS["canal"]][seen[:, _GROUPS["canal"]]]
        numbers = {
            "error": np.minimum(away, _CAP_MM)[seen],
            "near": canal < _FAR_MM,
            "presence": (told > 0.5) == seen,
        }
        result = {name: float(np.mean(v)) if v.size else np.nan for name, v in numbers.items()}
        for name, columns in _GROUPS.items():
            chosen = away[:, columns][seen[:, columns]]
            result[f"{name}_median"] = _quantile(chosen, 0.5)
            result[f"{name}_95"] = _quantile(chosen, 0.95)
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return the summary, and median and 95th percentile in mm of every point."""
        away, _, seen = self._arrays()
        each = {
            name: {
                "series": int(seen[:, n].sum()),
                "median_mm": _quantile(away[seen[:, n], n], 0.5),
                "p95_mm": _quantile(away[seen[:, n], n], 0.95),
            }
            for n, name in enumerate(POINTS)
        }
        named = {"named": dict(self.named)} if self.named else {}
        return {"series": len(seen), **self.summary(), **named, "points": each}

    def __str__(self) -> str:
        found = self.summary()
        parts = [
            f"{name} {found[f'{name}_median']:.1f} ({found[f'{name}_95']:.1f})" for name in _GROUPS
        ]
        return (
            f"{sum(map(len, self.away))} series, one at a time; median (95 %) error in mm: "
            f"{', '.join(parts)}; {100 * found['near']:.1f} % of canal points within 10 mm"
            f"{self._named_text()}"
        )

    def _named_text(self) -> str:
        if not self.named:
            return ""
        told = [
            f"{kind.term} {self.named[f'{kind.term}/median_mm']:.1f} "
            f"({self.named[f'{kind.term}/p95_mm']:.1f})"
            for kind in Finding
        ]
        return (
            f"\nnamed in order: {', '.join(told)}; "
            f"{100 * self.named['wrong_level']:.1f} % at a wrong level"
        )

    def _arrays(self) -> tuple[FloatArray, FloatArray, BoolArray]:
        away, told, seen = (torch.cat(x) for x in (self.away, self.presence, self.visible))
        return away.double().numpy(), told.double().numpy(), seen.numpy()


def _quantile(values: FloatArray, share: float) -> float:
    return float(np.quantile(values, share)) if values.size else float("nan")

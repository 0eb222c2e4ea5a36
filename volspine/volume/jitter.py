"""Errors of a localizer, as measured -> a small table -> errors drawn for the jitter of crops.

A grader that is to read crops where a localizer puts them is trained on crops that are as far off.
The table holds, for the canal, a foramen and a recess, the quantiles of the error along each axis,
and how the errors of a level's five targets go together (a level that is placed too high is too
high in all of them). Errors are drawn from it by a Gaussian copula:

    z ~ N(0, R),   error = Q(Phi(z))        Q quantile function of each axis, R rank correlation

Left and right share what was measured: each level counts once as it is and once in the mirror, so a
right side's errors are exactly the mirrored ones of a left side. Errors of more than `LARGEST_MM`
are another level, or a miss, which a crop cannot mend: they are counted and left out.

NumPy alone. Shapes:
    S  studies      N  levels that are drawn      5 targets of a level, in `Condition`'s order
    Q  quantiles, evenly from the least to the greatest
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Condition, Finding
from volspine.errors import ConfigurationError
from volspine.types import BoolArray, Float, FloatArray

__all__ = ["LARGEST_MM", "MEASURED", "ErrorHistogram", "measured_errors"]

LARGEST_MM = 15.0
"""Longer errors are left out: half the distance of two discs, less what a crop needs around it."""

MEASURED = Path(__file__).with_name("localizer_errors.json")
"""Where the table of the shipped localizer lies, once it was measured."""

MIN_LEVELS = 20
"""Fewer levels say too little."""

QUANTILES = 41

_SCHEMA = 1
_MIRRORED = [list(Condition).index(c.mirrored) for c in Condition]
_LEFT = [0, 1, 3]
"""Canal, left foramen, left recess: the rows that are stored, in the order of `Finding`."""
_AXES = ("left", "back", "head")
_PLACES = np.linspace(-6.0, 6.0, 1201)
_NORMAL = (_PLACES, np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in _PLACES.tolist()]))
_FLIP = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class ErrorHistogram:
    """How far a localizer is off; valid once constructed.

    Attributes:
        quantiles_mm: (3, 3, Q) for canal, left foramen and left recess, along x, y and z in LPS,
            increasing.
        correlation: (15, 15) of the normal scores of a level's five targets times three axes.
        levels: How many levels were measured.
        absent: (3,) share of places that were not found.
        far: (3,) share of the found ones that were more than `LARGEST_MM` off.
        source: What it was measured on, in words.

    Raises:
        ConfigurationError: If shapes or values cannot be.
    """

    quantiles_mm: FloatArray
    correlation: FloatArray
    levels: int
    absent: FloatArray
    far: FloatArray
    source: str = ""

    def __post_init__(self) -> None:
        size = 3 * len(Condition)
        shapes = self.quantiles_mm.shape[:2], self.correlation.shape, self.absent.shape
        fits = shapes == ((3, 3), (size, size), (3,)) and self.far.shape == (3,)
        if not fits or self.quantiles_mm.ndim != 3 or self.quantiles_mm.shape[2] < 2:
            raise _impossible("arrays of a wrong shape")
        finite = all(np.isfinite(a).all() for a in (self.quantiles_mm, self.correlation))
        if not finite or np.any(np.diff(self.quantiles_mm, axis=2) < 0):
            raise _impossible("quantiles that do not increase")
        if np.linalg.eigvalsh(self.correlation).min() < -1e-3:
            raise _impossible("a correlation that is none")

    @classmethod
    def from_errors(
        cls, errors_mm: Float[np.ndarray, "S 25 3"], *, source: str = ""
    ) -> "ErrorHistogram":
        """Return the table of some measured errors.

        Args:
            errors_mm: Found less true place of each target, in the order of `TARGETS`, LPS; NaN
                where the place was not found.
            source: What it was measured on, in words.

        Raises:
            ConfigurationError: If fewer than `MIN_LEVELS` places of a finding are of use.
        """
        found = np.isfinite(errors_mm).all(axis=2)
        long = found & (np.linalg.norm(np.nan_to_num(errors_mm), axis=2) > LARGEST_MM)
        kept = np.where((found & ~long)[..., None], errors_mm, np.nan)
        by_study = kept.reshape(-1, len(Condition), len(LEVELS), 3)
        rows = by_study.transpose(0, 2, 1, 3).reshape(-1, len(Condition), 3)  # S times 5 levels.
        both = np.concatenate([rows, rows[:, _MIRRORED] * _FLIP])
        used = np.isfinite(both[:, _LEFT, 0]).sum(axis=0)
        if used.min() < 2 * MIN_LEVELS:
            raise _impossible(f"only {int(used.min()) // 2} levels of a finding")
        grid = np.linspace(0.0, 1.0, QUANTILES)
        return cls(
            quantiles_mm=np.nanquantile(both[:, _LEFT], grid, axis=0).transpose(1, 2, 0),
            correlation=_correlation(both.reshape(len(both), -1)),
            levels=len(rows),
            absent=_share(~found, np.ones_like(found)),
            far=_share(long, found),
            source=source,
        )

    def draw(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return the errors of the targets of n levels, shape (N, 5, 3), LPS millimetres.

        Args:
            rng: Where chance comes from.
            n: How many levels.
        """
        values, vectors = np.linalg.eigh(self.correlation)
        root = vectors * np.sqrt(np.clip(values, 0.0, None))
        scores = rng.standard_normal((n, len(root))) @ root.T
        scores = (scores / np.linalg.norm(root, axis=1)).reshape(n, len(Condition), 3)
        grid = np.linspace(0.0, 1.0, self.quantiles_mm.shape[2])
        errors = np.empty(scores.shape)
        for row, condition in enumerate(Condition):
            kind = list(Finding).index(condition.finding)
            is_right = row not in _LEFT
            for axis in range(3):
                sign = -1.0 if is_right and axis == 0 else 1.0
                chance = _chance(sign * scores[:, row, axis])
                errors[:, row, axis] = sign * np.interp(chance, grid, self.quantiles_mm[kind, axis])
        return errors

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "schema": _SCHEMA,
            "frame": "LPS; of the left side, the right one mirrored",
            "unit": "mm",
            "source": self.source,
            "levels": self.levels,
            "findings": {
                finding.name.lower(): {
                    "absent": round(float(self.absent[n]), 4),
                    f"over_{LARGEST_MM:.0f}_mm": round(float(self.far[n]), 4),
                    **{a: _plain(q) for a, q in zip(_AXES, self.quantiles_mm[n], strict=True)},
                }
                for n, finding in enumerate(Finding)
            },
            "correlation": [_plain(row, digits=5) for row in self.correlation],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ErrorHistogram":
        """Return the table that `to_dict` wrote.

        Raises:
            ConfigurationError: If it is none.
        """
        try:
            if data["schema"] != _SCHEMA:
                raise _impossible(f"schema {data['schema']!r}")
            found = [data["findings"][finding.name.lower()] for finding in Finding]
            return cls(
                quantiles_mm=np.array([[f[a] for a in _AXES] for f in found], dtype=np.float64),
                correlation=np.array(data["correlation"], dtype=np.float64),
                levels=int(data["levels"]),
                absent=np.array([f["absent"] for f in found], dtype=np.float64),
                far=np.array([f[f"over_{LARGEST_MM:.0f}_mm"] for f in found], dtype=np.float64),
                source=str(data["source"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _impossible(f"a table without what it needs ({error})") from error

    @classmethod
    def read(cls, path: Path) -> "ErrorHistogram":
        """Return the table of a JSON file.

        Raises:
            ConfigurationError: If it is none.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _impossible(f"a file that cannot be read ({type(error).__name__})") from error
        return cls.from_dict(data)


def measured_errors() -> ErrorHistogram:
    """Return the table of the shipped localizer.

    Raises:
        ConfigurationError: If this version has none.
    """
    return ErrorHistogram.read(MEASURED)


def _impossible(finding: str) -> ConfigurationError:
    return ConfigurationError(
        f"errors of a localizer: {finding}",
        remedy="measure them again on more studies",
        code="VS-CFG-098",
    )


def _share(part: BoolArray, whole: BoolArray) -> FloatArray:
    """Return for each finding which share of the places is of a part, both (S, 25) of truth."""
    shares = []
    for finding in Finding:
        of = [t.index for t in TARGETS if t.finding is finding]
        shares.append(part[:, of].sum() / max(whole[:, of].sum(), 1))
    return np.array(shares, dtype=np.float64)


def _correlation(rows: FloatArray) -> FloatArray:
    """Return the correlation of normal scores; pairs with a gap are left out, then it is mended."""
    scores = np.stack([_normal_scores(column) for column in rows.T])
    size = len(scores)
    matrix = np.eye(size)
    for a in range(size):
        for b in range(a):
            both = np.isfinite(scores[a]) & np.isfinite(scores[b])
            x, y = scores[a][both], scores[b][both]
            spread = float(np.sqrt((x @ x) * (y @ y)))
            matrix[a, b] = matrix[b, a] = x @ y / spread if spread > 0 else 0.0
    values, vectors = np.linalg.eigh(matrix)
    mended = (vectors * np.clip(values, 0.0, None)) @ vectors.T
    size_of = np.sqrt(np.diag(mended))
    return np.asarray(mended / np.outer(size_of, size_of), dtype=np.float64)


def _normal_scores(values: FloatArray) -> FloatArray:
    """Return what each value would be if they were normal; ties share, NaN stays."""
    scores = np.full(len(values), np.nan)
    there = np.isfinite(values)
    kinds, which, counts = np.unique(values[there], return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / counts.sum() if len(kinds) else np.zeros(0)
    inverse = NormalDist().inv_cdf
    scores[there] = np.array([inverse(float(m)) for m in middle])[which]
    return scores


def _chance(scores: FloatArray) -> FloatArray:
    """Return the normal distribution function, to 1e-5."""
    return np.asarray(np.interp(scores, *_NORMAL), dtype=np.float64)


def _plain(values: FloatArray, *, digits: int = 3) -> list[float]:
    return [round(float(value), digits) for value in values]

"""Cells: from probabilities and labels to a row of measures for each condition, level and side.

The *score part* of a cell is the weighted log loss of its labels as the metric sees them,

    sum(w * -ln q[true grade]) / sum(w),        w = 1, 2, 4 for normal/mild, moderate, severe,

of the probabilities q that are submitted. All other measures are of the calibrated ones: quadratic
kappa, balanced accuracy, AUROC of "at least moderate" and of "severe", and the expected calibration
error (`metrics.headline` says what each is).

A measure that a cell does not define, such as the AUROC of an event that never occurs there, is NaN
and has a reason; it is never 0.

Shapes:
    N  studies    T  targets, 25    K  grades, 3
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS, Grade, Target
from volspine.metrics.discrimination import THRESHOLDS, auroc_columns
from volspine.metrics.intervals import drawn_confusions
from volspine.metrics.ordinal import ordinal_scores
from volspine.metrics.reliability import equal_bins
from volspine.metrics.rsna import grade_weights
from volspine.types import FloatArray, IntArray

__all__ = ["CELL_MEASURES", "Cell", "cells", "confusions"]

CELL_MEASURES = (
    "score_part",
    "kappa",
    "auroc_moderate",
    "auroc_severe",
    "balanced_accuracy",
    "calibration_error",
)
"""Names of the measures of a cell."""


@dataclass(frozen=True)
class Cell:
    """What is known of one target.

    Attributes:
        target: Condition, side and level.
        rows: Studies with a label.
        labels: How many of each grade.
        measures: By name of `CELL_MEASURES`; NaN where not defined.
        reasons: For each measure that is not defined, why.
    """

    target: Target
    rows: int
    labels: tuple[int, ...]
    measures: Mapping[str, float]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; a measure that is not defined is None and stands under `reasons`."""
        side = self.target.side
        return {
            "condition": self.target.condition.term,
            "finding": self.target.finding.term,
            "level": self.target.level.value,
            "side": None if side is None else side.value,
            "n": self.rows,
            "labels": dict(zip((g.name.lower() for g in Grade), self.labels, strict=True)),
            **{n: None if math.isnan(value) else value for n, value in self.measures.items()},
            "reasons": dict(self.reasons),
        }


def cells(
    probabilities: FloatArray,
    grades: IntArray,
    submitted: FloatArray,
    *,
    weights: FloatArray | None = None,
) -> tuple[Cell, ...]:
    """Return the 25 cells in the order of `TARGETS`.

    Args:
        probabilities: Calibrated, shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        submitted: What is scored, shape (N, T, K): after the decision layer.
        weights: Of each row, shape (N, T); by its grade if omitted.
    """
    w = grade_weights(grades) if weights is None else weights
    return tuple(
        _cell(target, probabilities[:, t], grades[:, t], (submitted[:, t], w[:, t]))
        for t, target in enumerate(TARGETS)
    )


def confusions(
    probabilities: FloatArray, grades: IntArray, groups: Mapping[str, list[int]]
) -> dict[str, IntArray]:
    """Return for each group of targets the rows by true and by likeliest grade, shape (K, K).

    Args:
        probabilities: Shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        groups: Indices of targets by name, such as `intervals.GROUPS`.
    """
    given = np.asarray(probabilities.argmax(axis=-1))
    once = np.ones((1, len(grades)))
    return {
        name: np.rint(drawn_confusions(grades[:, t], given[:, t], once)[0]).astype(np.int64)
        for name, t in groups.items()
    }


def _cell(
    target: Target, p: FloatArray, labels: IntArray, scored: tuple[FloatArray, FloatArray]
) -> Cell:
    known = labels >= 0
    counts = tuple(int((labels == grade).sum()) for grade in Grade)
    agreed = ordinal_scores(labels, p.argmax(axis=-1))
    once = np.ones((1, len(labels)))
    measures = {
        "score_part": _score_part(labels[known], *(each[known] for each in scored)),
        "kappa": agreed.kappa,
        **{
            f"auroc_{name}": float(auroc_columns(p[:, None], labels[:, None], once, least=least)[0])
            for name, least in THRESHOLDS.items()
        },
        "balanced_accuracy": agreed.balanced_accuracy,
        "calibration_error": _error(p[known], labels[known]),
    }
    return Cell(target, int(known.sum()), counts, measures, _reasons(counts, measures))


def _score_part(labels: IntArray, submitted: FloatArray, weights: FloatArray) -> float:
    if not weights.sum() > 0:
        return math.nan
    eps = np.finfo(np.float64).eps
    q = np.clip(submitted, eps, 1 - eps)
    said = np.take_along_axis(q, labels[:, None], axis=-1)[:, 0] / q.sum(axis=-1)
    return float(-(weights * np.log(said)).sum() / weights.sum())


def _error(p: FloatArray, labels: IntArray) -> float:
    if not len(labels):
        return math.nan
    said, right = p.max(axis=-1), p.argmax(axis=-1) == labels
    return float(np.abs(np.bincount(equal_bins(said), right - said)).sum() / len(labels))


def _reasons(counts: tuple[int, ...], measures: Mapping[str, float]) -> dict[str, str]:
    missing = [name for name, value in measures.items() if math.isnan(value)]
    return {name: _why(name, counts) for name in missing}


def _why(name: str, counts: tuple[int, ...]) -> str:
    """Return why a measure is not defined for labels of these numbers."""
    if not sum(counts):
        return "no label"
    event = name.removeprefix("auroc_")
    if name == "score_part":
        return "no label has a weight"
    if event not in THRESHOLDS:
        return "all labels and all grades given are one grade"
    least = THRESHOLDS[event]
    words = "severe" if least is Grade.SEVERE else f"{event} or worse"
    return f"no label is {words}" if not sum(counts[least:]) else f"all labels are {words}"

"""Discrimination: from scores and events to the area under the receiver operating characteristic.

    AUROC = P(score of a row with the event > that of a row without) + P(they are equal) / 2

which is 1 where the two are kept apart, 0.5 by chance, and not defined where all rows have the
event or none has (Hanley and McNeil, 1982). Only the order of the scores matters.

In a bootstrap a row weighs as much as its study was drawn. Rows are sorted once; with P_g and N_g
the weights with and without the event at the g-th score,

    AUROC = sum_g P_g (N_1 + ... + N_{g-1} + N_g / 2) / (sum_g P_g  sum_g N_g).

Shapes:
    N  studies    T  targets    R  resamples    n  rows with a label
"""

from typing import NamedTuple

import numpy as np

from volspine.anatomy import Grade
from volspine.errors import ConfigurationError
from volspine.metrics.rsna import ratio
from volspine.types import ArrayLike, BoolArray, FloatArray, IntArray

__all__ = ["THRESHOLDS", "auroc", "auroc_columns"]

THRESHOLDS = {"moderate": Grade.MODERATE, "severe": Grade.SEVERE}
"""Events by name: a grade of at least this."""

_BLOCK = 8  # Draws at once, so that their rows stay in the processor's cache.


class _Sorted(NamedTuple):
    """Rows in the order of their scores: study and event of each, and where a new score begins."""

    study: IntArray
    event: BoolArray
    starts: IntArray


def auroc(scores: ArrayLike, events: ArrayLike) -> float:
    """Return the area under the curve; NaN where all rows have the event or none has.

    Args:
        scores: Shape (n,); greater where the event is likelier.
        events: Whether each row has it, shape (n,).

    Raises:
        ConfigurationError: If the shapes do not fit or a score is not a number.

    Example:
        >>> auroc([0.1, 0.4, 0.4, 0.8], [False, False, True, True])
        0.875
    """
    said, seen = np.asarray(scores, dtype=np.float64), np.asarray(events, dtype=np.bool_)
    if said.shape != seen.shape or said.ndim != 1 or np.isnan(said).any():
        raise _bad(f"scores of shape {said.shape} and events of shape {seen.shape}")
    rows = _sorted(said, seen, np.arange(len(said)))
    return float(_areas(rows, np.ones((1, len(said))))[0])


def auroc_columns(
    probabilities: FloatArray, grades: IntArray, draws: FloatArray, *, least: Grade
) -> FloatArray:
    """Return the area for "the grade is at least ..." of every draw of studies, shape (1 + R,).

    Targets are pooled: each labelled row of a study is one.

    Args:
        probabilities: Shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        draws: How often each study counts, shape (1 + R, N), as of `intervals.study_draws`.
        least: The grade, and with it the score: its probability and that of all above.

    Raises:
        ConfigurationError: If the shapes do not fit.
    """
    shape = grades.shape
    if probabilities.shape != (*shape, len(Grade)) or draws.shape[1:] != shape[:1]:
        raise _bad(f"probabilities of shape {probabilities.shape} and labels of shape {shape}")
    known = grades >= 0
    score = probabilities[..., least:].sum(axis=-1)[known]
    rows = _sorted(score, grades[known] >= least, np.nonzero(known)[0])
    blocks = [_areas(rows, draws[n : n + _BLOCK]) for n in range(0, len(draws), _BLOCK)]
    return np.concatenate(blocks)


def _sorted(score: FloatArray, event: BoolArray, study: IntArray) -> _Sorted:
    order = np.argsort(score, kind="stable")
    _, starts = np.unique(score[order], return_index=True)
    return _Sorted(study[order], event[order], starts)


def _areas(rows: _Sorted, draws: FloatArray) -> FloatArray:
    """Return the area of each draw, (draws,)."""
    if not len(rows.study):
        return np.full(len(draws), np.nan)
    # Weights are whole numbers; while their sums stay below 2^24 single precision is exact.
    exact = np.float32 if len(rows.study) < 2**20 else np.float64
    weight = np.take(draws.astype(exact), rows.study, axis=1)
    with_event, without = weight * rows.event, weight * ~rows.event
    if len(rows.starts) < len(rows.study):
        with_event = np.add.reduceat(with_event, rows.starts, axis=1)
        without = np.add.reduceat(without, rows.starts, axis=1)
    below = without.cumsum(axis=1) - without / 2
    pairs = with_event.sum(axis=1, dtype=np.float64) * without.sum(axis=1, dtype=np.float64)
    return ratio(np.einsum("rg,rg->r", with_event, below, dtype=np.float64), pairs)


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError(
        f"discrimination cannot be judged: {message}",
        remedy="give one score and one event for each row",
        code="VS-CFG-127",
    )

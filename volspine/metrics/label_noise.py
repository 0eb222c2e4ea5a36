"""Label noise: held-out predictions beside labels -> the labels that look most like mistakes.

A label y of a row for which a model that never saw it says p is suspected by

    disagreement = ln( max_k p_k / p_y ),

how much less likely it is than what the model thinks best, in nats: 0 where they agree, 2.3 where
the label is ten times less likely. With calibrated probabilities the chance that a row's label is
another than the one given is 1 - p_y, so the sum of it over rows is how many labels the model
expects to disagree with; readers disagree with one another as well, so a suspect is to be looked at
again, not changed. After Northcutt et al., "Confident learning" (2021), without its thresholds.

Shapes:
    N  studies    T  the 25 targets    K  the 3 grades
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from volspine.anatomy import TARGETS, Target
from volspine.challenge import row_id
from volspine.errors import ConfigurationError
from volspine.types import FloatArray, IntArray

__all__ = ["NOISE_COLUMNS", "Suspect", "disagreement", "label_noise_csv", "suspects"]

NOISE_COLUMNS = (
    "rank", "row_id", "study_id", "condition", "level", "label", "likeliest", "p_label",
    "p_likeliest", "disagreement",
)  # fmt: skip
"""Columns of label_noise.csv."""

_LEAST = 1e-12


@dataclass(frozen=True)
class Suspect:
    """A label that a model which never saw it does not believe.

    Attributes:
        key: The study.
        target: Condition and level.
        label: The grade that stands in the table.
        likeliest: The grade that the model thinks best.
        p_label: Its probability of the label.
        p_likeliest: Its probability of the likeliest.
        disagreement: Natural logarithm of their ratio; above 0.
    """

    key: str
    target: Target
    label: int
    likeliest: int
    p_label: float
    p_likeliest: float
    disagreement: float


def disagreement(probabilities: FloatArray, grades: IntArray) -> FloatArray:
    """Return how much every label disagrees, shape (N, T), in nats; NaN where there is none.

    Args:
        probabilities: Calibrated, of models that did not see these labels, shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.

    Raises:
        ConfigurationError: If the shapes do not fit.

    Example:
        >>> disagreement(np.array([[[0.1, 0.8, 0.1]]]), np.array([[0]])).round(3).tolist()
        [[2.079]]
    """
    if probabilities.shape[:-1] != grades.shape:
        raise ConfigurationError(
            f"probabilities of shape {probabilities.shape} are not of {grades.shape} labels",
            remedy="give one distribution for each label",
            code="VS-CFG-301",
        )
    p = np.maximum(probabilities, _LEAST)
    given = np.take_along_axis(p, np.maximum(grades, 0)[..., None], axis=-1)[..., 0]
    return np.where(grades >= 0, np.log(p.max(axis=-1) / given), np.nan)


def suspects(
    probabilities: FloatArray, grades: IntArray, keys: Sequence[str]
) -> tuple[Suspect, ...]:
    """Return every label that is not the likeliest grade, the worst first.

    Args:
        probabilities: Calibrated, of models that did not see these labels, shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        keys: N names of studies.

    Raises:
        ConfigurationError: If the shapes do not fit.
    """
    apart = disagreement(probabilities, grades)
    found = [
        _suspect(probabilities[n, t], int(grades[n, t]), keys[n], TARGETS[t])
        for n, t in np.argwhere(apart > 0).tolist()
    ]
    return tuple(sorted(found, key=lambda s: (-s.disagreement, s.key, s.target.index)))


def label_noise_csv(found: Sequence[Suspect]) -> str:
    """Return the suspects as CSV, a row each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(NOISE_COLUMNS)
    for rank, one in enumerate(found, start=1):
        numbers = (f"{x:.6f}" for x in (one.p_label, one.p_likeliest, one.disagreement))
        place = (one.key, one.target.condition.term, one.target.level.value)
        writer.writerow(
            [rank, row_id(one.key, one.target), *place, one.label, one.likeliest, *numbers]
        )
    return text.getvalue()


def _suspect(p: FloatArray, label: int, key: str, target: Target) -> Suspect:
    best = int(p.argmax())
    said, most = float(p[label]), float(p[best])
    apart = float(np.log(max(most, _LEAST) / max(said, _LEAST)))
    return Suspect(key, target, label, best, said, most, apart)

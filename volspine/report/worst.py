"""The studies that cost most: from what each contributes to the score to a short list.

The score is the mean over M terms of sum_n a_nm / sum_n b_nm, so a study's part of it is

    1 / M sum_m a_nm / sum_n b_nm,

and all parts add up to the score. Beside it stands the row of the study with the largest weighted
loss: what was true, and how likely it was said to be.

Shapes:
    N  studies    T  targets, 25    K  grades, 3    M  terms that have rows, up to 4
"""

from typing import NamedTuple

import numpy as np

from volspine.anatomy import TARGETS, Grade, Target
from volspine.metrics.rsna import Terms, ratio
from volspine.report.scored import Scored
from volspine.types import FloatArray

__all__ = ["WorstStudy", "study_parts", "worst_studies"]

NUMBER = 10
"""How many are listed."""


class WorstStudy(NamedTuple):
    """One study of the list.

    Attributes:
        study: Its id.
        part: Of the score.
        share: Of the score, from 0 to 1.
        target: Where its largest weighted loss is.
        truth: The grade there.
        said: Probability of that grade, as the model would report it.
    """

    study: str
    part: float
    share: float
    target: Target
    truth: Grade
    said: float


def study_parts(terms: Terms) -> FloatArray:
    """Return each study's part of the score, (N,); they add up to it."""
    sums = terms.denominators.sum(axis=0)
    there = sums > 0
    parts = terms.numerators[:, there] / sums[there]
    return np.asarray(parts.sum(axis=1) / max(int(there.sum()), 1))


def worst_studies(scored: Scored, terms: Terms, *, most: int = NUMBER) -> tuple[WorstStudy, ...]:
    """Return the studies that cost most, the costliest first; those without a label are left out.

    Args:
        scored: The predictions.
        terms: What each study contributes.
        most: At most so many.
    """
    parts = study_parts(terms)
    shares = ratio(parts, np.full_like(parts, parts.sum()))
    true = np.maximum(scored.grades, 0)[..., None]
    q = np.take_along_axis(scored.submitted, true, axis=-1)[..., 0]
    loss = np.where(scored.grades >= 0, -np.log(np.maximum(q, 1e-15)) * scored.weights, -1.0)
    labelled = (scored.grades >= 0).sum(axis=1)
    order = [n for n in np.argsort(-parts, kind="stable").tolist() if labelled[n]][:most]
    return tuple(_worst(scored, n, int(loss[n].argmax()), (parts[n], shares[n])) for n in order)


def _worst(scored: Scored, n: int, t: int, parts: tuple[float, float]) -> WorstStudy:
    truth = Grade(int(scored.grades[n, t]))
    said = float(scored.calibrated[n, t, truth])
    return WorstStudy(scored.studies[n], float(parts[0]), float(parts[1]), TARGETS[t], truth, said)

"""Scores of own targets: from probabilities and grades to log loss, kappa and accuracy by finding.

The loss of a finding is that of its rows (study x target) with a grade, weighed by the true grade,

    sum(w * -ln q[true grade]) / sum(w),        q = w p / sum(w p),

where w is 1 for every grade unless the targets say otherwise, so that q = p. The score is the mean
over the findings; lower is better. For the challenge's targets and weights its parts are the first
three terms of `metrics.rsna`.

Kappa is quadratic (Cohen, 1968); accuracy stands beside that of always saying the commonest grade.

Shapes:
    N  studies    T  targets    K  grades    F  findings
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from volspine._compat import import_torchvision

import_torchvision()
from torchmetrics import Metric  # noqa: E402  it imports torchvision, which may need mending first

from volspine.decide import decide  # noqa: E402
from volspine.metrics.ordinal import quadratic_weighted_kappa  # noqa: E402
from volspine.metrics.rsna import Terms, mean_of_terms, ratio  # noqa: E402
from volspine.types import FloatArray, IntArray  # noqa: E402
from volspine.vocabulary import Vocabulary  # noqa: E402

__all__ = ["OwnMetric", "confusion_of", "mean_loss", "own_losses", "own_terms"]


def own_terms(grades: IntArray, probabilities: FloatArray, vocabulary: Vocabulary) -> Terms:
    """Return what each study contributes to the loss of each finding.

    Args:
        grades: True grades, shape (N, T); -1 where there is none.
        probabilities: Calibrated, shape (N, T, K).
        vocabulary: What is graded.

    Returns:
        Numerators and denominators, shape (N, F).
    """
    weights = np.array(vocabulary.weights or (1.0,) * vocabulary.num_grades)
    said = np.take_along_axis(
        decide(probabilities, weights), np.maximum(grades, 0)[..., None], axis=-1
    )[..., 0]
    w = np.where(grades >= 0, weights[np.maximum(grades, 0)], 0.0)
    loss = -np.log(np.clip(said, np.finfo(np.float64).eps, 1.0)) * w
    groups = [list(group) for group in vocabulary.groups]
    return Terms(
        np.stack([loss[:, t].sum(axis=1) for t in groups], axis=1),
        np.stack([w[:, t].sum(axis=1) for t in groups], axis=1),
    )


def own_losses(terms: Terms) -> FloatArray:
    """Return the loss of each finding over all studies, shape (F,); NaN where none is graded."""
    return ratio(terms.numerators.sum(axis=0), terms.denominators.sum(axis=0))


def mean_loss(losses: FloatArray) -> float:
    """Return the score: the mean over the findings that are graded at all."""
    return float(mean_of_terms(losses)[..., 0])


def confusion_of(grades: IntArray, given: IntArray, num_grades: int) -> IntArray:
    """Return counts by true grade (row) and given grade (column), shape (K, K).

    Example:
        >>> confusion_of(np.array([0, 1, -1]), np.array([0, 0, 1]), 2).tolist()
        [[1, 0], [1, 0]]
    """
    known = grades >= 0
    pairs = grades[known].astype(np.int64) * num_grades + given[known].astype(np.int64)
    counts = np.bincount(pairs, minlength=num_grades**2).reshape(num_grades, num_grades)
    return counts.astype(np.int64)


class OwnMetric(Metric):
    """The score of own targets, accumulated over batches and processes.

    `compute` returns `total`, the loss of each finding by name, and `kappa` of all rows.

    Args:
        vocabulary: What is graded.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    numerators: Tensor
    denominators: Tensor
    counts: Tensor

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        zeros = torch.zeros(len(vocabulary.findings), dtype=torch.float64)
        square = torch.zeros((vocabulary.num_grades,) * 2, dtype=torch.int64)
        for name in ("numerators", "denominators"):
            self.add_state(name, default=zeros.clone(), dist_reduce_fx="sum")
        self.add_state("counts", default=square, dist_reduce_fx="sum")

    def update(self, probabilities: Float[Tensor, "B T K"], grades: Int[Tensor, "B T"]) -> None:
        """Take in a batch.

        Args:
            probabilities: Calibrated probability of every grade.
            grades: True grades; -1 where there is none.
        """
        p, truth = probabilities.detach().cpu().numpy(), grades.cpu().numpy()
        terms = own_terms(truth, p, self.vocabulary)
        self.numerators += torch.from_numpy(terms.numerators.sum(axis=0)).to(self.numerators)
        self.denominators += torch.from_numpy(terms.denominators.sum(axis=0)).to(self.denominators)
        counts = confusion_of(truth, p.argmax(axis=-1), self.vocabulary.num_grades)
        self.counts += torch.from_numpy(counts).to(self.counts)

    def compute(self) -> dict[str, Tensor]:
        """Return the score, the loss of each finding, and kappa."""
        losses = ratio(self.numerators.cpu().numpy(), self.denominators.cpu().numpy())
        numbers = {
            "total": mean_loss(losses),
            **dict(zip(self.vocabulary.findings, map(float, losses), strict=True)),
            "kappa": quadratic_weighted_kappa(self.counts.cpu().numpy()),
        }
        return {name: torch.tensor(value, device=self.device) for name, value in numbers.items()}

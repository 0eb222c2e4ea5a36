"""Losses: how far a graded batch is from its labels.

Every loss is masked: a missing grade (-1) or point counts for nothing, and where all are missing
the loss is 0, with a gradient of 0. Weighted means are ratios, sum(w l) / sum(w), as in the
challenge's metric.

Shapes:
    B  studies    T  targets    K  grades    I J K  voxels    i j k  feature cells    L  levels
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from volspine.anatomy import Finding, Grade
from volspine.errors import ConfigurationError
from volspine.models.grade_weights import GradeWeights, frequency_weights, weights_of
from volspine.models.guidance import guidance_loss, masked_mean
from volspine.models.mirror import mirror_targets
from volspine.models.parts import Graded
from volspine.types import IntArray
from volspine.vocabulary import CHALLENGE, Vocabulary

__all__ = [
    "GradingLoss",
    "any_severe_loss",
    "check_weights",
    "grade_loss",
    "grade_nll",
    "mirror_loss",
]

_CANAL = list(CHALLENGE.groups[CHALLENGE.findings.index(Finding.CANAL.term)])


def grade_loss(
    log_probs: Float[Tensor, "B T K"],
    grades: Int[Tensor, "B T"],
    *,
    grade_weights: Sequence[float] | None = None,
    balance: Literal["rows", "findings"] = "rows",
    vocabulary: Vocabulary = CHALLENGE,
) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood of the known grades.

    Args:
        log_probs: Log-probability of every grade.
        grades: True grades; -1 where missing.
        grade_weights: Weight of a row by its true grade; all 1 if omitted, which is what makes
            probabilities calibrated.
        balance: `rows`: every known grade counts alike; `findings`: canal, foramen and recess
            count alike, however many of their grades are known.
        vocabulary: What is graded.
    """
    nll, weights = grade_nll(log_probs, grades, grade_weights)
    if balance == "rows":
        return masked_mean(nll, weights)
    groups = [list(group) for group in vocabulary.groups]
    parts = torch.stack([masked_mean(nll[:, t], weights[:, t]) for t in groups])
    known = torch.stack([weights[:, t].sum() > 0 for t in groups])
    return masked_mean(parts, known.to(parts.dtype))


def grade_nll(
    log_probs: Float[Tensor, "B T K"],
    grades: Int[Tensor, "B T"],
    grade_weights: Sequence[float] | None = None,
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
    """Return the negative log-likelihood of each grade and its weight, 0 where it is missing.

    Args:
        log_probs: Log-probability of every grade.
        grades: True grades; -1 where missing.
        grade_weights: Weight by the true grade; all 1 if omitted.
    """
    nll = -log_probs.gather(-1, grades.clamp_min(0)[..., None])[..., 0]
    return nll, _row_weights(grades, grade_weights, like=nll)


def any_severe_loss(
    log_probs: Float[Tensor, "B T K"],
    grades: Int[Tensor, "B T"],
    *,
    grade_weights: Sequence[float] | None = None,
    mode: Literal["max", "independent"] = "max",
) -> Float[Tensor, ""]:
    """Return the binary log loss of "some level of the canal is severe".

    Only levels with a known grade take part; a study weighs as its worst level does.

    Args:
        log_probs: Log-probability of every grade of all 25 targets.
        grades: True grades; -1 where missing.
        grade_weights: Weight of a study by its worst known grade; all 1 if omitted.
        mode: `max`: as the challenge's metric, the largest probability over the levels;
            `independent`: one less the product of the levels' complements.
    """
    canal, truth = log_probs[:, _CANAL], grades[:, _CANAL]
    known = truth >= 0
    severe = canal[..., Grade.SEVERE].masked_fill(~known, -torch.inf)
    spared = canal[..., : Grade.SEVERE].logsumexp(-1).clamp_max(0).masked_fill(~known, 0.0)
    if mode == "max":
        worst = severe.argmax(-1, keepdim=True)
        log_any, log_none = severe.gather(-1, worst)[:, 0], spared.gather(-1, worst)[:, 0]
    else:
        log_none = spared.sum(-1)
        log_any = torch.log(-torch.expm1(log_none.clamp_max(-1e-7)))
    worst_grade = truth.max(-1).values  # -1 where no level is known
    nll = -torch.where(worst_grade == Grade.SEVERE, log_any, log_none)
    return masked_mean(nll, _row_weights(worst_grade, grade_weights, like=nll))


def mirror_loss(
    severity: Float[Tensor, "B T"],
    mirrored: Float[Tensor, "B T"],
    *,
    vocabulary: Vocabulary = CHALLENGE,
) -> Float[Tensor, ""]:
    """Return how much a study and its mirror image differ, sides exchanged: the mean square.

    Example:
        >>> same = torch.arange(25.0)[None]
        >>> mirror_loss(same, mirror_targets(same))
        tensor(0.)
    """
    swapped = mirror_targets(mirrored, order=vocabulary.mirrored_index)
    return (severity - swapped).square().mean()


class GradingLoss(nn.Module):
    """The training loss of a grader: grades, any severe canal, where to look, and the mirror.

    Args:
        any_severe: Weight of `any_severe_loss`; 0 leaves it out.
        guidance: Weight of `guidance_loss`; 0 leaves it out. It applies to graders that attend, on
            targets with a known point.
        grade_weights: Weight of a row by its true grade, or one of the names of `GradeWeights`;
            all 1 if omitted.
        balance: See `grade_loss`.
        sigma_voxels: Spread of the guidance along i, j, k.
        mirror: Weight of `mirror_loss`, for which every study is graded twice; 0 leaves it out.

    Attributes:
        vocabulary: What is graded; the task of own targets sets it.
        grade_weights: As numbers; of `frequency` once `weigh` was told the labels.

    Raises:
        ConfigurationError: If a weight is negative.
    """

    vocabulary: Vocabulary = CHALLENGE

    def __init__(
        self,
        *,
        any_severe: float = 0.0,
        guidance: float = 0.0,
        grade_weights: GradeWeights = None,
        balance: Literal["rows", "findings"] = "rows",
        sigma_voxels: Sequence[float] = (2.0, 6.0, 6.0),
        mirror: float = 0.0,
    ) -> None:
        super().__init__()
        self.by_frequency = grade_weights == "frequency"
        numbers = weights_of(grade_weights)
        check_weights(any_severe, guidance, mirror, *(numbers or ()))
        self.any_severe, self.guidance = any_severe, guidance
        self.grade_weights, self.balance = numbers, balance
        self.sigma_voxels = tuple(sigma_voxels)
        self.mirror = mirror

    def weigh(self, grades: IntArray) -> None:
        """Take the weights from the labels that training may use, if they are by frequency.

        Args:
            grades: Shape (N, T); -1 where missing.
        """
        if self.by_frequency:
            self.grade_weights = frequency_weights(grades, self.vocabulary.num_grades)

    def forward(
        self, graded: Graded, batch: Mapping[str, Any], mirrored: Graded | None = None
    ) -> dict[str, Tensor]:
        """Return `loss`, the weighted sum, and each part of it by name.

        Args:
            graded: What the grader said.
            batch: `volume` and `grades`; for guidance also `points` and `has_point`.
            mirrored: What it said of the mirror images, where that was asked for.
        """
        grades, weights = batch["grades"], self.grade_weights
        parts = {
            "grades": grade_loss(
                graded.log_probs,
                grades,
                grade_weights=weights,
                balance=self.balance,
                vocabulary=self.vocabulary,
            )
        }
        total = parts["grades"]
        if self.any_severe:
            parts["any_severe"] = any_severe_loss(graded.log_probs, grades, grade_weights=weights)
            total = total + self.any_severe * parts["any_severe"]
        if self.guidance and graded.attention is not None and "points" in batch:
            parts["guidance"] = guidance_loss(
                graded.attention,
                batch["points"],
                batch["has_point"],
                shape=batch["volume"].shape[2:],
                sigma_voxels=self.sigma_voxels,
            )
            total = total + self.guidance * parts["guidance"]
        if self.mirror and mirrored is not None:
            parts["mirror"] = mirror_loss(
                graded.severity, mirrored.severity, vocabulary=self.vocabulary
            )
            total = total + self.mirror * parts["mirror"]
        return {"loss": total, **parts}


def check_weights(*weights: float) -> None:
    """Check that no weight of a loss is negative.

    Raises:
        ConfigurationError: If one is.
    """
    if min(weights, default=0.0) < 0:
        raise ConfigurationError(
            "a weight of the loss is negative",
            remedy="give weights of zero or more",
            code="VS-CFG-046",
        )


def _row_weights(grades: Tensor, grade_weights: Sequence[float] | None, *, like: Tensor) -> Tensor:
    known = grades >= 0
    if not grade_weights:
        return known.to(like.dtype)
    table = torch.tensor(grade_weights, dtype=like.dtype, device=like.device)
    return torch.where(known, table[grades.clamp_min(0)], 0.0)

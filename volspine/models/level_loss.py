"""The loss of a level-mode grader: grades, every view on its own, any severe, and the mirror.

    loss = grades + v views + a any_severe + m mirror

`views` is the negative log-likelihood of what each token alone says, each view counting alike;
`mirror` is the mean squared difference between a study's severities and those of its mirror image,
with sides exchanged.

Shapes:
    B  studies    T  targets    K  grades    V  tokens
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from volspine.models.grade_weights import GradeWeights
from volspine.models.guidance import masked_mean
from volspine.models.losses import GradingLoss, check_weights, grade_nll
from volspine.models.parts import Graded
from volspine.views import TOKEN_TARGET, TOKEN_VIEW, VIEWS

__all__ = ["LevelLoss", "view_loss"]

_VIEWS = tuple([n for n, v in enumerate(TOKEN_VIEW) if v == view] for view in range(len(VIEWS)))


def view_loss(
    log_probs: Float[Tensor, "B V K"],
    seen: Bool[Tensor, "B V"],
    grades: Int[Tensor, "B T"],
    *,
    grade_weights: Sequence[float] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood of the known grades by the tokens that were seen.

    Args:
        log_probs: Log-probability of every grade as each token alone gives it.
        seen: Which tokens there were.
        grades: True grades; -1 where missing.
        grade_weights: Weight of a row by its true grade; all 1 if omitted.
    """
    shown = torch.where(seen, grades[:, list(TOKEN_TARGET)], -1)
    nll, weights = grade_nll(log_probs, shown, grade_weights)
    parts = torch.stack([masked_mean(nll[:, n], weights[:, n]) for n in _VIEWS])
    known = torch.stack([weights[:, n].sum() > 0 for n in _VIEWS])
    return masked_mean(parts, known.to(parts.dtype))


class LevelLoss(GradingLoss):
    """The training loss of a level-mode grader.

    Args:
        views: Weight of `view_loss`; 0 leaves it out.
        any_severe: Weight of `losses.any_severe_loss`; 0 leaves it out.
        mirror: Weight of `losses.mirror_loss`, for which every study is graded twice.
        grade_weights: Weight of a row by its true grade; all 1 if omitted.
        balance: See `losses.grade_loss`.

    Raises:
        ConfigurationError: If a weight is negative.
    """

    def __init__(
        self,
        *,
        views: float = 0.3,
        any_severe: float = 0.0,
        mirror: float = 0.0,
        grade_weights: GradeWeights = None,
        balance: Literal["rows", "findings"] = "findings",
    ) -> None:
        super().__init__(
            any_severe=any_severe, grade_weights=grade_weights, balance=balance, mirror=mirror
        )
        check_weights(views)
        self.views = views

    def forward(
        self, graded: Graded, batch: Mapping[str, Any], mirrored: Graded | None = None
    ) -> dict[str, Tensor]:
        """Return `loss`, the weighted sum, and each part of it by name.

        Args:
            graded: What the grader said.
            batch: `grades`.
            mirrored: What it said of the mirror images, if that is known.
        """
        parts = super().forward(graded, batch, mirrored)
        total = parts.pop("loss")
        if self.views and graded.view_log_probs is not None and graded.seen is not None:
            parts["views"] = view_loss(
                graded.view_log_probs,
                graded.seen,
                batch["grades"],
                grade_weights=self.grade_weights,
            )
            total = total + self.views * parts["views"]
        return {"loss": total, **parts}

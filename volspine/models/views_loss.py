"""The loss of a grader of views: grades, each stream alone, where to look, and two consistencies.

    loss = grades + s streams + a any_severe + g guidance + c agreement + m mirror

`streams` is the negative log-likelihood of what each stream alone says, each stream counting alike.
The two consistencies ask for no label, only that the network does not contradict itself:

    mirror      a study and its mirror image have the same severities, sides exchanged:
                mean of (severity - mirrored severity)^2; see `losses.mirror_loss`
    agreement   both streams show the canal, so they should say the same of it. For p the axial
                and q the sagittal stream's probabilities and m = (p + q) / 2, the mean of
                JS(p, q) = KL(p || m) / 2 + KL(q || m) / 2,
                over the canals where both streams measured the place that they looked at

JS is the divergence of Jensen and Shannon (Lin, "Divergence measures based on the Shannon
entropy", 1991): 0 where they agree, ln 2 where they exclude one another.

Shapes:
    B  studies    S  streams    T  targets    N  canals: one a level    K  grades
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from volspine.anatomy import TARGETS, Finding
from volspine.errors import ConfigurationError
from volspine.models.guidance import guidance_loss, masked_mean
from volspine.models.losses import GradingLoss, check_weights, grade_loss
from volspine.models.parts import Graded
from volspine.models.views_grader import SEEN_SHARE

__all__ = ["ViewsLoss", "agreement_loss", "jensen_shannon", "stream_loss"]

_CANAL = [target.index for target in TARGETS if target.finding is Finding.CANAL]
_PAIR = 2


def jensen_shannon(p: Float[Tensor, "*any K"], q: Float[Tensor, "*any K"]) -> Float[Tensor, "*any"]:
    """Return the Jensen-Shannon divergence of two distributions, 0 to ln 2.

    Args:
        p: Log-probabilities.
        q: Log-probabilities of the other.

    Example:
        >>> sure, other = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).clamp_min(1e-9).log()
        >>> round(float(jensen_shannon(sure, other)), 4)
        0.6931
    """
    middle = torch.logaddexp(p, q) - math.log(2)
    return ((p.exp() * (p - middle) + q.exp() * (q - middle)) / 2).sum(dim=-1)


def agreement_loss(
    log_probs: Float[Tensor, "B 2 T K"], seen: Bool[Tensor, "B 2 T"]
) -> Float[Tensor, ""]:
    """Return how much two streams contradict each other about the canal.

    Args:
        log_probs: Log-probability of every grade as each stream alone gives it.
        seen: Whether the stream measured the place of the target; both must have.
    """
    axial, sagittal = log_probs[:, :, _CANAL].unbind(dim=1)
    both = seen[:, :, _CANAL].all(dim=1)
    return masked_mean(jensen_shannon(axial, sagittal), both.to(axial.dtype))


def stream_loss(
    log_probs: Float[Tensor, "B S T K"],
    seen: Bool[Tensor, "B S T"],
    grades: Int[Tensor, "B T"],
    *,
    grade_weights: Sequence[float] | None = None,
    balance: Literal["rows", "findings"] = "rows",
) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood of the known grades by what each stream alone says.

    Args:
        log_probs: Log-probability of every grade as each stream alone gives it.
        seen: Whether the stream measured the place of the target.
        grades: True grades; -1 where missing.
        grade_weights: See `losses.grade_loss`.
        balance: See `losses.grade_loss`.
    """
    shown = torch.where(seen, grades[:, None], -1)
    parts = [
        grade_loss(said, known, grade_weights=grade_weights, balance=balance)
        for said, known in zip(log_probs.unbind(dim=1), shown.unbind(dim=1), strict=True)
    ]
    return torch.stack(parts).mean()


class ViewsLoss(GradingLoss):
    """The training loss of a `ViewsGrader`.

    Args:
        streams: Weight of `stream_loss`; with one stream it says what `grades` says, and is left
            out.
        agreement: Weight of `agreement_loss`; 0 leaves it out.
        balance: See `losses.grade_loss`.
        **others: Of `GradingLoss`; its `guidance` is that of each stream's look.

    Raises:
        ConfigurationError: If a weight is negative.
    """

    def __init__(
        self,
        *,
        streams: float = 0.3,
        agreement: float = 0.0,
        balance: Literal["rows", "findings"] = "findings",
        **others: Any,
    ) -> None:
        super().__init__(balance=balance, **others)
        check_weights(streams, agreement)
        self.streams, self.agreement = streams, agreement

    def forward(
        self, graded: Graded, batch: Mapping[str, Any], mirrored: Graded | None = None
    ) -> dict[str, Tensor]:
        """Return `loss`, the weighted sum, and each part of it by name.

        Args:
            graded: What a `ViewsGrader` said.
            batch: `volume` and `grades`; for guidance also `points` and `has_point`.
            mirrored: What it said of the mirror images, where that was asked for.

        Raises:
            ConfigurationError: If the grader has no streams, or agreement is asked of one.
        """
        said = _of_streams(graded)
        # The looks of the streams are taught one by one, below, rather than their mean.
        parts = super().forward(graded._replace(attention=None), batch, mirrored)
        total = parts.pop("loss")
        for name, weight, part in self._of_each(said, batch):
            parts[name] = part
            total = total + weight * part
        return {"loss": total, **parts}

    def _of_each(
        self, said: Mapping[str, Tensor], batch: Mapping[str, Any]
    ) -> list[tuple[str, float, Tensor]]:
        """Return name, weight and value of what is asked of the streams."""
        log_probs, seen = said["stream_log_probs"], said["stream_seen"] > SEEN_SHARE
        several = log_probs.shape[1] == _PAIR
        parts: list[tuple[str, float, Tensor]] = []
        if self.guidance and "points" in batch:
            parts.append(("guidance", self.guidance, self._guided(said, batch)))
        if self.streams and several:
            alone = stream_loss(
                log_probs,
                seen,
                batch["grades"],
                grade_weights=self.grade_weights,
                balance=self.balance,
            )
            parts.append(("streams", self.streams, alone))
        if self.agreement:
            if not several:
                raise _needs_both()
            parts.append(("agreement", self.agreement, agreement_loss(log_probs, seen)))
        return parts

    def _guided(self, said: Mapping[str, Tensor], batch: Mapping[str, Any]) -> Tensor:
        looks = [
            guidance_loss(
                look,
                batch["points"],
                batch["has_point"],
                shape=batch["volume"].shape[2:],
                sigma_voxels=self.sigma_voxels,
            )
            for look in said["stream_attention"].unbind(dim=1)
        ]
        return torch.stack(looks).mean()


def _of_streams(graded: Graded) -> Mapping[str, Tensor]:
    if graded.extras is None or "stream_log_probs" not in graded.extras:
        raise ConfigurationError(
            "the loss of views is for a grader that has streams",
            remedy="use it with a ViewsGrader, or take GradingLoss",
            code="VS-CFG-210",
        )
    return graded.extras


def _needs_both() -> ConfigurationError:
    return ConfigurationError(
        "one stream has none to agree with",
        remedy="choose streams: both, or leave the weight of agreement at 0",
        code="VS-CFG-211",
    )

"""DetectionLoss: what a detector with a classifier behind it learns by.

It is `losses.GradingLoss`, over the targets that the grader is asked for alone, with one more
part: how far the points found are from the marks, in cells of the map, as a smooth absolute value
(Huber's, of one cell).

Shapes:
    B  studies    T  targets    i j k  cells
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from volspine.models.guidance import cell_strides, masked_mean
from volspine.models.losses import GradingLoss, check_weights
from volspine.models.parts import Graded

__all__ = ["ASKED", "DetectionLoss", "place_loss"]

ASKED = "asked"
"""Name among `Graded.extras` of which targets the grader is for, a bool each."""


class DetectionLoss(GradingLoss):
    """Grades and places of the targets that a `DetectGrader` is asked for.

    Args:
        place: Weight of `place_loss`; 0 leaves it out.
        guidance: Weight of what teaches the maps where to look.
        balance: How findings are weighed against each other; see `losses.grade_loss`.
        sigma_voxels: Spread of the guidance along i, j, k.
        **others: Of `GradingLoss`.

    Raises:
        ConfigurationError: If a weight is negative.
    """

    def __init__(
        self,
        *,
        place: float = 0.5,
        guidance: float = 1.0,
        balance: Literal["rows", "findings"] = "findings",
        sigma_voxels: Sequence[float] = (1.5, 4.0, 4.0),
        **others: Any,
    ) -> None:
        super().__init__(guidance=guidance, balance=balance, sigma_voxels=sigma_voxels, **others)
        check_weights(place)
        self.place = place

    def forward(
        self, graded: Graded, batch: Mapping[str, Any], mirrored: Graded | None = None
    ) -> dict[str, Tensor]:
        """Return `loss` and its parts; `place` is the one that is added."""
        asked = _asked(batch, graded)
        parts = super().forward(graded, asked, mirrored)
        if self.place and graded.points is not None and "points" in asked:
            parts["place"] = place_loss(
                graded.points,
                asked["points"],
                asked["has_point"],
                strides=_strides(batch["volume"], graded),
            )
            parts["loss"] = parts["loss"] + self.place * parts["place"]
        return parts


def place_loss(
    found: Float[Tensor, "B T 3"],
    points: Float[Tensor, "B T 3"],
    has_point: Bool[Tensor, "B T"],
    *,
    strides: Sequence[int],
) -> Float[Tensor, ""]:
    """Return how far points are from their marks, along each axis, in cells.

    Args:
        found: Voxel indices (i, j, k); anything where no mark is known.
        points: The marks.
        has_point: Where a mark is known.
        strides: Voxels along each axis that a cell stands for.
    """
    # Chosen, not weighted: what was not looked for is no number and would spoil the gradient.
    off = (found[has_point] - points[has_point]) / torch.tensor(strides).to(points)
    away = F.smooth_l1_loss(off, torch.zeros_like(off), reduction="none").mean(dim=-1)
    return masked_mean(away, torch.ones_like(away))


def _asked(batch: Mapping[str, Any], graded: Graded) -> dict[str, Any]:
    """Return the batch without what is known of targets that the grader is not for."""
    if graded.extras is None or ASKED not in graded.extras:
        return dict(batch)
    asked = graded.extras[ASKED]
    kept = {**batch, "grades": torch.where(asked, batch["grades"], -1)}
    if "has_point" in batch:
        kept["has_point"] = batch["has_point"] & asked
    return kept


def _strides(volume: Tensor, graded: Graded) -> tuple[int, ...]:
    if graded.attention is None:
        return (1, 1, 1)
    return cell_strides(volume.shape[2:], graded.attention.shape[2:])

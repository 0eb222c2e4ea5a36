"""Errors of landmarks over batches: torchmetrics around `landmark_scores_by_finding`.

Shapes:
    B  studies in the batch    T  targets, 25
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from volspine._compat import import_torchvision

import_torchvision()
from torchmetrics import Metric  # noqa: E402  it imports torchvision, which may need mending first
from torchmetrics.utilities import dim_zero_cat  # noqa: E402

from volspine.metrics.landmarks import landmark_scores_by_finding  # noqa: E402

__all__ = ["LandmarkMetric"]


class LandmarkMetric(Metric):
    """Errors of landmarks, accumulated over batches and processes.

    `compute` returns the numbers of `LandmarkScores` by name, those of canal, foramina and recesses
    as `<finding>/<name>`. Every place is kept until then, since a median needs all of them.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    found_mm: list[Tensor]
    true_mm: list[Tensor]
    spread_mm: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("found_mm", "true_mm", "spread_mm"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(
        self,
        found_mm: Float[Tensor, "B T 3"],
        true_mm: Float[Tensor, "B T 3"],
        spread_mm: Float[Tensor, "B T"] | None = None,
    ) -> None:
        """Take in a batch.

        Args:
            found_mm: NaN where nothing was found.
            true_mm: NaN where there is none.
            spread_mm: Root mean square error that was said.
        """
        nothing = torch.full(found_mm.shape[:2], torch.nan, device=found_mm.device)
        self.found_mm.append(found_mm.detach().double())
        self.true_mm.append(true_mm.detach().double())
        self.spread_mm.append((nothing if spread_mm is None else spread_mm.detach()).double())

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name."""
        found, true, spread = (
            dim_zero_cat(state).cpu().numpy().astype(np.float64)
            for state in (self.found_mm, self.true_mm, self.spread_mm)
        )
        by_finding = landmark_scores_by_finding(found, true, spread)
        return {
            name if group == "all" else f"{group}/{name}": torch.tensor(float(value))
            for group, scores in by_finding.items()
            for name, value in scores.to_dict().items()
        }

"""Calibration over batches: torchmetrics around `reliability`.

Shapes:
    B  studies in the batch    T  targets, 25    K  grades, 3
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from volspine._compat import import_torchvision

import_torchvision()
from torchmetrics import Metric  # noqa: E402  it imports torchvision, which may need mending first
from torchmetrics.utilities import dim_zero_cat  # noqa: E402

from volspine.metrics.reliability import brier_score, reliability  # noqa: E402

__all__ = ["CalibrationMetric"]


class CalibrationMetric(Metric):
    """How right probabilities are, accumulated over batches and processes.

    `compute` returns `brier` over all rows, and the numbers of `Reliability` as
    `<finding>/<event>/<name>`. Every row is kept until then, since bins of equal numbers need all.

    Args:
        bins: At most.
        resamples: Draws of studies for the interval of the calibration error.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    probabilities: list[Tensor]
    grades: list[Tensor]

    def __init__(self, *, bins: int = 10, resamples: int = 200) -> None:
        super().__init__()
        self.bins, self.resamples = bins, resamples
        for name in ("probabilities", "grades"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Float[Tensor, "B T K"], grades: Int[Tensor, "B T"]) -> None:
        """Take in a batch.

        Args:
            probabilities: Calibrated probability of every grade.
            grades: True grades; -1 where there is none.
        """
        self.probabilities.append(probabilities.detach().double())
        self.grades.append(grades.detach())

    def compute(self) -> dict[str, Tensor]:
        """Return the numbers by name."""
        p, labels = (
            dim_zero_cat(state).cpu().numpy() for state in (self.probabilities, self.grades)
        )
        judged = reliability(p, labels.astype(np.int64), bins=self.bins, resamples=self.resamples)
        numbers = {"brier": brier_score(p, labels)} | {
            f"{finding}/{event}/{name}": value
            for finding, events in judged.items()
            for event, found in events.items()
            for name, value in found.to_dict().items()
        }
        return {
            name: torch.tensor(float(value), dtype=torch.float64) for name, value in numbers.items()
        }

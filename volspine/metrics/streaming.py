"""The challenge's metric over batches: torchmetrics around `rsna_terms`.

Its state is four numerators and four denominators, summed over batches and over processes, so the
result is that of all rows at once and never a mean of batch scores.

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

from volspine.decide import decide  # noqa: E402
from volspine.metrics.rsna import TERMS, Terms, rsna_terms  # noqa: E402

__all__ = ["RsnaMetric"]


class RsnaMetric(Metric):
    """The challenge's score, accumulated.

    `compute` returns `total` and the four terms by name. A term without a row is NaN and stays out
    of the total.

    Args:
        decided: Convert calibrated probabilities as a submission would before scoring them
            (`volspine.decide`); without it they are scored as they are.
        normalize_rows: Divide each row by its sum, as scikit-learn did until 1.4.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    numerators: Tensor
    denominators: Tensor

    def __init__(self, *, decided: bool = True, normalize_rows: bool = True) -> None:
        super().__init__()
        self.decided, self.normalize_rows = decided, normalize_rows
        for name in ("numerators", "denominators"):
            zeros = torch.zeros(len(TERMS), dtype=torch.float64)
            self.add_state(name, default=zeros, dist_reduce_fx="sum")

    def update(self, probabilities: Float[Tensor, "B T K"], grades: Int[Tensor, "B T"]) -> None:
        """Take in a batch.

        Args:
            probabilities: Calibrated probability of every grade.
            grades: True grades; -1 where there is none.
        """
        p = probabilities.detach().cpu().numpy()
        if self.decided:
            p = decide(p)
        terms = rsna_terms(grades.cpu().numpy(), p, normalize_rows=self.normalize_rows)
        for name, values in zip(("numerators", "denominators"), terms, strict=True):
            state: Tensor = getattr(self, name)
            state += torch.from_numpy(values.sum(axis=0)).to(state)

    def compute(self) -> dict[str, Tensor]:
        """Return the score and its four terms."""
        sums = [state.cpu().numpy()[None].astype(np.float64) for state in self._states()]
        score = Terms(*sums).score().to_dict()
        return {name: torch.tensor(value, device=self.device) for name, value in score.items()}

    def _states(self) -> tuple[Tensor, Tensor]:
        return self.numerators, self.denominators

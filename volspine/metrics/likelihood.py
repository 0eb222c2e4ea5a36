"""Likelihood: how likely two reports make the labels -> what one is worth beside the other.

A row of a label y costs - ln p_y, not weighted by the grade: this is what calibration is fitted to,
and a report that is better by it is better whatever the weights of a metric are. Whole studies are
drawn, the same for both reports (see `bootstrap`).

Shapes:
    N  studies    T  targets    K  grades
"""

from typing import NamedTuple

import numpy as np

from volspine.errors import ConfigurationError
from volspine.types import FloatArray, IntArray

__all__ = ["LikelihoodGain", "likelihood_gain"]

_LEAST = 1e-12
_LEVEL = 0.95


class LikelihoodGain(NamedTuple):
    """What a second report is worth beside a first, in nats a label; all on the same labels.

    Attributes:
        before: Mean of - ln p_y of the first.
        after: The same of the second.
        low: Of `before - after`, lower end of the 95 % interval.
        high: Its upper end.
        labels: How many.
    """

    before: float
    after: float
    low: float
    high: float
    labels: int

    def to_dict(self) -> dict[str, float]:
        """Return the numbers by name."""
        return {**self._asdict(), "gain": self.before - self.after}

    def __str__(self) -> str:
        return (
            f"- ln p of the label {self.before:.4f} before, {self.after:.4f} after, "
            f"gain {self.before - self.after:+.4f} (95 % {self.low:+.4f} to {self.high:+.4f})"
        )


def likelihood_gain(
    first: FloatArray, second: FloatArray, grades: IntArray, *, resamples: int = 1000, seed: int = 0
) -> LikelihoodGain:
    """Return what the second report is worth beside the first.

    Args:
        first: Probabilities, shape (N, T, K).
        second: Of the same rows.
        grades: Labels, shape (N, T); -1 where missing.
        resamples: Draws of studies.
        seed: Of the draws.

    Raises:
        ConfigurationError: If shapes do not fit, or there is no label.

    Example:
        >>> said = np.array([[[0.5, 0.25, 0.25]]])
        >>> gain = likelihood_gain(said, np.array([[[1.0, 0.0, 0.0]]]), np.array([[0]]))
        >>> round(gain.before, 3), round(gain.after, 3)
        (0.693, 0.0)
    """
    if first.shape != second.shape or first.shape[:-1] != grades.shape or not (grades >= 0).any():
        raise ConfigurationError(
            f"reports of shapes {first.shape} and {second.shape} cannot be compared on "
            f"{int((grades >= 0).sum())} labels of shape {grades.shape}",
            remedy="give two reports on the same rows, some of them with a label",
            code="VS-CFG-304",
        )
    costs = np.stack([_costs(first, grades), _costs(second, grades)])
    counts = (grades >= 0).sum(axis=1).astype(np.float64)
    n = len(grades)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    # A draw of studies without any label says nothing.
    drawn = drawn[drawn @ counts > 0]
    gains = (drawn @ (costs[0] - costs[1])) / (drawn @ counts)
    low, high = np.quantile(gains, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    before, after = costs.sum(axis=1) / counts.sum()
    return LikelihoodGain(float(before), float(after), float(low), float(high), int(counts.sum()))


def _costs(report: FloatArray, grades: IntArray) -> FloatArray:
    """Return - ln p of the labels of each study, summed, (N,)."""
    given = np.take_along_axis(report, np.maximum(grades, 0)[..., None], axis=-1)[..., 0]
    costs = -np.log(np.maximum(given, _LEAST))
    return np.asarray(np.where(grades >= 0, costs, 0.0).sum(axis=1))

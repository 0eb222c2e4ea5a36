"""The ordinal model's arithmetic: probabilities from cutpoints, and cutpoints from frequencies.

What has weights is in `link`, which also says what the model is.

Shapes:
    B  studies in the batch      T  targets: one per condition, level and side
    C  cutpoints of a target     K  grades of a target, C + 1 of them, 0 (normal) to C (severe)
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from volspine.errors import ConfigurationError
from volspine.vocabulary import Vocabulary

__all__ = [
    "MIN_GAP",
    "Frequencies",
    "cutpoints_from_frequencies",
    "grade_log_probs",
    "initial_cutpoints",
    "softplus_inverse",
]

MIN_GAP = 1e-3
"""Smallest distance between neighbouring cutpoints; keeps every grade possible."""

Frequencies = Sequence[float] | Sequence[Sequence[float]]
"""Expected share of each grade: for all targets alike, or one row for each finding."""

_SMALLEST_GAP = 1e-6  # What float32 still resolves between cutpoints of ordinary size.


def grade_log_probs(
    severity: Float[Tensor, "B T"],
    cutpoints: Float[Tensor, "T C"],
    precision: Float[Tensor, "B T"] | None = None,
) -> Float[Tensor, "B T K"]:
    """Return the log-probability of every grade.

    An inner grade lies between two cutpoints, a < b once the severity is subtracted, and

        sigmoid(b) - sigmoid(a) = sigmoid(b) * sigmoid(-a) * (1 - exp(a - b)).

    The right side never cancels, so the gradient survives however far the severity is.

    Args:
        severity: Latent severity of each target; unitless, larger is worse.
        cutpoints: Grade boundaries on the severity axis, increasing along `C`.
        precision: One over the width of the noise, in units of the logistic distribution's own;
            1 if omitted.

    Returns:
        Natural logarithms; their exponentials sum to one over the last axis.

    Example:
        >>> p = grade_log_probs(torch.zeros(1, 1), torch.tensor([[-1.0, 1.0]])).exp()
        >>> tuple(round(x, 3) for x in p.flatten().tolist())
        (0.269, 0.462, 0.269)
    """
    margin, gap = cutpoints - severity[..., None], cutpoints.diff()  # B T C, T C-1
    if precision is not None:
        margin, gap = margin * precision[..., None], gap * precision[..., None]
    at_most, above = F.logsigmoid(margin), F.logsigmoid(-margin)
    gap = gap.clamp_min(_SMALLEST_GAP)
    log_gap = torch.log(-torch.expm1(-gap))  # log(1 - exp(a - b))
    inner = at_most[..., 1:] + above[..., :-1] + log_gap
    return torch.cat([at_most[..., :1], inner, above[..., -1:]], dim=-1)


def cutpoints_from_frequencies(frequencies: Sequence[float]) -> tuple[float, ...]:
    """Return the cutpoints at which a severity of zero predicts the given frequencies.

    Args:
        frequencies: Positive share of each grade, mildest first; they need not sum to one.

    Raises:
        ConfigurationError: If a frequency is not positive, or there are fewer than two.

    Example:
        >>> tuple(round(c, 3) for c in cutpoints_from_frequencies([0.5, 0.25, 0.25]))
        (0.0, 1.099)
    """
    if len(frequencies) < 2 or not all(f > 0 and math.isfinite(f) for f in frequencies):
        raise ConfigurationError(
            f"grade frequencies {list(frequencies)} are not all positive",
            remedy="give one positive share for each grade",
            code="VS-CFG-047",
        )
    total = sum(frequencies)
    at_most = [sum(frequencies[: k + 1]) / total for k in range(len(frequencies) - 1)]
    return tuple(math.log(p / (1 - p)) for p in at_most)


def initial_cutpoints(frequencies: Frequencies | None, vocabulary: Vocabulary) -> Tensor:
    """Return the cutpoints that predict given frequencies, one row for each finding.

    Args:
        frequencies: See `Frequencies`; equal if omitted.
        vocabulary: What is graded.

    Raises:
        ConfigurationError: If a frequency is not positive or their number does not fit.
    """
    k, findings = vocabulary.num_grades, vocabulary.findings
    given: Any = [1 / k] * k if frequencies is None else frequencies
    is_common = not any(isinstance(row, Sequence) for row in given)
    rows: list[Any] = [given] * len(findings) if is_common else list(given)
    fits = all(isinstance(row, Sequence) and len(row) == k for row in rows)
    if len(rows) != len(findings) or not fits:
        raise ConfigurationError(
            f"grade frequencies {frequencies} do not fit",
            remedy=f"give {k} shares, or a row of them for each of {', '.join(findings)}",
            code="VS-CFG-048",
        )
    return torch.tensor([cutpoints_from_frequencies(row) for row in rows])


def softplus_inverse(value: Tensor) -> Tensor:
    """Return x where softplus(x) = log(1 + exp(x)) is `value`, at least `MIN_GAP`."""
    value = value.clamp_min(MIN_GAP)
    return value + torch.log(-torch.expm1(-value))

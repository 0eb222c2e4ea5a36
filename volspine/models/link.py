"""Link: from the scores of a target to the log-probabilities of its ordered grades.

A head gives every target (say, left foraminal narrowing at L4/L5) one real number, its
*severity*. Increasing *cutpoints* divide the severity axis into one interval per grade, and
logistic noise around the severity says how likely each interval is (McCullagh, 1980):

    P(grade <= k) = sigmoid(cutpoint[k] - severity)

In `CumulativeLink` cutpoints cannot cross, since their gaps have a floor, and no probability
underflows, since the arithmetic stays in log space. There the noise is as wide for every study;
in `ScaledLink` a second score says how wide it is, so that a target can be between normal and
severe and likely neither moderate nor sure. `SpacecutterLink` is the first model as the spacecutter
package computes it, and `SoftmaxLink` the unordered alternative that it must beat.

Shapes:
    B  studies in the batch      T  targets: one per condition, level and side
    C  cutpoints of a target     K  grades of a target, C + 1 of them, 0 (normal) to C (severe)
    S  scores of a target: one for an ordinal link, two with a scale, K for softmax
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from volspine.models.ordinal import (
    MIN_GAP,
    Frequencies,
    cutpoints_from_frequencies,
    grade_log_probs,
    initial_cutpoints,
    softplus_inverse,
)
from volspine.vocabulary import CHALLENGE, Vocabulary

__all__ = [
    "CumulativeLink",
    "Link",
    "ScaledLink",
    "SoftmaxLink",
    "SpacecutterLink",
]

_CLAMP = 1e-15  # spacecutter's own floor under a likelihood.
_WIDEST = 3.0  # Logarithm of how many times wider, or narrower, than usual noise can be.


class Link(nn.Module, ABC):
    """What every link does: scores of each target in, log-probabilities of its grades out."""

    num_scores: int = 1
    """Scores that a head must give for each target."""

    @abstractmethod
    def forward(self, scores: Float[Tensor, "B T S"]) -> Float[Tensor, "B T K"]:
        """Return the log-probability of every grade; computed in float32 whatever the autocast."""

    def severity(self, scores: Float[Tensor, "B T S"]) -> Float[Tensor, "B T"]:
        """Return one number for each target that grows with its stenosis; unitless."""
        return scores[..., 0].float()


class CumulativeLink(Link):
    """Cumulative logistic link in log space, its cutpoints ordered by construction.

    Args:
        vocabulary: What is graded.
        share: `finding`: left and right have the same cutpoints, and so have the levels but for
            a small deviation of each that weight decay pulls to zero. `target`: each on its own.
        frequencies: Expected share of each grade, for all targets alike or one row for each
            finding; cutpoints start where a severity of zero predicts it. Equal if omitted.
        level_scale: Unit in which the deviation of a level is learned; 0 makes levels equal.
            Only with `share="finding"`.

    Raises:
        ConfigurationError: If a frequency is not positive or their number does not fit.
    """

    finding: Tensor
    level: Tensor

    def __init__(
        self,
        vocabulary: Vocabulary = CHALLENGE,
        *,
        share: Literal["finding", "target"] = "finding",
        frequencies: Frequencies | None = None,
        level_scale: float = 0.1,
    ) -> None:
        super().__init__()
        start = initial_cutpoints(frequencies, vocabulary)  # one row a finding
        findings = torch.tensor(vocabulary.finding_index)
        if share == "target":
            start, findings = start[findings], torch.arange(len(findings))
        self.register_buffer("finding", findings, persistent=False)
        self.register_buffer("level", torch.tensor(vocabulary.level_index), persistent=False)
        self.share = share
        self.level_scale = level_scale if share == "finding" else 0.0
        self.first = nn.Parameter(start[:, :1].clone())
        self.raw_gaps = nn.Parameter(softplus_inverse(start.diff() - MIN_GAP))
        self.deviation = nn.Parameter(torch.zeros(len(start), len(vocabulary.levels)))
        self.deviation.requires_grad_(self.level_scale > 0)

    @torch.no_grad()
    def start_from(self, frequencies: Float[Tensor, "T K"]) -> None:
        """Move the cutpoints to where a severity of zero predicts the given frequencies.

        What shares cutpoints starts from its mean frequencies; levels start without deviation.

        Args:
            frequencies: Positive share of each grade of each target, such as those of the labels
                that training can see (`decide.frequencies`).

        Raises:
            ConfigurationError: If a frequency is not positive.
        """
        members = [self.finding == row for row in range(len(self.first))]
        rows = [frequencies[member].mean(dim=0).tolist() for member in members]
        start = torch.tensor([cutpoints_from_frequencies(row) for row in rows]).to(self.first)
        self.first.copy_(start[:, :1])
        self.raw_gaps.copy_(softplus_inverse(start.diff() - MIN_GAP))
        self.deviation.zero_()

    @property
    def cutpoints(self) -> Float[Tensor, "T C"]:
        """Grade boundaries of every target, increasing along C by at least `MIN_GAP`."""
        gaps = MIN_GAP + F.softplus(self.raw_gaps.float())
        cutpoints = torch.cat([self.first.float(), gaps], dim=1).cumsum(dim=1)
        if self.share == "target":
            return cutpoints
        shared = cutpoints.index_select(0, self.finding)
        if not self.level_scale:
            return shared
        shift = self.level_scale * self.deviation.float()[self.finding, self.level]
        return shared + shift[:, None]

    def forward(self, scores: Float[Tensor, "B T S"]) -> Float[Tensor, "B T K"]:
        """Return log-probabilities; see `grade_log_probs`."""
        with torch.autocast(scores.device.type, enabled=False):
            return grade_log_probs(scores[..., 0].float(), self.cutpoints)


class ScaledLink(CumulativeLink):
    """Cumulative logistic link with noise as wide as the study deserves.

    The location-scale model of McCullagh (1980): P(grade <= k) = sigmoid((cutpoint[k] - severity)
    / width). The second score is the logarithm of 1 / width, softly bounded so that the width is
    between 1/20 and 20. Scores of zero predict what `CumulativeLink` does.

    Args: those of `CumulativeLink`.
    """

    num_scores = 2

    def forward(self, scores: Float[Tensor, "B T S"]) -> Float[Tensor, "B T K"]:
        """Return log-probabilities; see `grade_log_probs`."""
        with torch.autocast(scores.device.type, enabled=False):
            severity, narrow = scores.float().unbind(dim=-1)
            precision = (_WIDEST * torch.tanh(narrow / _WIDEST)).exp()
            return grade_log_probs(severity, self.cutpoints, precision)


class SpacecutterLink(Link):
    """The link of the spacecutter package, one module a target, run as one.

    `torch.func.vmap` runs `spacecutter.models.LogisticCumulativeLink` over the stacked cutpoints
    of all targets. It subtracts probabilities, so far from the cutpoints the likelihood meets
    spacecutter's own floor of 1e-15 and its gradient vanishes: `CumulativeLink` has neither
    limit. Cutpoints are sorted before use, since nothing else keeps them from crossing.

    Args:
        vocabulary: What is graded.
    """

    def __init__(self, vocabulary: Vocabulary = CHALLENGE) -> None:
        super().__init__()
        from spacecutter.models import LogisticCumulativeLink

        modules = [LogisticCumulativeLink(vocabulary.num_grades) for _ in vocabulary.targets]
        stacked, _ = stack_module_state(modules)
        self.raw_cutpoints = nn.Parameter(stacked["cutpoints"].detach().clone())
        self._stateless = [modules[0]]  # In a list, so that it is no submodule with weights.

    @property
    def cutpoints(self) -> Float[Tensor, "T C"]:
        """Grade boundaries of every target, increasing along C."""
        return self.raw_cutpoints.float().sort(dim=-1).values

    def probabilities(self, severity: Float[Tensor, "B T"]) -> Float[Tensor, "B T K"]:
        """Return what spacecutter's modules give for each target."""

        def one(cutpoints: Tensor, column: Tensor) -> Tensor:
            state = {"cutpoints": cutpoints}
            given: Tensor = functional_call(self._stateless[0], state, (column[:, None],))
            return given

        over_targets = vmap(one, in_dims=(0, 1), out_dims=1)
        probabilities: Tensor = over_targets(self.cutpoints, severity)
        return probabilities

    def forward(self, scores: Float[Tensor, "B T 1"]) -> Float[Tensor, "B T K"]:
        """Return the logarithm of spacecutter's probabilities, floored at 1e-15."""
        with torch.autocast(scores.device.type, enabled=False):
            return self.probabilities(scores[..., 0].float()).clamp_min(_CLAMP).log()


class SoftmaxLink(Link):
    """Unordered grades: one score for each; here to be compared with, not to be preferred.

    Args:
        vocabulary: What is graded.
        frequencies: Expected share of each grade, as in `CumulativeLink`; equal scores predict it.
    """

    offset: Tensor

    def __init__(
        self, vocabulary: Vocabulary = CHALLENGE, *, frequencies: Frequencies | None = None
    ) -> None:
        super().__init__()
        self.num_scores = vocabulary.num_grades
        zero = torch.zeros(1, len(vocabulary.findings))
        start = grade_log_probs(zero, initial_cutpoints(frequencies, vocabulary))[0]
        self.register_buffer("offset", start[list(vocabulary.finding_index)])

    def forward(self, scores: Float[Tensor, "B T S"]) -> Float[Tensor, "B T S"]:
        """Return the log-softmax of the scores over the grades."""
        with torch.autocast(scores.device.type, enabled=False):
            return F.log_softmax(scores.float() + self.offset, dim=-1)

    def severity(self, scores: Float[Tensor, "B T S"]) -> Float[Tensor, "B T"]:
        """Return the expected grade, 0 to K - 1."""
        grades = torch.arange(self.num_scores, device=scores.device)
        return (self.forward(scores).exp() * grades).sum(dim=-1)

"""Heads: from the feature vector of each target to the scores that a link reads.

`LinearHead` learns every target on its own. `SharedHead` learns one small network for each
finding and uses it for both sides and all levels, told the level by an embedding: severe grades
are rare (two in the whole challenge for the left foramen at L1/L2), so targets must learn from one
another.

Scores start near zero, where a link predicts the frequencies that it was given.

Shapes:
    B  studies    T  targets    F  features    H  hidden units    S  scores of a target
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.vocabulary import CHALLENGE, Vocabulary

__all__ = ["Head", "LinearHead", "SharedHead"]

_START = 0.01  # Standard deviation of the last weights.


class Head(nn.Module, ABC):
    """What every head does: one feature vector for each target in, its scores out."""

    @abstractmethod
    def forward(self, features: Float[Tensor, "B T F"]) -> Float[Tensor, "B T S"]:
        """Return the scores of every target."""


class LinearHead(Head):
    """A linear map for each target, independent of all others.

    Args:
        num_features: Features F of a target.
        num_scores: Scores S that the link reads.
        vocabulary: What is graded.
    """

    def __init__(
        self, num_features: int, num_scores: int = 1, vocabulary: Vocabulary = CHALLENGE
    ) -> None:
        super().__init__()
        count = len(vocabulary.targets)
        self.norm = nn.LayerNorm(num_features)
        self.weight = nn.Parameter(torch.randn(count, num_features, num_scores) * _START)
        self.bias = nn.Parameter(torch.zeros(count, num_scores))

    def forward(self, features: Float[Tensor, "B T F"]) -> Float[Tensor, "B T S"]:
        """Return the scores of every target."""
        return torch.einsum("btf,tfs->bts", self.norm(features), self.weight) + self.bias


class SharedHead(Head):
    """A small network for each finding, shared over sides and levels.

    Args:
        num_features: Features F of a target.
        num_scores: Scores S that the link reads.
        vocabulary: What is graded.
        hidden: Hidden units H.
        dropout: Share of hidden units that training silences at random.
        share: `finding`: left and right have one network; `condition`: one each.
    """

    finding: Tensor
    level: Tensor

    def __init__(
        self,
        num_features: int,
        num_scores: int = 1,
        vocabulary: Vocabulary = CHALLENGE,
        *,
        hidden: int = 64,
        dropout: float = 0.0,
        share: Literal["finding", "condition"] = "finding",
    ) -> None:
        super().__init__()
        kinds = [getattr(t, share) for t in vocabulary.targets]
        kept = list(dict.fromkeys(kinds))
        count = len(kept)
        self.register_buffer(
            "finding", torch.tensor([kept.index(kind) for kind in kinds]), persistent=False
        )
        self.register_buffer("level", torch.tensor(vocabulary.level_index), persistent=False)
        self.norm = nn.LayerNorm(num_features)
        scale = num_features**-0.5
        self.weight_in = nn.Parameter(torch.randn(count, num_features, hidden) * scale)
        self.embedding = nn.Parameter(torch.zeros(count, len(vocabulary.levels), hidden))
        self.weight_out = nn.Parameter(torch.randn(count, hidden, num_scores) * _START)
        self.bias_out = nn.Parameter(torch.zeros(count, num_scores))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Float[Tensor, "B T F"]) -> Float[Tensor, "B T S"]:
        """Return the scores of every target."""
        f = self.finding
        hidden = torch.einsum("btf,tfh->bth", self.norm(features), self.weight_in[f])
        active = self.dropout(F.silu(hidden + self.embedding[f, self.level]))
        return torch.einsum("bth,ths->bts", active, self.weight_out[f]) + self.bias_out[f]

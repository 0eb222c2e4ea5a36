"""Tokens of a study: how what single patches show speaks to one another.

The 40 tokens of a study are 8 at each of 5 levels: canal in two views, left and right foramen in
two, left and right recess in one. First the tokens of a level attend to one another, then those of
the same place at different levels. Which token is which is told by the view and the level, never by
the side: attention knows of two tokens only their views and whether they are of the same side or
not, as a learned bias. So when left and right change places, everything does, exactly.

    weight[a, b] = softmax over b of  q[a] . k[b] / sqrt(width) + bias[relation(a, b)]

Absent tokens are never attended to, but ask like the others, so that a target without a view is
graded by what its surroundings show. Beside the tokens there is always a silent one with nothing to
say, so that a study of which nothing was measured has finite grades, too.

Shapes:
    B  studies    V  tokens, 40    P  places of a level, 8    L  levels, 5    E  length of a token
    G  groups that attend among themselves    S  tokens of a group    H  heads
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.anatomy import LEVELS, MIRRORED_INDEX
from volspine.errors import ConfigurationError
from volspine.models.level_readers import token_sides
from volspine.views import TOKEN_VIEW, TOKENS, VIEWS

__all__ = [
    "MIRRORED_TOKEN",
    "PLACES",
    "Attention",
    "TokenOptions",
    "TokenTransformer",
]

PLACES = len(TOKENS) // len(LEVELS)
"""Tokens of a level; token n is at place n // 5 and level n % 5."""

MIRRORED_TOKEN = tuple(TOKENS.index((v, MIRRORED_INDEX[t])) for v, t in TOKENS)
"""Where each token goes when the patient is mirrored."""

_NEVER = -1e4  # In a softmax as good as minus infinity.


@dataclass(frozen=True, kw_only=True)
class TokenOptions:
    """How tokens are made into features of targets; plain data.

    Attributes:
        width: Length of a token.
        heads: Of attention among tokens.
        layers: How often tokens attend within their level and then across levels.
        fusion: Whether a finding is looked at in all its views; without, in its first one.
        within_level: Whether tokens of a level attend to one another.
        across_levels: Whether tokens of a place attend to those at other levels.
        dropout: Share of a token's numbers that training silences at random.

    Raises:
        ConfigurationError: If a number cannot work.
    """

    width: int = 96
    heads: int = 4
    layers: int = 1
    fusion: bool = True
    within_level: bool = True
    across_levels: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        counts = (self.width, self.heads, self.layers)
        if min(counts) < 1 or self.width % self.heads or not 0 <= self.dropout < 1:
            raise ConfigurationError(
                f"tokens of width {self.width} with {self.heads} heads, {self.layers} layers and "
                f"dropout {self.dropout:g} cannot be",
                remedy="use a width that is a multiple of heads, a layer or more, and dropout "
                "from 0 to below 1",
                code="VS-CFG-151",
            )


class Attention(nn.Module):
    """Attention among the tokens of a group with a bias for each relation, then a small network.

    Args:
        width: Length E of a token.
        heads: Heads H.
        relations: Number of the relation of each token to each other, S rows of S.
        dropout: Share of what is added that training silences at random.
    """

    relations: Tensor

    def __init__(
        self, width: int, heads: int, relations: Sequence[Sequence[int]], *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.heads = heads
        table = torch.tensor(relations)
        self.register_buffer("relations", table, persistent=False)
        self.bias = nn.Parameter(torch.zeros(heads, int(table.max()) + 1))
        self.norm, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Float[Tensor, "G S E"], seen: Bool[Tensor, "G S"]
    ) -> Float[Tensor, "G S E"]:
        """Return the tokens with what they heard from those that were seen."""
        heard = tokens + self.dropout(self.answer(self._attend(self.norm(tokens), seen)))
        result: Tensor = heard + self.dropout(self.mlp(self.norm_mlp(heard)))
        return result

    def _attend(self, tokens: Tensor, seen: Tensor) -> Tensor:
        asked: Tensor = self.ask(tokens)
        split = asked.reshape(*tokens.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)  # G H S E/H
        scores = (query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5
        scores = scores + self.bias.float()[:, self.relations]
        scores = scores.masked_fill(~seen[:, None, None, :], _NEVER)
        # The silent one scores 0 and says nothing: it only takes its share of the softmax.
        weights = F.pad(scores, (0, 1)).softmax(dim=-1)[..., :-1]
        heard: Tensor = weights.to(value.dtype) @ value
        return heard.transpose(1, 2).flatten(2)


class TokenTransformer(nn.Module):
    """Let the tokens of a study speak to one another, within levels and then across.

    Args:
        options: Sizes, and what there is of it.
        share_sides: Whether left and right are told apart only by being different sides; without,
            each token has relations of its own.
    """

    def __init__(self, options: TokenOptions, *, share_sides: bool = True) -> None:
        super().__init__()
        made = {"dropout": options.dropout}
        places = _relations_of_places(share_sides=share_sides)
        count = options.layers
        self.within = nn.ModuleList(
            Attention(options.width, options.heads, places, **made)
            for _ in range(count * options.within_level)
        )
        self.across = nn.ModuleList(
            Attention(options.width, options.heads, _relations_of_levels(), **made)
            for _ in range(count * options.across_levels)
        )

    def forward(
        self, tokens: Float[Tensor, "B V E"], seen: Bool[Tensor, "B V"]
    ) -> Float[Tensor, "B V E"]:
        """Return the tokens, each with what it heard.

        Args:
            tokens: In the order of `TOKENS`.
            seen: Which of them there are.
        """
        # Levels outermost, then places: B L P E.
        x = tokens.reshape(len(tokens), PLACES, -1, tokens.shape[-1]).transpose(1, 2)
        there = seen.reshape(len(seen), PLACES, -1).transpose(1, 2)
        for n in range(max(len(self.within), len(self.across))):
            for inner in self.within[n : n + 1]:
                x = _in_groups(inner, x, there)
            for outer in self.across[n : n + 1]:
                x = _in_groups(outer, x.transpose(1, 2), there.transpose(1, 2)).transpose(1, 2)
        return x.transpose(1, 2).flatten(1, 2)


def _in_groups(attention: nn.Module, tokens: Tensor, seen: Tensor) -> Tensor:
    """Let tokens, (B, groups, S, E), attend to those of their group."""
    result: Tensor = attention(tokens.flatten(0, 1), seen.flatten(0, 1))
    return result.reshape(tokens.shape)


def _relations_of_places(*, share_sides: bool) -> list[list[int]]:
    """Return a number for each pair of places: their views, and whether their sides are equal."""
    views, sides = TOKEN_VIEW[:: len(LEVELS)], token_sides()[:: len(LEVELS)]
    if not share_sides:
        return [[a * PLACES + b for b in range(PLACES)] for a in range(PLACES)]
    return [
        [(views[a] * len(VIEWS) + views[b]) * 2 + int(sides[a] is sides[b]) for b in range(PLACES)]
        for a in range(PLACES)
    ]


def _relations_of_levels() -> list[list[int]]:
    """Return a number for each pair of levels: how far one is above the other."""
    count = len(LEVELS)
    return [[b - a + count - 1 for b in range(count)] for a in range(count)]

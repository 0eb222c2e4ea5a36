"""LevelGrader: from patches around the 25 targets of a study to their ordered grades.

    patches -trunk-> maps -cells-> 40 tokens -transformer-> features of targets -head, link-> grades

One trunk sees all views. Patches of a right side come mirrored, so they are read as those of a left
one, by the same numbers: when the sides of a study change places, so do its grades. Patches of the
canal alone look different in the mirror.

Every token is graded on its own as well, by a linear map and the link of all: training then tells
each view what is wrong with it, however much the other views know (`level_loss.LevelLoss`).

A grader is built from plain data; nothing in a recipe is imported.

Shapes:
    B  studies    T  targets of a view    V  tokens, 40    D  slices    S  pixels    F  features
    d h w  cells    E  length of a token
"""

from dataclasses import asdict
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from volspine.anatomy import LEVELS, TARGETS
from volspine.models.backbones import Backbone
from volspine.models.heads import Head
from volspine.models.level_cells import CELL_POOLINGS, CellPooling
from volspine.models.level_readers import Reader, all_readers
from volspine.models.level_tokens import TokenOptions, TokenTransformer
from volspine.models.link import Link
from volspine.models.mirror import turn_right_sides
from volspine.models.parts import (
    HEADS,
    LINKS,
    Graded,
    Part,
    build_part,
    check_options,
    plain_part,
    split_part,
    without_weights,
)
from volspine.views import TOKEN_TARGET, TOKENS, VIEWS, Patches, View

__all__ = ["LevelGrader"]

_STRIDE = 8
_START = 0.01  # Standard deviation of the weights that grade a single token.
_EMBEDDED = 0.1  # The same of embeddings.
_FIRST = [TOKEN_TARGET.index(t.index) for t in TARGETS]
_LAST = [max(n for n, t in enumerate(TOKEN_TARGET) if t == each.index) for each in TARGETS]

Maps = tuple[Tensor | None, ...]
"""Features of the patches of each view, (B, T, F, d, h, w); None of a view not looked at."""

Covered = tuple[Tensor, ...]
"""Share of every slice of a patch that was measured, (B, T, D) for each view."""


class LevelGrader(nn.Module):
    """Grade a study from a patch of each target in each view.

    Args:
        trunk: Name in `backbones.SUPPORTED_BACKBONES`, or a dict of `name` and options of
            `Backbone`. Slices are never joined unless `fine_slices` says so.
        pooling: Name in `level_cells.CELL_POOLINGS`, or a dict with options.
        tokens: Fields of `level_tokens.TokenOptions`.
        head: Name in `parts.HEADS`, or a dict with options.
        link: Name in `parts.LINKS`, or a dict with options.
        share_sides: Read right sides, mirrored, as left ones. Without, they are turned back, and
            each side has a reading, embeddings and a head of its own: for comparison.

    Attributes:
        trunk: From (N, 1, D, S, S) to (N, F, d, h, w).

    Raises:
        ConfigurationError: If a part is not offered or does not take an option.
        WeightsError: If a weights file of the trunk is missing, damaged or of another network.
    """

    reader: Tensor
    order: Tensor
    level: Tensor
    members: Tensor

    def __init__(
        self,
        *,
        trunk: Part = "tf_efficientnetv2_b0",
        pooling: Part = "attention",
        tokens: dict[str, Any] | None = None,
        head: Part = "shared",
        link: Part = "scaled",
        share_sides: bool = True,
    ) -> None:
        super().__init__()
        check_options(TokenOptions, "tokens", tokens or {})
        self.options = TokenOptions(**(tokens or {}))
        self.share_sides = share_sides
        self.hyperparameters: dict[str, Any] = {
            "trunk": plain_part(trunk),
            "pooling": plain_part(pooling),
            "tokens": asdict(self.options),
            "head": plain_part(head),
            "link": plain_part(link),
            "share_sides": share_sides,
        }
        self.readers = all_readers(fusion=self.options.fusion, share_sides=share_sides)
        self.trunk = _trunk(trunk)
        self.link: Link = build_part(LINKS, "link", link)
        self.cells = nn.ModuleList(self._pooling(each, pooling) for each in self.readers)
        self._learn_tokens(len(self.readers), self.options.width)
        self.transformer = TokenTransformer(self.options, share_sides=share_sides)
        self.head = _head(head, self.options.width, self.link, share_sides=share_sides)
        self._register_order()

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which `grader.build_grader` makes the same network, without its weights.

        The path that trunk weights were started from is not part of it.
        """
        return {"grader": type(self).__name__, **without_weights(self.hyperparameters, "trunk")}

    def forward(self, patches: Patches) -> Graded:
        """Return the grades of a batch of studies; `attention` is None, see `look`."""
        return self.grade(self.features(patches), patches.covered)

    def features(self, patches: Patches) -> Maps:
        """Return the feature map of every patch.

        Patches of one size pass through the trunk together.
        """
        images = self._oriented(patches.images)
        looked_at = list(dict.fromkeys(each.view for each in self.readers))
        maps: list[Tensor | None] = [None] * len(VIEWS)
        for size in dict.fromkeys(images[v].shape[2:] for v in looked_at):
            alike = [v for v in looked_at if images[v].shape[2:] == size]
            stacked = torch.cat([images[v].flatten(0, 1) for v in alike])[:, None]
            parts = self.trunk(stacked).split([images[v].shape[:2].numel() for v in alike])
            for v, part in zip(alike, parts, strict=True):
                maps[v] = part.reshape(*images[v].shape[:2], *part.shape[1:])
        return tuple(maps)

    def grade(self, maps: Maps, covered: Covered) -> Graded:
        """Return the grades that follow from feature maps; see `features`."""
        seen = self._seen(covered)
        tokens = self._tokens(maps, covered, seen)
        heard = self.transformer(tokens, seen)
        scores = self.head(self._of_targets(heard, seen))
        alone = self._alone(tokens)
        return Graded(self.link(scores), self.link.severity(scores), None, alone, seen)

    @torch.no_grad()
    def look(self, patches: Patches) -> tuple[Float[Tensor, "B _ d h w"], ...]:
        """Return how much of each token comes from each cell of its patch; sums to one.

        Where nothing was measured, and in views that are not looked at, all cells count alike.
        Maps lie as the patches do: those of right sides are mirrored.
        """
        maps, there = self.features(patches), self._oriented(patches.covered)
        looked = [self._evenly(v, patches.images[v]) for v in range(len(VIEWS))]
        for each, cells in zip(self.readers, self.cells, strict=True):
            seen = cast("Tensor", maps[each.view])[:, each.rows].flatten(0, 1)
            shares = cast("CellPooling", cells).look(
                seen, there[each.view][:, each.rows].flatten(0, 1)
            )
            looked[each.view][:, each.rows] = shares.reshape(
                -1, len(each.tokens), *shares.shape[1:]
            )
        return self._oriented(tuple(looked))

    def _oriented(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return parts if self.share_sides else turn_right_sides(parts)

    def _tokens(self, maps: Maps, covered: Covered, seen: Tensor) -> Tensor:
        """Return the tokens, (B, V, E); absent ones say only where they would be."""
        there, said = self._oriented(covered), []
        for each, cells in zip(self.readers, self.cells, strict=True):
            view = cast("Tensor", maps[each.view])[:, each.rows]
            token = cells(view.flatten(0, 1), there[each.view][:, each.rows].flatten(0, 1))
            said.append(self.dropout(token).float().reshape(*view.shape[:2], -1))
        blank = said[0].new_zeros(len(seen), len(TOKENS), said[0].shape[-1])
        content = blank.index_copy(1, self.order, torch.cat(said, dim=1))
        names = self.embedding[self.reader] + self.level_embedding[self.level]
        return torch.where(seen[..., None], content, 0.0) + names

    def _seen(self, covered: Covered) -> Bool[Tensor, "B V"]:
        """Return which tokens there are: of patches that are looked at and show something."""
        seen = torch.cat([(c > 0).any(dim=-1) for c in covered], dim=1)
        return seen & torch.zeros_like(seen[0]).index_fill(0, self.order, value=True)

    def _of_targets(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Return the mean of each target's tokens: of those seen, or if there is none, of all."""
        weights = self.members * seen[:, None].float()  # B 25 V
        weights = torch.where(weights.sum(-1, keepdim=True) > 0, weights, self.members)
        return (weights / weights.sum(-1, keepdim=True)) @ tokens.float()

    def _alone(self, tokens: Tensor) -> Float[Tensor, "B V K"]:
        """Return the grades as each token alone would give them."""
        known = self.alone_norm(tokens).float()
        scores = torch.einsum("bve,ves->bvs", known, self.alone[self.reader])
        scores = scores + self.alone_bias[self.reader]
        # A target has one token or two; a link wants all targets at once.
        told = torch.cat([self.link(scores[:, _FIRST]), self.link(scores[:, _LAST])], dim=1)
        where = [t if _FIRST[t] == n else len(TARGETS) + t for n, t in enumerate(TOKEN_TARGET)]
        return told[:, where]

    def _evenly(self, view: int, images: Tensor) -> Tensor:
        shape = _cells(VIEWS[view], self.trunk.strides)
        size = (*images.shape[:2], *shape)
        return images.new_full(size, 1 / torch.Size(shape).numel(), dtype=torch.float32)

    def _pooling(self, reader: Reader, pooling: Part) -> CellPooling:
        cells = _cells(VIEWS[reader.view], self.trunk.strides)
        sizes = (self.trunk.num_features, self.options.width, *cells)
        made: CellPooling = build_part(CELL_POOLINGS, "pooling", pooling, *sizes)
        return made

    def _learn_tokens(self, readers: int, width: int) -> None:
        """Make what tokens are told by and what grades a single one."""
        self.embedding = nn.Parameter(torch.randn(readers, width) * _EMBEDDED)
        self.level_embedding = nn.Parameter(torch.randn(len(LEVELS), width) * _EMBEDDED)
        self.dropout = nn.Dropout(self.options.dropout)
        scores = self.link.num_scores
        self.alone_norm = nn.LayerNorm(width)
        self.alone = nn.Parameter(torch.randn(readers, width, scores) * _START)
        self.alone_bias = nn.Parameter(torch.zeros(readers, scores))

    def _register_order(self) -> None:
        """Say of every token who reads it, its level and its target."""
        reader = torch.zeros(len(TOKENS), dtype=torch.long)
        for n, each in enumerate(self.readers):
            reader[list(each.tokens)] = n
        targets = torch.tensor(TOKEN_TARGET)
        tables = {
            "reader": reader,
            "order": torch.tensor([n for each in self.readers for n in each.tokens]),
            "level": torch.tensor([LEVELS.index(TARGETS[t].level) for t in TOKEN_TARGET]),
            "members": (targets == torch.arange(len(TARGETS))[:, None]).float(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)


def _trunk(trunk: Part) -> Backbone:
    name, options = split_part(trunk)
    check_options(Backbone, name, options)
    stride = int(options.get("stride", _STRIDE))
    largest = max(VIEWS, key=lambda view: view.pixels)
    given = {"stride": stride, "fine_slices": stride.bit_length() - 1, **options}
    shape = (largest.slices, largest.pixels, largest.pixels)
    return Backbone(name, **{"in_channels": 1, "shape": shape, **given})


def _head(head: Part, width: int, link: Link, *, share_sides: bool) -> Head:
    name, options = split_part(head)
    if name == "shared" and not share_sides:
        options = {"share": "condition", **options}
    made: Head = build_part(HEADS, "head", {"name": name, **options}, width, link.num_scores)
    return made


def _cells(view: View, strides: tuple[int, int, int]) -> tuple[int, int, int]:
    sizes = (view.slices, view.pixels, view.pixels)
    d, h, w = (-(-n // s) for n, s in zip(sizes, strides, strict=True))
    return (d, h, w)

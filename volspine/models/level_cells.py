"""Cells to tokens: from the feature maps of a view's patches to one vector a patch.

Patches are centred on their target, so where a cell lies means something. Each of several *looks*
weighs the cells by what they show and by where they are,

    a[look, cell] = softmax over cells of  w[look] . x[cell] + p[look, cell]
    token         = linear map of the looks' sums over cells of  a[look, cell] * x[cell]

with x the normalised features of a cell and p a learned table. Cells of slices that were not
measured are left out; of a patch without any measured slice nothing is known, and whoever asks must
not use its token.

Shapes:
    N  patches    F  features    d h w  cells    H  looks    E  length of a token    D  slices
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CELL_POOLINGS", "AttentionCells", "AverageCells", "CellPooling"]

_NEVER = -1e4  # In a softmax as good as minus infinity, but a row of it alone stays finite.
_START = 0.5  # Standard deviation of the position table at first.


class CellPooling(nn.Module, ABC):
    """What every pooling of cells does: a map and its measured slices in, a token out.

    Args:
        num_features: Features F of a cell.
        width: Length E of a token.
        cells: Cells of the map along slices, rows and columns.
    """

    looks: int = 1
    """How often the cells are weighed."""

    def __init__(self, num_features: int, width: int, *cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.norm = nn.LayerNorm(num_features)
        self.join = nn.Linear(self.looks * num_features, width)

    @abstractmethod
    def weights(
        self, cells: Float[Tensor, "N dhw F"], measured: Float[Tensor, "N dhw"]
    ) -> Float[Tensor, "N H dhw"]:
        """Return how each look weighs the cells, summing to one.

        Args:
            cells: Normalised features.
            measured: 1 for cells of slices that were measured, else 0.
        """

    def forward(
        self, features: Float[Tensor, "N F d h w"], covered: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N E"]:
        """Return the tokens.

        Args:
            features: Of the patches.
            covered: Share of every slice of a patch that was measured.
        """
        cells = self._cells(features)
        weights = self.weights(cells, _measured(features, covered))
        result: Tensor = self.join((weights.to(cells.dtype) @ cells).flatten(1))
        return result

    def look(
        self, features: Float[Tensor, "N F d h w"], covered: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N d h w"]:
        """Return the share of each cell in what was looked at: the looks' mean, summing to one."""
        weights = self.weights(self._cells(features), _measured(features, covered))
        return weights.mean(dim=1).reshape(-1, *features.shape[2:])

    def _cells(self, features: Tensor) -> Tensor:
        normalised: Tensor = self.norm(features.flatten(2).transpose(1, 2))
        return normalised


class AverageCells(CellPooling):
    """The average of the measured cells, mapped linearly."""

    def weights(
        self, cells: Float[Tensor, "N dhw F"], measured: Float[Tensor, "N dhw"]
    ) -> Float[Tensor, "N H dhw"]:
        """Return the same weight for every measured cell."""
        del cells
        return _masked_softmax(torch.zeros_like(measured)[:, None], measured)


class AttentionCells(CellPooling):
    """Several looks, each with an eye for what a cell shows and for where it is.

    Args:
        num_features: Features F of a cell.
        width: Length E of a token.
        cells: Cells of the map along slices, rows and columns.
        looks: How many.
    """

    def __init__(self, num_features: int, width: int, *cells: int, looks: int = 8) -> None:
        self.looks = looks
        super().__init__(num_features, width, *cells)
        self.content = nn.Linear(num_features, looks, bias=False)
        self.position = nn.Parameter(_first_positions(cells, looks))

    def weights(
        self, cells: Float[Tensor, "N dhw F"], measured: Float[Tensor, "N dhw"]
    ) -> Float[Tensor, "N H dhw"]:
        """Return how each look weighs the cells, summing to one."""
        shown = self.content(cells).float().transpose(1, 2)
        return _masked_softmax(shown + self.position.float(), measured)


CELL_POOLINGS: Mapping[str, type[CellPooling]] = {
    "attention": AttentionCells,
    "average": AverageCells,
}
"""What a recipe can name."""


def _measured(features: Tensor, covered: Tensor) -> Tensor:
    """Return, (N, dhw), 1 for the cells of slices that were measured and 0 for others."""
    d, h, w = features.shape[2:]
    slices = F.adaptive_max_pool1d((covered > 0).float(), d)
    return slices.repeat_interleave(h * w, dim=-1)


def _masked_softmax(scores: Tensor, measured: Tensor) -> Tensor:
    return scores.masked_fill(measured[:, None] == 0, _NEVER).softmax(dim=-1)


def _first_positions(cells: tuple[int, ...], looks: int) -> Tensor:
    """Return tables that begin with looks from narrow to wide at the middle, no two alike."""
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in cells]
    away = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0).flatten()
    spread = 0.4 * 4.0 ** (torch.arange(looks) / max(looks - 1, 1))
    return _START * torch.randn(looks, math.prod(cells)) - away / (2 * spread[:, None] ** 2)

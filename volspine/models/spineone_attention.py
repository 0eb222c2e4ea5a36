"""Attention over positions and over channels of a map (Fu et al., "Dual attention network", 2019).

Position attention lets every cell gather from all cells of its slice that look alike,

    y[c] = x[c] + gamma * sum over cells d of  softmax_d( q[c] . k[d] ) v[d],

channel attention every channel from all channels that say something else,

    y[f] = x[f] + beta * sum over channels g of  softmax_g( max_h E[f, h] - E[f, g] ) x[g],

with E[f, g] = sum over cells of x[f] x[g], divided here by the number of cells, so that it does not
depend on the size of the slice. Gamma and beta start at 0, where both are the identity.

Shapes:
    N  slices    F  features    j k  cells    M  all cells of a slice
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from volspine.models.convolutions import Conv2d

__all__ = ["ChannelAttention", "DualAttention", "PositionAttention"]

_NARROWER = 8  # Queries and keys have this part of the features, as published.


class PositionAttention(nn.Module):
    """Every cell gathers from all cells of its slice.

    Args:
        num_features: Features F of a cell.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        narrow = max(1, num_features // _NARROWER)
        self.query = Conv2d(num_features, narrow, 1)
        self.key = Conv2d(num_features, narrow, 1)
        self.value = Conv2d(num_features, num_features, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def weights(self, maps: Float[Tensor, "N F j k"]) -> Float[Tensor, "N M M"]:
        """Return how much each cell, by row, gathers from every cell; rows sum to one."""
        scores = self.query(maps).flatten(2).transpose(1, 2) @ self.key(maps).flatten(2)
        weights: Tensor = scores.float().softmax(dim=-1)
        return weights

    def forward(self, maps: Float[Tensor, "N F j k"]) -> Float[Tensor, "N F j k"]:
        """Return the maps with what was gathered added."""
        values = self.value(maps).flatten(2)
        gathered = values @ self.weights(maps).transpose(1, 2).to(values.dtype)
        added: Tensor = self.gamma * gathered.view_as(maps)
        return maps + added


class ChannelAttention(nn.Module):
    """Every channel gathers from all channels of its slice."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(1))

    def weights(self, maps: Float[Tensor, "N F j k"]) -> Float[Tensor, "N F F"]:
        """Return how much each channel, by row, gathers from every channel; rows sum to one."""
        cells = maps.flatten(2)
        energy = (cells @ cells.transpose(1, 2)).float() / cells.shape[-1]
        weights: Tensor = (energy.amax(dim=-1, keepdim=True) - energy).softmax(dim=-1)
        return weights

    def forward(self, maps: Float[Tensor, "N F j k"]) -> Float[Tensor, "N F j k"]:
        """Return the maps with what was gathered added."""
        gathered = self.weights(maps).to(maps.dtype) @ maps.flatten(2)
        added: Tensor = self.beta * gathered.view_as(maps)
        return maps + added


class DualAttention(nn.Module):
    """Both side by side, averaged: at the start the identity.

    Args:
        num_features: Features F of a cell.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.position = PositionAttention(num_features)
        self.channel = ChannelAttention()

    def forward(self, maps: Float[Tensor, "N F j k"]) -> Float[Tensor, "N F j k"]:
        """Return the mean of what both make of the maps."""
        mean: Tensor = (self.position(maps) + self.channel(maps)) / 2
        return mean

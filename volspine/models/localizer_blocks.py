"""Blocks of the localizer, laid out for processors.

With channels last a 3D convolution in bfloat16 is several times as fast on a CPU, but torch's group
norm is slow in that layout; the one here reads the cells as long rows instead.

Shapes:
    B  series    C  channels    i j k  cells    N  all cells
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.models.convolutions import Conv3d

__all__ = ["GroupNorm", "Residual", "fast_layout", "row_length"]

_MAX_GROUPS = 8
_ROW = 64


def fast_layout(x: Float[Tensor, "B C i j k"]) -> Float[Tensor, "B C i j k"]:
    """Return the same values with channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last_3d)


def row_length(cells: int) -> int:
    """Return how many cells are read as one row: the largest power of 2 to 64 that divides them.

    Example:
        >>> row_length(24 * 48 * 64), row_length(6), row_length(7)
        (64, 2, 1)
    """
    return math.gcd(cells, _ROW)


class GroupNorm(nn.GroupNorm):
    """Group norm that is fast with channels last; statistics in float32.

    Args:
        channels: Normalised in up to 8 groups.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(math.gcd(channels, _MAX_GROUPS), channels)

    def forward(self, x: Float[Tensor, "B C i j k"]) -> Float[Tensor, "B C i j k"]:
        """Return the normalised cells."""
        size, channels = x.shape[:2]
        cells = x.permute(0, 2, 3, 4, 1).reshape(size, -1, channels)
        row = row_length(cells.shape[1])
        rows = cells.reshape(size, -1, row * channels)
        mean = self._of_groups(rows.sum(dim=1, dtype=torch.float32), x)
        square = self._of_groups((rows * rows).sum(dim=1, dtype=torch.float32), x)
        scale = (square - mean * mean).clamp_min(0).add(self.eps).rsqrt()
        scale = scale.repeat_interleave(channels // self.num_groups, dim=1) * self.weight
        shift = self.bias - mean.repeat_interleave(channels // self.num_groups, dim=1) * scale
        wide = [each.to(x.dtype).repeat(1, row)[:, None] for each in (scale, shift)]
        result = rows * wide[0] + wide[1]
        return result.view(size, *x.shape[2:], channels).permute(0, 4, 1, 2, 3)

    def _of_groups(self, sums: Tensor, x: Tensor) -> Tensor:
        """Return the mean over each group from sums over the rows."""
        size, channels = x.shape[:2]
        per_channel = sums.view(size, -1, channels).sum(dim=1)
        count = x.shape[2:].numel() * channels // self.num_groups
        return per_channel.view(size, self.num_groups, -1).sum(dim=-1) / count


class Residual(nn.Module):
    """Two convolutions over 3 x 3 x 3 cells around which the input is added.

    Args:
        channels: Of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv3d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = GroupNorm(channels)
        self.second = Conv3d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = GroupNorm(channels)

    def forward(self, x: Float[Tensor, "B C i j k"]) -> Float[Tensor, "B C i j k"]:
        """Return the cells with what their surroundings add to them."""
        inner = F.silu(self.first_norm(self.first(x)))
        return F.silu(x + self.second_norm(self.second(inner)))

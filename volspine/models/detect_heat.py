"""Detector: from the volume of a study to where each of some targets is; it knows no grades.

The volume is shrunk to about 3 mm and seen by a small U-Net of three scales. At its finest scale,
with x the features of a cell and u its position as sines and cosines, each target t has a map

    a[t, cell] = softmax over cells of  w[t] . x[cell] + p[t] . u[cell]

and in every cell a step o[t, cell] from that cell's middle c towards the target. A target is found
near the cell where its map is highest; with a restricted to the cells about that one and
normalised again,

    point[t] = sum over cells of  a[t, cell] * (c[cell] + o[t, cell]).

Maps learn from `guidance_loss`. A point gives its gradient to the steps alone, so they learn
what the map leaves, less than a cell.

Shapes:
    B  studies    C  channels    I J K  voxels, RAS+    N  targets    i j k  cells    F  features
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.errors import ConfigurationError
from volspine.models.convolutions import Conv3d
from volspine.models.guidance import cell_strides
from volspine.models.localizer_blocks import GroupNorm, Residual, fast_layout
from volspine.models.pooling import position_code

__all__ = ["Detector", "Found", "peak_points"]

_FREQUENCIES = 4
_REACH = 2  # Cells about the highest one that say where a target is.
_FIRST_STEP = 0.01  # Steps begin near zero.


class Found(NamedTuple):
    """Where targets were found.

    Attributes:
        attention: The map of each target; sums to one.
        points: Voxel indices (i, j, k) of the volume.
    """

    attention: Float[Tensor, "B N i j k"]
    points: Float[Tensor, "B N 3"]


class Detector(nn.Module):
    """Find targets in a volume.

    Args:
        num_targets: How many.
        in_channels: Channels of the volume.
        channels: Features of the three scales, from fine to coarse.
        shrink: Voxels along i, j, k that are averaged first, powers of two; a cell is then twice as
            long.

    Raises:
        ConfigurationError: If a number of features or voxels is impossible.
    """

    def __init__(
        self,
        num_targets: int,
        in_channels: int,
        *,
        channels: Sequence[int] = (24, 48, 64),
        shrink: Sequence[int] = (1, 2, 2),
    ) -> None:
        super().__init__()
        _check(channels, shrink)
        fine, middle, coarse = channels
        self.shrink = list(shrink)
        self.stem = _Down(in_channels, fine)
        self.middle = _Down(fine, middle)
        self.coarse = nn.Sequential(_Down(middle, coarse), Residual(coarse))
        self.to_middle = _Up(coarse, middle)
        self.to_fine = _Up(middle, fine)
        self.content = Conv3d(fine, num_targets, 1)
        self.position = nn.Linear(6 * _FREQUENCIES, num_targets, bias=False)
        self.steps = Conv3d(fine, 3 * num_targets, 1)
        nn.init.normal_(self.steps.weight, std=_FIRST_STEP)

    def forward(self, volume: Float[Tensor, "B C I J K"]) -> Found:
        """Return where each target is."""
        cells = self._cells(volume)
        code = position_code(_three(cells.shape[2:]), _FREQUENCIES).to(volume)
        where = self.position(code).T.reshape(1, -1, *cells.shape[2:])
        attention = (self.content(cells) + where).float().flatten(2).softmax(dim=-1)
        attention = attention.view(*attention.shape[:2], *cells.shape[2:])
        steps = self.steps(cells).float()
        steps = steps.view(len(steps), -1, 3, *cells.shape[2:])
        strides = cell_strides(volume.shape[2:], cells.shape[2:])
        return Found(attention, peak_points(attention, steps, strides))

    def _cells(self, volume: Tensor) -> Tensor:
        small = F.avg_pool3d(volume, self.shrink, self.shrink, ceil_mode=True)
        fine = self.stem(fast_layout(small))
        middle = self.middle(fine)
        result: Tensor = self.to_fine(self.to_middle(self.coarse(middle), middle), fine)
        return result


class _Down(nn.Module):
    """Half as many cells along each axis, rounded up."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.halve = Conv3d(inner, outer, 3, stride=2, padding=1, bias=False)
        self.norm = GroupNorm(outer)
        self.further = Residual(outer)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.further(F.silu(self.norm(self.halve(x))))
        return result


class _Up(nn.Module):
    """What a coarser scale knows, added to a finer one."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.narrow = Conv3d(inner, outer, 1)
        self.further = Residual(outer)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        told = F.interpolate(self.narrow(coarse), size=fine.shape[2:], mode="nearest")
        result: Tensor = self.further(fine + told)
        return result


def peak_points(
    attention: Float[Tensor, "B N i j k"],
    steps: Float[Tensor, "B N 3 i j k"],
    strides: Sequence[int],
) -> Float[Tensor, "B N 3"]:
    """Return the point that each map shows, as a voxel index; only the steps have a gradient.

    Args:
        attention: Of each target.
        steps: From the middle of each cell towards the target, in cells.
        strides: Voxels along each axis that a cell stands for.
    """
    cells = attention.shape[2:]
    peaks = torch.unravel_index(attention.flatten(2).argmax(dim=-1), cells)
    weight = attention.detach()
    for axis, peak in enumerate(peaks):
        along = torch.arange(cells[axis], device=peak.device)
        near = (along - peak[..., None]).abs() <= _REACH  # B N cells
        weight = weight * near.view(*peak.shape, *(-1 if a == axis else 1 for a in range(3)))
    weight = weight / weight.sum(dim=(2, 3, 4), keepdim=True)
    axes = [torch.arange(n, device=weight.device).to(weight) for n in cells]
    middles = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    point = (weight[:, :, None] * (middles + steps)).sum(dim=(3, 4, 5))
    scale = torch.tensor(strides, device=weight.device).to(weight)
    return point * scale + (scale - 1) / 2


def _check(channels: Sequence[int], shrink: Sequence[int]) -> None:
    fits = len(channels) == len(shrink) == 3 and min(*channels, *shrink) > 0
    if not fits or any(n & (n - 1) for n in shrink):  # cell_strides knows powers of two alone.
        raise ConfigurationError(
            f"a detector of {list(channels)} channels that shrinks by {list(shrink)} is impossible",
            remedy="give three positive numbers of features and three powers of two",
            code="VS-CFG-201",
        )


def _three(sizes: Sequence[int]) -> tuple[int, int, int]:
    i, j, k = sizes
    return (i, j, k)

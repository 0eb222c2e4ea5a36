"""Point refiner: a patch around a place where a foramen should be -> where in the patch it is.

The patch is one of `volspine.views`: native sagittal slices about a point that a localizer found, a
right side mirrored, so that one network serves both sides. Brightness is standardised over what was
measured, then a small U-Net of two scales gives a heat map over cells of two pixels:

    w = softmax(heat)      offset = sum w c      variance = sum w |c - offset|^2 / 2 + floor

for cells c, in mm from the patch's middle along its rows and columns (Nibali 2018, arXiv
1801.07372). It is trained by the likelihood of the true offset under a round Gaussian of that mean
and variance, so that the variance is what the network is unsure of, and by cross-entropy of the
heat to a Gaussian about the true place. How deep in the body a point lies, across the slices, is
left to the localizer, which sees all slices of the study.

Shapes:
    N  patches    D  slices    S  pixels along either edge    C  channels    h  cells along an edge
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from volspine.anatomy import Finding
from volspine.errors import ConfigurationError
from volspine.models.convolutions import Conv2d
from volspine.types import Float
from volspine.views import VIEWS

__all__ = ["REFINED_VIEWS", "PointRefiner", "Refined", "build_refiner", "refiner_loss"]

REFINED_VIEWS = tuple(
    number for number, view in enumerate(VIEWS) if view.finding is Finding.FORAMEN
)
"""Views that are looked at: the foramina on sagittal T1 and T2, of the same size both."""

_VIEW = VIEWS[REFINED_VIEWS[0]]
_GROUPS = 8
_FLOOR_MM2 = 0.04
"""Least variance: that of 0.2 mm, about a third of a pixel."""

_HEAT_MM = 1.5
"""Width of the Gaussian that the heat is drawn to."""


class Refined(NamedTuple):
    """Where in their patches the points are.

    Attributes:
        offset_mm: From the patch's middle along rows and columns, as the patch is shown.
        variance_mm2: Expected square of the error along either.
        heat: Logits of the cells, row by row.
    """

    offset_mm: Float[Tensor, "N 2"]
    variance_mm2: Float[Tensor, " N"]
    heat: Float[Tensor, "N cells"]


class PointRefiner(nn.Module):
    """Look for the root of a foramen near the middle of a patch.

    Args:
        channels: Of the two scales; multiples of 8.
        pixels: Along either edge of the part of a patch that is looked at, its middle; a multiple
            of 4. A place further out cannot be found.

    Raises:
        ConfigurationError: If a size is impossible.
    """

    def __init__(self, channels: Sequence[int] = (32, 64), pixels: int = 36) -> None:
        super().__init__()
        fits = len(channels) == 2 and all(c > 0 and c % _GROUPS == 0 for c in channels)
        if not fits or not 8 <= pixels <= _VIEW.pixels or pixels % 4:
            raise ConfigurationError(
                f"a point refiner of {tuple(channels)} channels and {pixels} pixels is impossible",
                remedy="give two multiples of 8, and a multiple of 4 from 8 to "
                f"{_VIEW.pixels} pixels",
                code="VS-CFG-170",
            )
        fine, coarse = channels
        self.recipe: dict[str, Any] = {
            "refiner": type(self).__name__,
            "channels": [fine, coarse],
            "pixels": pixels,
        }
        self._edge = (_VIEW.pixels - pixels) // 2
        self.stem = nn.Sequential(
            Conv2d(_VIEW.slices, fine, 4, stride=2, padding=1, bias=False),
            nn.GroupNorm(_GROUPS, fine), nn.SiLU(), _Residual(fine),
        )  # fmt: skip
        self.down = nn.Sequential(
            Conv2d(fine, coarse, 2, stride=2), nn.GroupNorm(_GROUPS, coarse), nn.SiLU(),
            _Residual(coarse), Conv2d(coarse, fine, 1),
        )  # fmt: skip
        self.last = nn.Sequential(_Residual(fine), Conv2d(fine, 1, 1))
        self.register_buffer("cells_mm", _cells_mm(pixels // 2), persistent=False)
        self.cells_mm: Tensor

    def forward(self, patches: Float[Tensor, "N D S S"]) -> Refined:
        """Return where the points are; of a patch that shows nothing, its middle, most unsure.

        Args:
            patches: Of a view of `REFINED_VIEWS`, as `volume.patches.cut_patches` gives them.
        """
        part = slice(self._edge, patches.shape[-1] - self._edge)
        fine = self.stem(_standardised(patches[..., part, part]))
        both = fine + F.interpolate(self.down(fine), scale_factor=2.0, mode="nearest")
        heat = self.last(both).flatten(1).float()
        weight = heat.softmax(dim=1)
        offset = weight @ self.cells_mm
        square = (self.cells_mm - offset[:, None]).square().sum(dim=-1)
        return Refined(offset, (weight * square).sum(dim=1) / 2 + _FLOOR_MM2, heat)


def build_refiner(recipe: Mapping[str, Any]) -> PointRefiner:
    """Return an untrained point refiner from plain data.

    Args:
        recipe: `refiner`, the name of the class, and its arguments; see `PointRefiner.recipe`.

    Raises:
        ConfigurationError: If it names another class, or an argument is unknown or impossible.
    """
    arguments = dict(recipe)
    name = arguments.pop("refiner", None)
    unknown = set(arguments) - set(inspect.signature(PointRefiner).parameters)
    if name != PointRefiner.__name__ or unknown:
        odd = f"argument {min(map(str, unknown))!r}" if unknown else f"class {str(name)[:40]!r}"
        raise ConfigurationError(
            f"a point refiner with the {odd}",
            remedy="use the recipe of a PointRefiner",
            code="VS-CFG-171",
        )
    return PointRefiner(**arguments)


def refiner_loss(
    said: Refined, true_mm: Float[Tensor, "N 2"], cells_mm: Float[Tensor, "cells 2"]
) -> Tensor:
    """Return the mean of the negative log likelihood and of the cross-entropy, each half.

    Args:
        said: By the network.
        true_mm: Where the points are, from the patch's middle along rows and columns.
        cells_mm: Of the network.
    """
    square = (said.offset_mm - true_mm).square().sum(dim=1)
    likelihood = (0.5 * square / said.variance_mm2 + said.variance_mm2.log()).mean()
    away = (cells_mm - true_mm[:, None]).square().sum(dim=-1)
    wanted = F.softmax(-away / (2 * _HEAT_MM**2), dim=1)
    entropy = -(F.log_softmax(said.heat, dim=1) * wanted).sum(dim=1).mean()
    return 0.5 * likelihood + 0.5 * entropy


class _Residual(nn.Module):
    """Two convolutions over 3 x 3 cells around which the input is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(_GROUPS, channels)
        self.second = Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(_GROUPS, channels)

    def forward(self, x: Float[Tensor, "N C h h"]) -> Float[Tensor, "N C h h"]:
        """Return the cells with what their surroundings add to them."""
        inner = F.silu(self.first_norm(self.first(x)))
        return F.silu(x + self.second_norm(self.second(inner)))


def _cells_mm(cells: int) -> Tensor:
    """Return row and column of every cell, mm from the middle, (cells^2, 2)."""
    line = (torch.arange(cells) - (cells - 1) / 2) * 2 * _VIEW.pixel_mm
    return torch.cartesian_prod(line, line)


def _standardised(patches: Tensor) -> Tensor:
    """Return brightness with mean 0 and deviation 1 over what was measured, 0 elsewhere."""
    measured = (patches != 0).to(patches)
    size = measured.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1.0)
    centred = (patches - patches.sum(dim=(1, 2, 3), keepdim=True) / size) * measured
    spread = (centred.square().sum(dim=(1, 2, 3), keepdim=True) / size).sqrt()
    return centred / spread.clamp(min=math.sqrt(torch.finfo(torch.float32).eps))

"""PlaneBackbone: from single slices to two maps of features each, by a timm-3d network made flat.

Every filter of the network is summed over the slice axis and then works within the slice. The sum
is what a filter gives where neighbouring slices are alike; the drawn weights keep the variance that
they were meant to have (He et al., "Delving deep into rectifiers", 2015), and weights that were
inflated from photographs become those of the photographs again.

Shapes:
    N  slices    C  input channels    F G  features    J K  voxels to the front and to the head
    j k  cells
"""

from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.errors import ConfigurationError
from volspine.models.backbones import create_features
from volspine.models.convolutions import pad_small_map
from volspine.models.norms import choose_norms
from volspine.models.weights import load_weights

__all__ = ["PLANE_BACKBONES", "PlaneBackbone", "flatten_filters"]

PLANE_BACKBONES = ("resnet10t", "resnet18", "resnet34", "resnet50")
"""Names that are offered."""

FINE_STRIDE = 4
"""Voxels that a cell of the finer map stands for."""


class PlaneBackbone(nn.Module):
    """A residual network that sees each sagittal slice by itself, cut at stride 16.

    Args:
        name: One of `PLANE_BACKBONES`.
        in_channels: Channels of a slice.
        stages: 3 or 4 of the network's four stages. The fourth does not halve the map again: its
            filters are dilated instead, as in DeepLab.
        norm: `group` replaces every batch norm; `batch` keeps the network as published: a batch of
            studies is a batch of ten times as many slices, enough for it.
        weights: Local file with trained weights of this network in 3D, or of its namesake in timm.

    Raises:
        ConfigurationError: If the name is not offered or the number of stages is another.
        WeightsError: If the weights file is missing, damaged or of another network.
    """

    def __init__(
        self,
        name: str,
        *,
        in_channels: int = 6,
        stages: int = 3,
        norm: str = "group",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        _check(name, stages)
        self.network = create_features(
            name, out_indices=(1, stages), in_chans=in_channels, output_stride=16
        )
        if weights is not None:
            load_weights(self.network, Path(weights))
        flatten_filters(self.network)
        choose_norms(self.network, norm)
        fine, coarse = self.network.feature_info.channels()
        self.num_features: tuple[int, int] = (int(fine), int(coarse))

    def forward(
        self, slices: Float[Tensor, "N C J K"]
    ) -> tuple[Float[Tensor, "N F j4 k4"], Float[Tensor, "N G j16 k16"]]:
        """Return the maps of stride 4 and of stride 16 of every slice."""
        # timm's rows run along the body; the last of its axes is across the slices.
        fine, coarse = self.network(slices.transpose(-1, -2)[..., None])
        return fine[..., 0].transpose(-1, -2), coarse[..., 0].transpose(-1, -2)


def flatten_filters(network: nn.Module) -> None:
    """Make every filter and every pooling of a 3D network work within single slices.

    Args:
        network: Fed with (N, C, H, W, 1) afterwards.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            _flatten_convolution(module)
        elif isinstance(module, nn.MaxPool3d | nn.AvgPool3d):
            _flatten_pooling(module)


class _PlaneConv(nn.Conv3d):
    """Convolution within the only slice there is; run as the 2D one that it is."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, given = self.kernel_size[:2], cast("tuple[int, ...]", self.padding)[:2]
        flat, padding = pad_small_map(x[..., 0], kernel, given, self.dilation[:2])
        options = (self.stride[:2], tuple(padding), self.dilation[:2], self.groups)
        return F.conv2d(flat, self.weight[..., 0], self.bias, *options)[..., None]


def _flatten_convolution(module: nn.Conv3d) -> None:
    with torch.no_grad():
        module.weight = nn.Parameter(module.weight.sum(dim=-1, keepdim=True))
    module.kernel_size = (*module.kernel_size[:2], 1)
    module.__class__ = _PlaneConv


def _flatten_pooling(module: Any) -> None:
    for option, rest in (("kernel_size", 1), ("stride", 1), ("padding", 0)):
        value = getattr(module, option)
        flat = (value, value) if isinstance(value, int) else value[:2]
        setattr(module, option, (*flat, rest))
    if isinstance(module, nn.AvgPool3d) and module.stride == (1, 1, 1):
        module.kernel_size = (1, 1, 1)  # Of a dilated stage: two cells would lose one at the end.


def _check(name: str, stages: int) -> None:
    if name not in PLANE_BACKBONES:
        raise ConfigurationError(
            f"backbone {name!r} is not offered slice by slice",
            remedy=f"choose one of {', '.join(PLANE_BACKBONES)}",
            code="VS-CFG-216",
        )
    if stages not in (3, 4):
        raise ConfigurationError(
            f"a backbone of {stages} stages is not possible slice by slice",
            remedy="choose 3 or 4 stages",
            code="VS-CFG-217",
        )

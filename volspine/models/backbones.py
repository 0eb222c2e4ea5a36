"""Backbone: from a volume to one map of features; the one door to timm-3d.

A backbone is a timm-3d network cut at a stride. timm-3d calls its spatial axes (H, W, D) and
inflates photographs along D; here H runs along the body, W from front to back and D across the
slices, so that a sagittal slice is what a photograph was. That conversion lives here alone.

Slices are few and thick (about 4 mm apart, with 1 mm pixels), so the first `fine_slices` halvings
can spare the slice axis. By default every norm becomes a group norm; see `norms`.

Shapes:
    B  studies    C  input channels    F  features    I J K  voxels, RAS+    i j k  feature cells
"""

import copy
import importlib
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine._compat import import_torchvision
from volspine.errors import ConfigurationError
from volspine.models.convolutions import Conv3d
from volspine.models.norms import choose_norms
from volspine.models.weights import load_weights

__all__ = [
    "STRIDES",
    "SUPPORTED_BACKBONES",
    "Backbone",
    "create_features",
]

_EFFICIENTNET = (
    "tf_efficientnetv2_b0",
    "tf_efficientnetv2_b1",
    "tf_efficientnetv2_b2",
    "tf_efficientnetv2_b3",
    "tf_efficientnetv2_s",
    "efficientnetv2_rw_t",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_lite0",
)
_MAXVIT = (
    "maxvit_pico_rw_256",
    "maxvit_nano_rw_256",
    "maxvit_tiny_rw_224",
    "maxvit_tiny_tf_224",
    "maxvit_rmlp_pico_rw_256",
    "maxvit_rmlp_nano_rw_256",
    "maxvit_rmlp_tiny_rw_256",
)
_RESNET = ("resnet10t", "resnet14t", "resnet18", "resnet26t", "resnet34", "resnet50")
_VGG = ("vgg19", "vgg19_bn")

SUPPORTED_BACKBONES = _EFFICIENTNET + _MAXVIT + _RESNET + _VGG
"""Names that are offered; every one is held to the same contract by the tests."""

STRIDES = (2, 4, 8, 16, 32)
"""Strides at which a backbone can be cut."""

_LEAST_CLASSIFIER = 1 / 4096  # Of VGG: one unit in its first layer instead of 4096.
_PROBE = (64, 64, 64)  # Any volume of whole cells tells where a convolutional network reduces.


def _timm_3d() -> ModuleType:
    """Return the timm_3d package, imported so that its own deprecations stay its own."""
    import_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("timm_3d")


def create_features(name: str, **options: Any) -> Any:
    """Return a timm-3d network that gives its maps of features, as published; axes as there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.meshgrid")  # of the networks named rmlp
        return _timm_3d().create_model(name, features_only=True, **options)


class Backbone(nn.Module):
    """A timm-3d network cut at a stride, fed and read in (i, j, k) order.

    Args:
        name: One of `SUPPORTED_BACKBONES`.
        in_channels: Channels of the volume.
        shape: Voxels of the volume along i, j, k. Only the networks with attention are bound to
            it; they need multiples of 32 along each axis.
        stride: Voxels along j and k that one feature cell stands for: 2, 4, 8, 16 or 32.
        fine_slices: Number of halvings that leave the slice axis i as it is.
        norm: `group` replaces every batch norm; `batch` keeps the network as published.
        weights: Local file with trained weights (safetensors or torch), of this network in 3D or
            of its namesake in timm, whose filters are then repeated over the slices.

    Raises:
        ConfigurationError: If the name is not offered or an option does not fit.
        WeightsError: If the weights file is missing, damaged or of another network.
    """

    def __init__(  # noqa: PLR0913  one network has these seven properties
        self,
        name: str,
        *,
        in_channels: int = 6,
        shape: Sequence[int] = (32, 96, 144),
        stride: int = 8,
        fine_slices: int = 1,
        norm: str = "group",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        _check(name, shape, stride, fine_slices)
        self.network = create_features(
            name,
            out_indices=(STRIDES.index(stride) + (name in _VGG),),  # VGG has a stride of 1 as well.
            in_chans=in_channels,
            **_extras(name, shape),
        )
        _drop_unused_blocks(self.network)
        _keep_last_cells(self.network)
        _mend_layers(self.network)
        self.num_features = int(self.network.feature_info.channels()[0])
        self.strides = (stride >> fine_slices, stride, stride)
        if weights is not None:
            load_weights(self.network, Path(weights))
        choose_norms(self.network, norm)
        if fine_slices:
            probe = _to_timm_axes(shape) if name in _MAXVIT else _PROBE
            _spare_slices(self.network, fine_slices, (in_channels, *probe))

    def forward(self, volume: Float[Tensor, "B C I J K"]) -> Float[Tensor, "B F i j k"]:
        """Return the feature map; cell 0 covers voxels 0 to stride - 1 along each axis."""
        features = self.network(volume.permute(0, 1, 4, 3, 2).contiguous())[-1]
        result: Tensor = features.permute(0, 1, 4, 3, 2)
        return result


def _to_timm_axes(shape: Sequence[int]) -> tuple[int, int, int]:
    i, j, k = shape
    return (k, j, i)


def _check(name: str, shape: Sequence[int], stride: int, fine_slices: int) -> None:
    if name not in SUPPORTED_BACKBONES:
        raise ConfigurationError(
            f"backbone {name!r} is not offered",
            remedy=f"choose one of {', '.join(SUPPORTED_BACKBONES)}",
            code="VS-CFG-056",
        )
    if stride not in STRIDES or not 0 <= fine_slices <= STRIDES.index(stride) + 1:
        raise ConfigurationError(
            f"stride {stride} with {fine_slices} fine slices is not possible",
            remedy="choose a stride of 2, 4, 8, 16 or 32 and at most as many halvings to spare",
            code="VS-CFG-057",
        )
    strides = (stride >> fine_slices, stride, stride)
    if any(n < s for n, s in zip(shape, strides, strict=True)):
        raise ConfigurationError(
            f"a volume of {tuple(shape)} voxels has less than one cell of stride {strides}",
            remedy="choose a smaller stride, more fine slices or a larger volume",
            code="VS-CFG-058",
        )
    if name in _MAXVIT and any(n % 32 for n in shape):
        raise ConfigurationError(
            f"{name} cannot take a volume of {tuple(shape)} voxels",
            remedy="choose multiples of 32 along each axis, or a convolutional backbone",
            code="VS-CFG-058",
        )


def _extras(name: str, shape: Sequence[int]) -> dict[str, Any]:
    """Return what timm-3d must be told to make one of these networks."""
    if name in _MAXVIT:
        return {"img_size": _to_timm_axes(shape)}
    # timm-3d makes VGG's classifier, of 736 million weights, even where features alone are wanted.
    return {"mlp_ratio": _LEAST_CLASSIFIER} if name in _VGG else {}


def _keep_last_cells(network: nn.Module) -> None:
    """Let pooling without padding, which is VGG's, keep the odd voxel at an end."""
    for module in network.modules():
        if isinstance(module, nn.MaxPool3d) and module.padding == 0:
            module.ceil_mode = True


def _drop_unused_blocks(network: nn.Module) -> None:
    """Remove the stages of an EfficientNet behind its cut, which timm-3d would still compute."""
    if isinstance(blocks := getattr(network, "blocks", None), nn.Sequential):
        info: Any = network.feature_info
        network.blocks = blocks[: max(info.get("stage"))]


class _SameConv3d(nn.Conv3d):
    """Convolution with TensorFlow's padding: ceil(n / stride) cells, the odd voxel at the end."""

    def forward(self, x: Tensor) -> Tensor:
        x = _pad_same(x, self.kernel_size, self.stride)
        return F.conv3d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class _SameAvgPool3d(nn.AvgPool3d):
    """Average pooling with the same padding."""

    def forward(self, x: Tensor) -> Tensor:
        x = _pad_same(x, _triple(self.kernel_size), _triple(self.stride))
        return F.avg_pool3d(x, self.kernel_size, self.stride)


_MENDED = {"Conv3d": Conv3d, "Conv3dSame": _SameConv3d, "AvgPool3dSame": _SameAvgPool3d}


def _pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    padding: list[int] = []
    for n, k, s in zip(reversed(x.shape[-3:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding)


def _mend_layers(network: nn.Module) -> None:
    """Correct the layers of a network of timm-3d 1.0.1.

    Those of TensorFlow's padding pad the first spatial axis with the last one's size: their result
    is wrong wherever sizes or strides differ between the axes. Of the others see `convolutions`.
    """
    for module in network.modules():
        module.__class__ = _MENDED.get(type(module).__name__, type(module))


def _triple(value: int | Sequence[int]) -> tuple[int, int, int]:
    a, b, c = (value,) * 3 if isinstance(value, int) else value
    return (a, b, c)


def _spare_slices(network: nn.Module, halvings: int, shape: tuple[int, int, int, int]) -> None:
    """Set to 1 the stride along the slice axis of the first `halvings` levels of reduction."""
    modules = dict(network.named_modules())
    for name, level in _reductions(network, shape).items():
        if level < halvings:
            _keep_last_axis(modules[name])


def _reductions(network: nn.Module, shape: tuple[int, int, int, int]) -> dict[str, int]:
    """Return every module that reduces, with how often its input was halved before."""
    probe = copy.deepcopy(network).to("meta").eval()
    levels: dict[str, int] = {}

    def watch(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if output.shape[-3] < inputs[0].shape[-3]:
                levels[name] = round(math.log2(shape[1] / inputs[0].shape[-3]))

        return hook

    for name, module in probe.named_modules():
        if isinstance(module, nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d):
            module.register_forward_hook(watch(name))
    with torch.no_grad():
        probe(torch.zeros(1, *shape, device="meta"))
    return levels


def _keep_last_axis(module: Any) -> None:
    module.stride = (*_triple(module.stride)[:2], 1)
    kernel = _triple(module.kernel_size)
    if kernel[-1] % 2 == 0:  # An average over two slices would lose one; over one it does not.
        module.kernel_size = (*kernel[:2], 1)

"""Convolutions: as PyTorch's own, and right where a map is smaller than the kernel."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import volspine.models
from volspine.models.backbones import Backbone
from volspine.models.convolutions import Conv2d, Conv3d, pad_small_map

OWN = {nn.Conv2d: Conv2d, nn.Conv3d: Conv3d}


def results(layer, x, *, dtype=torch.float32):
    """The map and the gradients of input and weights of the sum of its squares."""
    memory = [torch.full((max(4096, layer.weight.numel()),), 1e30) for _ in range(3)]
    del memory  # What is left unwritten shows up as an absurd number.
    x = x.to(dtype, copy=True).requires_grad_()
    layer.zero_grad()
    y = layer.to(dtype)(x)
    y.float().square().sum().backward()
    return [each.detach().float().clone() for each in (y, x.grad, layer.weight.grad)]


def assert_close(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        scale = other.abs().max().clamp(min=1e-6)
        assert float((one - other).abs().max() / scale) < tolerance


def test_a_map_shorter_than_the_kernel_is_padded_first() -> None:
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    padded, left = pad_small_map(x, [3, 3], [1, 1], [1, 1])
    assert left == [0, 0]
    assert padded[0].tolist() == [
        [0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 5, 6, 0], [0, 0, 0, 0],
    ]  # fmt: skip


def test_a_map_that_holds_the_kernel_is_left_alone() -> None:
    x = torch.ones(1, 5, 3)
    assert pad_small_map(x, [3, 3], [1, 1], [2, 1]) == (x, [1, 1])
    padded, left = pad_small_map(x, [3, 3], [2, 1], [3, 1])  # 7 cells long: two gaps of 3.
    assert padded.shape == (1, 9, 5)
    assert left == [0, 0]


@given(
    torch_layer=st.sampled_from([nn.Conv2d, nn.Conv3d]),
    sizes=st.tuples(*[st.integers(1, 6)] * 3),
    kernel=st.tuples(*[st.sampled_from([1, 3, 5])] * 3),
    stride=st.tuples(*[st.integers(1, 2)] * 3),
    dilation=st.tuples(*[st.integers(1, 2)] * 3),
    depthwise=st.booleans(),
)
def test_they_are_pytorch_s_own_in_single_precision(
    torch_layer, sizes, kernel, stride, dilation, depthwise
):
    axes = 2 if torch_layer is nn.Conv2d else 3
    options = {
        "kernel_size": kernel[:axes],
        "stride": stride[:axes],
        "dilation": dilation[:axes],
        "padding": tuple(step * (n // 2) for n, step in zip(kernel, dilation, strict=True))[:axes],
        "groups": 8 if depthwise else 1,
    }
    torch.manual_seed(0)
    layer = torch_layer(8, 8, **options).double()
    own = OWN[torch_layer](8, 8, **options).double()
    own.load_state_dict(layer.state_dict())
    x = torch.randn(2, 8, *sizes[:axes])
    assert_close(results(own, x, dtype=torch.float64), results(layer, x, dtype=torch.float64), 1e-6)


SMALL = {
    "two slices": (Conv3d, (2, 3, 5), {"kernel_size": 3, "padding": 1}),
    "strided over one": (Conv3d, (4, 1, 6), {"kernel_size": 3, "padding": 1, "stride": 2}),
    "a column": (Conv2d, (12, 1), {"kernel_size": 3, "padding": 1, "stride": 2}),
    "far apart": (Conv2d, (4, 7), {"kernel_size": 3, "padding": 12, "dilation": 12}),
    "depthwise": (Conv3d, (4, 12, 5), {"kernel_size": 5, "padding": 2, "groups": 32}),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_gradients_in_bfloat16_are_right_on_small_maps(name, last):
    kind, sizes, options = SMALL[name]
    torch.manual_seed(0)
    layer = kind(32, 32, **options)
    layer.weight.data = layer.weight.data.bfloat16().float()
    x = torch.randn(5, 32, *sizes).bfloat16().float()
    expected = results(layer, x)
    if last:
        layout = torch.channels_last if len(sizes) == 2 else torch.channels_last_3d
        x = x.to(memory_format=layout)
    for _ in range(3):
        assert_close(results(layer, x, dtype=torch.bfloat16), expected, 0.05)


@pytest.mark.parametrize("name", ["resnet18", "vgg19_bn", "tf_efficientnetv2_b0"])
def test_every_convolution_of_a_backbone_is_of_this_kind(name):
    layers = [m for m in Backbone(name).modules() if isinstance(m, nn.Conv3d)]
    assert layers
    assert {type(layer).__name__ for layer in layers} <= {"Conv3d", "_SameConv3d"}
    assert not any(type(layer) is nn.Conv3d for layer in layers)


def test_no_network_of_ours_uses_pytorch_s_own() -> None:
    for path in Path(volspine.models.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "nn.Conv2d(" not in text, path.name
        assert "nn.Conv3d(" not in text, path.name

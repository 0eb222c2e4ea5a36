"""The backbones: one contract for every name, and what the door to timm-3d mends."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from volspine.errors import ConfigurationError, WeightsError
from volspine.models.backbones import (
    SUPPORTED_BACKBONES,
    Backbone,
    _SameAvgPool3d,
    _SameConv3d,
)

QUICK = ("tf_efficientnetv2_b0", "efficientnet_b0", "maxvit_pico_rw_256", "resnet10t")
SHAPE = (32, 32, 64)
SMALL = (16, 24, 40)


def every(names: tuple[str, ...]) -> list[object]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


def cells(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // s) for n, s in zip(shape, strides, strict=True))


@pytest.mark.parametrize("name", every(SUPPORTED_BACKBONES))
def test_every_backbone_keeps_the_contract(name: str) -> None:
    """Any cut, any anisotropy: the map has the promised shape, and every weight learns."""
    for stride, fine_slices in ((8, 0), (16, 1)):
        backbone = Backbone(
            name, in_channels=2, shape=SHAPE, stride=stride, fine_slices=fine_slices
        )
        out = backbone(torch.randn(1, 2, *SHAPE))
        assert backbone.strides == (stride >> fine_slices, stride, stride)
        assert out.shape == (1, backbone.num_features, *cells(SHAPE, backbone.strides))
        assert torch.isfinite(out).all()
        assert not any(isinstance(m, nn.BatchNorm3d) for m in backbone.modules())
    (out**2).sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


@pytest.mark.parametrize("name", ["tf_efficientnetv2_b0", "resnet10t"])
@pytest.mark.parametrize(("stride", "fine_slices"), [(2, 0), (4, 2), (8, 1), (16, 2), (32, 0)])
@pytest.mark.slow
def test_every_cut_of_a_convolutional_backbone_has_the_promised_shape(
    name: str, stride: int, fine_slices: int
) -> None:
    shape, odd = (32, 40, 48), (33, 40, 47)  # a convolution takes other sizes than it was made for
    backbone = Backbone(name, in_channels=1, shape=shape, stride=stride, fine_slices=fine_slices)
    for given in (shape, odd):
        with torch.no_grad():
            out = backbone(torch.zeros(1, 1, *given))
        assert tuple(out.shape[2:]) == cells(given, backbone.strides)


def test_axes_keep_their_meaning() -> None:
    """What moves by one cell along an axis of the volume moves by one cell along the same axis."""
    torch.manual_seed(0)
    backbone = Backbone(
        "resnet10t", in_channels=1, shape=(48,) * 3, stride=4, fine_slices=0, norm="batch"
    ).eval()
    volume = torch.zeros(1, 1, 48, 48, 48)
    volume[0, 0, 20:24, 20:24, 20:24] = 1.0
    with torch.no_grad():
        for axis in (2, 3, 4):
            moved = backbone(volume.roll(4, dims=axis))
            expected = backbone(volume).roll(1, dims=axis)
            inner = (slice(None), slice(None), *(slice(3, 9),) * 3)
            torch.testing.assert_close(moved[inner], expected[inner], atol=1e-5, rtol=1e-4)


def test_sparing_slices_spares_the_axis_from_right_to_left_only() -> None:
    backbone = Backbone("resnet10t", in_channels=1, stride=8, fine_slices=3)
    assert backbone.strides == (1, 8, 8)
    assert backbone(torch.zeros(1, 1, 5, 32, 16)).shape[2:] == (5, 4, 2)


def test_a_study_does_not_depend_on_its_batch_with_group_norm() -> None:
    torch.manual_seed(0)
    volumes = torch.randn(3, 1, *SMALL)
    group = Backbone("resnet10t", in_channels=1, stride=8).train()
    torch.testing.assert_close(group(volumes)[:1], group(volumes[:1]), atol=1e-4, rtol=1e-4)
    batch = Backbone("resnet10t", in_channels=1, stride=8, norm="batch").train()
    assert not torch.allclose(batch(volumes)[:1], batch(volumes[:1]), atol=1e-2)


def test_a_norm_that_is_not_offered_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="choose group or batch"):
        Backbone(name="resnet10t", norm="layer")


def test_unused_blocks_are_not_there() -> None:
    small, whole = (Backbone("efficientnet_b0", stride=s) for s in (8, 32))
    sizes = [sum(p.numel() for p in b.parameters()) for b in (small, whole)]
    assert sizes[0] < sizes[1] / 10


def test_same_padding_is_right_where_sizes_differ() -> None:
    """Stride 2 and kernel 3: one voxel is added behind an even axis, one at each end of an odd."""
    conv = _SameConv3d(1, 1, 3, stride=2, bias=False)
    nn.init.ones_(conv.weight)
    out = conv(torch.ones(1, 1, 4, 5, 6))
    assert out.shape[2:] == (2, 3, 3)
    assert out[0, 0, :, 1, 1].tolist() == [27.0, 18.0]
    assert out[0, 0, 0, :, 1].tolist() == [18.0, 27.0, 18.0]
    pool = _SameAvgPool3d(2)
    assert pool(torch.ones(1, 1, 4, 5, 6))[0, 0, 0, :, 0].tolist() == [1.0, 1.0, 0.5]


def test_equal_sizes_give_what_timm_3d_gives() -> None:
    from volspine.models.backbones import _timm_3d

    torch.manual_seed(0)
    ours = Backbone(
        "tf_efficientnetv2_b0", in_channels=1, stride=32, fine_slices=0, norm="batch"
    ).eval()
    theirs = _timm_3d().create_model("tf_efficientnetv2_b0", features_only=True, in_chans=1)
    theirs.load_state_dict({**theirs.state_dict(), **ours.network.state_dict()})
    volume = torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        expected = theirs.eval()(volume.permute(0, 1, 4, 3, 2))[-1].permute(0, 1, 4, 3, 2)
        torch.testing.assert_close(ours(volume), expected)


def test_weights_of_the_same_network_load_from_either_format(tmp_path: Path) -> None:
    trained = Backbone("resnet10t", stride=8, norm="batch")
    state = {name: value * 2 + 1 for name, value in trained.network.state_dict().items()}
    state["fc.weight"] = torch.zeros(3, 512)
    save_file(state, tmp_path / "w.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        loaded = Backbone("resnet10t", stride=8, weights=str(tmp_path / name), norm="batch")
        for key, value in loaded.network.state_dict().items():
            torch.testing.assert_close(value, state[key])


def test_weights_survive_the_change_to_group_norm(tmp_path: Path) -> None:
    state = Backbone("resnet10t", stride=8, norm="batch").network.state_dict()
    save_file({k: torch.full_like(v, 2) for k, v in state.items()}, tmp_path / "w.safetensors")
    loaded = Backbone("resnet10t", stride=8, weights=str(tmp_path / "w.safetensors"))
    assert all((p == 2).all() for p in loaded.network.parameters())


def test_photographic_weights_are_repeated_over_the_slices(tmp_path: Path) -> None:
    """The response to a volume that is the same in every slice is that of the 2D filter."""
    network = Backbone("resnet10t", in_channels=3, stride=8, norm="batch").network
    state = {
        k: v[..., 0].clone() if v.ndim == 5 else v.clone() for k, v in network.state_dict().items()
    }
    save_file(state, tmp_path / "w.safetensors")
    loaded = Backbone(
        "resnet10t", in_channels=6, stride=8, norm="batch", weights=str(tmp_path / "w.safetensors")
    )
    stem = next(m for m in loaded.network.modules() if isinstance(m, nn.Conv3d))
    flat = next(v for v in state.values() if v.ndim == 4)
    torch.testing.assert_close(stem.weight.sum(dim=-1)[:, :3], flat / 2)
    torch.testing.assert_close(stem.weight[:, :3], stem.weight[:, 3:])


def test_maxvit_weights_load_under_their_published_names(tmp_path: Path) -> None:
    made = Backbone("maxvit_pico_rw_256", shape=(32, 32, 32), stride=8, norm="batch")
    state = {k.replace("stages_", "stages."): v for k, v in made.network.state_dict().items()}
    save_file({k: v.clone() for k, v in state.items()}, tmp_path / "w.safetensors")
    Backbone(
        "maxvit_pico_rw_256",
        shape=(32, 32, 32),
        stride=8,
        norm="batch",
        weights=str(tmp_path / "w.safetensors"),
    )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = Backbone("resnet18", stride=8, norm="batch").network.state_dict()
    save_file(other, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="are missing"):
        Backbone("resnet10t", stride=8, weights=str(tmp_path / "w.safetensors"))


def test_weights_that_are_not_there_or_damaged_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"nonsense")
    for name in ("none.safetensors", "none.pt", "w.safetensors"):
        with pytest.raises(WeightsError, match="cannot read weights"):
            Backbone("resnet10t", stride=8, weights=str(tmp_path / name))


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    class Malicious:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trace,)

    (tmp_path / "w.pt").write_bytes(pickle.dumps(Malicious()))
    torch.save({"state_dict": Malicious()}, tmp_path / "zip.pt")
    for name in ("w.pt", "zip.pt"):
        with pytest.raises(WeightsError, match="cannot read weights"):
            Backbone("resnet10t", stride=8, weights=str(tmp_path / name))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet10"}, "is not offered"),
        ({"name": "../resnet10t"}, "is not offered"),
        ({"name": "resnet10t", "stride": 5}, "not possible"),
        ({"name": "resnet10t", "stride": 4, "fine_slices": 3}, "not possible"),
        ({"name": "resnet10t", "fine_slices": -1}, "not possible"),
        ({"name": "resnet10t", "stride": 32, "shape": (32, 96, 16)}, "less than one cell"),
        ({"name": "maxvit_pico_rw_256", "shape": (32, 100, 96)}, "cannot take a volume"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Backbone(**options)


def test_a_backbone_can_be_copied() -> None:
    backbone = Backbone("tf_efficientnetv2_b0", in_channels=1, stride=4).eval()
    volume = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(copy.deepcopy(backbone)(volume), backbone(volume))

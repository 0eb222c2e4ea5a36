"""Parts of SpineOne: attention by hand, the pyramid, the flat backbone, maps and points."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.anatomy import TARGETS, Condition, Finding, Side
from volspine.errors import ConfigurationError
from volspine.models.backbones import create_features
from volspine.models.mirror import mirror_points, mirror_targets
from volspine.models.plane_backbone import PlaneBackbone, flatten_filters
from volspine.models.pooling import position_code
from volspine.models.spineone_attention import ChannelAttention, DualAttention, PositionAttention
from volspine.models.spineone_maps import CONDITION_OF, SeverityMaps, decoded_points
from volspine.models.spineone_pyramid import AtrousPyramid, Decoder

NAMES = [target.name for target in TARGETS]
LEFT_FORAMEN = NAMES.index("left_neural_foraminal_narrowing_l4_l5")
RIGHT_FORAMEN = NAMES.index("right_neural_foraminal_narrowing_l4_l5")


def set_to(convolution, weight, bias=0.0):
    with torch.no_grad():
        convolution.weight.copy_(torch.as_tensor(weight).view_as(convolution.weight))
        convolution.bias.fill_(bias)


@torch.no_grad()
def test_position_attention_of_two_cells_by_hand():
    """q = k = x and v = 10 x: cell 1 (x = 1) sees itself by e / (e + 1), cell 0 both alike."""
    attend = PositionAttention(1)
    for convolution, factor in ((attend.query, 1.0), (attend.key, 1.0), (attend.value, 10.0)):
        set_to(convolution, factor)
    attend.gamma.fill_(0.5)
    maps = torch.tensor([[[[0.0, 1.0]]]])
    own = math.e / (math.e + 1)
    torch.testing.assert_close(attend.weights(maps), torch.tensor([[[0.5, 0.5], [1 - own, own]]]))
    torch.testing.assert_close(attend(maps), torch.tensor([[[[2.5, 1.0 + 5.0 * own]]]]))


@torch.no_grad()
def test_channel_attention_of_two_channels_by_hand():
    """x = (2, 0) and (2, 2): energies 2, 2 and 2, 4, so the second looks at the first by e^2."""
    attend = ChannelAttention()
    attend.beta.fill_(1.0)
    maps = torch.tensor([[[[2.0, 0.0]], [[2.0, 2.0]]]])
    other = math.e**2 / (math.e**2 + 1)
    torch.testing.assert_close(
        attend.weights(maps), torch.tensor([[[0.5, 0.5], [other, 1 - other]]])
    )
    expected = maps + torch.tensor([[[[2.0, 1.0]], [[2.0, 2.0 * (1 - other)]]]])
    torch.testing.assert_close(attend(maps), expected)


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 5))
@settings(max_examples=20)
def test_attention_is_the_identity_until_it_learns(seed, slices, cells):
    torch.manual_seed(seed)
    maps = torch.randn(slices, 8, cells, 3)
    torch.testing.assert_close(DualAttention(8)(maps), maps)


def test_attention_starts_to_learn_from_the_identity():
    attend = DualAttention(8)
    attend(torch.randn(1, 8, 3, 3)).square().sum().backward()
    assert attend.position.gamma.grad.abs() > 0
    assert attend.channel.beta.grad.abs() > 0


@torch.no_grad()
def test_attention_keeps_slices_apart():
    torch.manual_seed(0)
    attend = DualAttention(8)
    attend.position.gamma.fill_(1.0)
    attend.channel.beta.fill_(1.0)
    maps = torch.randn(3, 8, 2, 4)
    changed = maps.clone()
    changed[1] += 1
    before, after = attend(maps), attend(changed)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1])


@pytest.mark.parametrize("size", [(1, 1), (4, 7), (13, 5)])
@torch.no_grad()
def test_the_pyramid_keeps_the_size_of_its_map(size):
    pyramid = AtrousPyramid(5, width=16, rates=(1, 6, 12))
    assert pyramid(torch.randn(2, 5, *size)).shape == (2, 16, *size)


@torch.no_grad()
def test_a_rate_is_the_reach_of_a_branch():
    branch = AtrousPyramid(1, width=8, rates=(3,)).branches[1][0]
    maps = torch.zeros(1, 1, 9, 9)
    maps[..., 4, 4] = 1
    reached = branch(maps).abs().sum(dim=(0, 1)).nonzero().tolist()
    assert reached == [[a, b] for a in (1, 4, 7) for b in (1, 4, 7)]


@torch.no_grad()
def test_the_decoder_is_as_fine_as_the_finer_map():
    decoder = Decoder(6, 10, width=16, rates=(1,), attention=True)
    assert decoder(torch.randn(2, 6, 7, 12), torch.randn(2, 10, 2, 3)).shape == (2, 16, 7, 12)


@pytest.mark.parametrize("options", [{"width": 12}, {"width": 0}, {"rates": ()}, {"rates": (0,)}])
def test_a_decoder_that_is_not_possible_is_refused(options):
    with pytest.raises(ConfigurationError, match="is not possible"):
        Decoder(6, 10, **{"width": 16, "rates": (1,), "attention": False, **options})


@torch.no_grad()
def test_a_flat_network_gives_what_the_3d_one_does_inside_a_stack_of_equal_slices():
    torch.manual_seed(0)
    network = create_features("resnet10t", out_indices=(1,), in_chans=2).eval()
    picture = torch.randn(1, 2, 16, 16, 1)
    deep = network(picture.expand(-1, -1, -1, -1, 32))[-1]
    flatten_filters(network)
    flat = network(picture)[-1]
    torch.testing.assert_close(flat[..., 0], deep[..., deep.shape[-1] // 2], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("stages", [3, 4])
@torch.no_grad()
def test_both_cuts_of_the_backbone_have_strides_of_4_and_16(stages):
    backbone = PlaneBackbone("resnet10t", stages=stages)
    fine, coarse = backbone(torch.randn(2, 6, 32, 64))
    assert fine.shape == (2, backbone.num_features[0], 8, 16)
    assert coarse.shape == (2, backbone.num_features[1], 2, 4)


@torch.no_grad()
def test_rows_of_the_backbone_stay_in_place():
    """A bright spot to the front and to the head lights the map there: axes are not exchanged."""
    backbone = PlaneBackbone("resnet10t").eval()
    slices = torch.zeros(1, 6, 32, 64)
    dark = backbone(slices)[0]
    slices[:, :, 24:28, 8:12] = 5
    change = (backbone(slices)[0] - dark).abs().sum(dim=1)[0]
    change = change - change.median()
    assert torch.unravel_index(change.argmax(), change.shape)[0] in (5, 6, 7)
    assert torch.unravel_index(change.argmax(), change.shape)[1] in (1, 2, 3)


@pytest.mark.parametrize("wrong", [{"name": "tf_efficientnetv2_b0"}, {"stages": 2}])
def test_a_backbone_that_is_not_offered_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="slice by slice"):
        PlaneBackbone(**{"name": "resnet10t", **wrong})


def test_a_slice_is_read_by_itself_with_group_norm_and_beside_the_others_with_batch_norm():
    torch.manual_seed(0)
    slices = torch.randn(3, 6, 32, 64)
    group = PlaneBackbone("resnet10t").train()
    torch.testing.assert_close(group(slices)[1][:1], group(slices[:1])[1], atol=1e-4, rtol=1e-4)
    batch = PlaneBackbone("resnet10t", norm="batch").train()
    assert not torch.allclose(batch(slices)[1][:1], batch(slices[:1])[1], atol=1e-2)


def test_a_norm_that_is_not_offered_is_refused():
    with pytest.raises(ConfigurationError, match="norm 'layer' is not offered"):
        PlaneBackbone(name="resnet10t", norm="layer")


def maps_of(*, offsets=True):
    torch.manual_seed(0)
    maps = SeverityMaps(8, offsets=offsets)
    for parameter in maps.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return maps.eval()


@torch.no_grad()
def test_maps_of_a_mirrored_study_are_mirrored_with_sides_exchanged():
    maps, features = maps_of(), torch.randn(2, 5, 8, 3, 4)
    as_is = maps(features.flatten(0, 1), 5)
    reflected = maps(features.flip(1).flatten(0, 1), 5)
    torch.testing.assert_close(mirror_targets(reflected.heat).flip(3), as_is.heat)
    assert not torch.allclose(reflected.heat.flip(3), as_is.heat, atol=1e-2)
    swapped = [list(Condition).index(c.mirrored) for c in Condition]
    way = reflected.offset[:, swapped].flip(3) * torch.tensor([-1.0, 1, 1]).view(3, 1, 1, 1)
    torch.testing.assert_close(way, as_is.offset)


@torch.no_grad()
def test_left_and_right_differ_by_the_place_of_a_cell_alone():
    """Equal slices: what the left map says at slice i, the right map says at its mirror image."""
    heat = maps_of()(torch.randn(1, 8, 3, 4).expand(5, -1, -1, -1), 5).heat[0]
    left, right = heat[LEFT_FORAMEN], heat[RIGHT_FORAMEN]
    torch.testing.assert_close(left.flip(1), right)
    assert not torch.allclose(left, right, atol=1e-2)


@torch.no_grad()
def test_without_offsets_nothing_is_said_of_them():
    assert maps_of(offsets=False)(torch.randn(5, 8, 3, 4), 5).offset is None


def planted(points, strides, cells):
    """Attention and offsets that say exactly where the points are."""
    steps = torch.tensor(strides, dtype=torch.float32)
    wanted = (points - (steps - 1) / 2) / steps
    nearest = wanted.round().clamp_min(0).minimum(torch.tensor(cells) - 1.0)
    attention = torch.zeros(1, len(TARGETS), *cells)
    offset = torch.zeros(1, len(Condition), 3, *cells)
    for t, (i, j, k) in enumerate(nearest[0].long().tolist()):
        attention[0, t, i, j, k] = 1
        offset[0, CONDITION_OF[t], :, i, j, k] = wanted[0, t] - nearest[0, t]
    return attention, offset


@given(st.integers(0, 10_000), st.sampled_from([(1, 4, 4), (1, 2, 2), (2, 4, 8)]))
@settings(max_examples=25)
def test_points_are_decoded_exactly_from_what_was_planted(seed, strides):
    cells = (6, 9, 12)
    generator = torch.Generator().manual_seed(seed)
    # One cell a target at least apart within a condition, so that none overwrites another.
    spread = torch.arange(5).repeat(5) * 2.0
    points = torch.rand(1, len(TARGETS), 3, generator=generator)
    points[0, :, 2] = points[0, :, 2] * 0.9 + spread
    points = points * torch.tensor([6.0, 9.0, 1.0]) * torch.tensor(strides)
    attention, offset = planted(points, strides, cells)
    torch.testing.assert_close(decoded_points(attention, offset, strides), points)
    mirrored = decoded_points(
        mirror_targets(attention).flip(2),
        offset[:, [list(Condition).index(c.mirrored) for c in Condition]].flip(3)
        * torch.tensor([-1.0, 1, 1]).view(3, 1, 1, 1),
        strides,
    )
    torch.testing.assert_close(mirrored, mirror_points(points, cells[0] * strides[0]))


def test_without_offsets_a_point_is_the_centre_of_its_cell():
    attention = torch.zeros(1, len(TARGETS), 3, 4, 5)
    attention[:, :, 1, 2, 3] = 1
    points = decoded_points(attention, None, (1, 4, 4))
    assert points[0, 0].tolist() == [1.0, 9.5, 13.5]


def test_an_offset_is_that_of_the_targets_own_condition():
    attention = torch.zeros(1, len(TARGETS), 3, 2, 2)
    attention[:, :, 1, 0, 0] = 1
    offset = torch.zeros(1, len(Condition), 3, 3, 2, 2)
    left = list(Condition).index(Condition.LEFT_NEURAL_FORAMINAL_NARROWING)
    offset[:, left, 0] = 0.5
    points = decoded_points(attention, offset, (1, 1, 1))[0, :, 0]
    moved = [t.name for t, i in zip(TARGETS, points.tolist(), strict=True) if i == 1.5]
    assert moved == [
        t.name for t in TARGETS if t.side is Side.LEFT and t.name.startswith("left_neural")
    ]


def test_left_targets_are_read_with_their_own_place_as_trained_weights_expect():
    """Exchanged readings would be as good for a new network, and wrong for every trained one."""
    torch.manual_seed(0)
    maps, features = SeverityMaps(8, offsets=True), torch.randn(3, 8, 2, 2)
    code = maps.place(position_code((3, 2, 2), 5)).view(3, 2, 2, -1).permute(0, 3, 1, 2)
    read = maps.offset(torch.relu(maps.hidden(features) + code)).unflatten(1, (-1, 3))
    ways = maps(features, 3).offset[0]
    for n, condition in enumerate(Condition):
        own = read[:, list(Finding).index(condition.finding)].movedim(0, 1)
        assert torch.allclose(ways[n], own, atol=1e-5) == (condition.side is Side.LEFT)

"""The localizer: what comes out, that it follows from plain data, and that sides are sides."""

import json

import pytest
import torch
from torch.nn import functional as F

from volspine.errors import ConfigurationError
from volspine.landmarks import MIRRORED_POINT, POINTS
from volspine.models.localizer import (
    KIND_OF_POINT,
    Localizer,
    Located,
    average_mirrors,
    build_localizer,
    mirror_located,
)
from volspine.models.localizer_blocks import GroupNorm, Residual, fast_layout

SHAPE = (4, 16, 16)


@pytest.fixture(scope="module")
def small() -> Localizer:
    torch.manual_seed(0)
    return Localizer(channels=(4, 8, 8), shape=SHAPE).eval()


def series(count=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 1, *SHAPE, generator=generator)
    return image, torch.rand(image.shape, generator=generator) > 0.1


def test_every_cell_says_how_likely_and_how_far_each_point_is(small):
    with torch.no_grad():
        heat, offset = small(*series(2))
    assert heat.shape == (2, 28, 4, 8, 8)
    assert offset.shape == (2, 27, 3, 4, 8, 8)


def test_the_cells_of_the_full_network_are_four_millimetres():
    whole = Localizer()
    assert whole.cell_mm == (4.0, 4.0, 4.0)
    assert sum(p.numel() for p in whole.parameters()) < 2_500_000


def test_an_offset_is_shared_by_all_points_of_one_kind(small):
    with torch.no_grad():
        offset = small(*series()).offset[0]
    for n, name in enumerate(POINTS):
        like = [m for m, other in enumerate(POINTS) if other.split("_")[:2] == name.split("_")[:2]]
        if name.startswith("canal"):
            like = list(range(7))
        assert {KIND_OF_POINT[m] for m in like} == {KIND_OF_POINT[n]}
        assert torch.equal(offset[n], offset[like[0]])
    assert sorted(set(KIND_OF_POINT)) == [0, 1, 2, 3, 4]


def test_a_series_does_not_depend_on_what_else_is_in_its_batch(small):
    image, mask = series(3)
    with torch.no_grad():
        together, alone = small(image, mask), small(image[1:2], mask[1:2])
    torch.testing.assert_close(together.heat[1:2], alone.heat, rtol=1e-4, atol=1e-4)


def test_what_was_not_measured_is_not_seen(small):
    image, mask = series()
    with torch.no_grad():
        other = small(torch.where(mask, image, 500.0), mask)
        torch.testing.assert_close(small(image, mask).heat, other.heat)


def test_a_recipe_is_plain_and_makes_the_same_network_again(small):
    recipe = json.loads(json.dumps(small.recipe))
    again = build_localizer(recipe)
    again.load_state_dict(small.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(*series()).heat, small(*series()).heat)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"localizer": "os.system"}, "'os.system' is no localizer"),
        ({"colour": 1}, "'colour' is no argument of Localizer"),
        ({"channels": [8]}, "not possible"),
        ({"channels": [8, 8, 8], "shape": [6, 16, 16]}, "not possible"),
        ({"shape": [4, 16]}, "not possible"),
        ({"spacing_mm": [4, 2, 0]}, "not possible"),
    ],
    ids=["class", "argument", "channels", "halvings", "axes", "spacing"],
)
def test_a_recipe_that_cannot_be_is_refused(small, change, message):
    with pytest.raises(ConfigurationError, match=message):
        build_localizer({**small.recipe, **change})


def test_mirroring_exchanges_the_sides_and_turns_the_offsets_round():
    heat, offset = torch.zeros(1, 28, 4, 8, 8), torch.zeros(1, 27, 3, 4, 8, 8)
    left = POINTS.index("left_neural_foraminal_narrowing_l4_l5")
    right = POINTS.index("right_neural_foraminal_narrowing_l4_l5")
    heat[0, left, 0, 2, 3], heat[0, 27, 1, 2, 3] = 5.0, 7.0
    offset[0, left, :, 0, 2, 3] = torch.tensor([1.0, 2.0, 3.0])
    seen = mirror_located(Located(heat, offset))
    assert seen.heat[0, right, 3, 2, 3] == 5.0
    assert seen.heat[0, 27, 2, 2, 3] == 7.0
    assert seen.offset[0, right, :, 3, 2, 3].tolist() == [-1.0, 2.0, 3.0]
    assert MIRRORED_POINT[left] == right
    assert all(map(torch.equal, mirror_located(seen), (heat, offset)))


def test_a_mirrored_series_gives_exactly_the_mirrored_maps(small):
    image, mask = series(2, seed=3)
    with torch.no_grad():
        here = average_mirrors(small, image, mask)
        there = mirror_located(average_mirrors(small, image.flip(-3), mask.flip(-3)))
        alone = mirror_located(small(image.flip(-3), mask.flip(-3)))
        direct = small(image, mask)
    torch.testing.assert_close(there.heat, here.heat, rtol=0, atol=1e-6)
    torch.testing.assert_close(there.offset, here.offset, rtol=0, atol=1e-6)
    assert not torch.allclose(alone.heat, direct.heat, atol=1e-3)  # The network alone is not so.


@pytest.mark.parametrize(("channels", "shape"), [(16, (4, 6, 8)), (12, (3, 5, 7)), (4, (1, 1, 3))])
def test_the_group_norm_is_that_of_torch(channels, shape):
    norm = GroupNorm(channels)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, channels, *shape) * 3 + 1
    expected = F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    for given in (x, fast_layout(x)):
        torch.testing.assert_close(norm(given), expected, rtol=1e-4, atol=1e-4)


def test_a_block_that_adds_nothing_passes_its_input_on():
    block = Residual(4)
    torch.nn.init.zeros_(block.second_norm.weight)
    x = torch.randn(1, 4, 2, 4, 4)
    torch.testing.assert_close(block(x), F.silu(x))

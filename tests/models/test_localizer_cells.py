"""Cells, and points read out of them: centres, neighbours, sides."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.landmarks import MIRRORED_POINT, POINTS
from volspine.models.localizer import Localizer, Located, mirror_located
from volspine.models.localizer_cells import (
    around,
    as_list,
    cells_from_voxels,
    read_at,
    voxels_from_cells,
)
from volspine.models.localizer_readout import locate_soft

STRIDE, CELL = (1, 2, 2), (4.0, 4.0, 4.0)
SHAPE = (4, 8, 8)


def test_a_cells_centre_is_in_the_middle_of_its_voxels():
    cells = torch.tensor([[[3.0, 5.0, 7.0]]])
    assert voxels_from_cells(cells, STRIDE).tolist() == [[[3.0, 10.5, 14.5]]]
    torch.testing.assert_close(cells_from_voxels(voxels_from_cells(cells, STRIDE), STRIDE), cells)


def test_the_cells_around_a_point_are_those_of_a_box():
    near = around(torch.tensor([[[1.2, 3.9, 4.0]]]), SHAPE, radius_mm=4.0, cell_mm=CELL)
    assert near.cells[0, 0].shape == (27, 3)
    assert near.cells[0, 0].mean(dim=0).tolist() == [1.0, 4.0, 4.0]
    assert near.inside.all()
    assert near.place[0, 0, 13].item() == (1 * 8 + 4) * 8 + 4
    way = near.distance_mm(torch.tensor([[[1.2, 3.9, 4.0]]]), CELL)[0, 0, 13]
    torch.testing.assert_close(way, torch.tensor([0.8, -0.4, 0.0]))


def test_cells_beyond_the_edge_are_not_inside():
    near = around(torch.tensor([[[0.0, 0.0, 8.0]]]), SHAPE, radius_mm=4.0, cell_mm=CELL)
    kept = near.cells[near.inside].tolist()
    assert kept == [[0, 0, 7], [0, 1, 7], [1, 0, 7], [1, 1, 7]]
    assert near.place.min() >= 0
    assert near.place.max() < math.prod(SHAPE)


def test_what_stands_at_a_cell_is_read_in_the_points_own_channel():
    maps = torch.arange(2.0 * 3 * 4 * 8 * 8).view(2, 3, *SHAPE)
    place = torch.tensor([[[5], [6]], [[7], [8]]])
    found = read_at(as_list(maps), place, torch.tensor([2, 0]))
    flat = maps.flatten(2)
    assert found[..., 0].tolist() == [
        [flat[0, 2, 5], flat[0, 0, 6]],
        [flat[1, 2, 7], flat[1, 0, 8]],
    ]


@pytest.fixture(scope="module")
def localizer() -> Localizer:
    return Localizer(channels=(4, 4), shape=(4, 16, 16))


def empty() -> Located:
    return Located(torch.zeros(1, 28, *SHAPE), torch.zeros(1, 27, 3, *SHAPE))


def test_a_sharp_peak_with_an_offset_is_read_out_to_the_millimetre(localizer):
    located = empty()
    located.heat[0, 3, 2, 5, 6] = 60.0
    located.offset[0, 3, :, 2, 5, 6] = torch.tensor([1.0, -2.0, 0.5])
    found = locate_soft(located, localizer)
    expected = torch.tensor([2 + 1 / 4, 10.5 - 2 / 2, 12.5 + 0.5 / 2])
    torch.testing.assert_close(found.voxels[0, 3], expected)
    assert found.mass[0, 3].item() == pytest.approx(1.0)
    assert found.spread_mm[0, 3].item() == pytest.approx(0.0, abs=1e-4)
    assert found.presence[0, 3].item() > 0.99


def test_two_equal_cells_that_agree_have_no_spread_and_two_that_do_not_have_half(localizer):
    located = empty()
    located.heat[0, 0, 1, 4, 3:5] = 50.0
    found = locate_soft(located, localizer)
    torch.testing.assert_close(found.voxels[0, 0], torch.tensor([1.0, 8.5, 7.5]))
    assert found.spread_mm[0, 0].item() == pytest.approx(2.0, abs=1e-3)
    located.offset[0, 0, 2, 1, 4, 3], located.offset[0, 0, 2, 1, 4, 4] = 2.0, -2.0
    assert locate_soft(located, localizer).spread_mm[0, 0].item() == pytest.approx(0.0, abs=1e-2)


def test_flat_maps_say_that_a_point_is_as_likely_in_view_as_not(localizer):
    found = locate_soft(empty(), localizer)
    assert found.presence[0].tolist() == pytest.approx([0.5] * 27)
    assert found.mass.max() <= 125 / math.prod(SHAPE) + 1e-6


def test_a_place_to_look_near_is_kept_to(localizer):
    located = empty()
    located.heat[0, 0, 0, 0, 0] = 50.0
    located.heat[0, 0, 3, 7, 7] = 40.0
    near = torch.tensor([3.0, 7.0, 7.0]).expand(1, 27, 3)
    found = locate_soft(located, localizer, near=near)
    torch.testing.assert_close(found.voxels[0, 0], torch.tensor([3.0, 14.5, 14.5]))
    assert found.mass[0, 0].item() == pytest.approx(math.exp(-10), rel=1e-3)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**20))
def test_mirrored_maps_give_the_mirrored_points(seed):
    generator = torch.Generator().manual_seed(seed)
    localizer = Localizer(channels=(4, 4), shape=(4, 16, 16))
    located = Located(
        torch.randn(1, 28, *SHAPE, generator=generator) * 4,
        torch.randn(1, 27, 3, *SHAPE, generator=generator),
    )
    here = locate_soft(located, localizer)
    there = locate_soft(mirror_located(located), localizer)
    swapped = here.voxels[:, list(MIRRORED_POINT)]
    expected = torch.cat([SHAPE[0] - 1 - swapped[..., :1], swapped[..., 1:]], dim=-1)
    torch.testing.assert_close(there.voxels, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(there.mass, here.mass[:, list(MIRRORED_POINT)])
    assert len(POINTS) == here.voxels.shape[1]

"""Points from attention maps: the place of the largest cell, on the side where it is."""

import pytest
import torch

from volspine.models.attended import attended_points
from volspine.models.guidance import guidance_target
from volspine.models.mirror import mirror_targets, mirror_volume

SHAPE = (24, 96, 144)
CELLS = (6, 12, 18)


def points(batch=1):
    spread = torch.tensor(SHAPE) - 24
    return 12 + torch.rand(batch, 25, 3, generator=torch.Generator().manual_seed(0)) * spread


def test_the_map_that_guidance_asks_for_points_where_guidance_points():
    true = points()
    maps = guidance_target(true, SHAPE, CELLS, sigma_voxels=(2.0, 4.0, 4.0))
    away = (attended_points(maps, SHAPE) - true).abs()
    # A Gaussian of half a cell, cut off beyond one cell, is centred to within a tenth of a cell.
    assert away[..., 0].max() < 0.4
    assert away[..., 1:].max() < 0.8


def test_a_second_place_far_away_does_not_move_the_point():
    maps = torch.zeros(1, 25, *CELLS)
    maps[:, :, 1, 3, 4] = 0.6
    maps[:, :, 5, 10, 15] = 0.4
    assert attended_points(maps, SHAPE)[0, 0].tolist() == [5.5, 27.5, 35.5]


def test_the_mirrored_map_points_to_the_mirrored_place():
    maps = guidance_target(points(), SHAPE, CELLS)
    there = attended_points(mirror_targets(mirror_volume(maps)), SHAPE)
    direct = mirror_targets(attended_points(maps, SHAPE))
    expected = torch.stack([SHAPE[0] - 1 - direct[..., 0], *direct[..., 1:].unbind(-1)], dim=-1)
    torch.testing.assert_close(there, expected, atol=1e-3, rtol=0)
    assert (there - direct).abs()[..., 0].max() > 1


@pytest.mark.parametrize("scale", [1e-30, 1.0])
def test_maps_need_not_sum_to_one(scale):
    maps = torch.rand(2, 25, *CELLS, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(attended_points(maps * scale, SHAPE), attended_points(maps, SHAPE))

"""The loss of a localizer: hand values, what counts for nothing, and that sides are sides."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.landmarks import CHAIN, MIRRORED_POINT, POINTS
from volspine.models.localizer import KIND_OF_POINT, Maps, mirror_located
from volspine.models.localizer_blocks import fast_layout
from volspine.models.localizer_cells import voxels_from_cells
from volspine.models.localizer_loss import LocalizerLoss, log_mass

SHAPE = (8, 16, 16)
CELLS = math.prod(SHAPE)
STRIDE = (1, 2, 2)


def flat() -> Maps:
    return Maps(torch.zeros(1, 28, *SHAPE), torch.zeros(1, 5, 3, *SHAPE))


def scene(seed=0):
    """Points somewhere inside, as voxel indices; all in view; the chain begins at the top."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.rand(1, 27, 3, generator=generator) * torch.tensor([5.0, 13.0, 12.0]) + 1
    cells[:, 0, 2] = 15.0
    return voxels_from_cells(cells, STRIDE), torch.ones(1, 27, dtype=torch.bool), cells


def gaussian(cell, sigma_mm=4.0):
    """The dense Gaussian of 4 mm around a cell, cut off at 3.5 deviations along each axis."""
    axes = []
    for n, size in enumerate(SHAPE):
        away = 4.0 * (torch.arange(size) - cell[n])
        near = (torch.arange(size) - cell[n].round()).abs() <= math.ceil(3.5 * sigma_mm / 4)
        axes.append(torch.exp(-0.5 * (away / sigma_mm) ** 2) * near)
    i, j, k = axes
    return i[:, None, None] * j[None, :, None] * k[None, None]


def test_flat_maps_are_as_far_from_the_gaussians_as_their_entropy_says():
    points, visible, cells = scene()
    told = LocalizerLoss()(flat(), points, visible)
    distances = []
    for n in range(27):
        share = gaussian(cells[0, n]) / gaussian(cells[0, n]).sum()
        distances.append(math.log(CELLS) + torch.special.xlogy(share, share).sum())
    weight = torch.tensor([1.0] * 7 + [0.35] * 20)
    expected = (weight * torch.stack(distances)).sum() / weight.sum()
    assert told["where"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert told["presence"].item() == pytest.approx(math.log(2), rel=1e-4)


def test_maps_that_are_the_gaussians_cost_nothing():
    points, visible, cells = scene()
    heat = torch.stack([gaussian(cell).clamp_min(1e-30).log() for cell in cells[0]])
    maps = Maps(torch.cat([heat, torch.zeros(1, *SHAPE)])[None], flat().offset)
    assert LocalizerLoss()(maps, points, visible)["where"].item() == pytest.approx(0, abs=1e-4)


def test_offsets_cost_their_smooth_distance_near_visible_points():
    points, visible, cells = scene()
    visible[:] = False
    visible[0, 2] = True
    maps = flat()
    place = tuple(cells[0, 2].round().int().tolist())
    axes = [torch.arange(size) for size in SHAPE]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    maps.offset[0, 0] = 4.0 * (cells[0, 2].view(3, 1, 1, 1) - grid)
    loss = LocalizerLoss()
    assert loss(maps, points, visible)["offset"].item() == pytest.approx(0, abs=1e-6)
    maps.offset[0, 0, 0] += 3.0
    assert loss(maps, points, visible)["offset"].item() == pytest.approx(2.5, rel=1e-5)
    maps.offset[0, 0, 1] += 0.5
    assert loss(maps, points, visible)["offset"].item() == pytest.approx(2.625, rel=1e-5)
    maps.offset[0, 1:] = 99.0  # Of other kinds of points.
    assert loss(maps, points, visible)["offset"].item() == pytest.approx(2.625, rel=1e-5)
    assert maps.offset[(0, 0, 1, *place)] != 0


def test_a_map_of_the_nearest_discs_costs_nothing_and_cells_above_the_chain_never_do():
    points, visible, cells = scene()
    loss = LocalizerLoss()
    sure = flat()
    nearest = torch.stack([gaussian(cell) for cell in cells[0, : len(CHAIN)]]).amax(dim=0)
    sure.heat[0, 27] = nearest.clamp(1e-6, 1 - 1e-6).logit()
    assert loss(sure, points, visible)["any"].item() == pytest.approx(0, abs=1e-4)
    unsure = ((nearest - 0.5) ** 2 * math.log(2)).sum() / len(CHAIN)
    assert loss(flat(), points, visible)["any"].item() == pytest.approx(unsure.item(), rel=1e-4)
    low = points.clone()
    low[:, 0, 2] = 5.0
    above = flat()
    above.heat[:, 27, :, :, 6:] = 9.0  # The first disc is at cell 2.25, and 12 mm are 3 cells.
    assert loss(above, low, visible)["any"].item() == loss(flat(), low, visible)["any"].item()


def test_what_is_not_in_view_pulls_only_at_its_presence():
    points, visible, _ = scene()
    visible[0, 4] = False
    maps = Maps(torch.randn(1, 28, *SHAPE, requires_grad=True), flat().offset)
    parts = LocalizerLoss(presence=0.0)(maps, points, visible)
    parts["loss"].backward()
    assert not maps.heat.grad[0, 4].any()
    assert maps.heat.grad[0, 5].any()
    maps.heat.grad = None
    LocalizerLoss()(maps, points, visible)["presence"].backward()
    assert (maps.heat.grad[0, 4] > 0).all()  # Less of it would be better.
    assert (maps.heat.grad[0, 5] < 0).all()


def test_where_nothing_is_in_view_the_loss_is_finite():
    points, visible, _ = scene()
    maps = Maps(torch.randn(1, 28, *SHAPE, requires_grad=True), flat().offset)
    parts = LocalizerLoss()(maps, points + 500, torch.zeros_like(visible))
    parts["loss"].backward()
    assert parts["where"].item() == parts["offset"].item() == 0
    assert torch.isfinite(maps.heat.grad).all()


def test_the_parts_add_up_with_their_weights():
    points, visible, _ = scene()
    weights = {"presence": 0.3, "any_disc": 0.7, "offset": 0.9}
    parts = LocalizerLoss(**weights)(flat(), points, visible)
    names = {"presence": "presence", "any_disc": "any", "offset": "offset"}
    expected = parts["where"] + sum(weights[n] * parts[names[n]] for n in weights)
    torch.testing.assert_close(parts["loss"], expected)


@settings(deadline=None, max_examples=3)
@given(seed=st.integers(0, 2**20))
def test_the_mirrored_scene_costs_the_same(seed):
    generator = torch.Generator().manual_seed(seed)
    maps = Maps(
        torch.randn(1, 28, *SHAPE, generator=generator),
        torch.randn(1, 5, 3, *SHAPE, generator=generator),
    )
    points, visible, _ = scene(seed)
    visible = torch.rand(visible.shape, generator=generator) > 0.3
    mirrored = mirror_located(maps.located())
    kinds = [KIND_OF_POINT.index(kind) for kind in range(5)]
    swapped = points[:, list(MIRRORED_POINT)]
    swapped[..., 0] = SHAPE[0] - 1 - swapped[..., 0]
    here = LocalizerLoss()(maps, points, visible)
    there = LocalizerLoss()(
        Maps(mirrored.heat, mirrored.offset[:, kinds]), swapped, visible[:, list(MIRRORED_POINT)]
    )
    # A point midway between two cells may round to either.
    for name in here:
        torch.testing.assert_close(there[name], here[name], rtol=1e-3, atol=1e-4)
    unswapped = points.clone()
    unswapped[..., 0] = SHAPE[0] - 1 - unswapped[..., 0]
    wrong = LocalizerLoss()(Maps(mirrored.heat, mirrored.offset[:, kinds]), unswapped, visible)
    assert wrong["where"] != here["where"]


def test_the_mass_is_the_log_of_the_sum_of_exponentials_in_any_layout():
    maps = torch.randn(2, 28, *SHAPE) * 9
    maps[:, 3] -= 400.0
    expected = maps.flatten(2).logsumexp(-1)
    for given_maps in (maps, fast_layout(maps)):
        cells = given_maps.permute(0, 2, 3, 4, 1).reshape(2, -1, 28)
        torch.testing.assert_close(log_mass(cells), expected)
    odd = torch.randn(1, 7, 3)
    torch.testing.assert_close(log_mass(odd), odd.logsumexp(1))


@pytest.mark.parametrize(
    "options",
    [{"lateral": -1.0}, {"offset": -0.1}, {"sigma_mm": 0.0}, {"cell_mm": (4.0, 4.0, 0.0)}],
    ids=["lateral", "offset", "sigma", "cell"],
)
def test_a_negative_weight_or_no_size_is_refused(options):
    with pytest.raises(ConfigurationError, match="negative or a size not positive"):
        LocalizerLoss(**options)


def test_there_is_a_weight_for_every_point():
    assert len(LocalizerLoss().points) == len(POINTS)

"""The point refiner: what it reads, what it says of nothing, and that it can learn."""

import math

import pytest
import torch

from volspine.errors import ConfigurationError
from volspine.models.point_refiner import (
    REFINED_VIEWS,
    PointRefiner,
    Refined,
    build_refiner,
    refiner_loss,
)
from volspine.views import VIEWS

SMALL = {"channels": (8, 8), "pixels": 36}


def small(seed: int = 0) -> PointRefiner:
    torch.manual_seed(seed)
    return PointRefiner(**SMALL).eval()


def patches(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 5, 40, 40, generator=torch.Generator().manual_seed(seed))


def dots(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches with a dark dot on a bright ground, and where it is, mm."""
    rng = torch.Generator().manual_seed(seed)
    at = (torch.rand(count, 2, generator=rng) - 0.5) * 12.0
    line = (torch.arange(40) - 19.5) * 0.7
    square = (line[:, None] - at[:, 0, None, None]) ** 2 + (line - at[:, 1, None, None]) ** 2
    image = 1.0 - 1.5 * torch.exp(-square / (2 * 2.0**2))
    noise = 0.05 * torch.randn(count, 5, 40, 40, generator=rng)
    return image[:, None] + noise, at


def test_it_looks_at_the_foramina_on_both_sagittal_protocols():
    assert [VIEWS[n].name for n in REFINED_VIEWS] == ["foramen_sagittal_t1", "foramen_sagittal_t2"]
    sizes = {(VIEWS[n].slices, VIEWS[n].pixels, VIEWS[n].pixel_mm) for n in REFINED_VIEWS}
    assert len(sizes) == 1


def test_its_recipe_builds_it_again():
    refiner = small()
    again = build_refiner(refiner.recipe)
    again.load_state_dict(refiner.state_dict())
    assert again.recipe == refiner.recipe
    assert torch.equal(again.eval()(patches(2)).heat, refiner(patches(2)).heat)


def test_brightness_and_contrast_do_not_matter():
    seen = patches(3)
    here, there = small()(seen), small()(7.0 * seen)
    torch.testing.assert_close(here.offset_mm, there.offset_mm, atol=1e-4, rtol=1e-4)


def test_what_lies_outside_of_its_part_of_a_patch_does_not_matter():
    seen = patches(2)
    other = seen.clone()
    other[..., :2, :], other[..., -2:] = 9.0, -9.0
    assert torch.equal(small()(seen).heat, small()(other).heat)


def test_a_patch_that_shows_nothing_is_finite_and_alike_for_all():
    said = small()(torch.zeros(2, 5, 40, 40))
    assert said.heat.isfinite().all()
    assert torch.equal(said.offset_mm[0], said.offset_mm[1])


def test_the_offset_is_the_mean_of_the_cells_and_the_variance_theirs():
    refiner = small()
    cells = refiner.cells_mm
    assert cells.shape == (18 * 18, 2)
    assert cells[0].tolist() == pytest.approx([-11.9, -11.9])
    assert (cells[1] - cells[0]).tolist() == pytest.approx([0.0, 1.4])
    assert cells.mean(dim=0).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    torch.nn.init.zeros_(refiner.last[1].weight)
    with torch.no_grad():
        said = refiner(patches(1))
    assert said.offset_mm[0].tolist() == pytest.approx([0.0, 0.0], abs=1e-4)
    # Evenly over 18 cells of 1.4 mm: (18^2 - 1) / 12 cells squared along either axis.
    assert float(said.variance_mm2) == pytest.approx(323 / 12 * 1.4**2 + 0.04, rel=1e-4)


def test_the_loss_is_least_for_what_is_right_and_as_unsure_as_it_is_wrong():
    cells = small().cells_mm
    true = torch.tensor([[1.0, -2.0]])

    def loss(away: float, variance: float) -> float:
        offset = true + torch.tensor([[away, 0.0]])
        said = Refined(offset, torch.tensor([variance]), torch.zeros(1, len(cells)))
        return float(refiner_loss(said, true, cells))

    assert loss(0.0, 1.0) < loss(0.5, 1.0) < loss(2.0, 1.0)
    assert loss(2.0, 2.0) < min(loss(2.0, 1.0), loss(2.0, 4.0))
    # Flat heat costs log(cells) whatever is wanted; half of it counts.
    assert loss(0.0, 1.0) == pytest.approx(0.5 * math.log(len(cells)), rel=1e-4)


def test_it_learns_where_a_dot_is():
    refiner = small().train()
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=5e-3)
    for step in range(25):
        seen, at = dots(12, seed=step)
        loss = refiner_loss(refiner(seen), at, refiner.cells_mm)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seen, at = dots(32, seed=1000)
    with torch.no_grad():
        said = refiner.eval()(seen)
    assert float((said.offset_mm - at).norm(dim=1).median()) < 0.5 * float(at.norm(dim=1).median())


@pytest.mark.parametrize(
    "odd",
    [{"channels": (8,)}, {"channels": (8, 12)}, {"pixels": 34}, {"pixels": 44}, {"pixels": 4}],
    ids=["one scale", "no multiple", "odd halves", "too wide", "too small"],
)
def test_impossible_sizes_are_refused(odd):
    with pytest.raises(ConfigurationError, match="VS-CFG-170"):
        PointRefiner(**{**SMALL, **odd})


@pytest.mark.parametrize(
    "recipe",
    [{}, {"refiner": "Localizer"}, {"refiner": "PointRefiner", "device": "cuda"}],
    ids=["no class", "another class", "an unknown argument"],
)
def test_a_recipe_of_something_else_is_refused(recipe):
    with pytest.raises(ConfigurationError, match="VS-CFG-171"):
        build_refiner(recipe)

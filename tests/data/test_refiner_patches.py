"""What a point refiner learns from: patches about places that are off, and how far off they are."""

from functools import cache

import numpy as np
import pytest
import torch

from tests.volume.made_crops import crops_of, linear
from tests.volume.marks import upright_points
from volspine.anatomy import TARGETS, Finding
from volspine.data import crop_store
from volspine.data.crop_store import StoredCrops
from volspine.data.level_people import CropDraws, CropPeople
from volspine.data.refiner_looks import any_contrast, with_gaps
from volspine.data.refiner_patches import FarLooks, RefinerPatches, far_patches
from volspine.phantom.levels import PhantomLevels
from volspine.volume.jitter import measured_errors

FORAMINA = [t.index for t in TARGETS if t.finding is Finding.FORAMEN]
LINE = (torch.arange(40) - 19.5) * 0.7


def balls(at):
    """A bright ball about each foramen, wide enough for the slices beside it."""
    value = np.ones(at.shape[:-1])
    for point in upright_points()[FORAMINA]:
        away = (at - point) / [6.0, 1.0, 1.0]
        value += 3.0 * np.exp(-0.5 * (away**2).sum(axis=-1) / 1.5**2)
    return value


@cache
def ball_crops():
    return crops_of(balls)


def far(looks):
    return far_patches(ball_crops(), looks, measured_errors(), np.random.default_rng(0))


def brightest(patches):
    weight = (patches[:, 2] - 0.3).clamp(min=0.0) ** 2
    mass = weight.sum(dim=(1, 2))
    return torch.stack(
        [(weight.sum(dim=2) @ LINE) / mass, (weight.sum(dim=1) @ LINE) / mass], dim=1
    )


def test_the_true_place_is_where_the_picture_shows_it_turned_and_zoomed():
    looks = FarLooks(widen_mm=1.5, turn_deg=30.0, zoom=0.3, colours=False)
    patches, true_mm = far(looks)
    assert patches.shape == (20, 5, 40, 40)
    assert float(true_mm.norm(dim=1).median()) > 1.0
    assert float((brightest(patches) - true_mm).norm(dim=1).max()) < 0.3


def test_more_widening_lies_further_off():
    near, wide = (
        float(far(FarLooks(widen_mm=mm, colours=False))[1].norm(dim=1).median()) for mm in (0, 4)
    )
    assert near < 3.0 < wide


def test_a_study_of_which_nothing_was_measured_gives_no_patch():
    crops = crops_of(linear)
    dark = crops._replace(sagittal_mask=torch.zeros_like(crops.sagittal_mask))
    rng = np.random.default_rng(0)
    patches, true_mm = far_patches(dark, FarLooks(), measured_errors(), rng)
    assert (len(patches), len(true_mm)) == (0, 0)


def test_any_contrast_keeps_what_was_not_measured_and_differs_between_patches():
    seen = torch.rand(6, 5, 40, 40, generator=torch.Generator().manual_seed(0))
    seen[:, :, :, :9] = 0.0
    made, again, other = (any_contrast(seen, torch.Generator().manual_seed(n)) for n in (1, 1, 2))
    assert torch.equal(made, again)
    assert not torch.equal(made, other)
    assert (made[..., :9] == 0).all()
    assert made.isfinite().all()


def test_any_contrast_sometimes_turns_dark_into_bright():
    ramp = torch.linspace(-0.9, 3.0, 40).expand(200, 5, 40, 40)
    made = any_contrast(ramp, torch.Generator().manual_seed(0))
    rises = (made[:, 2, :, 30] - made[:, 2, :, 10]).mean(dim=1)
    assert 0.15 < float((rises < 0).float().mean()) < 0.45


def test_gaps_leave_the_middle_of_the_middle_slice():
    seen = torch.ones(300, 5, 40, 40)
    made = with_gaps(seen, torch.Generator().manual_seed(0))
    assert (made[:, 2, 7:-7, 7:-7] == 1).all()
    gone = made[:, [0, 1, 3, 4], 20, 20] == 0
    assert 0.02 < float(gone.float().mean()) < 0.12
    assert 0.04 < float((made[:, 2, 0, 20] == 0).float().mean()) < 0.2


@pytest.fixture
def data(tmp_path, monkeypatch):
    zeros = torch.zeros(25, dtype=torch.int64)
    levels = PhantomLevels(ball_crops(), zeros, zeros.expand(3, 25))
    monkeypatch.setattr(crop_store, "phantom_levels", lambda spec: levels)
    people = CropPeople(train={"probe": 3}, val={"probe": 2}, test={})
    draws = CropDraws(batch_size=2, steps=2)
    made = RefinerPatches(str(tmp_path / "crops"), people=people, draws=draws)
    made.setup("fit")
    return made


def test_batches_hold_both_foramina_of_all_levels_in_both_protocols(data):
    batches = list(data.train_dataloader())
    assert len(batches) == 2
    for batch in batches:
        assert batch["patches"].shape == (40, 5, 40, 40)
        assert batch["true_mm"].shape == (40, 2)
        assert len(batch["study_id"]) == 2


def test_rounds_differ_and_validation_never_does(data):
    first, second = (next(iter(data.val_dataloader())) for _ in range(2))
    assert torch.equal(first["patches"], second["patches"])
    one, two = (batch["true_mm"] for batch in data.train_dataloader())
    assert not torch.equal(one, two)


def test_it_says_plainly_who_was_trained_on(data):
    assert data.recipe() == {"people": {"probe": 3}, "seed": 2000}
    assert data.studies("val") == ["probe_2001_00000", "probe_2001_00001"]
    assert data.test_dataloader() == []
    assert isinstance(data._stores["train"][0], StoredCrops)

"""Looks: what is drawn is what happens, and grades stay with their patches."""

import numpy as np
import pytest
import torch

from tests.volume.made_crops import crops_of, linear
from volspine.anatomy import LEVELS, PROTOCOLS, TARGETS, Finding, Side
from volspine.data.crop_colours import coloured
from volspine.data.crop_looks import (
    AS_LOCATED,
    AS_THEY_ARE,
    Looks,
    draw_look,
    seen_patches,
    stacked_looks,
)
from volspine.errors import ConfigurationError
from volspine.views import TOKEN_TARGET, VIEWS
from volspine.volume.jitter import measured_errors
from volspine.volume.patches import cut_patches
from volspine.volume.study_crops import batched

ERRORS = measured_errors()
WILD = Looks(turn_deg=20.0, zoom=0.2, gain=0.5, gamma=0.4, noise=0.3, drop_patch=0.2)


@pytest.fixture(scope="module")
def crops():
    made = crops_of(linear)
    half = made.sagittal_mask.clone()
    half[..., :30, :] = False  # The upper part of every sagittal crop was not measured.
    return batched([made._replace(sagittal_mask=half)])


def look_of(looks, seed=0):
    return stacked_looks([draw_look(looks, ERRORS, np.random.default_rng(seed))])


def only(**amounts):
    """Looks of which one thing varies."""
    return Looks(**{**{f: getattr(AS_THEY_ARE, f) for f in vars(AS_THEY_ARE)}, **amounts})


def test_without_variation_patches_are_those_of_the_true_places(crops):
    patches, points = seen_patches(crops, look_of(AS_THEY_ARE))
    plain = cut_patches(crops, crops.points_mm)
    assert torch.equal(points, crops.points_mm)
    for ours, theirs in zip([*patches.images, *patches.covered],
                            [*plain.images, *plain.covered], strict=True):  # fmt: skip
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_places_err_as_the_localizer_was_measured_to():
    drawn = np.stack([
        draw_look(AS_LOCATED, ERRORS, np.random.default_rng(n)).jitter_mm.numpy()
        for n in range(400)
    ])  # fmt: skip
    for number, finding in enumerate(Finding):
        left = [t.index for t in TARGETS if t.finding is finding and t.side is not Side.RIGHT]
        quantiles = np.quantile(drawn[:, left].reshape(-1, 3), [0.25, 0.5, 0.75], axis=0)
        measured = ERRORS.quantiles_mm[number][:, [10, 20, 30]].T
        np.testing.assert_allclose(quantiles, measured, atol=0.1)


def test_the_targets_of_a_level_err_together_and_levels_do_not():
    drawn = np.stack([
        draw_look(AS_LOCATED, ERRORS, np.random.default_rng(n)).jitter_mm.numpy()
        for n in range(400)
    ])  # fmt: skip
    foramen, recess, other_level = drawn[:, 5, 2], drawn[:, 15, 2], drawn[:, 16, 2]
    together = np.corrcoef(foramen, recess)[0, 1]
    assert together == pytest.approx(ERRORS.correlation[5, 11], abs=0.12)
    assert abs(np.corrcoef(foramen, other_level)[0, 1]) < 0.15


def test_jitter_is_added_in_the_patient(crops):
    look = look_of(AS_LOCATED)
    patches, points = seen_patches(crops, look)
    torch.testing.assert_close(points - crops.points_mm, look.jitter_mm)
    for ours, theirs in zip(patches.images, cut_patches(crops, points).images, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_seed_says_everything(crops):
    one, two, other = (seen_patches(crops, look_of(WILD, seed))[0].images[0] for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_what_was_not_measured_stays_zero(crops):
    look = look_of(only(gain=0.5, gamma=0.5, bias=0.5, noise=0.5))
    patches, _ = seen_patches(crops, look)
    plain = cut_patches(crops, crops.points_mm)
    for ours, theirs in zip(patches.images, plain.images, strict=True):
        nothing = theirs == 0
        assert not ours[nothing].any()
        assert (ours[~nothing] != theirs[~nothing]).float().mean() > 0.99
    assert (plain.images[0] == 0).any()


@pytest.mark.parametrize("amount", ["gain", "gamma", "bias"])
def test_colours_follow_their_formula(crops, amount):
    look = look_of(only(**{amount: 0.4}))
    patches, _ = seen_patches(crops, look)
    plain = cut_patches(crops, crops.points_mm)
    token, view = 12, 2  # The third of the foramina in T1.
    value = plain.images[view][0, 2].double() + 1
    slope = look.colours.slope[0, token].double()
    line = torch.linspace(-0.5, 0.5, VIEWS[view].pixels, dtype=torch.float64)
    wanted = value ** look.colours.gamma[0, token] * look.colours.gain[0, token]
    wanted = wanted * 2 ** (slope[0] * line[:, None] + slope[1] * line) - 1
    wanted = torch.where(plain.images[view][0, 2] == 0, 0.0, wanted)
    torch.testing.assert_close(patches.images[view][0, 2].double(), wanted, atol=1e-4, rtol=1e-4)


def test_noise_is_as_strong_as_drawn(crops):
    look = look_of(only(noise=0.5))
    patches, _ = seen_patches(crops, look)
    plain = cut_patches(crops, crops.points_mm)
    for token in range(5):
        added = (patches.images[1] - plain.images[1])[0, token]
        spread = added[plain.images[1][0, token] != 0].std()
        assert spread == pytest.approx(float(look.colours.noise[0, 5 + token]), rel=0.05)


def test_a_protocol_that_is_taken_away_is_not_there_for_any_target(crops):
    gone = set()
    for seed in range(12):
        patches, _ = seen_patches(crops, look_of(only(drop_protocol=1.0), seed))
        empty = {
            view.protocol
            for view, image, share in zip(VIEWS, *patches, strict=True)
            if not image.any() and not share.any()
        }
        there = {
            view.protocol for view, share in zip(VIEWS, patches.covered, strict=True) if share.any()
        }
        assert len(empty) == 1
        assert there == set(PROTOCOLS) - empty
        gone |= empty
    assert gone == set(PROTOCOLS)


def test_the_last_protocol_is_never_taken_away(crops):
    alone = crops._replace(
        sagittal=torch.zeros_like(crops.sagittal),
        sagittal_mask=torch.zeros_like(crops.sagittal_mask),
    )
    for seed in range(12):
        patches, _ = seen_patches(alone, look_of(only(drop_protocol=1.0), seed))
        assert patches.covered[1].any()


def test_a_patch_that_is_taken_away_leaves_the_others(crops):
    look = look_of(only(drop_patch=0.3))
    patches, _ = seen_patches(crops, look)
    kept = torch.cat([share[0].sum(dim=-1) > 0 for share in patches.covered])
    assert kept.tolist() == look.colours.kept[0].bool().tolist()
    assert 0 < kept.sum() < 40


def test_a_target_that_was_not_located_stays_away(crops):
    points = crops.points_mm.clone()
    points[:, 7] = torch.nan
    patches, found = seen_patches(crops._replace(points_mm=points), look_of(WILD))
    assert found[0, 7].isnan().all()
    tokens = [n for n, t in enumerate(TOKEN_TARGET) if t == 7]
    shown = torch.cat([share[0].sum(dim=-1) for share in patches.covered])
    assert not shown[tokens].any()
    assert all(image.isfinite().all() for image in patches.images)


def test_studies_of_a_batch_vary_each_by_itself(crops):
    looks = [draw_look(WILD, ERRORS, np.random.default_rng(n)) for n in (1, 2)]
    both = type(crops)(*(torch.cat([part, part]) for part in crops))
    patches, _ = seen_patches(both, stacked_looks(looks))
    assert not torch.equal(patches.images[0][0], patches.images[0][1])
    alone, _ = seen_patches(crops, stacked_looks(looks[1:]))
    for ours, theirs in zip(patches.covered, alone.covered, strict=True):
        assert torch.equal(ours[1], theirs[0])


def test_colours_are_left_as_they_were_in_the_input(crops):
    plain = cut_patches(crops, crops.points_mm)
    before = [image.clone() for image in plain.images]
    coloured(plain, look_of(WILD).colours)
    assert all(torch.equal(a, b) for a, b in zip(before, plain.images, strict=True))


@pytest.mark.parametrize("wrong", [{"mirror": 1.2}, {"noise": -0.1}, {"zoom": 1.0}])
def test_impossible_looks_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="VS-CFG-141"):
        Looks(**wrong)


def test_a_jitter_needs_measured_errors():
    with pytest.raises(ConfigurationError, match="VS-CFG-142"):
        draw_look(AS_LOCATED, None, np.random.default_rng(0))
    assert len(LEVELS) * 5 == draw_look(AS_THEY_ARE, None, np.random.default_rng(0))[0].shape[0]

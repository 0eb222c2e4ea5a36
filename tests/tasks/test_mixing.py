"""Mixup: what lies over what, whose targets count, and that nothing is invented."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tasks.made_graders import TinyGrader
from tests.tasks.made_levels import FIRST_VIEWS, formula_crops
from volspine.data.crop_looks import AS_THEY_ARE, draw_look, seen_patches, stacked_looks
from volspine.data.seeds import rng_for
from volspine.errors import ConfigurationError
from volspine.models.losses import GradingLoss
from volspine.tasks.craft import Craft, lay_channels_last
from volspine.tasks.grading import GradingTask
from volspine.tasks.mixing import (
    Mix,
    draw_mix,
    mixed_losses,
    mixed_patches,
    mixed_volume,
    partners_of,
)
from volspine.volume.study_crops import batched

NAMES = ["7", "9", "12"]


def studies(count=3) -> dict:
    """Studies of one brightness each, of which each lacks another view."""
    generator = torch.Generator().manual_seed(0)
    volume = torch.ones(count, 6, 4, 4, 4)
    for n in range(count):
        volume[n, :3] *= n + 1
        volume[n, [n % 3, 3 + n % 3]] = 0
    return {
        "volume": volume,
        "grades": torch.randint(-1, 3, (count, 25), generator=generator),
        "points": torch.rand(count, 25, 3, generator=generator),
        "has_point": torch.rand(count, 25, generator=generator) < 0.5,
        "study_id": NAMES[:count],
    }


@given(st.floats(0.05, 10), st.integers(2, 8), st.integers(0, 10**6))
def test_nobody_lies_over_themselves_and_everyone_over_somebody(alpha, count, step):
    mix = draw_mix(alpha, [str(n) for n in range(count)], seed=0, step=step)
    assert 0 <= mix.share <= 1
    assert sorted(mix.order) == list(range(count))
    assert all(n != other for n, other in enumerate(mix.order))


def test_the_mix_follows_from_seed_step_and_studies_alone():
    one = draw_mix(1.0, NAMES, seed=3, step=5)
    assert one == draw_mix(1.0, NAMES, seed=3, step=5)
    others = [
        draw_mix(1.0, NAMES, seed=4, step=5),
        draw_mix(1.0, NAMES, seed=3, step=6),
        draw_mix(1.0, ["7", "9", "13"], seed=3, step=5),
    ]
    assert len({each.share for each in (one, *others)}) == 4


def test_images_are_mixed_and_masks_are_joined():
    mixed = mixed_volume(studies()["volume"], Mix(0.75, [1, 2, 0]))
    assert mixed[0, :3, 0, 0, 0].tolist() == [0.25 * 2, 0.75 * 1, 0.75 * 1 + 0.25 * 2]
    assert mixed[:, 3:].eq(1).all()
    alone = mixed_volume(studies()["volume"], Mix(1.0, [1, 2, 0]))
    assert torch.equal(alone[:, :3], studies()["volume"][:, :3])


def test_patches_are_mixed_target_by_target():
    look = stacked_looks([draw_look(AS_THEY_ARE, None, rng_for(0, n, "look")) for n in range(2)])
    crops = batched([formula_crops(), formula_crops()])
    patches, _ = seen_patches(crops, look)
    images = tuple(torch.cat([image[:1], image[1:] * 3]) for image in patches.images)
    covered = tuple(torch.cat([share[:1], share[1:] * 0]) for share in patches.covered)
    mixed = mixed_patches(patches._replace(images=images, covered=covered), Mix(0.25, [1, 0]))
    for view in FIRST_VIEWS:
        torch.testing.assert_close(mixed.images[view][0], patches.images[view][0] * 2.5)
        torch.testing.assert_close(mixed.images[view][1], patches.images[view][0] * 1.5)
        assert torch.equal(mixed.covered[view][1], patches.covered[view][0])


def test_grades_marks_and_names_of_the_partners_go_together():
    batch = studies()
    other = partners_of(batch, Mix(0.6, [1, 2, 0]))
    assert other["study_id"] == ["9", "12", "7"]
    for name in ("grades", "points", "has_point"):
        assert torch.equal(other[name][0], batch[name][1])
    assert other["volume"] is batch["volume"]


def test_the_mixed_loss_is_that_of_mixed_targets_where_it_is_linear_in_them():
    log_probs = torch.randn(3, 25, 3, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    graded = TinyGrader()(studies()["volume"])._replace(log_probs=log_probs)
    batch, mix = studies(), Mix(0.7, [1, 2, 0])
    batch["grades"] = batch["grades"].clamp_min(0)
    loss = GradingLoss()
    found = mixed_losses(loss(graded, batch), loss(graded, partners_of(batch, mix)), mix)
    target = torch.nn.functional.one_hot(batch["grades"], 3).double()
    target = 0.7 * target + 0.3 * target[[1, 2, 0]]
    assert float(found["loss"]) == pytest.approx(-float((target * log_probs).sum(-1).mean()))


def test_a_batch_of_one_study_cannot_be_mixed():
    with pytest.raises(ConfigurationError, match="batch of one study") as caught:
        draw_mix(1.0, ["7"], seed=0, step=0)
    assert caught.value.code == "VS-CFG-412"


@pytest.mark.parametrize("alpha", [-0.1, 10.5, float("nan")])
def test_an_impossible_mixup_is_refused(alpha):
    with pytest.raises(ConfigurationError) as caught:
        Craft(mixup=alpha)
    assert caught.value.code == "VS-CFG-410"


def test_a_grader_that_is_told_where_to_look_is_not_mixed():
    class Told(TinyGrader):
        takes_marks = True

    GradingTask(Told())
    with pytest.raises(ConfigurationError, match="mixup and a Told do not go together"):
        GradingTask(Told(), craft=Craft(mixup=0.4))


def test_channels_last_changes_how_weights_lie_and_not_what_they_are():
    network = torch.nn.Sequential(torch.nn.Conv3d(4, 8, 3), torch.nn.Flatten(0, 1))
    volume = torch.randn(2, 4, 6, 7, 8)
    before, weights = network(volume), network[0].weight.detach().clone()
    lay_channels_last(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(network[0].weight, weights)
    torch.testing.assert_close(network(volume), before)

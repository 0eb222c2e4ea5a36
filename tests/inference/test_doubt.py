"""Doubt about a study: usual ones are not strange, spoilt ones are, the mirror changes nothing."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.volume.made_crops import crops_of
from volspine.anatomy import MIRRORED_INDEX, TARGETS
from volspine.errors import ConfigurationError
from volspine.inference.doubt import MEASURES, Impression, Usual, impression_of
from volspine.models.level_grader import LevelGrader
from volspine.models.parts import Graded
from volspine.views import VIEWS
from volspine.volume.patch_statistics import STATISTICS
from volspine.volume.study_crops import mirrored_crops

FLAT = np.ones(len(TARGETS))


class Plain(nn.Module):
    """Sees the mean and the roughness of 8-pixel cells, and grades by a random map of them."""

    def __init__(self) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(0)
        self.weight = torch.randn(2, 3, generator=chance)

    def features(self, patches):
        found = []
        for images in patches.images:
            rough = F.pad(images.diff(dim=-1).abs(), (0, 1))
            cells = [F.avg_pool2d(x.flatten(0, 1), 8) for x in (images, rough)]
            maps = torch.stack([c.unflatten(0, images.shape[:2]) for c in cells], dim=2)
            found.append(maps)
        return tuple(found)

    def forward(self, patches):
        means = [m.mean(dim=(-3, -2, -1)) for m in self.features(patches)]
        of_targets = torch.cat([means[0] + means[1], means[2] + means[3], means[4]], dim=1)
        log_probs = (3 * of_targets @ self.weight).log_softmax(dim=-1)
        return Graded(log_probs, of_targets[..., 0], None)


@pytest.fixture(scope="module")
def grader():
    return Plain()


@cache
def waves():
    return crops_of(lambda at: 1 + 0.4 * np.sin(at / 10).sum(axis=-1))


def person(seed, *, noise=0.03):
    """Waves, shifted and lifted for a patient of one's own, with some noise."""
    chance = torch.Generator().manual_seed(seed)
    down, lift = torch.randint(0, 9, (), generator=chance), torch.rand((), generator=chance)
    sagittal, axial = (
        image.roll(int(down), dims=-2) * (0.9 + 0.2 * lift)
        + noise * torch.randn(image.shape, generator=chance)
        for image in waves()[:2]
    )
    return waves()._replace(sagittal=sagittal, axial=axial)


def seen(grader, crops, *, draws=1):
    return impression_of([grader], crops, temperature=FLAT, draws=draws)


@pytest.fixture(scope="module")
def usual(grader):
    return Usual.of([seen(grader, person(n)) for n in range(6)])


@pytest.mark.slow
def test_a_usual_study_is_not_strange_and_a_noisy_one_is(grader, usual):
    fresh = [usual.doubts(seen(grader, person(n))) for n in (20, 21)]
    noisy = [usual.doubts(seen(grader, person(n, noise=0.3))) for n in (20, 21)]
    for plain, spoilt in zip(fresh, noisy, strict=True):
        for name in ("features", "pictures", "overall"):
            assert spoilt[name] > plain[name]
        assert plain["overall"] < 10 < spoilt["overall"]


@pytest.mark.slow
def test_one_bad_series_is_enough(grader, usual):
    crops = person(30)
    spoilt = crops._replace(axial=crops.axial.flip(1) * 0.2 + 0.8)
    assert usual.doubts(seen(grader, spoilt))["pictures"] > 2 + max(
        usual.doubts(seen(grader, person(n)))["pictures"] for n in (30, 31)
    )


@pytest.mark.slow
def test_a_series_that_is_missing_is_no_reason_for_doubt(grader, usual):
    crops = person(31)
    without = crops._replace(
        axial=torch.zeros_like(crops.axial), axial_mask=torch.zeros_like(crops.axial_mask)
    )
    found, whole = (usual.doubts(seen(grader, c)) for c in (without, crops))
    for name in ("features", "pictures"):
        assert found[name] <= whole[name] + 1e-9
    assert all(np.isfinite(list(found.values())))


@pytest.mark.slow
def test_a_mirrored_study_is_as_strange(grader, usual):
    crops = person(32)
    one, other = (seen(grader, c, draws=1) for c in (crops, mirrored_crops(crops)))
    expected = usual.doubts(one)
    for name, doubt in usual.doubts(other).items():
        assert doubt == pytest.approx(expected[name], abs=1e-4)
    mean, mirrored = one.samples.mean(axis=0), other.samples.mean(axis=0)
    assert np.allclose(mean, mirrored[list(MIRRORED_INDEX)], atol=1e-5)


@pytest.mark.slow
def test_the_first_sample_is_the_report_and_others_are_moved(grader):
    found = seen(grader, person(33), draws=3)
    assert found.samples.shape == (6, 25, 3)
    again = seen(grader, person(33), draws=3)
    assert np.array_equal(found.samples, again.samples), "a study is not doubted by chance"
    assert not np.allclose(found.samples[0], found.samples[2])
    assert [x.shape for x in found.pictures] == [(len(v.targets), len(STATISTICS)) for v in VIEWS]


def made_up(rng, *, far=0.0):
    """Impressions whose features are normal, some of them far away."""
    views = [len(v.targets) for v in VIEWS]
    return Impression(
        samples=np.full((2, 25, 3), 1 / 3),
        features=tuple(rng.standard_normal((2 * n, 4)) * [1, 2, 3, 4] + far for n in views),
        pictures=tuple(rng.standard_normal((n, 7)) for n in views),
    )


def test_distances_are_in_units_of_the_spread():
    """Far by 30 in numbers of spread 1, 2, 3, 4: mean square 900 (1 + 1/4 + 1/9 + 1/16) / 4 + 1."""
    rng = np.random.default_rng(0)
    usual = Usual.of([made_up(rng) for _ in range(200)])
    expected = np.log(900 * (1 + 1 / 4 + 1 / 9 + 1 / 16) / 4 + 1)
    assert usual.doubts(made_up(rng, far=30.0))["features"] == pytest.approx(expected, abs=0.2)
    near = usual.doubts(made_up(rng))
    assert abs(near["features"]) < 0.6
    assert abs(near["pictures"]) < 0.8
    assert near["entropy"] == pytest.approx(1)
    assert near["information"] == 0


def test_what_is_usual_survives_json():
    rng = np.random.default_rng(1)
    usual = Usual.of([made_up(rng) for _ in range(9)])
    text = json.dumps(usual.to_dict())
    back = Usual.from_dict(json.loads(text))
    strange = made_up(rng, far=2.0)
    assert len(text) < 20_000
    assert back.doubts(strange) == pytest.approx(usual.doubts(strange), rel=1e-3)
    assert set(back.doubts(strange)) == {*MEASURES, "overall"}


@pytest.mark.parametrize("change", [{"schema": 2}, {"views": {}}, {"scales": 3}])
def test_what_is_no_description_is_refused(change):
    rng = np.random.default_rng(1)
    data = Usual.of([made_up(rng) for _ in range(9)]).to_dict()
    with pytest.raises(ConfigurationError) as raised:
        Usual.from_dict({**data, **change})
    assert raised.value.code == "VS-CFG-125"


def test_too_few_studies_do_not_tell_what_is_usual():
    rng = np.random.default_rng(1)
    with pytest.raises(ConfigurationError, match="4 studies"):
        Usual.of([made_up(rng) for _ in range(4)])


@pytest.mark.slow
def test_the_grader_of_levels_can_be_asked():
    torch.manual_seed(0)
    trunk = {"name": "tf_efficientnetv2_b0", "stride": 4}
    made = LevelGrader(trunk=trunk, tokens={"width": 16}).eval()
    found = seen(made, person(1), draws=1)
    assert all(len(x) == 2 * len(v.targets) for x, v in zip(found.features, VIEWS, strict=True))
    assert found.features[0].shape[1] == made.trunk.num_features
    assert found.samples.sum(axis=-1) == pytest.approx(np.ones((2, 25)))

"""SpineOneGrader: recipe, options, sides, and that it finds and grades the right side."""

import json

import pytest
import torch
import yaml

from tests.inference.made_up import make_study, tiny_card
from volspine.anatomy import TARGETS
from volspine.errors import ConfigurationError
from volspine.inference.bundle import write_bundle
from volspine.inference.predictor import Predictor
from volspine.models.grader import build_grader
from volspine.models.mirror import mirror_points, mirror_targets, mirror_volume
from volspine.models.spineone import SpineOneGrader
from volspine.models.spineone_loss import SpineOneLoss
from volspine.volume.sample import sample_study

SHAPE = (8, 32, 48)
NAMES = [target.name for target in TARGETS]
LEFT = NAMES.index("left_subarticular_stenosis_l4_l5")
RIGHT = NAMES.index("right_subarticular_stenosis_l4_l5")


def small(**options):
    """A small grader whose maps say something, so that differences show."""
    torch.manual_seed(0)
    parts = {
        "backbone": "resnet10t",
        "decoder": {"width": 16, "rates": [1, 2]},
        "shape": SHAPE,
        **options,
    }
    grader = SpineOneGrader(**parts)
    with torch.no_grad():
        for parameter in grader.maps.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return grader.eval()


def noise(batch=1):
    return torch.randn(batch, 6, *SHAPE, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_what_it_says_has_the_shapes_that_others_read():
    graded = small()(noise(2))
    torch.testing.assert_close(graded.log_probs.exp().sum(-1), torch.ones(2, 25))
    assert graded.severity.shape == (2, 25)
    torch.testing.assert_close(graded.attention.sum(dim=(2, 3, 4)), torch.ones(2, 25))
    assert graded.extras["heat"].shape == (2, 25, 3, 8, 8, 12)
    assert graded.extras["offset"].shape == (2, 5, 3, 8, 8, 12)
    assert graded.points.shape == (2, 25, 3)


@torch.no_grad()
def test_a_mirrored_study_has_the_mirrored_grades_and_points_exactly():
    grader, volume = small(), noise()
    as_is, reflected = grader(volume), grader(mirror_volume(volume))
    assert (as_is.log_probs[:, 5:10] - as_is.log_probs[:, 10:15]).abs().max() > 1e-3
    torch.testing.assert_close(mirror_targets(reflected.log_probs), as_is.log_probs)
    torch.testing.assert_close(mirror_targets(reflected.severity), as_is.severity)
    torch.testing.assert_close(mirror_targets(reflected.attention).flip(2), as_is.attention)
    torch.testing.assert_close(mirror_points(reflected.points, SHAPE[0]), as_is.points)


@torch.no_grad()
def test_a_slice_speaks_for_its_own_cells_alone():
    grader, volume = small(), noise()
    changed = volume.clone()
    changed[:, :, 3] += 1
    before, after = grader(volume).extras["heat"], grader(changed).extras["heat"]
    others = [0, 1, 2, 4, 5, 6, 7]
    torch.testing.assert_close(before[:, :, :, others], after[:, :, :, others])
    assert not torch.allclose(before[:, :, :, 3], after[:, :, :, 3], atol=1e-3)


@torch.no_grad()
def test_the_ablations_take_parts_away_and_nothing_else():
    whole = small()
    without = small(offsets=False, attention=False)
    gone = set(whole.state_dict()) - set(without.state_dict())
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in gone} == {
        "maps.offset",
        "decoder.attention",
    }
    kept = {k: v for k, v in whole.state_dict().items() if k not in gone}
    without.load_state_dict(kept)
    said, bare = whole(noise()), without(noise())
    torch.testing.assert_close(bare.log_probs, said.log_probs)  # Attention starts as identity.
    assert set(bare.extras) == {"heat"}
    cells = (bare.points - torch.tensor([0.0, 1.5, 1.5])) / torch.tensor([1.0, 4.0, 4.0])
    torch.testing.assert_close(cells, cells.round())


@pytest.mark.parametrize("link", ["softmax", "cumulative"])
def test_severity_grows_with_the_heat_of_the_severe_map(link):
    grader, volume = small(link=link), noise()
    before = grader(volume)
    with torch.no_grad():
        grader.maps.own.bias.view(3, 5, 3)[2, 3, 2] += 2.0  # recess, L4/L5, severe
    after = grader(volume)
    risen = (after.severity - before.severity)[0]
    assert (risen[[LEFT, RIGHT]] > 0.01).all()
    others = [t for t in range(25) if t not in (LEFT, RIGHT)]
    torch.testing.assert_close(risen[others], torch.zeros(len(others)), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_recipe_is_plain_and_makes_the_same_network_again():
    backbone = {"name": "resnet10t", "stages": 4, "weights": None}
    grader = small(backbone=backbone, link={"name": "softmax"})
    recipe = yaml.safe_load(yaml.safe_dump(grader.recipe))
    assert recipe == json.loads(json.dumps(grader.recipe)) == grader.recipe
    assert recipe["backbone"] == {"name": "resnet10t", "stages": 4}
    again = build_grader(recipe).eval()
    again.load_state_dict(grader.state_dict())
    torch.testing.assert_close(again(noise()).log_probs, grader(noise()).log_probs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "tf_efficientnetv2_b0"}, "is not offered slice by slice"),
        ({"backbone": {"name": "resnet10t", "stride": 8}}, "is no option of resnet10t"),
        ({"decoder": {"attention": False}}, "is no option of the decoder"),
        ({"decoder": {"depth": 3}}, "is no option of the decoder"),
        ({"link": "logit"}, "is no link"),
    ],
)
def test_parts_that_are_not_offered_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        small(**options)


@torch.no_grad()
def test_an_empty_volume_is_graded_without_a_nan():
    graded = small()(torch.zeros(1, 6, *SHAPE))
    assert torch.isfinite(graded.log_probs).all()
    assert torch.isfinite(graded.points).all()


def test_bfloat16_training_keeps_maps_and_probabilities_in_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        graded = small().train()(noise())
    assert graded.log_probs.dtype == graded.extras["heat"].dtype == torch.float32
    assert graded.attention.dtype == graded.points.dtype == torch.float32


def bright_sides(left, right):
    """Bright where the left (low i) is severe, and so the right; alike in every slice but that."""
    volume = torch.zeros(len(left), 6, *SHAPE)
    volume[:, 0, 1:3, 12:20, 20:28] = left.float()[:, None, None, None]
    volume[:, 0, 5:7, 12:20, 20:28] = right.float()[:, None, None, None]
    return volume


@pytest.mark.slow
def test_it_learns_and_left_is_low_i():
    torch.manual_seed(0)
    left, right = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    grades = torch.full((4, 25), -1)
    grades[:, LEFT], grades[:, RIGHT] = 2 * left, 2 * right
    points = torch.zeros(4, 25, 3)
    points[:, LEFT] = torch.tensor([1.5, 15.5, 23.5])
    points[:, RIGHT] = torch.tensor([5.5, 15.5, 23.5])
    volume = bright_sides(left, right)
    batch = {"volume": volume, "grades": grades, "points": points, "has_point": grades >= 0}
    grader = SpineOneGrader(backbone="resnet10t", decoder={"width": 16, "rates": [1]}, shape=SHAPE)
    optimizer = torch.optim.AdamW(grader.parameters(), lr=3e-3)
    loss = SpineOneLoss(guidance=0.5, sigma_voxels=(0.8, 4, 4))
    for _ in range(60):
        optimizer.zero_grad()
        parts = loss(grader(volume), batch)
        parts["loss"].backward()
        optimizer.step()
    only_left = bright_sides(torch.tensor([1]), torch.tensor([0]))
    with torch.no_grad():
        graded = grader(only_left)
    severe = graded.log_probs.exp()[0, [LEFT, RIGHT], 2]
    assert severe[0] > 0.8
    assert severe[1] < 0.2
    found = graded.points[0, [LEFT, RIGHT]]
    assert (found - points[0, [LEFT, RIGHT]]).abs().max() < 2.0


def test_a_bundle_of_it_predicts_what_the_network_says(tmp_path):
    grader, card = small(shape=(16, 32, 32)), tiny_card()
    folder = write_bundle(tmp_path / "b", [grader.state_dict()], recipe=grader.recipe, card=card)
    graded = Predictor(folder, device="cpu").predict(make_study())
    sampled = sample_study(make_study(), card.grid, normalize=True)
    with torch.no_grad():
        said = grader(torch.from_numpy(sampled.volume)[None]).log_probs.exp()[0]
    seen = ~graded.grades.imputed
    assert seen.sum() >= 5
    assert graded.grades.probabilities[seen] == pytest.approx(said.numpy()[seen], abs=1e-4)

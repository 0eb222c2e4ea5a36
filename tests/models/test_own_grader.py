"""A grader of own targets: necks build, step, mirror and come back from their recipe."""

from pathlib import Path

import pytest
import torch
import yaml

from volspine.data.own_tables import read_targets
from volspine.errors import ConfigurationError
from volspine.models.grader import StudyGrader, build_grader
from volspine.models.heads import LinearHead, SharedHead
from volspine.models.link import CumulativeLink, SoftmaxLink, SpacecutterLink
from volspine.models.losses import GradingLoss, grade_loss, mirror_loss
from volspine.models.mirror import mirror_batch, mirror_targets, mirror_volume
from volspine.models.pooling import TargetAttentionPooling
from volspine.vocabulary import CHALLENGE

FOLDER = Path(__file__).parents[2] / "experiments" / "own_targets"
NECK = read_targets(FOLDER / "neck.yaml")
SIDES = [n for n, target in enumerate(NECK.targets) if target.side]


def neck_grader(link="cumulative") -> StudyGrader:
    torch.manual_seed(0)
    return StudyGrader(
        backbone={"name": "efficientnet_lite0", "stride": 2},
        head={"name": "shared", "hidden": 4},
        pooling={"name": "attention", "width": 8, "num_frequencies": 2},
        link=link,
        shape=(8, 16, 16),
        targets=NECK.to_dict(),
    )


@pytest.mark.parametrize("link", [CumulativeLink, SpacecutterLink, SoftmaxLink])
def test_a_link_speaks_of_as_many_targets_and_grades_as_there_are(link):
    made = link(NECK)
    p = made(torch.zeros(2, 15, made.num_scores)).exp()
    assert p.shape == (2, 15, 4)
    torch.testing.assert_close(p.sum(-1), torch.ones(2, 15))


def test_cutpoints_are_shared_by_both_sides_and_start_where_the_labels_are():
    link = CumulativeLink(NECK)
    rows = torch.tensor([[0.4, 0.3, 0.2, 0.1]] * 5 + [[0.7, 0.1, 0.1, 0.1]] * 10)
    link.start_from(rows)
    torch.testing.assert_close(link(torch.zeros(1, 15, 1)).exp()[0], rows)
    torch.nn.init.normal_(link.deviation)
    mirrored = link.cutpoints[list(NECK.mirrored_index)]
    torch.testing.assert_close(link.cutpoints, mirrored)
    assert len(link.cutpoints[:, 0].unique()) == 10, "findings and levels differ"


def test_a_row_of_frequencies_for_each_own_finding_is_needed():
    with pytest.raises(ConfigurationError, match="do not fit") as error:
        CumulativeLink(NECK, frequencies=[[0.4, 0.3, 0.2, 0.1]])
    assert "a row of them for each of cord_compression, foraminal_narrowing" in str(error.value)


def test_heads_and_pooling_have_one_place_for_each_target():
    assert LinearHead(4, 1, NECK)(torch.zeros(2, 15, 4)).shape == (2, 15, 1)
    head = SharedHead(4, 1, NECK)
    assert head.weight_in.shape[0] == 2, "both sides of a finding learn together"
    assert SharedHead(4, 1, NECK, share="condition").weight_in.shape[0] == 3
    features, attention = TargetAttentionPooling(4, NECK)(torch.rand(2, 4, 2, 3, 3))
    assert (features.shape, attention.shape) == ((2, 15, 4), (2, 15, 2, 3, 3))


def test_findings_of_ones_own_count_alike_however_many_rows_they_have():
    log_probs = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().expand(1, 15, 4)
    grades = torch.tensor([[0] * 5 + [3] * 10])
    balanced = grade_loss(log_probs, grades, balance="findings", vocabulary=NECK)
    expected = -(torch.tensor(0.1).log() + torch.tensor(0.4).log()) / 2
    torch.testing.assert_close(balanced, expected)
    assert grade_loss(log_probs, grades) < balanced


def test_a_batch_of_necks_is_mirrored_side_by_side():
    grades = torch.arange(15)[None] % 4
    volume = torch.arange(8.0)[None, None, :, None, None].expand(1, 6, 8, 2, 2)
    points = torch.zeros(1, 15, 3)
    points[0, :, 0] = torch.arange(15)
    partner = torch.tensor([NECK.mirrored_index])
    batch = {"volume": volume, "grades": grades, "points": points, "partner": partner}
    image = mirror_batch(batch)
    left = NECK.names.index("left_foramen_c5_c6")
    right = NECK.names.index("right_foramen_c5_c6")
    cord = NECK.names.index("cord_c5_c6")
    assert image["grades"][0, right] == grades[0, left] != grades[0, right]
    assert image["grades"][0, cord] == grades[0, cord]
    assert image["points"][0, right, 0] == 7 - points[0, left, 0]
    assert image["volume"][0, 0, 0, 0, 0] == 7.0
    again = mirror_batch(image)
    assert all(torch.equal(again[name], batch[name]) for name in batch)


def test_the_mirror_loss_is_none_of_a_grader_that_swaps_sides_and_some_of_one_that_does_not():
    severity = torch.randn(3, 15)
    swapped = mirror_targets(severity, order=NECK.mirrored_index)
    assert mirror_loss(severity, swapped, vocabulary=NECK) == 0
    assert mirror_loss(severity, severity, vocabulary=NECK) > 0


@pytest.mark.parametrize("link", ["cumulative", pytest.param("softmax", marks=pytest.mark.slow)])
def test_a_neck_grader_learns_from_one_step_and_comes_back_from_its_recipe(link):
    grader = neck_grader(link)
    loss = GradingLoss(guidance=1.0, mirror=0.1, balance="findings")
    loss.vocabulary = NECK
    volume = torch.rand(2, 6, 8, 16, 16)
    batch = {
        "volume": volume,
        "grades": torch.randint(-1, 4, (2, 15)),
        "points": torch.rand(2, 15, 3) * 8,
        "has_point": torch.ones(2, 15, dtype=torch.bool),
    }
    optimizer = torch.optim.SGD(grader.parameters(), lr=0.01)
    grader.train()
    losses = []
    for _ in range(3):
        graded = grader(volume)
        parts = loss(graded, batch, grader(mirror_volume(volume)))
        losses.append(float(parts["loss"].detach()))
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    assert {"grades", "guidance", "mirror"} < set(parts)
    recipe = yaml.safe_load(yaml.safe_dump(grader.recipe))
    other = build_grader(recipe)
    other.load_state_dict(grader.state_dict())
    assert other.vocabulary == NECK
    with torch.inference_mode():
        said, again = grader.eval()(volume), other.eval()(volume)
    torch.testing.assert_close(said.log_probs, again.log_probs, rtol=0, atol=0)
    assert said.log_probs.shape == (2, 15, 4)


def test_the_recipe_of_the_challenges_grader_says_nothing_of_targets():
    grader = StudyGrader(backbone={"name": "efficientnet_lite0", "stride": 2}, shape=(8, 16, 16))
    assert "targets" not in grader.recipe
    assert grader.vocabulary is CHALLENGE


def test_a_part_does_not_take_a_vocabulary_from_a_recipe():
    with pytest.raises(ConfigurationError, match="no option of attention"):
        StudyGrader(pooling={"name": "attention", "vocabulary": {}}, shape=(8, 16, 16))

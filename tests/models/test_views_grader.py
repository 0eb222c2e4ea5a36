"""ViewsGrader: what each stream sees, how they are weighed, and that sides are the patient's."""

import copy
import functools
import json

import pytest
import torch
import yaml

from volspine.anatomy import PROTOCOLS, TARGETS, Protocol
from volspine.errors import ConfigurationError
from volspine.models.grader import GRADERS, build_grader
from volspine.models.mirror import mirror_volume
from volspine.models.views_grader import STREAMS, ViewsGrader, only_orientation
from volspine.models.views_loss import ViewsLoss

SHAPE = (16, 24, 32)
AXIAL, SAGITTAL = (2, 5), (0, 1, 3, 4)
"""Channels of each orientation: its images, then its masks."""


@functools.cache
def made(streams, link="scaled"):
    torch.manual_seed(0)
    backbone = {"name": "tf_efficientnetv2_b0", "stride": 4}
    grader = ViewsGrader(streams=streams, backbone=backbone, link=link, shape=SHAPE)
    # An untrained head says the same of everything; spread it, so that differences show.
    with torch.no_grad():
        for parameter in grader.head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return grader.eval()


def small(streams, link="scaled"):
    return copy.deepcopy(made(streams, link))


def noise(batch=1):
    torch.manual_seed(1)
    volume = torch.randn(batch, 6, *SHAPE)
    volume[:, 3:] = 1
    return volume


def changed(volume, channels):
    other = volume.clone()
    other[:, list(channels)] += 1 + torch.randn(len(channels), *SHAPE)
    return other


@torch.no_grad()
def said(grader, volume):
    return grader(volume).log_probs


@pytest.mark.parametrize(
    ("streams", "unread", "read"), [("axial", SAGITTAL, AXIAL), ("sagittal", AXIAL, SAGITTAL)]
)
def test_one_orientation_is_blind_to_the_other(streams, unread, read):
    grader, volume = small(streams), noise()
    as_is = said(grader, volume)
    assert torch.equal(said(grader, changed(volume, unread)), as_is)
    assert not torch.allclose(said(grader, changed(volume, read)), as_is, atol=1e-3)


def test_of_both_each_stream_is_blind_to_the_other_and_the_grades_to_neither():
    grader, volume = small("both"), noise()
    with torch.no_grad():
        as_is, axial = grader(volume), grader(changed(volume, AXIAL))
    alone, after = as_is.extras["stream_log_probs"], axial.extras["stream_log_probs"]
    assert not torch.allclose(alone[:, 0], after[:, 0], atol=1e-3)
    torch.testing.assert_close(alone[:, 1], after[:, 1])
    assert not torch.allclose(as_is.log_probs, axial.log_probs, atol=1e-3)


def test_the_streams_of_both_go_through_one_trunk_and_the_same_heads():
    both = small("both")
    one = small("axial")
    kept = {k: v for k, v in both.state_dict().items() if not k.startswith(("poolings.1", "gate"))}
    one.load_state_dict({**kept, "gate": one.gate.detach()})
    volume = noise()
    with torch.no_grad():
        alone = both(volume).extras["stream_log_probs"][:, 0]
    torch.testing.assert_close(said(one, volume), alone, rtol=1e-4, atol=1e-5)


def test_only_orientation_keeps_images_and_masks_in_their_channels():
    volume = torch.arange(6.0)[None, :, None, None, None].expand(1, 6, 2, 2, 2)
    assert only_orientation(volume, "axial")[0, :, 0, 0, 0].tolist() == [0, 0, 2, 0, 0, 5]
    assert only_orientation(volume, "sagittal")[0, :, 0, 0, 0].tolist() == [0, 1, 0, 3, 4, 0]


@pytest.mark.parametrize("missing", [AXIAL, SAGITTAL])
def test_a_stream_that_measured_nothing_has_no_say(missing):
    grader, volume = small("both"), noise()
    volume[:, list(missing)] = 0
    with torch.no_grad():
        graded = grader(volume)
    there, gone = (1, 0) if missing == AXIAL else (0, 1)
    assert graded.extras["stream_seen"][:, gone].max() == 0
    assert graded.extras["stream_seen"][:, there].min() > 0.99
    alone = graded.extras["stream_log_probs"][:, there]
    torch.testing.assert_close(graded.log_probs, alone, atol=2e-3, rtol=0)
    torch.testing.assert_close(
        graded.attention, graded.extras["stream_attention"][:, there], atol=1e-3, rtol=0
    )


def test_an_empty_study_is_graded_without_a_nan():
    assert torch.isfinite(said(small("both"), torch.zeros(1, 6, *SHAPE))).all()


def test_a_gate_decides_for_its_own_condition_alone():
    grader, volume = small("both"), noise()
    with torch.no_grad():
        before = grader(volume).log_probs
        grader.gate[:, 3] = torch.tensor([30.0, -30.0])  # left recess: the axial stream
        graded = grader(volume)
    recess = [t.index for t in TARGETS if t.name.startswith("left_subarticular")]
    others = [t.index for t in TARGETS if t.index not in recess]
    torch.testing.assert_close(graded.log_probs[:, others], before[:, others])
    torch.testing.assert_close(
        graded.log_probs[:, recess], graded.extras["stream_log_probs"][:, 0, recess]
    )
    assert not torch.allclose(graded.log_probs[:, recess], before[:, recess], atol=1e-3)


def test_attention_of_every_stream_and_of_the_study_sums_to_one():
    with torch.no_grad():
        graded = small("both")(noise(2))
    assert graded.extras["stream_attention"].shape[:3] == (2, 2, 25)
    for look in (graded.attention, graded.extras["stream_attention"].flatten(0, 1)):
        torch.testing.assert_close(look.sum(dim=(2, 3, 4)), torch.ones(look.shape[:2]))


@pytest.mark.parametrize("streams", STREAMS)
def test_a_recipe_is_plain_and_makes_the_same_network_again(streams):
    grader = small(streams)
    recipe = yaml.safe_load(yaml.safe_dump(grader.recipe))
    assert recipe == json.loads(json.dumps(grader.recipe)) == grader.recipe
    again = build_grader(recipe).eval()
    again.load_state_dict(grader.state_dict())
    torch.testing.assert_close(said(again, noise()), said(grader, noise()))


def test_it_says_which_protocols_it_looks_at():
    t1, t2, axial = PROTOCOLS
    assert axial is Protocol.AXIAL_T2
    looked_at = {name: small(name).protocols for name in STREAMS}
    assert looked_at == {"axial": (axial,), "sagittal": (t1, t2), "both": PROTOCOLS}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"streams": "coronal"}, "'coronal' is no choice of streams"),
        ({"pooling": "average"}, "'average' is no pooling of streams"),
        ({"head": "os.system"}, "'os.system' is no head"),
        ({"backbone": {"name": "resnet10t", "depth": 9}}, "no option of resnet10t"),
        ({"in_channels": 1}, "no argument of ViewsGrader"),
    ],
)
def test_a_recipe_cannot_name_anything_else(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        build_grader({"grader": "ViewsGrader", "shape": list(SHAPE), **arguments})


def test_it_is_in_the_closed_list():
    assert GRADERS["ViewsGrader"] is ViewsGrader


def bright_sides(severe_left, severe_right):
    """Axial images whose left half (low i) is bright where the left is severe, and so the right."""
    volume = torch.zeros(len(severe_left), 6, *SHAPE)
    volume[:, 3:] = 1
    volume[:, 2, 2:6, 8:16, 12:20] = severe_left.float()[:, None, None, None]
    volume[:, 2, 10:14, 8:16, 12:20] = severe_right.float()[:, None, None, None]
    return volume


def test_it_learns_from_axial_images_and_left_is_low_i():
    names = [t.name for t in TARGETS]
    index = [names.index(f"{s}_subarticular_stenosis_l4_l5") for s in ("left", "right")]
    left, right = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    grades = torch.full((4, 25), -1)
    grades[:, index[0]], grades[:, index[1]] = 2 * left, 2 * right
    points = torch.zeros(4, 25, 3)
    points[:, index[0]] = torch.tensor([3.5, 11.5, 15.5])
    points[:, index[1]] = torch.tensor([11.5, 11.5, 15.5])
    volume = bright_sides(left, right)
    batch = {"volume": volume, "grades": grades, "points": points, "has_point": grades >= 0}
    grader = small("axial", link="cumulative").train()
    optimizer = torch.optim.AdamW(grader.parameters(), lr=3e-3)
    loss = ViewsLoss(guidance=0.5, sigma_voxels=(2, 4, 4))
    for _ in range(30):
        optimizer.zero_grad()
        loss(grader(volume), batch)["loss"].backward()
        optimizer.step()
    only_left = bright_sides(torch.tensor([1]), torch.tensor([0]))
    severe = said(grader, only_left).exp()[0, index, 2]
    mirrored = said(grader, mirror_volume(only_left)).exp()[0, index, 2]
    assert severe[0] > 0.7
    assert severe[1] < 0.3
    assert mirrored[0] < 0.3
    assert mirrored[1] > 0.7

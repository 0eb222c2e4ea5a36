"""StudyGrader: parts by name, recipes as plain data, and that it learns the right side."""

import itertools
import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from volspine.anatomy import TARGETS
from volspine.errors import ConfigurationError
from volspine.models.backbones import Backbone
from volspine.models.grader import GRADERS, HEADS, LINKS, POOLINGS, StudyGrader, build_grader
from volspine.models.losses import GradingLoss
from volspine.models.mirror import mirror_volume

SHAPE = (16, 24, 32)


def small(**parts: object) -> StudyGrader:
    return StudyGrader(**{"backbone": {"name": "resnet10t", "stride": 8}, "shape": SHAPE, **parts})


@pytest.mark.parametrize(
    ("pooling", "head", "link"), list(itertools.product(POOLINGS, HEADS, LINKS))
)
@pytest.mark.slow
def test_any_parts_go_together(pooling: str, head: str, link: str) -> None:
    grader = small(pooling=pooling, head=head, link=link)
    graded = grader(torch.randn(2, 6, *SHAPE))
    assert graded.log_probs.shape == (2, 25, 3)
    assert graded.severity.shape == (2, 25)
    torch.testing.assert_close(graded.log_probs.exp().sum(-1), torch.ones(2, 25))
    assert (graded.attention is None) == (pooling == "average")
    graded.log_probs[..., 1].sum().backward()
    assert all(p.grad is not None for p in grader.link.parameters())


def test_a_recipe_is_plain_and_makes_the_same_network_again() -> None:
    torch.manual_seed(0)
    grader = small(
        pooling={"name": "attention", "width": 16},
        head={"name": "shared", "hidden": 8},
        link={"name": "cumulative", "frequencies": [0.77, 0.16, 0.07]},
    ).eval()
    recipe = yaml.safe_load(yaml.safe_dump(grader.recipe))
    assert recipe == json.loads(json.dumps(grader.recipe)) == grader.recipe
    again = build_grader(recipe).eval()
    again.load_state_dict(grader.state_dict())
    volume = torch.randn(1, 6, *SHAPE)
    torch.testing.assert_close(again(volume).log_probs, grader(volume).log_probs)


def test_a_recipe_is_not_changed_from_outside() -> None:
    options = {"name": "attention", "width": 16}
    grader = small(pooling=options)
    options["width"] = 99
    assert grader.recipe["pooling"] == {"name": "attention", "width": 16}


def test_building_from_a_recipe_reads_no_weights_file() -> None:
    recipe = {"grader": "StudyGrader", "shape": list(SHAPE)}
    backbone = {"name": "resnet10t", "stride": 8, "weights": "/nowhere/w.safetensors"}
    assert isinstance(build_grader({**recipe, "backbone": backbone}), StudyGrader)


def test_a_recipe_shows_no_path(tmp_path: Path) -> None:
    start = Backbone("resnet10t", stride=8, norm="batch").network.state_dict()
    save_file(start, tmp_path / "w.safetensors")
    path = str(tmp_path / "w.safetensors")
    grader = small(backbone={"name": "resnet10t", "stride": 8, "weights": path})
    assert grader.recipe["backbone"] == {"name": "resnet10t", "stride": 8}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({}, "'None' is no grader"),
        ({"grader": "os.system"}, "'os.system' is no grader"),
        ({"grader": "torch.nn.Linear", "in_features": 1}, "is no grader"),
        ({"grader": "StudyGrader", "class_path": "os.system"}, "no argument of StudyGrader"),
        ({"grader": "StudyGrader", "head": "os.system"}, "'os.system' is no head"),
        ({"grader": "StudyGrader", "head": {"name": "shared", "width": 1}}, "no option of shared"),
        ({"grader": "StudyGrader", "head": {"name": "shared", "num_scores": 9}}, "no option"),
        ({"grader": "StudyGrader", "pooling": {"class_path": "x"}}, "'' is no pooling"),
        ({"grader": "StudyGrader", "link": "logit"}, "choose one of cumulative"),
        ({"grader": "StudyGrader", "backbone": {"name": "resnet10t", "depth": 9}}, "no option"),
        ({"grader": "StudyGrader", "backbone": {"stride": 8}}, "is not offered"),
        ({"grader": "StudyGrader", "backbone": "timm.vgg"}, "is not offered"),
    ],
)
def test_a_recipe_cannot_name_anything_else(recipe: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_grader(recipe)


def test_the_list_of_graders_is_closed() -> None:
    assert set(GRADERS) == {
        "DetectGrader",
        "LevelGrader",
        "SpineOneGrader",
        "StudyGrader",
        "ViewsGrader",
        "VitGrader",
    }
    assert all(name == grader.__name__ for name, grader in GRADERS.items())


def test_bfloat16_training_keeps_probabilities_in_float32() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        graded = small()(torch.randn(1, 6, *SHAPE))
    assert graded.log_probs.dtype == graded.attention.dtype == torch.float32
    torch.testing.assert_close(graded.log_probs.exp().sum(-1), torch.ones(1, 25))


def test_an_empty_volume_is_graded_without_a_nan() -> None:
    graded = small()(torch.zeros(1, 6, *SHAPE))
    assert torch.isfinite(graded.log_probs).all()


def bright_sides(severe_left: torch.Tensor, severe_right: torch.Tensor) -> torch.Tensor:
    """A volume whose left half (low i) is bright where the left is severe, and so the right."""
    volume = torch.zeros(len(severe_left), 6, *SHAPE)
    volume[:, 0, 2:6, 8:16, 12:20] = severe_left.float()[:, None, None, None]
    volume[:, 0, 10:14, 8:16, 12:20] = severe_right.float()[:, None, None, None]
    return volume


def test_it_learns_and_left_is_low_i() -> None:
    torch.manual_seed(0)
    left = torch.tensor([0, 1, 0, 1])
    right = torch.tensor([0, 0, 1, 1])
    names = [t.name for t in TARGETS]
    index = [names.index(f"{s}_subarticular_stenosis_l4_l5") for s in ("left", "right")]
    grades = torch.full((4, 25), -1)
    grades[:, index[0]], grades[:, index[1]] = 2 * left, 2 * right
    points = torch.zeros(4, 25, 3)
    points[:, index[0]] = torch.tensor([3.5, 11.5, 15.5])
    points[:, index[1]] = torch.tensor([11.5, 11.5, 15.5])
    volume = bright_sides(left, right)
    batch = {"volume": volume, "grades": grades, "points": points, "has_point": grades >= 0}
    grader = small(backbone={"name": "tf_efficientnetv2_b0", "stride": 4}, link="cumulative")
    optimizer = torch.optim.AdamW(grader.parameters(), lr=3e-3)
    loss = GradingLoss(guidance=0.5, sigma_voxels=(2, 4, 4))
    for _ in range(40):
        optimizer.zero_grad()
        parts = loss(grader(volume), batch)
        parts["loss"].backward()
        optimizer.step()
    assert parts["grades"] < 0.1
    only_left = bright_sides(torch.tensor([1]), torch.tensor([0]))
    with torch.no_grad():
        severe = grader(only_left).log_probs.exp()[0, index, 2]
        attention = grader(only_left).attention[0, index].sum(dim=(2, 3))
        mirrored = grader(mirror_volume(only_left)).log_probs.exp()[0, index, 2]
    assert severe[0] > 0.8
    assert severe[1] < 0.2
    assert mirrored[0] < 0.2
    assert mirrored[1] > 0.8
    assert attention[0, :2].sum() > 0.5
    assert attention[1, 2:].sum() > 0.5

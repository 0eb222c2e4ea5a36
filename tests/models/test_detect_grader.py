"""DetectGrader: its classes, boxes that come to the right target, sides, recipes and weights."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from volspine.anatomy import TARGETS, Finding
from volspine.errors import ConfigurationError, WeightsError
from volspine.models.backbones import Backbone
from volspine.models.detect_grader import DetectGrader
from volspine.models.detect_heat import Found
from volspine.models.detect_loss import ASKED, DetectionLoss, place_loss
from volspine.models.grader import build_grader
from volspine.models.guidance import guidance_loss
from volspine.models.mirror import mirror_points, mirror_targets, mirror_volume
from volspine.models.parts import Graded, Marks

SHAPE = (12, 24, 32)
NAMES = [target.name for target in TARGETS]
LIGHT = {"name": "efficientnet_lite0", "stride": 2}


def small(condition: str = "recess", **options: object) -> DetectGrader:
    given = {
        "detector": {"channels": (8, 8, 8)},
        "box_mm": {"canal": [12, 12, 9], "foramen": [9, 9, 9], "recess": [12, 9, 12]},
        "trunk": LIGHT,
        "jitter_mm": 0.0,
        "width": 16,
        "shape": SHAPE,
    }
    return DetectGrader(condition=condition, **{**given, **options})


def loud(grader: DetectGrader) -> DetectGrader:
    """The grader with last weights that make a difference, as an untrained head's do not."""
    with torch.no_grad():
        grader.head.weight_out.normal_()
    return grader.eval()


def marks_at(points: torch.Tensor) -> Marks:
    return Marks(points, torch.ones(points.shape[:2], dtype=torch.bool))


def scattered(batch: int = 1) -> torch.Tensor:
    """A different point for each target, not near the edge."""
    generator = torch.Generator().manual_seed(0)
    span = torch.tensor(SHAPE) - 9.0
    return 4 + torch.rand(batch, len(TARGETS), 3, generator=generator) * span


@pytest.mark.parametrize(
    ("condition", "count", "first"),
    [
        ("canal", 5, "spinal_canal_stenosis_l1_l2"),
        ("foramen", 10, "left_neural_foraminal_narrowing_l1_l2"),
        ("recess", 10, "left_subarticular_stenosis_l1_l2"),
        ("all", 25, "spinal_canal_stenosis_l1_l2"),
    ],
)
def test_a_class_is_a_level_and_a_side_of_the_condition(
    condition: str, count: int, first: str
) -> None:
    grader = small(condition)
    assert len(grader.targets) == grader.detector.content.out_channels == count
    assert NAMES[grader.targets[0]] == first
    graded = grader(torch.randn(2, 6, *SHAPE))
    assert graded.log_probs.shape == (2, 25, 3)
    asked = graded.extras[ASKED]
    assert asked.tolist() == [t in grader.targets for t in range(25)]
    assert graded.points[:, asked].isfinite().all()
    assert graded.points[:, ~asked].isnan().all()
    assert (graded.severity[:, ~asked] == 0).all()


def test_other_conditions_have_the_prior_and_look_nowhere_in_particular() -> None:
    grader = loud(small("canal"))
    frequencies = torch.tensor([0.7, 0.2, 0.1]).expand(25, 3)
    grader.link.start_from(frequencies)
    graded = grader(torch.randn(2, 6, *SHAPE))
    torch.testing.assert_close(graded.log_probs[:, 5:].exp(), frequencies[5:].expand(2, 20, 3))
    assert not torch.allclose(graded.log_probs[:, :5].exp(), frequencies[:5].expand(2, 5, 3))
    cells = graded.attention[0, 0].numel()
    torch.testing.assert_close(graded.attention[:, 5:], torch.full((2, 20, 6, 6, 8), 1 / cells))


def test_a_bright_blob_at_the_left_l4_l5_recess_comes_to_that_target_alone() -> None:
    grader = loud(small(box_mm={"recess": [9, 6, 6]}))
    left = NAMES.index("left_subarticular_stenosis_l4_l5")
    points = torch.zeros(1, 25, 3)
    points[0, :, 0], points[0, :, 1] = 2.5, 6.0  # low i is the patient's left
    points[0, 20:, 0] = 8.5
    points[0, 15:20, 2] = points[0, 20:, 2] = torch.tensor([29.0, 23.0, 17.0, 11.0, 5.0])
    blob = torch.zeros(1, 6, *SHAPE)
    blob[0, 2, 2:4, 5:7, 10:12] = 3.0
    with torch.no_grad():
        quiet = grader(torch.zeros_like(blob), marks_at(points)).severity[0]
        seen = grader(blob, marks_at(points)).severity[0]
        mirrored = grader(mirror_volume(blob), marks_at(points)).severity[0]
    changed = (seen - quiet).abs() > 1e-4
    assert changed.nonzero().flatten().tolist() == [left]
    right = NAMES.index("right_subarticular_stenosis_l4_l5")
    assert ((mirrored - quiet).abs() > 1e-4).nonzero().flatten().tolist() == [right]


@pytest.mark.parametrize("condition", ["foramen", "recess"])
def test_left_and_right_have_one_classifier(condition: str) -> None:
    """The mirror image of a study, marks and all, has the grades with sides exchanged."""
    grader = loud(small(condition))
    volume, points = torch.randn(2, 6, *SHAPE), scattered(2)
    with torch.no_grad():
        graded = grader(volume, marks_at(points)).log_probs
        turned = mirror_points(points, SHAPE[0])
        reflected = grader(mirror_volume(volume), marks_at(turned)).log_probs
    torch.testing.assert_close(mirror_targets(reflected), graded, atol=1e-4, rtol=1e-4)
    sides = graded[:, [t.index for t in TARGETS if t.finding in grader.findings]]
    assert not torch.allclose(sides[:, :5], sides[:, 5:], atol=1e-2)


def test_boxes_are_cut_where_targets_were_found_or_about_the_marks() -> None:
    grader = small(jitter_mm=3.0)
    found = Found(torch.ones(1, 10, 1, 1, 1), torch.full((1, 10, 3), 5.0))
    assert (grader.middles(found) == 5.0).all()
    points = torch.full((400, 25, 3), 7.0)
    has_point = torch.ones(400, 25, dtype=torch.bool)
    has_point[:, 16] = False
    torch.manual_seed(0)
    middles = grader.middles(
        Found(found.attention, found.points.expand(400, -1, -1)), Marks(points, has_point)
    )
    assert (middles[:, 1] == 5.0).all()  # the second recess is target 16
    known = middles[:, 2:]
    torch.testing.assert_close(known.mean((0, 1)), torch.full((3,), 7.0), atol=0.15, rtol=0)
    spread = torch.tensor([1.0, 2.0, 2.0])  # 3 mm in voxels of 3, 1.5 and 1.5 mm
    torch.testing.assert_close(known.std((0, 1)), spread, atol=0.1, rtol=0)


def test_no_gradient_passes_from_a_grade_to_a_place_and_each_part_learns() -> None:
    grader = loud(small()).train()
    volume = torch.randn(1, 6, *SHAPE)
    grader(volume).severity.sum().backward()
    assert all(p.grad is None for p in grader.detector.parameters())
    assert all(p.grad is not None for p in grader.trunk.parameters())
    graded = grader(volume)
    batch = {
        "volume": volume,
        "grades": torch.ones(1, 25, dtype=torch.long),
        "points": scattered(),
        "has_point": torch.ones(1, 25, dtype=torch.bool),
    }
    parts = DetectionLoss()(graded, batch)
    assert set(parts) == {"loss", "grades", "guidance", "place"}
    parts["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in grader.detector.parameters())


def test_what_is_known_of_other_conditions_does_not_reach_the_loss() -> None:
    grader = small("foramen")
    volume = torch.randn(2, 6, *SHAPE)
    graded = grader(volume)
    generator = torch.Generator().manual_seed(1)
    batch = {
        "volume": volume,
        "grades": torch.randint(0, 3, (2, 25), generator=generator),
        "points": scattered(2),
        "has_point": torch.ones(2, 25, dtype=torch.bool),
    }
    other = torch.ones(25, dtype=torch.bool)
    other[5:15] = False
    changed = {**batch, "grades": torch.where(other, 2 - batch["grades"], batch["grades"])}
    changed["points"] = torch.where(other[:, None], batch["points"] + 3, batch["points"])
    loss = DetectionLoss(any_severe=1.0)
    parts, same = loss(graded, batch), loss(graded, changed)
    assert {k: v.item() for k, v in parts.items()} == {k: v.item() for k, v in same.items()}
    expected = guidance_loss(
        graded.attention[:, 5:15],
        batch["points"][:, 5:15],
        batch["has_point"][:, 5:15],
        shape=SHAPE,
        sigma_voxels=(1.5, 4.0, 4.0),
    )
    torch.testing.assert_close(parts["guidance"], expected)
    assert parts["any_severe"] == 0


def test_a_place_is_off_by_its_distance_in_cells() -> None:
    """(2, 0, 4) voxels in cells of (2, 4, 4) are (1, 0, 1): Huber's of one cell is 0.5, 0, 0.5."""
    found = torch.tensor([[[2.0, 8.0, 4.0], [torch.nan] * 3]])
    points = torch.tensor([[[0.0, 8.0, 8.0], [1.0, 1.0, 1.0]]])
    known = torch.tensor([[True, False]])
    off = place_loss(found, points, known, strides=(2, 4, 4))
    torch.testing.assert_close(off, torch.tensor(1 / 3))
    assert place_loss(found, points, known & False, strides=(2, 4, 4)) == 0


def test_without_a_place_the_loss_is_that_of_any_grader() -> None:
    log_probs = torch.full((1, 25, 3), 1 / 3).log()
    graded = Graded(log_probs, torch.zeros(1, 25), None)
    batch = {"volume": torch.zeros(1, 6, *SHAPE), "grades": torch.zeros(1, 25, dtype=torch.long)}
    parts = DetectionLoss()(graded, batch)
    torch.testing.assert_close(parts["loss"], torch.tensor(3.0).log())


def test_a_recipe_is_plain_and_makes_the_same_network_again() -> None:
    torch.manual_seed(0)
    grader = loud(small("foramen", spacing_mm=(3, 1.5, 1.5)))
    recipe = yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(grader.recipe))))
    again = build_grader(recipe).eval()
    again.load_state_dict(grader.state_dict())
    volume = torch.randn(1, 6, *SHAPE)
    torch.testing.assert_close(again(volume).log_probs, grader(volume).log_probs)


def test_bfloat16_training_keeps_probabilities_and_places_in_float32() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        graded = small()(torch.randn(1, 6, *SHAPE))
    kept = (graded.log_probs, graded.severity, graded.attention, graded.points)
    assert {each.dtype for each in kept} == {torch.float32}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"condition": "disc"}, "'disc' is no condition"),
        ({"condition": "os.system"}, "is no condition"),
        ({"box_mm": {"disc": [9, 9, 9]}}, "'disc' is no box"),
        ({"box_mm": {"recess": [9, 9]}}, "is impossible"),
        ({"voxel_mm": (3, 0, 3)}, "is impossible"),
        ({"trunk": {"name": "vgg19_bn", "stride": 32}}, "less than one cell"),
        ({"trunk": {"name": "vgg19_bn", "depth": 3}}, "no option of vgg19_bn"),
        ({"detector": {"width": 3}}, "no option of detector"),
        ({"pooling": "middle"}, "'middle' is no pooling"),
        ({"head": "os.system"}, "is no head"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        small(**options)


def photographic(name: str, folder: Path) -> str:
    """A file of weights for photographs, as its namesake for volumes would be made from it."""
    state = Backbone(name, in_channels=3, stride=4, norm="batch").network.state_dict()
    flat = {k: v[..., 0].clone() if v.ndim == 5 else v.clone() for k, v in state.items()}
    names = {k: k.replace("features_", "features.") for k in flat}  # as they are published
    save_file({names[k]: v for k, v in flat.items()}, folder / "photographs.safetensors")
    return str(folder / "photographs.safetensors")


@pytest.mark.slow
def test_vgg_starts_from_photographs_and_the_recipe_forgets_their_file(tmp_path: Path) -> None:
    path = photographic("vgg19_bn", tmp_path)
    grader = small(trunk={"name": "vgg19_bn", "stride": 4, "weights": path})
    assert grader.recipe["trunk"] == {"name": "vgg19_bn", "stride": 4}
    untrained = small(trunk={"name": "vgg19_bn", "stride": 4})
    first, other = (next(g.trunk.parameters()) for g in (grader, untrained))
    torch.testing.assert_close(first[..., 0], first[..., 2])  # repeated over the slices
    torch.testing.assert_close(first[:, :3], first[:, 3:])  # and from colours to protocols
    assert not torch.allclose(other[..., 0], other[..., 2])


@pytest.mark.slow
def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = photographic("vgg19", tmp_path)
    with pytest.raises(WeightsError, match="are missing"):
        small(trunk={"name": "vgg19_bn", "stride": 4, "weights": path})


def test_every_finding_has_a_box() -> None:
    grader = small("all")
    assert grader.findings == tuple(Finding)
    assert [grader.steps_0.shape, grader.steps_1.shape, grader.steps_2.shape] == [
        (4, 8, 6, 3),
        (3, 6, 6, 3),
        (4, 6, 8, 3),
    ]

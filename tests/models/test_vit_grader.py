"""VitGrader: tokens know their place, regions lie where targets are, and left stays left."""

import json
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from volspine.anatomy import TARGETS, Finding, Side
from volspine.errors import ConfigurationError
from volspine.inference.allowance import Allowance
from volspine.models.grader import build_grader
from volspine.models.guidance import guidance_target
from volspine.models.losses import GradingLoss
from volspine.models.mirror import mirror_points, mirror_targets, mirror_volume
from volspine.models.parts import Marks
from volspine.models.vit_closer import places_near, regions
from volspine.models.vit_grader import VitGrader, expected_points
from volspine.models.vit_tokens import ConvolutionalStem, PatchStem, PatchTokens, VitOptions

SHAPE = (16, 24, 32)
TOKENS = {"patch": [4, 8, 8], "width": 16, "layers": 1, "heads": 2, "dropout": 0.0}
CLOSER = {**TOKENS, "region": [4, 8, 8], "patch": [2, 4, 4]}
LEFT = [t.index for t in TARGETS if t.side is Side.LEFT]
RIGHT = [t.index for t in TARGETS if t.side is Side.RIGHT]
CANAL = [t.index for t in TARGETS if t.finding is Finding.CANAL]


def small(**parts: Any) -> VitGrader:
    torch.manual_seed(0)
    made = VitGrader(**{"tokens": TOKENS, "closer": CLOSER, "shape": SHAPE, **parts})
    for name, p in made.head.named_parameters():
        if "out" in name:  # Heads start near zero, where little can be seen.
            nn.init.normal_(p, std=0.5)
    return made


def points_inside(batch: int = 1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 25, 3, generator=generator) * (torch.tensor(SHAPE) - 1)


@pytest.mark.parametrize("stem", ["patch", "convolutional"])
@pytest.mark.parametrize("closer", [CLOSER, None], ids=["closer", "plain"])
def test_every_target_is_graded_and_found_and_every_weight_learns(stem, closer):
    grader = small(stem=stem, closer=closer)
    graded = grader(torch.rand(2, 6, *SHAPE))
    assert graded.log_probs.shape == (2, 25, 3)
    assert graded.attention is not None
    assert graded.points is not None
    assert graded.attention.shape == (2, 25, 4, 3, 4)
    torch.testing.assert_close(graded.log_probs.exp().sum(-1), torch.ones(2, 25))
    torch.testing.assert_close(graded.attention.sum((2, 3, 4)), torch.ones(2, 25))
    (graded.log_probs[..., 1].sum() + graded.points.square().sum()).backward()
    assert all(p.grad is not None for p in grader.parameters() if p.requires_grad)


@torch.no_grad()
@pytest.mark.parametrize("parts", [{}, {"stem": "convolutional"}, {"closer": None}], ids=str)
def test_a_recipe_is_plain_and_makes_the_same_network_again(parts):
    grader = small(**parts).eval()
    recipe = yaml.safe_load(yaml.safe_dump(grader.recipe))
    assert recipe == json.loads(json.dumps(grader.recipe)) == grader.recipe
    again = build_grader(recipe).eval()
    again.load_state_dict(grader.state_dict())
    volume = torch.rand(1, 6, *SHAPE)
    torch.testing.assert_close(again(volume).log_probs, grader(volume).log_probs)


@torch.no_grad()
def test_the_patch_stem_is_a_convolution_whose_stride_is_its_kernel():
    options = VitOptions(**TOKENS)
    stem = PatchStem(6, options)
    oracle = nn.Conv3d(6, 16, (4, 8, 8), stride=(4, 8, 8))
    oracle.weight.copy_(stem.project.weight.reshape(oracle.weight.shape))
    oracle.bias.copy_(stem.project.bias)
    volume = torch.rand(2, 6, *SHAPE)
    expected = oracle(volume).flatten(2).transpose(1, 2)
    torch.testing.assert_close(stem(volume), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("patch", [(4, 8, 8), (1, 4, 4), (2, 2, 8), (1, 1, 1)], ids=str)
def test_convolutions_make_as_many_tokens_as_there_are_patches(patch):
    options = VitOptions(**{**TOKENS, "patch": patch})
    tokens = ConvolutionalStem(6, options)(torch.rand(1, 6, 8, 16, 16))
    assert tokens.shape == (1, torch.Size(options.cells((8, 16, 16))).numel(), 16)


@torch.no_grad()
def test_a_voxel_changes_the_token_of_its_own_patch_with_k_fastest():
    stem = PatchTokens(SHAPE, VitOptions(**TOKENS), in_channels=6, stem="patch").stem
    empty, marked = torch.zeros(1, 6, *SHAPE), torch.zeros(1, 6, *SHAPE)
    marked[0, 2, 9, 16, 31] = 1.0
    changed = (stem(marked) - stem(empty)).abs().amax(dim=(0, 2))
    assert torch.nonzero(changed).flatten().tolist() == [2 * 12 + 2 * 4 + 3]


@torch.no_grad()
def test_a_step_along_an_axis_adds_the_same_wherever_it_is_taken():
    tokens = PatchTokens(SHAPE, VitOptions(**TOKENS), in_channels=6, stem="patch")
    place = tokens.position().reshape(4, 3, 4, 16)
    for axis in range(3):
        step = place.diff(dim=axis)
        first = step.movedim(axis, 0).flatten(1, 2)
        torch.testing.assert_close(first, first[:, :1].expand_as(first))
    assert place.flatten(0, 2).unique(dim=0).shape[0] == 48


@torch.no_grad()
def test_what_all_tokens_of_a_volume_have_in_common_is_left_out():
    tokens = PatchTokens(SHAPE, VitOptions(**TOKENS), in_channels=6, stem="patch")
    volume = torch.rand(1, 6, *SHAPE)
    brighter = volume + torch.rand(6)[:, None, None, None]
    torch.testing.assert_close(tokens(brighter), tokens(volume), rtol=1e-3, atol=1e-3)
    content = (tokens(volume) - tokens.position())[0]
    torch.testing.assert_close(content.mean(dim=0), torch.zeros(16), rtol=0, atol=1e-4)
    assert (content.std(dim=0) > 0.9).all()


def test_layers_start_different():
    one, two = small(tokens={**TOKENS, "layers": 2}).transformer.layers
    assert not torch.equal(one.linear1.weight, two.linear1.weight)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_mirrored_attention_expects_the_mirrored_points(seed):
    torch.manual_seed(seed)
    attention = torch.rand(1, 25, 4, 3, 4).flatten(2).softmax(-1).reshape(1, 25, 4, 3, 4)
    reflected = mirror_targets(mirror_volume(attention))
    expected = mirror_points(expected_points(attention, (4, 8, 8)), SHAPE[0])
    torch.testing.assert_close(expected_points(reflected, (4, 8, 8)), expected)


def test_guided_attention_expects_the_mark():
    marks = torch.tensor([9.0, 12.0, 20.0]).expand(1, 25, 3)
    taught = guidance_target(marks, (16, 24, 32), (16, 24, 32), sigma_voxels=(1.0, 2.0, 2.0))
    torch.testing.assert_close(expected_points(taught, (1, 1, 1)), marks, atol=1e-2, rtol=0)


def test_a_region_is_cut_around_its_target_and_right_ones_are_mirrored():
    volume = torch.rand(1, 6, *SHAPE)
    points = torch.tensor([8.0, 12.0, 10.0]).expand(1, 25, 3)
    plain = volume[0, :, 7:10, 10:15, 8:13]
    cut = regions(volume, points, (3, 5, 5))[0]
    for target in TARGETS:
        expected = plain.flip(1) if target.side is Side.RIGHT else plain
        torch.testing.assert_close(cut[target.index], expected, rtol=1e-4, atol=1e-5)


def test_outside_the_volume_a_region_is_empty():
    cut = regions(torch.ones(1, 6, *SHAPE), torch.zeros(1, 25, 3), (3, 3, 3))[0, 0, 0]
    assert cut[0].abs().sum() == 0
    torch.testing.assert_close(cut[1:, 1:, 1:], torch.ones(2, 2, 2))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_in_the_mirror_regions_change_sides_and_those_of_the_canal_are_reflected(seed):
    torch.manual_seed(seed)
    volume, points = torch.rand(1, 6, *SHAPE), points_inside(seed=seed)
    cut = regions(volume, points, (4, 6, 6))
    other = regions(mirror_volume(volume), mirror_points(points, SHAPE[0]), (4, 6, 6))
    tight = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(other[:, LEFT], cut[:, RIGHT], **tight)
    torch.testing.assert_close(other[:, RIGHT], cut[:, LEFT], **tight)
    torch.testing.assert_close(other[:, CANAL], mirror_volume(cut[:, CANAL]), **tight)


@torch.no_grad()
def test_the_closer_look_reads_both_sides_by_the_same_numbers():
    closer = small().closer
    volume, points = torch.rand(1, 6, *SHAPE), points_inside()
    seen = closer(volume, points)
    other = closer(mirror_volume(volume), mirror_points(points, SHAPE[0]))
    torch.testing.assert_close(other[:, LEFT], seen[:, RIGHT], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(other[:, LEFT], seen[:, LEFT], atol=1e-2)


def test_training_looks_where_a_target_was_found_if_near_its_mark_else_near_the_mark():
    found = points_inside()
    marks = found.clone()
    marks[0, 0] += 1.5
    marks[0, 1] += 9.0
    marks[0, 2] = torch.nan
    known = torch.ones(1, 25, dtype=torch.bool)
    known[0, 2] = False
    places = places_near(found, Marks(marks, known), (2.0, 2.0, 2.0))
    assert torch.equal(places[0, 0], found[0, 0])
    assert torch.equal(places[0, 2], found[0, 2])
    gap = (places[0, 1] - marks[0, 1]).abs()
    assert (gap <= 2).all()
    assert (gap > 0).all()


def test_marks_tell_where_to_look_closer_but_not_where_targets_are_said_to_be():
    grader, volume = small(), torch.rand(1, 6, *SHAPE)
    looked: list[torch.Tensor] = []
    grader.closer.register_forward_hook(lambda _, inputs, __: looked.append(inputs[1]))
    marks = Marks(torch.tensor([2.0, 20.0, 29.0]).expand(1, 25, 3), torch.ones(1, 25).bool())
    told, untold = grader(volume, marks), grader(volume)
    assert ((looked[0] - marks.points).abs() <= torch.tensor([1.0, 2.0, 2.0])).all()
    torch.testing.assert_close(looked[1], untold.points)
    torch.testing.assert_close(told.points, untold.points)


def test_what_is_said_of_a_region_does_not_move_it():
    grader = small()
    graded = grader(torch.rand(1, 6, *SHAPE))
    graded.points.retain_grad()
    graded.severity.sum().backward()
    assert graded.points.grad is None


@torch.no_grad()
def test_studies_of_a_batch_do_not_know_of_one_another():
    grader, volume = small().eval(), torch.rand(2, 6, *SHAPE)
    alone = grader(volume[1:]).log_probs
    torch.testing.assert_close(grader(volume).log_probs[1:], alone, rtol=1e-4, atol=1e-5)


def test_bfloat16_and_an_empty_volume_are_graded_in_finite_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        graded = small()(torch.zeros(1, 6, *SHAPE))
    assert graded.log_probs.dtype == graded.attention.dtype == torch.float32
    assert torch.isfinite(graded.log_probs).all()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"shape": [16, 24, 36]}, "do not fill a volume"),
        ({"shape": [2, 24, 32]}, "do not fill a volume"),
        ({"tokens": {"patch": [4, 12, 12]}}, "cannot be"),
        ({"tokens": {"patch": [4, 8]}}, "cannot be"),
        ({"tokens": {"width": 30, "heads": 4}}, "cannot be"),
        ({"tokens": {"layers": 0}}, "cannot be"),
        ({"tokens": {"dropout": 1.0}}, "cannot be"),
        ({"tokens": {"class_path": "os.system"}}, "no option of tokens"),
        ({"closer": {"region": [8, 24, 20], "patch": [2, 8, 8]}}, "do not fill a volume"),
        ({"closer": {"reach": 3}}, "no option of closer"),
        ({"stem": "os.system"}, "is no stem"),
        ({"head": "os.system"}, "is no head"),
        ({"pooling": "attention"}, "no argument of VitGrader"),
    ],
    ids=str,
)
def test_a_recipe_that_cannot_work_is_refused(recipe, message):
    with pytest.raises(ConfigurationError, match=message):
        build_grader({"grader": "VitGrader", "shape": list(SHAPE), **recipe})


def test_a_recipe_cannot_ask_for_more_layers_than_its_weights_allow():
    grader = small()
    endless = {**grader.recipe, "tokens": {**TOKENS, "layers": 10**9}}
    refused = pytest.raises(ConfigurationError, match="larger than its weights")
    with refused, Allowance(grader.state_dict()):
        build_grader(endless)


def bright_sides(left, right):
    """A volume whose low i is bright where the left is severe, and whose high i so the right."""
    volume = torch.zeros(len(left), 6, *SHAPE)
    volume[:, 0, 2:6, 8:16, 12:20] = left.float()[:, None, None, None]
    volume[:, 0, 10:14, 8:16, 12:20] = right.float()[:, None, None, None]
    return volume


@pytest.mark.parametrize("stem", ["patch", pytest.param("convolutional", marks=pytest.mark.slow)])
def test_it_learns_and_left_is_low_i(stem):
    left, right = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    names = [t.name for t in TARGETS]
    index = [names.index(f"{s}_subarticular_stenosis_l4_l5") for s in ("left", "right")]
    grades, points = torch.full((4, 25), -1), torch.zeros(4, 25, 3)
    grades[:, index[0]], grades[:, index[1]] = 2 * left, 2 * right
    points[:, index[0]] = torch.tensor([3.5, 11.5, 15.5])
    points[:, index[1]] = torch.tensor([11.5, 11.5, 15.5])
    marks = Marks(points, grades >= 0)
    batch = {"volume": bright_sides(left, right), "grades": grades, **marks._asdict()}
    grader = small(stem=stem, link="cumulative")
    optimizer = torch.optim.AdamW(grader.parameters(), lr=5e-3)
    loss = GradingLoss(guidance=0.5, sigma_voxels=(2, 4, 4))
    for _ in range(40):
        optimizer.zero_grad()
        parts = loss(grader(batch["volume"], marks), batch)
        parts["loss"].backward()
        optimizer.step()
    only_left = bright_sides(torch.tensor([1]), torch.tensor([0]))
    with torch.no_grad():
        said, reflected = grader(only_left), grader(mirror_volume(only_left))
    severe, mirrored = (each.log_probs.exp()[0, index, 2] for each in (said, reflected))
    assert severe[0] > 0.8
    assert severe[1] < 0.2
    assert mirrored[0] < 0.2
    assert mirrored[1] > 0.8
    assert said.points[0, index[0], 0] < 7 < said.points[0, index[1], 0]

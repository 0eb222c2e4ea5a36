"""LevelGrader: sides are sides, absent views stay finite, recipes are plain, and it learns."""

import json
from typing import Any

import pytest
import torch
import yaml

from tests.models.made_patches import made_patches, with_symmetric_canal, without
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Side
from volspine.errors import ConfigurationError
from volspine.models.grader import build_grader
from volspine.models.heads import SharedHead
from volspine.models.level_grader import LevelGrader
from volspine.models.level_loss import LevelLoss, view_loss
from volspine.models.losses import grade_loss, mirror_loss
from volspine.models.mirror import mirror_patches, mirror_targets, turn_right_sides
from volspine.models.parts import Graded
from volspine.views import TOKEN_TARGET, TOKEN_VIEW, VIEWS, Patches

SMALL: dict[str, Any] = {
    "trunk": {"name": "efficientnet_lite0", "stride": 2},
    "tokens": {"width": 16, "heads": 2},
}


def small(**parts: Any) -> LevelGrader:
    torch.manual_seed(0)
    tokens = {**SMALL["tokens"], **parts.pop("tokens", {})}
    made = LevelGrader(**{**SMALL, **parts, "tokens": tokens}).eval()
    for p in (made.alone, *(p for n, p in made.head.named_parameters() if "out" in n)):
        torch.nn.init.normal_(p, std=0.5)  # Heads start near zero, where little can be seen.
    return made


@pytest.fixture(scope="module")
def grader() -> LevelGrader:
    return small()


@pytest.fixture(scope="module")
def patches() -> Patches:
    return with_symmetric_canal(made_patches())


@pytest.fixture(scope="module")
def graded(grader: LevelGrader, patches: Patches) -> Graded:
    with torch.no_grad():
        said: Graded = grader(patches)
    return said


def test_all_targets_and_all_tokens_are_graded(graded: Graded) -> None:
    assert graded.log_probs.shape == (2, 25, 3)
    assert graded.severity.shape == (2, 25)
    assert graded.view_log_probs is not None
    assert graded.view_log_probs.shape == (2, 40, 3)
    assert graded.seen is not None
    assert graded.seen.all()
    torch.testing.assert_close(graded.log_probs.exp().sum(-1), torch.ones(2, 25))
    torch.testing.assert_close(graded.view_log_probs.exp().sum(-1), torch.ones(2, 40))


@torch.no_grad()
def test_exchanging_sides_exchanges_the_grades(
    grader: LevelGrader, patches: Patches, graded: Graded
) -> None:
    mirrored = grader(mirror_patches(patches))
    torch.testing.assert_close(mirrored.log_probs, mirror_targets(graded.log_probs))
    assert not torch.allclose(mirrored.severity, graded.severity, atol=1e-2)


@torch.no_grad()
def test_a_change_on_the_left_changes_what_the_left_alone_says(
    grader: LevelGrader, patches: Patches, graded: Graded
) -> None:
    target = next(t for t in TARGETS if t.name == "left_subarticular_stenosis_l3_l4")
    view = VIEWS[4]
    images = [image.clone() for image in patches.images]
    images[4][:, view.targets.index(target.index)] += torch.randn(5, 40, 40)
    other = grader(Patches(tuple(images), patches.covered))
    assert graded.view_log_probs is not None
    change = (other.view_log_probs - graded.view_log_probs).abs().amax(dim=(0, 2))
    (token,) = torch.nonzero(change > 1e-6).flatten().tolist()
    assert TOKEN_TARGET[token] == target.index
    assert target.side is Side.LEFT


@torch.no_grad()
def test_without_shared_sides_each_side_is_read_as_the_scanner_saw_it() -> None:
    alone, seen = small(share_sides=False), made_patches(1)
    images = list(seen.images)
    images[2] = images[2].clone()
    images[2][:, 5:] = images[2][:, :5]  # Mirrored, the right foramina look like the left ones.
    same = Patches(tuple(images), seen.covered)
    shared = small()(same).view_log_probs
    apart = alone(same).view_log_probs
    torch.testing.assert_close(shared[:, 10:15], shared[:, 15:20])
    assert not torch.allclose(apart[:, 10:15], apart[:, 15:20], atol=1e-3)


def test_turning_right_sides_leaves_left_ones_and_is_its_own_inverse() -> None:
    seen = made_patches(1)
    turned = turn_right_sides(seen.images)
    for view, one, two in zip(VIEWS, seen.images, turned, strict=True):
        for row, t in enumerate(view.targets):
            axis = -1 if view.protocol.value == "axial_t2" else 1
            expected = one[:, row].flip(axis) if TARGETS[t].side is Side.RIGHT else one[:, row]
            assert torch.equal(two[:, row], expected)
    again = turn_right_sides(turned)
    assert all(torch.equal(a, b) for a, b in zip(again, seen.images, strict=True))
    first_slice = tuple(torch.eye(5)[0].expand(1, len(v.targets), 5) for v in VIEWS)
    shares = turn_right_sides(first_slice)
    assert shares[2][0, 0].argmax() == 0
    assert shares[2][0, 5].argmax() == 4
    assert shares[4][0, 5].argmax() == 0


def test_in_the_mirror_patches_change_sides_and_the_canal_is_reflected() -> None:
    seen = made_patches(1)
    other = mirror_patches(seen)
    assert torch.equal(other.images[0], seen.images[0].flip(2))
    assert torch.equal(other.images[1], seen.images[1].flip(4))
    for v in (2, 3, 4):
        swapped = [VIEWS[v].targets.index(MIRRORED_INDEX[t]) for t in VIEWS[v].targets]
        assert swapped == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]
        assert torch.equal(other.images[v], seen.images[v][:, swapped])
    again = mirror_patches(other)
    assert all(torch.equal(a, b) for a, b in zip(again.images, seen.images, strict=True))


@torch.no_grad()
@pytest.mark.parametrize("missing", [(0,), (1, 4), (0, 2, 3), (0, 1, 2, 3, 4)], ids=str)
def test_grades_are_finite_whatever_was_not_measured(
    grader: LevelGrader, missing: tuple[int, ...]
) -> None:
    lacking = without(made_patches(), *missing)
    said = grader(lacking)
    for told in (said.log_probs, said.severity, said.view_log_probs):
        assert torch.isfinite(told).all()
    expected = torch.tensor([v not in missing for v in TOKEN_VIEW])
    assert torch.equal(said.seen, expected.expand(2, -1))


@torch.no_grad()
def test_what_was_not_measured_is_not_looked_at(grader: LevelGrader) -> None:
    lacking, strange = without(made_patches(), 1), made_patches(seed=5)
    images = (lacking.images[0], strange.images[1], *lacking.images[2:])
    torch.testing.assert_close(
        grader(Patches(images, lacking.covered)).log_probs, grader(lacking).log_probs
    )


@torch.no_grad()
def test_studies_of_a_batch_do_not_know_of_one_another(
    grader: LevelGrader, patches: Patches, graded: Graded
) -> None:
    second = Patches(tuple(i[1:] for i in patches.images), tuple(c[1:] for c in patches.covered))
    torch.testing.assert_close(grader(second).log_probs, graded.log_probs[1:])


@pytest.mark.parametrize(
    "parts",
    [{"share_sides": False}, {"tokens": {"fusion": False}}, {"pooling": "average"}], ids=str,
)  # fmt: skip
def test_a_look_is_one_for_every_token_and_lies_as_its_patch(parts: dict[str, Any]) -> None:
    made, seen = small(**parts), made_patches(1)
    covered = [c.clone() for c in seen.covered]
    covered[2][0, 7, 0] = 0.0  # The first slice of a right foramen.
    looked = made.look(Patches(seen.images, tuple(covered)))
    for view, share in zip(VIEWS, looked, strict=True):
        cells = view.pixels // 2
        assert share.shape == (1, len(view.targets), view.slices, cells, cells)
        torch.testing.assert_close(share.sum((2, 3, 4)), torch.ones(1, len(view.targets)))
    assert (looked[2][0, 7, 0] == 0).all()
    assert (looked[2][0, 7, 4] > 0).all()


def test_gradients_reach_the_maps_of_the_trunk(grader: LevelGrader, patches: Patches) -> None:
    maps = tuple(m.detach().requires_grad_() for m in grader.features(patches) if m is not None)
    grader.grade(maps, patches.covered).severity[0, 0].backward()
    gradient = maps[0].grad
    assert gradient is not None
    assert gradient[0, 0].abs().sum() > 0
    assert gradient[1].abs().sum() == 0


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"share_sides": False, "link": {"name": "cumulative", "share": "target"}},
        {"tokens": {"fusion": False, "within_level": False, "across_levels": False}},
        {"pooling": {"name": "attention", "looks": 2}, "link": "softmax", "head": "linear"},
    ],
    ids=["whole", "sides", "bare", "softmax"],
)
@pytest.mark.slow
def test_any_parts_make_a_recipe_that_makes_them_again(parts: dict[str, Any]) -> None:
    made = small(**parts)
    recipe = yaml.safe_load(yaml.safe_dump(made.recipe))
    assert recipe == json.loads(json.dumps(made.recipe)) == made.recipe
    again = build_grader(recipe).eval()
    again.load_state_dict(made.state_dict())
    seen = made_patches(1)
    said = made(seen)
    torch.testing.assert_close(again(seen).log_probs, said.log_probs)
    (said.log_probs.sum() + said.view_log_probs[..., 1].sum()).backward()
    unused = [n for n, p in made.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused  # Several processes would wait for them.


def test_a_recipe_shows_no_path() -> None:
    recipe = {**small().recipe, "trunk": {**SMALL["trunk"], "weights": "/no/w"}}
    assert build_grader(recipe).recipe["trunk"] == SMALL["trunk"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"pooling": "magic"}, "'magic' is no pooling"),
        ({"tokens": {"depth": 3}}, "'depth' is no option of tokens"),
        ({"trunk": {"name": "resnet10t", "cut": 3}}, "'cut' is no option of resnet10t"),
        ({"trunk": "vgg11"}, "'vgg11' is not offered"),
    ],
    ids=["pooling", "tokens", "option", "trunk"],
)
def test_a_recipe_cannot_name_anything_else(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LevelGrader(**parts)


def test_the_default_is_small_enough_to_be_shipped() -> None:
    assert sum(p.numel() for p in LevelGrader().parameters()) < 1_000_000


def test_a_shared_head_of_conditions_tells_the_sides_apart() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 1, 8).expand(1, 25, 8)
    apart, alike = SharedHead(8, share="condition"), SharedHead(8)
    left, right = slice(5, 10), slice(10, 15)
    torch.testing.assert_close(alike(features)[:, left], alike(features)[:, right])
    assert not torch.allclose(apart(features)[:, left], apart(features)[:, right])


def test_the_loss_of_views_counts_each_view_alike_and_known_grades_alone() -> None:
    grades = torch.full((1, 25), -1)
    grades[0, 5:7] = torch.tensor([0, 2])
    log_probs = torch.full((1, 40, 3), 1 / 3).log()
    log_probs[0, 10] = torch.tensor([0.5, 0.25, 0.25]).log()
    log_probs[0, 20:22] = torch.tensor([0.25, 0.25, 0.5]).log()
    seen = torch.ones(1, 40, dtype=torch.bool)
    t1 = -(torch.tensor(0.5).log() + torch.tensor(1 / 3).log()) / 2
    t2 = -(torch.tensor(0.25).log() + torch.tensor(0.5).log()) / 2
    torch.testing.assert_close(view_loss(log_probs, seen, grades), (t1 + t2) / 2)
    seen[0, 20] = False
    t2 = -torch.tensor(0.5).log()
    torch.testing.assert_close(view_loss(log_probs, seen, grades), (t1 + t2) / 2)
    assert view_loss(log_probs, ~seen & False, grades) == 0


def test_the_parts_of_the_loss_add_up(grader: LevelGrader, patches: Patches) -> None:
    said, seen = grader(patches), {"grades": torch.zeros(2, 25, dtype=torch.long)}
    mirrored = grader(patches)  # As if sides did not change places.
    loss = LevelLoss(views=0.3, any_severe=0.5, mirror=0.25)
    parts = loss(said, seen, mirrored)
    assert set(parts) == {"loss", "grades", "any_severe", "views", "mirror"}
    weights = {"grades": 1, "any_severe": 0.5, "views": 0.3, "mirror": 0.25}
    total = sum(weight * parts[name] for name, weight in weights.items())
    torch.testing.assert_close(parts["loss"], total)
    assert parts["mirror"] > 0
    bare = LevelLoss(views=0)(said, seen)
    expected = grade_loss(said.log_probs, seen["grades"], balance="findings")
    torch.testing.assert_close(bare["loss"], expected)
    with pytest.raises(ConfigurationError, match="negative"):
        LevelLoss(views=-1)


def test_the_mirror_loss_is_zero_for_exchanged_sides_alone() -> None:
    severity = torch.randn(2, 25)
    assert mirror_loss(severity, mirror_targets(severity)) == 0
    left, right = severity[:, 5:10], severity[:, 10:15]
    expected = (
        2 * ((left - right) ** 2).sum() + 2 * ((severity[:, 15:20] - severity[:, 20:]) ** 2).sum()
    )
    torch.testing.assert_close(mirror_loss(severity, severity), expected / severity.numel())


def test_it_learns_which_targets_have_a_bright_middle() -> None:
    torch.manual_seed(0)
    made = LevelGrader(**SMALL, head={"name": "shared", "hidden": 16}).train()
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2)
    seen, grades = made_patches(1), torch.randint(0, 3, (1, 25))
    for image, view in zip(seen.images, VIEWS, strict=True):
        image[..., 14:26, 14:26] += 2 * grades[:, list(view.targets), None, None, None]
    losses = []
    loss = LevelLoss()
    for _ in range(6):
        optimizer.zero_grad()
        parts = loss(made(seen), {"grades": grades})
        parts["loss"].backward()
        optimizer.step()
        losses.append(float(parts["grades"].detach()))
    assert losses[-1] < losses[0] - 0.1

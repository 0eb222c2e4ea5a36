"""Loss of SpineOne: where heat is wanted, by hand; what is missing counts for nothing."""

import math

import pytest
import torch

from volspine.anatomy import TARGETS, Condition
from volspine.errors import ConfigurationError
from volspine.models.mirror import mirror_batch, mirror_targets
from volspine.models.parts import Graded
from volspine.models.spineone_loss import (
    SpineOneLoss,
    heat_loss,
    mark_bumps,
    offset_loss,
    severity_targets,
)

NAMES = [target.name for target in TARGETS]
LEFT = NAMES.index("left_subarticular_stenosis_l4_l5")
RIGHT = NAMES.index("right_subarticular_stenosis_l4_l5")
SHAPE, CELLS = (12, 16, 24), (12, 4, 6)


def batch(**changes):
    values = {
        "volume": torch.zeros(1, 6, *SHAPE),
        "grades": torch.full((1, 25), -1),
        "points": torch.full((1, 25, 3), math.nan),
        "has_point": torch.zeros(1, 25, dtype=torch.bool),
    }
    return {**values, **changes}


def marked(target, point, grade):
    made = batch()
    made["grades"][0, target] = grade
    made["points"][0, target] = torch.tensor(point)
    made["has_point"][0, target] = True
    return made


def wanted(made):
    points = torch.where(made["has_point"][..., None], made["points"], 0.0)
    bumps = mark_bumps(points, SHAPE, CELLS, sigma_voxels=(1.0, 4.0, 4.0))
    return severity_targets(bumps, made["grades"], 3)


def test_heat_is_wanted_at_the_mark_in_the_map_of_the_true_grade_only():
    """Voxel (9, 5.5, 13.5) is the centre of cell (9, 1, 3): low i is left, so this is a right."""
    maps = wanted(marked(RIGHT, (9.0, 5.5, 13.5), 1))
    assert maps[0, RIGHT, 1, 9, 1, 3] == 1
    assert maps[0, RIGHT, 1, 8, 1, 3].item() == pytest.approx(math.exp(-1 / 2))
    assert maps[0, RIGHT, 1, 9, 2, 3].item() == pytest.approx(math.exp(-1 / 2))
    assert maps[0, RIGHT, [0, 2]].abs().max() == 0
    others = [t for t in range(25) if t != RIGHT]
    assert maps[0, others].abs().max() == 0


def test_the_mirror_image_wants_the_mirrored_heat_in_the_channel_of_the_other_side():
    made = marked(RIGHT, (9.0, 5.5, 13.5), 2)
    reflected = wanted(mirror_batch(made))
    torch.testing.assert_close(reflected, mirror_targets(wanted(made)).flip(3))
    assert reflected[0, LEFT, 2, 2, 1, 3] == 1
    assert reflected[0, RIGHT].abs().max() == 0


def test_the_heat_of_one_mark_by_hand():
    """Logit 0 everywhere costs ln 2 a cell and grade, over the mass of the bump."""
    bumps = torch.zeros(1, 25, 1, 1, 4)
    bumps[..., 1] = 1.0
    bumps[..., 2] = 0.5
    grades = torch.full((1, 25), -1)
    grades[0, 7] = 0
    loss = heat_loss(torch.zeros(1, 25, 3, 1, 1, 4), bumps, grades)
    assert loss.item() == pytest.approx(12 * math.log(2) / 1.5)


def test_heat_is_least_where_it_is_the_bump_of_the_true_grade():
    made = marked(LEFT, (3.0, 5.5, 13.5), 2)
    bumps = mark_bumps(torch.nan_to_num(made["points"]), SHAPE, CELLS, sigma_voxels=(1.0, 4.0, 4.0))
    best = severity_targets(bumps, made["grades"], 3).clamp(1e-4, 1 - 1e-4).logit()
    right = heat_loss(best, bumps, made["grades"])
    for other in (best.flip(2), best.flip(3), mirror_targets(best), best + 0.3, best - 0.3):
        assert heat_loss(other, bumps, made["grades"]) > right


def test_the_error_of_an_offset_by_hand():
    """The mark lies (0, 0.25, -0.5) cells from cell (2, 1, 3): offsets of 0 miss a quarter."""
    cells = (5, 3, 5)
    bumps = torch.zeros(1, 25, *cells)
    bumps[0, LEFT, 2, 1, 3] = 1
    marks = torch.zeros(1, 25, 3)
    marks[0, LEFT] = torch.tensor([2.0, 1.25, 2.5])
    known = torch.zeros(1, 25, dtype=torch.bool)
    known[0, LEFT] = True
    offset = torch.zeros(1, len(Condition), 3, *cells)
    assert offset_loss(offset, bumps, marks, known).item() == pytest.approx(0.25)
    offset[:, list(Condition).index(Condition.LEFT_SUBARTICULAR_STENOSIS), 2] = -0.5
    assert offset_loss(offset, bumps, marks, known).item() == pytest.approx(0.25 / 3)
    assert offset_loss(offset, bumps, marks, ~known).item() == pytest.approx(
        offset_loss(offset, bumps * 0, marks, known).item()
    )


def said(**changes):
    heat = torch.randn(1, 25, 3, *CELLS, requires_grad=True)
    offset = torch.randn(1, 5, 3, *CELLS, requires_grad=True)
    extras = {"heat": heat, "offset": offset, **changes}
    log_probs = torch.full((1, 25, 3), -math.log(3.0))
    return Graded(log_probs, torch.zeros(1, 25), None, extras=extras)


@pytest.mark.parametrize("missing", ["mark", "grade", "both"])
def test_what_is_missing_costs_nothing_and_pulls_nowhere(missing):
    made = batch()
    if missing == "grade":
        made["points"], made["has_point"] = torch.full((1, 25, 3), 4.0), ~made["has_point"]
    if missing == "mark":
        made["grades"] = torch.ones_like(made["grades"])
    graded = said()
    parts = SpineOneLoss()(graded, made)
    assert parts["heat"].item() == 0
    (parts["heat"] + parts["offset"]).backward()
    assert graded.extras["heat"].grad.abs().max() == 0
    if missing != "grade":  # A mark without a grade still says where it is.
        assert parts["offset"].item() == 0
        assert graded.extras["offset"].grad.abs().max() == 0


def test_the_loss_is_the_weighted_sum_of_its_parts():
    made = marked(LEFT, (3.0, 5.5, 13.5), 2)
    parts = SpineOneLoss(heat=0.5, offset=2.0, sigma_voxels=(1.0, 4.0, 4.0))(said(), made)
    assert list(parts) == ["loss", "grades", "heat", "offset"]
    total = parts["grades"] + 0.5 * parts["heat"] + 2.0 * parts["offset"]
    assert parts["loss"].item() == pytest.approx(total.item())


def test_terms_can_be_left_out():
    made = marked(LEFT, (3.0, 5.5, 13.5), 2)
    assert list(SpineOneLoss(offset=0.0)(said(), made)) == ["loss", "grades", "heat"]
    assert list(SpineOneLoss(heat=0.0)(said(), made)) == ["loss", "grades", "offset"]
    graded = said()
    without = graded._replace(extras={"heat": graded.extras["heat"]})
    assert "offset" not in SpineOneLoss()(without, made)
    unmarked = {key: made[key] for key in ("volume", "grades")}
    assert list(SpineOneLoss()(graded, unmarked)) == ["loss", "grades"]


@pytest.mark.parametrize("bad", [{"heat": -1.0}, {"offset": -1.0}, {"guidance": -1.0}])
def test_negative_weights_are_refused(bad):
    with pytest.raises(ConfigurationError, match="negative"):
        SpineOneLoss(**bad)

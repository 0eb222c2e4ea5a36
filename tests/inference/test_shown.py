"""Targets whose place was not measured are told by where the network looked for them."""

import numpy as np
import pytest
import torch

from tests.inference.made_up import make_study, tiny_card
from volspine.anatomy import LEVELS, MIRRORED_INDEX, PROTOCOLS, TARGETS, Finding
from volspine.inference.bundle import Bundle, load_bundle
from volspine.inference.predictor import Options, Predictor
from volspine.inference.shown import as_seen, mean_look, seen_share, unseen_targets, why_unseen
from volspine.models.mirror import mirror_volume

CELLS, VOXELS, SPACING_MM = (4, 4, 10), (8, 8, 30), (6.0, 6.0, 5.0)
HEIGHTS = [9, 7, 5, 3, 1]
"""The cell of each level, from L1/L2 down."""


def look(*, leak=0.0):
    """Each target in the cell of its level, on its side; a part of it leaks to the level below."""
    found = torch.zeros(len(TARGETS), *CELLS, dtype=torch.float64)
    for target in TARGETS:
        i = {None: 2, "left": 0, "right": 3}[target.side]
        k = HEIGHTS[LEVELS.index(target.level)]
        found[target.index, i, 2, k] = 1 - leak
        found[target.index, i, 2, k - 1] += leak
    return found


def masks(**reach):
    """What each protocol measured: the voxels below a height, all of them if omitted."""
    found = torch.zeros(3, *VOXELS, dtype=torch.bool)
    for p, protocol in enumerate(PROTOCOLS):
        found[p, :, :, : reach.get(protocol.value, VOXELS[2])] = True
    return found


def unseen(**reach):
    told = unseen_targets(look(), masks(**reach), SPACING_MM)
    return {target.name for target, kind in zip(TARGETS, told, strict=True) if kind == "view"}


def names(finding, *levels):
    return {t.name for t in TARGETS if t.finding is finding and LEVELS.index(t.level) in levels}


def test_all_is_seen_where_all_was_measured():
    assert unseen() == set()


def test_recesses_above_the_axial_slices_are_unseen_and_canals_are_not():
    assert unseen(axial_t2=18) == names(Finding.RECESS, 0, 1)


def test_foramina_need_sagittal_t1_and_canals_either_view():
    assert unseen(sagittal_t1=20) == names(Finding.FORAMEN, 0, 1)
    assert unseen(sagittal_t2=20) == set()
    assert unseen(sagittal_t2=27, axial_t2=18) == names(Finding.RECESS, 0, 1) | names(
        Finding.CANAL, 0
    )


def test_the_share_is_the_attention_on_measured_cells():
    share = seen_share(look(leak=0.25), masks(axial_t2=27))
    recess = [t.index for t in TARGETS if t.finding is Finding.RECESS and t.level is LEVELS[0]]
    assert share[recess].tolist() == pytest.approx([0.25, 0.25])
    assert share.max() == pytest.approx(1)


def test_attention_that_is_spread_over_the_grid_tells_nothing():
    flat = torch.full((len(TARGETS), *CELLS), 1 / np.prod(CELLS), dtype=torch.float64)
    little = masks(axial_t2=3, sagittal_t1=3, sagittal_t2=3)
    assert set(unseen_targets(flat, little, SPACING_MM)) == {""}


@pytest.mark.parametrize(("outer", "next_one"), [(0, 1), (4, 3)])
def test_a_level_that_is_looked_for_beside_the_next_one_was_not_found(outer, next_one):
    found = look()
    canals = [t.index for t in TARGETS if t.finding is Finding.CANAL]
    found[canals[outer]] = found[canals[next_one]]
    told = unseen_targets(found, masks(), SPACING_MM)
    lost = {t.level for t, kind in zip(TARGETS, told, strict=True) if kind == "place"}
    assert lost == {LEVELS[outer]}
    assert told.count("place") == 5
    why = why_unseen(TARGETS[canals[outer]], "place")
    assert why == f"{LEVELS[outer].label} was not found and may lie outside the images"
    # Levels two cells of 15 mm apart are fine, one cell of 24 mm as well.
    taller = unseen_targets(found, masks(), (6.0, 6.0, 500.0))
    assert taller == told  # The same place is too near at any scale.


def test_the_look_at_a_mirror_image_is_turned_back():
    sided = look() * torch.linspace(0.5, 1, 25)[:, None, None, None]
    of_mirror = mirror_volume(sided)[list(MIRRORED_INDEX)]
    assert torch.equal(as_seen([sided[None], of_mirror[None]]), sided)
    assert not torch.equal(as_seen([sided[None], sided[None]]), sided)
    assert as_seen([None]) is None


def test_members_that_look_in_maps_of_other_shapes_have_no_mean():
    first, second = look(), look(leak=0.5)
    assert torch.equal(mean_look([first, second]), look(leak=0.25))
    assert mean_look([first, None]) is None
    assert mean_look([first, second[:, :2]]) is None


class LooksAtLevels(torch.nn.Module):
    """A grader that always looks into `look()`."""

    def __init__(self, grader):
        super().__init__()
        self.grader = grader

    def forward(self, volume):
        graded = self.grader(volume)
        return graded._replace(attention=look().expand(len(volume), -1, -1, -1, -1))


@pytest.fixture
def predictor(tiny_bundle):
    loaded = load_bundle(tiny_bundle)
    graders = tuple(LooksAtLevels(grader) for grader in loaded.graders)
    return Predictor(Bundle(tiny_card(), loaded.recipe, graders), device="cpu")


def test_levels_without_axial_slices_are_filled_in_with_a_reason(predictor):
    # The made-up axial series reaches 80 mm along the middle of a grid of 192 mm.
    grades = predictor.predict(make_study()).grades
    recess = {t.level: t.index for t in TARGETS if t.finding is Finding.RECESS}
    told = {level.label: grades.reasons[t] for level, t in recess.items() if grades.imputed[t]}
    assert told["L1/L2"] == "no axial T2 slice covers L1/L2"
    assert "L3/L4" not in told
    assert grades.status == "partial"
    assert "no axial T2 slice covers L1/L2" in grades.reason
    assert grades.probabilities[recess[LEVELS[0]]].tolist() == pytest.approx([0.7, 0.2, 0.1])


def test_a_level_that_is_renamed_is_called_by_its_new_name(predictor):
    moved = predictor.predict(make_study(), Options(shift_levels=1)).grades
    second = next(t.index for t in TARGETS if t.finding is Finding.RECESS and t.level is LEVELS[1])
    assert moved.reasons[second] == "no axial T2 slice covers L2/L3"


def test_the_reason_names_every_view_that_would_do():
    canal = next(t for t in TARGETS if t.finding is Finding.CANAL)
    assert why_unseen(canal, "view") == "no sagittal T2 or axial T2 slice covers L1/L2"

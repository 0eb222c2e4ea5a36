"""The stress table does what its rows say, and its judge is neither kind nor unkind."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.second_phantom.case import Case
from tests.second_phantom.scan import draw_plans
from tests.second_phantom.stress import ROWS, harder, in_view, judge
from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.landmarks import POINT_OF_TARGET, POINTS

AFFINE = np.array([[0, 0, 4.0, -24], [2, 0, 0, -150], [0, -2, 0, 150], [0, 0, 0, 1]])
POINTS_MM = np.zeros((27, 3))
POINTS_MM[:7, 2] = 105 - 35.0 * np.arange(7)
POINTS_MM[7:, 2] = np.tile(POINTS_MM[1:6, 2], 4)
POINTS_MM[7:, 0] = np.repeat([17, -17, 8, -8], 5)


class Stand:
    """Stands for a person: a bright voxel at every landmark, the front of the bodies at -40."""

    column = SimpleNamespace(at=lambda *_: np.array([0, -40.0, 0]), wall=lambda _: 17.0)

    def scanned(self, change):
        plan = change(draw_plans(np.random.default_rng(0))[0])
        affine = AFFINE.copy()
        affine[:3, 3] += plan.middle_mm - draw_plans(np.random.default_rng(0))[0].middle_mm
        voxels = np.zeros((150, 150, 13), np.float32)
        inside = np.linalg.solve(affine, np.c_[POINTS_MM, np.ones(27)].T)[:3].round().astype(int)
        for number, (i, j, k) in enumerate(inside.T, start=1):
            if 0 <= j < 150:
                voxels[i, j, k] = number
        series = [
            Series("1", f"sagittal {name}", protocol, "known", [Stack.from_array(voxels, affine)])
            for name, protocol in (("t1", Protocol.SAGITTAL_T1), ("t2", Protocol.SAGITTAL_T2))
        ]
        return Case(Study("s", series), POINTS_MM, None, self.column, (plan,))


def shown_at(case):
    """Return where each landmark's voxel is, NaN for what is cut away."""
    stack = case.study.series[0].stacks[0]
    places = np.full((27, 3), np.nan)
    for i, j, k in np.argwhere(stack.voxels):
        number = int(stack.voxels[i, j, k]) - 1
        places[number] = (stack.affine_lps @ [i, j, k, 1])[:3]
    return places


def told(points):
    """Return landmarks as a localizer would tell them."""
    return SimpleNamespace(
        points_mm=points[list(POINT_OF_TARGET)], doubts=(), level_confidence=np.ones(5)
    )


@pytest.mark.parametrize("name", [n for n in ROWS if n != "mirrored"])
def test_the_truth_of_a_row_is_where_its_pictures_show_it(name):
    case = harder(Stand(), ROWS[name])
    shown = shown_at(case)
    seen = np.isfinite(shown).all(axis=1)
    assert shown[seen] == pytest.approx(case.points_mm[seen], abs=3)
    assert not (in_view(case) & ~seen).any()
    assert in_view(case, 0).sum() >= seen.sum() - 1


def test_a_mirrored_study_shows_left_marks_where_right_ones_were():
    case = harder(Stand(), ROWS["mirrored"])
    shown = shown_at(case)
    left, right = (POINTS.index(f"{s}_neural_foraminal_narrowing_l4_l5") for s in ("left", "right"))
    assert case.points_mm[left, 0] > 0
    assert shown[right] == pytest.approx(case.points_mm[left], abs=3)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("cut off above L3", [False, True, True, True, True]),
        ("cut off below L4", [True, True, True, True, False]),
        ("cut at the bottom, 20 mm below L5/S1", [True] * 5),
        ("cut at the top, 15 mm above T12/L1", [True] * 5),
    ],
)
def test_a_cut_leaves_what_its_name_says(name, seen):
    assert in_view(harder(Stand(), ROWS[name]))[1:6].tolist() == seen


def test_who_knows_the_truth_is_right_everywhere():
    case = harder(Stand(), ROWS["baseline"])
    verdict = judge(case, told(case.points_mm))
    assert verdict["verdicts"] == ["right"] * 5
    assert np.nanmax(verdict["foramen_mm"]) == 0


def test_who_counts_one_too_low_is_right_nowhere():
    case = harder(Stand(), ROWS["baseline"])
    points = case.points_mm.copy()
    points[:6] = points[1:7]
    assert judge(case, told(points))["verdicts"] == ["off"] * 5


def test_who_is_far_from_every_disc_is_astray_and_who_says_nothing_absent():
    case = harder(Stand(), ROWS["baseline"])
    assert judge(case, told(np.add(case.points_mm, (0, 40, 0))))["verdicts"] == ["astray"] * 5
    assert judge(case, told(np.full((27, 3), np.nan)))["verdicts"] == ["absent"] * 5


def test_who_names_what_is_out_of_view_wrongly_invents_it():
    case = harder(Stand(), ROWS["cut off below L4"])
    points = case.points_mm.copy()
    points[1:6] = points[:5]
    verdicts = judge(case, told(points))["verdicts"]
    assert verdicts == ["off"] * 4 + ["invented"]

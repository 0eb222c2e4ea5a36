"""The picture of located levels: circles of the right colour at the right place, honest titles."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tests.report.made_up import axial_stack, make_study, sagittal_stack
from volspine.anatomy import LEVELS, TARGETS, Level, Side
from volspine.landmarks import CHAIN, Landmarks


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("matplotlib")
    path = Path(__file__).parents[1] / "visualize" / "located_levels.py"
    if not path.is_file():
        pytest.skip("the scripts are not part of an installed package")
    spec = importlib.util.spec_from_file_location("located_levels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def places():
    """L4/L5 in the slice at z = 2 of the axial stack; left at +x."""
    aside = {Side.LEFT: 6.0, Side.RIGHT: -6.0, None: 0.0}
    heights = {level: 2.0 + 6.0 * (3 - n) for n, level in enumerate(LEVELS)}
    return np.array([(aside[t.side], 0.0, heights[t.level]) for t in TARGETS])


def found(points, *, doubts=()):
    there = np.isfinite(points).all(axis=1)
    return Landmarks(
        points_mm=points,
        spread_mm=np.where(there, 1.0, np.nan),
        confidence=np.where(there, 0.9, 0.0),
        reasons=tuple("" if t else "below the field of view" for t in there),
        chain_mm=np.full((len(CHAIN), 3), np.nan),
        level_confidence=np.full(len(LEVELS), 0.9),
        doubts=tuple(doubts),
    )


def study():
    rng = np.random.default_rng(0)
    return make_study(
        sagittal_t2=sagittal_stack(rng.random((41, 31, 6))),
        axial_t2=axial_stack(rng.random((11, 21, 4))),
    )


def test_left_points_are_drawn_in_the_colour_of_the_left_on_the_right_of_the_picture(script):
    shown = script.Shown("made up", study(), found(places()), None)
    figure, axis = script.plt.subplots()
    script.draw_axial(axis, shown)
    circles = {line.get_color(): line.get_xdata()[0] for line in axis.lines}
    # Columns are 2 mm apart from x = -10: the canal is column 5, the left column 8.
    assert circles[script.COLORS[Side.LEFT]] == pytest.approx(8.0)
    assert circles[script.COLORS[Side.RIGHT]] == pytest.approx(2.0)
    assert circles[script.COLORS[None]] == pytest.approx(5.0)
    assert [text.get_text() for text in axis.texts] == ["R", "L"]
    script.plt.close(figure)


def test_the_title_says_how_far_off_what_is_absent_and_what_is_doubted(script):
    points, truth = places(), places()
    truth[0] += (3.0, 0.0, 4.0)
    points[4] = np.nan
    marks = found(points, doubts=["no sacrum is in view"])
    title = script.title(script.Shown("probe 1", study(), marks, truth), [0, 1, 2, 3, 4])
    assert title.splitlines() == [
        "probe 1",
        "canal 0.0 mm, worst 5.0",
        f"absent: {Level.L5_S1.label}",
        "doubt: no sacrum is in view",
    ]


def test_a_study_in_which_nothing_was_found_is_shown_by_its_truth(script):
    nothing = found(np.full((25, 3), np.nan))
    shown = script.Shown("shift 2", study(), nothing, places())
    figure, axis = script.plt.subplots()
    script.draw_sagittal(axis, shown)
    assert [line.get_marker() for line in axis.lines] == ["+"] * 5
    assert "none found" in axis.get_title()
    script.plt.close(figure)

"""The picture of saliency: the right finding, its heat on the side where it is in the patient."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.report.made_up import axial_stack, make_grades, make_study
from volspine.anatomy import TARGETS, Grade, Protocol, Side
from volspine.volume.heat import PatchHeat, Saliency

CANAL, LEFT, RIGHT = TARGETS[3], TARGETS[15], TARGETS[20]


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("matplotlib")
    path = Path(__file__).parents[1] / "visualize" / "saliency.py"
    if not path.is_file():
        pytest.skip("the scripts are not part of an installed package")
    spec = importlib.util.spec_from_file_location("saliency", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def graded_as(probabilities, *, x_mm=0.0):
    """A study whose axial stack was looked at about a place beside the midline."""
    values = np.zeros((3, 5, 5), dtype=np.float32)
    values[1, 1:4, 1:4] = 1.0
    affine = np.array([[0, 0, 1.0, x_mm - 2], [0, 1.0, 0, -2], [4.0, 0, 0, -2], [0, 0, 0, 1]])
    patch = PatchHeat(Protocol.AXIAL_T2, values, affine)
    points = np.tile([x_mm, 0.0, 2.0], (25, 1))
    return SimpleNamespace(
        grades=replace(make_grades(points=points), probabilities=probabilities),
        study=make_study(axial_t2=axial_stack(np.random.default_rng(0).random((21, 21, 4)))),
        saliency=lambda target, method: Saliency(target, method, (patch,)),
    )


def all_grades(grade, but=()):
    probabilities = np.tile(np.eye(3)[grade], (25, 1))
    for target, other in but:
        probabilities[target.index] = np.eye(3)[other]
    return probabilities


def test_the_first_finding_that_is_severe_in_truth_and_grade_is_drawn(script):
    truth = [Grade.NORMAL_MILD] * 25
    for target in (CANAL, LEFT, RIGHT):
        truth[target.index] = Grade.SEVERE
    graded = graded_as(all_grades(0, [(LEFT, 2), (RIGHT, 2)]))  # The canal's is missed.
    assert script.chosen(graded, truth, None) is LEFT
    assert script.chosen(graded, truth, RIGHT.name) is RIGHT
    with pytest.raises(SystemExit, match="no severe finding"):
        script.chosen(graded_as(all_grades(1)), truth, None)


@pytest.mark.parametrize("side", list(Side), ids=["left", "right"])
def test_heat_lies_towards_the_letter_of_its_side(script, side):
    target, x_mm = (LEFT, 6.0) if side is Side.LEFT else (RIGHT, -6.0)
    graded = graded_as(all_grades(2), x_mm=x_mm)
    figure = script.draw(graded, target, Grade.SEVERE)
    plain, *hot = figure.axes
    assert len(hot) == 2
    assert [text.get_text() for text in plain.texts] == ["R", "L"]
    for axis in hot:
        slice_, heat = axis.images
        assert slice_.get_array().shape == heat.get_array().shape
        columns = np.argwhere(heat.get_alpha() > 0.4)[:, 1]
        assert len(columns) > 0
        # The ring is at the target, and the midline of the study to its other side.
        (ring,) = [line for line in axis.lines if line.get_marker() == "o"]
        assert abs(columns.mean() - ring.get_xdata()[0]) <= 0.5
        middle = script.shown(graded, graded.saliency(target, "attention").patches[0])
        midline = middle.locate(np.zeros(3))[1]
        assert (columns.min() > midline) if side is Side.LEFT else (columns.max() < midline)
    assert "Severe (1.00), in truth Severe" in figure.get_suptitle()

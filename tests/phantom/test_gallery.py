"""The gallery: subjects in order, and pictures that say what they show."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from volspine.anatomy import Finding, Level, Side
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import acquire_study


@pytest.fixture(scope="module")
def gallery():
    pytest.importorskip("matplotlib")
    path = Path(__file__).parents[2] / "visualize" / "phantom_gallery.py"
    if not path.is_file():
        pytest.skip("the scripts are not part of an installed package")
    spec = importlib.util.spec_from_file_location("phantom_gallery", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_subjects_run_from_normal_to_severe(gallery, monkeypatch):
    # Only the grades at the level asked for count; those at L1/L2 here run the other way.
    burden = [4, 0, 3, 9, 1, 7, 2]
    grades = np.zeros((7, 25), dtype=int)
    grades[:, 3] = burden
    grades[:, 0] = -10 * np.array(burden)
    monkeypatch.setattr(
        gallery, "build_truth", lambda spec: SimpleNamespace(grades=grades[spec.index])
    )
    specs = gallery.from_normal_to_severe(3, Level.L4_L5, pool=7)
    shown = [burden[spec.index] for spec in specs]
    assert shown == sorted(shown)
    assert (shown[0], shown[-1], len(set(shown))) == (0, 9, 5)


def test_each_picture_is_titled_with_the_grades_of_its_own_side(gallery):
    by_name = {panel.name: panel for panel in gallery.PANELS}
    left = gallery.targets_of(by_name["sagittal T1, left foramen"], Level.L5_S1)
    assert [(t.finding, t.side) for t in left] == [(Finding.FORAMEN, Side.LEFT)]
    recesses = gallery.targets_of(by_name["axial T2, recesses"], Level.L5_S1)
    # As on the picture: the patient's right comes first.
    assert [t.side for t in recesses] == [Side.RIGHT, Side.LEFT]


def test_the_letters_name_the_sides_of_the_picture(gallery):
    made = acquire_study(Spec(seed=4, cohort=Cohort.CLEAN, size=Size.SMALL))
    figure, axes = gallery.plt.subplots(1, 2)
    sagittal, _, _, axial = gallery.PANELS
    for axis, panel in zip(axes, (sagittal, axial), strict=True):
        gallery.draw(axis, made, panel, Level.L4_L5)
    texts = [[t.get_text() for t in sorted(axis.texts, key=lambda t: t.get_position()[0])]
             for axis in axes]  # fmt: skip
    assert texts == [["A", "P"], ["R", "L"]]
    assert axes[0].get_title().startswith("L4/L5 sagittal T1, left foramen\nleft: ")
    # The left recess lies on the image's right half.
    tick = axes[1].lines[0].get_xdata()
    assert max(tick) > axes[1].images[0].get_array().shape[1] * 0.45
    gallery.plt.close(figure)

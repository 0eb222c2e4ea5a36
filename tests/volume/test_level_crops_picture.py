"""The picture of a study's crops: a panel for each level and view, from either kind of file."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from tests.volume.marks import (
    axial_affine,
    landmarks_of,
    linear_stack,
    sagittal_affine,
    series_of,
    study_of,
    upright_points,
)
from volspine.anatomy import TARGETS
from volspine.volume.crop_records import CropHow


@pytest.fixture(scope="module")
def picture():
    path = Path(__file__).parents[2] / "visualize" / "level_crops.py"
    spec = importlib.util.spec_from_file_location("level_crops", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_up():
    sagittal = linear_stack(sagittal_affine(), (80, 160, 15))
    axial = linear_stack(axial_affine(middle=(0, 0, 36.0)), (80, 70, 5))
    return study_of(
        series_of("sagittal_t1", sagittal, name="one"),
        series_of("sagittal_t2", sagittal, name="two"),
        series_of("axial_t2", axial, name="three"),
    )


@pytest.mark.slow
def test_every_level_and_view_has_a_panel_that_says_where_it_is_from(picture):
    figure = picture.draw(made_up(), landmarks_of(upright_points()), CropHow(aligned=True))
    panels = figure.axes
    assert len(panels) == 20
    captions = [panel.texts[0].get_text() for panel in panels]
    assert captions[4].startswith("series one, stack 0, slice ")
    assert captions[7].startswith("series three, stack 0, slice 2\nof 0 to 4")
    assert captions[19].startswith("no axial T2 slice reaches L5/S1")
    # Left of the spine is at larger slices of a sagittal series.
    left, right = (int(c.split("slice ")[1].split("\n")[0]) for c in captions[4:6])
    assert left > 7 > right
    letters = [text.get_text() for text in panels[7].texts[1:3]]
    assert letters == ["R", "L"]
    picture.plt.close(figure)


def test_points_are_read_from_truth_and_from_a_result(picture, tmp_path):
    points = upright_points()
    truth, result = tmp_path / "truth.json", tmp_path / "result.json"
    named = {target.name: points[target.index].tolist() for target in TARGETS}
    truth.write_text(json.dumps({"landmarks_mm": named}), encoding="utf-8")
    assert picture.landmarks_in(truth).points_mm == pytest.approx(points)
    points[7] = np.nan
    marks = landmarks_of(points)
    result.write_text(json.dumps({"landmarks": marks.to_dict()}), encoding="utf-8")
    found = picture.landmarks_in(result)
    assert found.found.tolist() == marks.found.tolist()
    assert found.points_mm[marks.found] == pytest.approx(marks.points_mm[marks.found], abs=0.01)
    assert np.isnan(found.chain_mm[[0, 6]]).all()

"""Colours and the border between air and tissue."""

import numpy as np
import pytest

from volspine.anatomy import Grade, Protocol
from volspine.viewer.palette import GRADE_COLORS, color_of, rgb, tissue_threshold


@pytest.mark.parametrize("protocol", list(Protocol))
def test_brighter_is_lighter_in_every_map(protocol):
    colors = color_of(np.linspace(0, 1, 64, dtype=np.float32), protocol).astype(int).sum(axis=1)
    assert (np.diff(colors) >= 0).all()
    assert colors[-1] - colors[0] > 500


def test_the_ends_of_a_map_are_its_first_and_last_stop():
    ends = color_of(np.array([-3, 0, 1, 9], np.float32), Protocol.SAGITTAL_T2).tolist()
    assert ends[0] == ends[1] == list(rgb("#07090d"))
    assert ends[2] == ends[3] == list(rgb("#fbfdff"))


def test_what_is_not_a_number_is_darkest():
    dark, nan = color_of(np.array([0, np.nan], np.float32), Protocol.AXIAL_T2).tolist()
    assert dark == nan


def test_a_colour_is_three_bytes():
    assert rgb("#ff8001") == (255, 128, 1)


def test_every_grade_has_a_colour_of_its_own():
    assert len({GRADE_COLORS[grade] for grade in Grade}) == 3


def test_the_threshold_lies_between_two_separate_intensities():
    rng = np.random.default_rng(0)
    air, tissue = rng.uniform(0.01, 0.05, 5000), rng.uniform(0.5, 0.9, 3000)
    threshold = tissue_threshold(np.concatenate([air, tissue]).astype(np.float32))
    assert 0.04 < threshold < 0.5


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [0.3, 0.3]])
def test_one_intensity_has_no_border(values):
    assert tissue_threshold(np.array(values, np.float32)) == 0.0

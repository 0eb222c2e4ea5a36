"""Upright panes: what lies at which edge."""

import numpy as np
import pytest

from volspine.viewer.panes import pane
from volspine.volume.grid import Grid

GRID = Grid(spacing_mm=(2.0, 1.0, 1.0), shape=(7, 9, 11), center_mm=(0.0, 0.0, 0.0))
EVERYWHERE = np.ones(GRID.shape, np.bool_)


def spot(point_mm):
    """One bright voxel at a place in the patient."""
    image = np.zeros(GRID.shape, np.float32)
    i, j, k = np.rint(GRID.index_from_mm(np.asarray(point_mm, float))).astype(int)
    image[i, j, k] = 1.0
    return image


# (plane, place in LPS, row and column of the spot in the picture), all worked by hand.
HAND = [
    ("sagittal", (0, -3, 0), (5, 1)),  # In front: on the left.
    ("sagittal", (0, 0, 4), (1, 4)),  # Above.
    ("coronal", (-4, 0, 0), (5, 1)),  # The patient's right: on the left.
    ("coronal", (4, 0, -4), (9, 5)),  # The patient's left, below.
    ("axial", (-4, 0, 0), (4, 1)),  # The patient's right: on the left.
    ("axial", (0, 3, 0), (7, 3)),  # Behind: below.
]


@pytest.mark.parametrize(("plane", "point", "expected"), HAND)
def test_a_spot_stands_where_radiologists_look_for_it(plane, point, expected):
    shown = pane(spot(point), EVERYWHERE, GRID, plane=plane, point_mm=np.array(point, float))
    assert np.argwhere(shown.pixels[..., 0] == 255).tolist() == [list(expected)]
    rows, columns, _ = shown.pixels.shape
    u, v, off = shown.locate(np.array(point, float))
    assert (v * rows - 0.5, u * columns - 0.5) == pytest.approx(expected)
    assert off == pytest.approx(0)


def test_edges_are_named_left_right_top_bottom():
    image = np.zeros(GRID.shape, np.float32)
    edges = {
        plane: pane(image, EVERYWHERE, GRID, plane=plane, point_mm=np.zeros(3)).edges
        for plane in ("sagittal", "coronal", "axial")
    }
    assert edges == {
        "sagittal": ("A", "P", "S", "I"),
        "coronal": ("R", "L", "S", "I"),
        "axial": ("R", "L", "A", "P"),
    }


def test_sizes_are_in_millimetres():
    image = np.zeros(GRID.shape, np.float32)
    axial = pane(image, EVERYWHERE, GRID, plane="axial", point_mm=np.zeros(3))
    assert axial.size_mm == (14.0, 9.0)


def test_off_the_plane_is_positive_to_the_right_front_and_head():
    image = np.zeros(GRID.shape, np.float32)
    for plane, point in (("sagittal", (-4, 0, 0)), ("coronal", (0, -4, 0)), ("axial", (0, 0, 4))):
        shown = pane(image, EVERYWHERE, GRID, plane=plane, point_mm=np.zeros(3))
        assert shown.locate(np.array(point, float))[2] == pytest.approx(4.0)


def test_where_nothing_was_measured_the_nearest_full_plane_is_shown():
    mask = EVERYWHERE.copy()
    mask[:, :, 3:8] = False
    shown = pane(
        np.ones(GRID.shape, np.float32), mask, GRID, plane="axial", point_mm=np.array([0, 0, 1.0])
    )
    assert shown.index == 8


def test_nothing_measured_at_all_still_gives_a_pane():
    nothing = np.zeros(GRID.shape, np.bool_)
    shown = pane(nothing.astype(np.float32), nothing, GRID, plane="axial", point_mm=np.zeros(3))
    assert shown.index == 5
    assert (shown.pixels == [17, 21, 29]).all()

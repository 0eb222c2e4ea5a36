"""A picture of an instance: its own pixels in their own places, and marks that nothing covers."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.report.made_up import axial_stack, sagittal_stack
from volspine.geometry.stack import Stack
from volspine.report.instance_picture import (
    PANEL_PX,
    DrawnMark,
    annotated_png,
    plain_png,
    ring_radius,
    stamp_of,
)
from volspine.report.upright import stored_edges

SPACING = (0.5, 0.5)
AXIAL = ("R", "L", "A", "P")
COLUMNS, ROWS = 160, 120


def opened(png):
    return Image.open(io.BytesIO(png))


def array(png):
    """Grey levels, shape (rows, columns)."""
    return np.asarray(opened(png))


def noise():
    return np.random.default_rng(0).normal(100, 20, (COLUMNS, ROWS)).astype(np.float32)


def annotated(marks, *, edges=AXIAL, pixels=None):
    found = [DrawnMark(x, y, ("Left subarticular stenosis", "L4/L5: Severe")) for x, y in marks]
    image = noise() if pixels is None else pixels
    return annotated_png(image, SPACING, edges=edges, marks=found, title=["Axial T2, instance 3"])


def test_a_pixel_is_in_its_column_and_row():
    pixels = np.zeros((9, 5), dtype=np.float32)
    pixels[7, 3] = 10.0
    grey = array(plain_png(pixels, SPACING))
    assert grey.shape == (5, 9)
    assert np.argwhere(grey == 255).tolist() == [[3, 7]]


def test_greys_run_from_the_1st_to_the_99_5th_percentile():
    pixels = np.arange(1001, dtype=np.float32).reshape(77, 13)
    grey = array(plain_png(pixels, SPACING)).T
    assert (grey[pixels <= 10] == 0).all()
    assert (grey[pixels >= 995] == 255).all()
    assert grey[pixels == 502.5 - 0.5][0] == int(255 * (502 - 10) / (995 - 10))


def test_the_spacing_stands_in_the_file_and_pixels_stay_as_they_are():
    picture = opened(plain_png(np.ones((6, 4), dtype=np.float32), (0.5, 0.8)))
    per_metre = np.array(picture.info["dpi"]) / 0.0254
    assert per_metre == pytest.approx([2000, 1250])
    assert picture.size == (6, 4)


def test_a_picture_says_how_it_was_made_and_what_it_is_not():
    picture = opened(plain_png(np.ones((6, 4), dtype=np.float32), SPACING, stamp="abc"))
    assert stamp_of(picture) == "abc"
    assert picture.info["Disclaimer"] == "Research use only. Not a medical device."
    assert stamp_of(opened(plain_png(np.ones((6, 4), dtype=np.float32), SPACING))) == ""


def test_an_annotated_picture_keeps_its_pixels_and_adds_a_panel():
    plain, drawn = array(plain_png(noise(), SPACING)), array(annotated([(80, 60), (20, 9)]))
    assert drawn.shape == (ROWS + 32, COLUMNS + PANEL_PX)  # The panel needs more height.
    assert (drawn[:ROWS, :COLUMNS] == plain).mean() > 0.9
    assert drawn[:, COLUMNS:].max() == 255


def test_the_ring_lies_around_its_mark_in_black_and_white():
    grey = array(annotated([(100, 40)], pixels=np.full((COLUMNS, ROWS), 7, dtype=np.float32)))
    radius = ring_radius((COLUMNS, ROWS))
    for x, y in ((100 - radius, 40), (100, 40 - radius), (100, 40 + radius)):
        assert grey[y, x] == 255
    assert grey[40, 100 - radius - 1] == grey[40, 100 - radius + 1] == 0
    assert opened(annotated([(100, 40)])).mode == "L"  # Colour says nothing.


# Marks on a lattice that is wide enough for no ring to touch another mark.
lattice = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 8)), min_size=1, max_size=12, unique=True
)


@settings(max_examples=15)
@given(cells=lattice)
def test_nothing_is_written_on_a_mark(cells):
    marks = [(14 * i + 2, 14 * j + 2) for i, j in cells]
    plain, drawn = array(plain_png(noise(), SPACING)), array(annotated(marks))
    for x, y in marks:
        around = np.s_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        assert (drawn[around] == plain[around]).all()


def test_a_mark_beyond_the_picture_is_named_and_not_drawn():
    def picture(marks):
        return array(annotated(marks))[:ROWS, :COLUMNS]

    assert (picture([(1e9, 5), (5, -40)]) == picture([])).all()
    panel = array(annotated([(1e9, 5)]))[:, COLUMNS:]
    assert panel.shape[0] > array(annotated([(5, 5)])).shape[0]


def test_the_letters_go_with_the_edges():
    ways = [array(annotated([], edges=e))[:ROWS, :COLUMNS] for e in (AXIAL, ("L", "R", "A", "P"))]
    different = np.flatnonzero((ways[0] != ways[1]).any(axis=0))
    assert set(different // (COLUMNS // 4)) == {0, 3}  # Only at the left and the right edge.


@pytest.mark.parametrize(
    ("stack", "edges"),
    [(axial_stack, ("R", "L", "A", "P")), (sagittal_stack, ("A", "P", "S", "I"))],
)
def test_edges_are_those_of_the_slice_as_it_is_stored(stack, edges):
    assert stored_edges(stack(np.zeros((4, 5, 3)))) == edges


def test_edges_follow_a_slice_that_is_stored_mirrored_or_transposed():
    affine = axial_stack(np.zeros((4, 5, 3))).affine_lps
    mirrored, transposed = affine.copy(), affine.copy()
    mirrored[:, 0] *= -1
    transposed[:, [0, 1]] = affine[:, [1, 0]]
    voxels = np.zeros((4, 5, 3), dtype=np.float32)
    assert stored_edges(Stack.from_array(voxels, mirrored)) == ("L", "R", "A", "P")
    assert stored_edges(Stack.from_array(voxels, transposed)) == ("A", "P", "R", "L")

"""The swept frame: a straight spine by hand, and placing and locating as inverses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.phantom.frame import FIRST_SEGMENT, VERTEBRAE, build_frame

K = len(VERTEBRAE)
HEIGHTS, DISCS = np.full(K, 26.0), np.full(K - 1, 10.0)
CURVED = build_frame(HEIGHTS, DISCS, np.deg2rad(np.linspace(-4, 20, K - 1)), -0.1)


def straight():
    return build_frame(HEIGHTS, DISCS, np.zeros(K - 1), 0.0)


def test_a_point_of_a_straight_spine_is_where_a_ruler_says():
    # 18 mm below the middle of L3 and 5 mm behind: the middle of the L3/L4 disc.
    placed = straight().place(np.array([5.0]), np.array([-18.0]))
    assert placed.segment[0] == VERTEBRAE.index("L3")
    assert placed.below[0] == pytest.approx(18.0)
    assert placed.above[0] == pytest.approx(18.0)
    assert placed.depth[0] == pytest.approx(5.0)
    assert placed.arc[0] == pytest.approx(36.0 * 7 + 18.0)


def test_vertebrae_descend_from_t8_and_l1_begins_the_graded_segments():
    heights = straight().centres_mm[:, 1]
    assert (np.diff(heights) == -36.0).all()
    assert VERTEBRAE[FIRST_SEGMENT] == "L1"
    assert heights[VERTEBRAE.index("L3")] == 0.0


def test_lordosis_leans_the_sacrum_forwards():
    # Growing caudally, each bend turns the upward normal towards the front (negative y).
    assert CURVED.normals[VERTEBRAE.index("S1"), 0] < CURVED.normals[VERTEBRAE.index("L2"), 0]
    assert CURVED.normals[VERTEBRAE.index("S1"), 0] < 0


@given(st.integers(0, K - 2), st.floats(0.05, 0.95), st.floats(-20, 25))
def test_locate_inverts_place(segment, t, depth):
    y, z = CURVED.locate(segment, t, depth)
    placed = CURVED.place(np.array([y]), np.array([z]))
    assert placed.segment[0] == segment
    assert placed.depth[0] == pytest.approx(depth, abs=1e-3)
    assert placed.below[0] / (placed.below[0] + placed.above[0]) == pytest.approx(t, abs=1e-4)

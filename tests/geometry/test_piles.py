"""Piles: loose slices to regular stacks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.geometry import piles
from volspine.geometry.piles import lines, measure, orientation_groups, runs

is_linked = piles._is_linked
AXIAL = np.array([[1, 0, 0], [0, 1.0, 0]])


def column(count, start=(0.0, 0.0, 0.0), step=(0.0, 0.0, 4.0)):
    return np.array(start) + np.arange(count)[:, None] * np.array(step)


def test_orientations_a_thousandth_apart_are_two_groups():
    turned = AXIAL + np.array([[0, 0, 2e-3], [0, 0, 0]])
    nearly = AXIAL + np.array([[0, 0, 5e-4], [0, 0, 0]])
    assert orientation_groups(np.stack([AXIAL, turned, nearly])) == [[0, 2], [1]]


def test_a_line_is_ordered_from_foot_to_head():
    assert lines(column(4)[[2, 0, 3, 1]], AXIAL) == [[1, 3, 0, 2]]


def test_parallel_blocks_shifted_in_their_plane_are_two_lines():
    both = np.concatenate([column(3), column(3, start=(0, 5, 20))])
    assert lines(both, AXIAL) == [[0, 1, 2], [3, 4, 5]]


def test_blocks_that_overlap_in_depth_but_not_in_plane_are_two_lines():
    both = np.concatenate([column(3), column(3, start=(8, 0, 2))])
    assert lines(both, AXIAL) == [[0, 1, 2], [3, 4, 5]]


@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(3, 20))
def test_a_sheared_stack_is_one_line_however_oblique(across, along, count):
    assert lines(column(count, step=(across, along, 4.0)), AXIAL) == [list(range(count))]


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        ([0, 4, 8], [[0, 1, 2]]),
        ([0, 4, 16], [[0, 1, 2]]),  # Two missing: the stack goes on.
        ([0, 4, 20], [[0, 1], [2]]),  # Three missing: it ends.
        ([7.0], [[0]]),
    ],
)
def test_a_stack_ends_where_three_slices_are_missing(depth, expected):
    assert runs(np.array(depth, dtype=float)) == expected


def test_even_slices_give_the_mean_step():
    pile = measure(column(5), AXIAL)
    assert pile.spacing_mm == 4
    assert pile.step_mm.tolist() == [0, 0, 4]
    assert (pile.missing, pile.is_uneven, pile.is_sheared, pile.jitter) == (0, False, False, 0)


def test_missing_slices_are_counted_and_do_not_stretch_the_spacing():
    pile = measure(column(9)[[0, 1, 3, 4, 7, 8]], AXIAL)
    assert (pile.missing, pile.spacing_mm, pile.is_uneven) == (3, 4, False)


def test_steps_a_third_too_long_are_uneven_and_not_called_missing():
    origins = column(6)
    origins[3:, 2] += 1.4
    pile = measure(origins, AXIAL)
    assert (pile.missing, pile.is_uneven, pile.spacing_mm) == (0, True, 4)


def test_a_sheared_step_is_kept_exactly():
    pile = measure(column(5, step=(0, 1.5, 4)), AXIAL)
    assert pile.step_mm.tolist() == [0, 1.5, 4]
    assert pile.is_sheared
    assert pile.shear == pytest.approx(0.375)


@given(st.permutations(range(7)))
def test_the_order_of_the_input_changes_no_line(order):
    origins = column(7)[list(order)]
    (line,) = lines(origins, AXIAL)
    assert [order[i] for i in line] == list(range(7))


def compared_places(count, monkeypatch):
    """How many pairs of cells a sheared stack of so many slices makes `lines` compare."""
    asked = []
    monkeypatch.setattr(piles, "_is_linked", lambda a, b: asked.append((a, b)) or is_linked(a, b))
    found = lines(column(count, step=(0.3, 0.2, 4.0)) + np.arange(count)[:, None] % 7 / 10, AXIAL)
    assert sum(map(len, found)) == count
    return sum(len(a) * len(b) for a, b in asked)


def test_the_work_for_a_sheared_stack_grows_with_its_slices_and_not_their_square(monkeypatch):
    few, many = (compared_places(count, monkeypatch) for count in (500, 4000))
    assert 500 < few < many < 9 * few


@given(st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), min_size=1, max_size=60))
def test_groups_of_places_are_those_that_comparing_all_with_all_gives(spots):
    spots = np.round(np.array(spots), 2)
    near = np.linalg.norm(spots[:, None] - spots[None], axis=-1) < 0.99999
    reached = np.linalg.matrix_power(near.astype(float), 60) > 0  # Paths of any length.
    expected = sorted({tuple(np.flatnonzero(row).tolist()) for row in reached})
    assert [tuple(group) for group in piles._clusters(spots)] == expected

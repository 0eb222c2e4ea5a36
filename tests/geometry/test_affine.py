"""Affines: hand values for every axis, and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volspine.errors import GeometryError
from volspine.geometry.affine import (
    flip_frame,
    orthonormalize,
    stack_affine,
    swap_lps_ras,
    transform_points,
)

SAGITTAL = np.array([[0, 1, 0], [0, 0, -1.0]])


def test_the_first_index_walks_along_a_row_by_the_distance_between_columns():
    affine = stack_affine(
        SAGITTAL, (2.0, 3.0), np.array([5.0, 6.0, 7.0]), step_mm=np.array([4.0, 0.0, 0.0])
    )
    points = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    # Column: 3 mm to the back. Row: 2 mm to the feet. Slice: 4 mm to the left.
    assert transform_points(affine, points).tolist() == [[5, 9, 7], [5, 6, 5], [9, 6, 7]]


def test_lps_to_ras_negates_left_and_back_and_keeps_the_head():
    affine = stack_affine(SAGITTAL, (2.0, 3.0), np.array([5.0, 6.0, 7.0]), step_mm=np.zeros(3))
    assert flip_frame(affine)[:, 3].tolist() == [-5, -6, 7, 1]
    assert flip_frame(affine)[:, 0].tolist() == [0, -3, 0, 0]


@given(arrays(np.float64, (4, 4), elements=st.floats(-1e3, 1e3)))
def test_changing_the_frame_twice_changes_nothing(affine):
    np.testing.assert_array_equal(flip_frame(flip_frame(affine)), affine)


def test_left_and_back_in_lps_are_negative_in_ras():
    assert swap_lps_ras(np.array([[10.0, 20.0, 30.0]])).tolist() == [[-10.0, -20.0, 30.0]]


def test_an_affine_crosses_in_its_first_two_rows():
    affine = np.array([[0, 0, 4.0, 1], [0.5, 0, 0, 2], [0, -0.5, 0, 3], [0, 0, 0, 1]])
    crossed = swap_lps_ras(affine)
    assert crossed.tolist() == [[0, 0, -4, -1], [-0.5, 0, 0, -2], [0, -0.5, 0, 3], [0, 0, 0, 1]]
    assert np.array_equal(swap_lps_ras(crossed), affine)


def test_exact_directions_stay_exact_to_the_last_bit():
    cosines = np.array([0, 1, 0, 0, 0, -1.0])
    assert orthonormalize(cosines).tolist() == [[0, 1, 0], [0, 0, -1]]


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 9e-4), st.floats(-9e-4, 9e-4))
def test_slightly_skewed_directions_become_orthonormal_and_hardly_move(turn, tilt, skew, stretch):
    a = np.array([np.cos(turn), np.sin(turn), 0.0])
    b = np.array([-np.sin(turn) * np.cos(tilt), np.cos(turn) * np.cos(tilt), np.sin(tilt)])
    given_cosines = np.concatenate([a * (1 + stretch), b + skew * a])
    rows = orthonormalize(given_cosines)
    np.testing.assert_allclose(rows @ rows.T, np.eye(2), atol=1e-12)
    assert np.abs(rows.reshape(6) - given_cosines).max() < 2e-3


@pytest.mark.parametrize(
    ("cosines", "finding"),
    [
        ([0, 0, 0, 0, 0, 0], "lengths 0 and 0"),
        ([0, 1, 0, 0, 0.01, -1], "cosine between rows and columns is 0.01"),
        ([0, 2, 0, 0, 0, -1], "lengths 2 and 1"),
        ([0, 1, 0, 0, np.nan, -1], "not finite"),
    ],
)
def test_directions_that_cannot_be_trusted_are_refused(cosines, finding):
    with pytest.raises(GeometryError, match=finding) as caught:
        orthonormalize(np.array(cosines, dtype=float))
    assert caught.value.code == "VS-GEO-003"

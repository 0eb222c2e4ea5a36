"""Axes: which way is left."""

import numpy as np
import pytest

from volspine.geometry.axes import direction_letter, plane_of, positive_normal


@pytest.mark.parametrize(
    ("directions", "normal", "plane"),
    [
        ([[0, 1, 0], [0, 0, -1]], [1, 0, 0], "sagittal"),
        ([[0, -1, 0], [0, 0, -1]], [1, 0, 0], "sagittal"),
        ([[1, 0, 0], [0, 0, -1]], [0, 1, 0], "coronal"),
        ([[1, 0, 0], [0, 1, 0]], [0, 0, 1], "axial"),
        ([[1, 0, 0], [0, -1, 0]], [0, 0, 1], "axial"),
    ],
)
def test_slices_are_walked_to_the_left_back_or_head_whatever_their_handedness(
    directions, normal, plane
):
    found = positive_normal(np.array(directions, dtype=float))
    assert found.tolist() == normal
    assert plane_of(found) == plane


@pytest.mark.parametrize(
    ("direction", "letter"),
    [
        ([1, 0, 0], "L"), ([-1, 0, 0], "R"), ([0, 1, 0], "P"),
        ([0, -1, 0], "A"), ([0, 0, 1], "S"), ([0, 0, -1], "I"),
    ],
)  # fmt: skip
def test_plus_x_is_the_patients_left(direction, letter):
    assert direction_letter(np.array(direction, dtype=float)) == letter

"""Hand values of where grid points lie in a stack."""

import numpy as np
import pytest

from volspine.geometry.stack import Stack
from volspine.volume.placement import even_affine, measured, nominal_step_mm, uneven_index


def stack_of(z, *, shift=0.0):
    """Slices of 10 x 10 pixels of 1 mm at some heights; each further one shifted along x."""
    origins = np.array([[shift * n, 0.0, height] for n, height in enumerate(z)])
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    return Stack.from_array(np.zeros((10, 10, len(z)), np.float32), affine, origins)


def test_even_slices_have_an_affine_that_starts_at_the_first_and_ends_at_the_last():
    affine = even_affine(stack_of([5.0, 8.0, 11.0], shift=0.5))
    assert affine[:3, 3].tolist() == [0, 0, 5]
    assert affine[:3, 2].tolist() == [0.5, 0, 3]
    assert affine[:3, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("z", [[0, 3, 9], [0, 3, 6.1, 9], [0, 3, 6, 9, 30]])
def test_uneven_slices_have_no_affine(z):
    assert even_affine(stack_of(z)) is None


def test_rounding_in_the_file_is_still_even():
    assert even_affine(stack_of([0, 3.01, 5.99, 9])) is not None


def test_a_lone_slice_keeps_the_affines_step():
    assert even_affine(stack_of([7.0]))[:3, 2].tolist() == [0, 0, 3]
    assert nominal_step_mm(stack_of([7.0])) == 3.0


def test_the_usual_distance_is_the_median_along_the_normal():
    assert nominal_step_mm(stack_of([0, 3, 6, 12, 15], shift=2.0)) == 3.0


def test_depth_counts_from_the_nearer_border_and_is_negative_outside():
    # Four voxels: inside from -0.5 to 3.5; the grid point n lies at index n / 2 - 1.
    depth = measured(np.array([0.5, 0.0, 0.0, -1.0]), 4, (11, 1, 1)).ravel()
    expected = [-0.5, 0, 0.5, 1, 1.5, 2, 1.5, 1, 0.5, 0, -0.5]
    np.testing.assert_allclose(depth, expected, atol=0.0011)
    assert ((depth > 0) == (np.array(expected) >= 0)).all()


def test_axes_that_do_not_matter_stay_short():
    assert measured(np.array([0.0, 1.0, 0.0, 0.0]), 4, (5, 6, 7)).shape == (1, 6, 1)


def test_between_two_slices_the_index_is_linear_and_planes_shift_with_it():
    stack = stack_of([0.0, 3.0, 9.0], shift=2.0)
    # Halfway between the second and third: their origins are at x = 2 and 4, so the plane's at 3.
    index, inside = uneven_index(stack, np.array([[6.0, 4.0, 6.0]]))
    np.testing.assert_allclose(index, [[3.0, 4.0, 1.5]])
    assert inside.tolist() == [True]


def test_beyond_the_ends_half_a_slice_is_measured():
    stack = stack_of([0.0, 3.0, 5.0, 8.0])
    points = np.array([[5.0, 5.0, z] for z in (-1.5, -1.6, 9.5, 9.6)])
    _, inside = uneven_index(stack, points)
    assert inside.tolist() == [True, False, True, False]


def test_a_wide_gap_belongs_to_its_slices_only():
    stack = stack_of([0.0, 3.0, 6.0, 20.0, 23.0])
    points = np.array([[5.0, 5.0, z] for z in (7.5, 7.6, 13.0, 18.4, 18.5)])
    index, inside = uneven_index(stack, points)
    assert inside.tolist() == [True, False, False, False, True]
    assert index[[0, 4], 2].tolist() == [2.0, 3.0]


def test_descending_slices_are_read_from_their_own_end():
    stack = stack_of([9.0, 3.0, 0.0])
    index, inside = uneven_index(stack, np.array([[1.0, 2.0, 6.0]]))
    np.testing.assert_allclose(index, [[1.0, 2.0, 0.5]])
    assert inside.all()

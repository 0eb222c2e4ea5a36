"""Hand values, laws and refusals of the grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import ConfigurationError, GeometryError
from volspine.geometry.stack import Stack
from volspine.volume.grid import Grid, coverage_mm, graded_stacks


def stack_at(low, shape=(3, 5, 4), spacing=(1.0, 2.0, 3.0)):
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    return Stack.from_array(np.zeros(shape, np.float32), affine)


def study_of(*pairs):
    return Study("s", [Series(p.value, p.value, p, "", [stack]) for p, stack in pairs])


def test_the_first_index_grows_to_the_patients_right_the_second_to_the_front_the_third_up():
    grid = Grid(spacing_mm=(4, 1, 2), shape=(5, 5, 5), center_mm=(10, 20, 30))
    # Hand-worked: two steps from the middle each; right is -x, front is -y, up is +z in LPS.
    assert grid.mm_from_index(np.array([4.0, 4.0, 4.0])).tolist() == [2.0, 18.0, 34.0]
    assert grid.mm_from_index(np.array([0.0, 0.0, 0.0])).tolist() == [18.0, 22.0, 26.0]


def test_the_ras_affine_has_a_positive_diagonal_and_the_lps_one_its_first_two_rows_negated():
    grid = Grid(spacing_mm=(4, 1, 1), shape=(3, 3, 3), center_mm=(10, 20, 30))
    assert grid.affine_ras.tolist() == [[4, 0, 0, -14], [0, 1, 0, -21], [0, 0, 1, 29], [0, 0, 0, 1]]
    assert grid.affine_lps.tolist() == [[-4, 0, 0, 14], [0, -1, 0, 21], [0, 0, 1, 29], [0, 0, 0, 1]]


@given(
    center=st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    shape=st.tuples(*[st.integers(1, 300)] * 3),
    point=st.tuples(*[st.floats(-1e3, 1e3)] * 3),
)
def test_index_and_millimetres_are_each_others_inverse(center, shape, point):
    grid = Grid(spacing_mm=(4, 0.7, 1.3), shape=shape, center_mm=center)
    points = np.array([point, center])
    index = grid.index_from_mm(points)
    np.testing.assert_allclose(grid.mm_from_index(index), points, atol=1e-9)
    np.testing.assert_allclose(index[1], (np.array(shape) - 1) / 2, atol=1e-9)


def test_coverage_reaches_half_a_voxel_beyond_the_outermost_centres():
    low, high = coverage_mm([stack_at((10, 20, 30))])
    assert low.tolist() == [9.5, 19.0, 28.5]
    assert high.tolist() == [12.5, 29.0, 40.5]


def test_a_study_places_the_grid_in_the_middle_of_its_graded_protocols():
    study = study_of(
        (Protocol.SAGITTAL_T2, stack_at((0, 0, 0))),
        (Protocol.AXIAL_T2, stack_at((10, 0, 0))),
        (Protocol.OTHER, stack_at((900, 0, 0))),
    )
    assert Grid().centered_on(study).center_mm == (6.0, 4.0, 4.5)
    assert len(graded_stacks(study)) == 2


def test_a_grid_that_has_a_place_stays_there():
    grid = Grid(center_mm=(1, 2, 3))
    assert grid.centered_on(study_of((Protocol.SAGITTAL_T2, stack_at((0, 0, 0))))) is grid


@pytest.mark.parametrize(
    "settings",
    [
        {"spacing_mm": (0, 1, 1)},
        {"spacing_mm": (1, float("nan"), 1)},
        {"shape": (3, 3, 0)},
        {"center_mm": (float("inf"), 0, 0)},
    ],
)
def test_an_impossible_grid_is_refused(settings):
    with pytest.raises(ConfigurationError, match="is impossible"):
        Grid(**settings)


def test_a_grid_without_a_place_has_no_affine():
    with pytest.raises(GeometryError, match="no place yet"):
        _ = Grid().affine_lps


def test_a_study_without_a_stack_cannot_place_a_grid():
    with pytest.raises(GeometryError, match="no stack to centre on"):
        Grid().centered_on(Study("s", []))

"""Rows of a grid against the definition, point by point; and the two sides of a border."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.geometry.stack import Stack
from volspine.volume.grid import Grid
from volspine.volume.reach import BORDER, reached, rim_of
from volspine.volume.sample import sample_stack

SHAPE = (5, 6, 7)
numbers = st.floats(-2.0, 2.0).map(lambda x: round(x, 2))


def by_definition(affine, sizes, shape):
    """|index - middle| <= half the size, at every point."""
    points = np.moveaxis(np.indices(shape), 0, -1)
    index = points @ affine[:3, :3].T + affine[:3, 3]
    middle = (np.array(sizes) - 1) / 2
    return (np.abs(index - middle) <= np.array(sizes) / 2 + BORDER).all(axis=-1)


@given(st.lists(numbers, min_size=12, max_size=12), st.tuples(*[st.integers(1, 9)] * 3))
def test_rows_find_the_points_that_the_definition_finds(entries, sizes):
    affine = np.eye(4)
    affine[:3] = np.reshape(entries, (3, 4))
    np.testing.assert_array_equal(
        reached(affine, sizes, SHAPE), by_definition(affine, sizes, SHAPE)
    )


def test_points_half_a_voxel_out_are_inside_at_both_ends():
    affine = np.eye(4)
    affine[:3, :3] *= 0.5
    affine[2, 3] = -1.0
    # k = 0 lies at index -1; k = 1 at -0.5, the border; k = 9 at 3.5, the other border.
    inside = reached(affine, (1, 1, 4), (1, 1, 12))
    assert inside.ravel().tolist() == [False] + [True] * 9 + [False] * 2
    rim, places = rim_of(affine, (1, 1, 4), (1, 1, 12))
    assert rim.tolist() == [[0, 0, 1], [0, 0, 9]]
    assert places[:, 2].tolist() == [-0.5, 3.5]


@pytest.mark.parametrize("side", [-1, 1], ids=["to the left", "to the right"])
def test_a_grid_point_on_either_border_of_a_stack_has_the_value_of_the_edge(side):
    affine = np.diag([side, 1.0, 1.0, 1.0])
    affine[:3, 3] = [-side * 1.0, -1, -1]
    voxels = np.broadcast_to(np.float32([10, 20, 30])[:, None, None], (3, 3, 3)).copy()
    grid = Grid(spacing_mm=(1, 1, 1), shape=(4, 1, 1), center_mm=(0, 0, 0))
    image, mask = sample_stack(Stack.from_array(voxels, affine), grid)
    # The grid runs to the patient's right, so it meets the stack's last column first or last.
    assert image.ravel().tolist() == ([30, 25, 15, 10] if side == 1 else [10, 15, 25, 30])
    assert mask.all()


@given(st.lists(numbers, min_size=12, max_size=12), st.tuples(*[st.integers(1, 9)] * 3))
def test_the_rim_is_what_lies_inside_but_not_beyond_doubt(entries, sizes):
    affine = np.eye(4)
    affine[:3] = np.reshape(entries, (3, 4))
    rim, places = rim_of(affine, sizes, SHAPE)
    inside = reached(affine, sizes, SHAPE)
    sure = reached(affine, sizes, SHAPE, slack=-1e-6)
    assert rim.tolist() == np.argwhere(inside & ~sure).tolist()
    np.testing.assert_allclose(places, rim @ affine[:3, :3].T + affine[:3, 3])

"""Turn: axes permuted and reversed, no voxel moved."""

from itertools import permutations, product

import numpy as np
import pytest

from volspine.geometry.turn import nearest_world_axes, scanner_axes, turned_affine


def every_orientation():
    for order in permutations(range(3)):
        for signs in product((-1.0, 1.0), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = np.diag([0.5, 0.7, 4.0])[:, list(order)] * np.array(signs)
            affine[:3, 3] = [3, -2, 9]
            yield affine


@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
def test_each_voxel_stays_where_it_is_in_all_48_orientations(plane):
    shape = (2, 3, 4)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    for affine in every_orientation():
        places = index @ affine[:3, :3].T + affine[:3, 3]
        axes, flips = scanner_axes(affine, plane)
        turned = places.transpose((*axes, 3))
        turned = turned[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        new = turned_affine(affine, shape, axes=axes, flips=flips)
        new_index = np.stack(np.meshgrid(*map(np.arange, turned.shape[:3]), indexing="ij"), axis=-1)
        np.testing.assert_allclose(new_index @ new[:3, :3].T + new[:3, 3], turned, atol=1e-12)


@pytest.mark.parametrize(
    ("plane", "columns", "rows", "slices"),
    [
        ("sagittal", [0, 1, 0], [0, 0, -1], [1, 0, 0]),
        ("coronal", [1, 0, 0], [0, 0, -1], [0, 1, 0]),
        ("axial", [1, 0, 0], [0, 1, 0], [0, 0, 1]),
    ],
)
def test_axes_run_as_on_a_scanner_whatever_they_were(plane, columns, rows, slices):
    for affine in every_orientation():
        axes, flips = scanner_axes(affine, plane)
        turned = turned_affine(affine, (2, 3, 4), axes=axes, flips=flips)[:3, :3]
        directions = (turned / np.linalg.norm(turned, axis=0)).T.round(9) + 0.0
        assert directions.tolist() == [columns, rows, slices]


def test_an_oblique_affine_is_matched_as_a_whole_and_no_axis_is_used_twice():
    affine = np.eye(4)
    affine[:3, 0] = [0.8, 0.6, 0]
    affine[:3, 1] = [-0.7, 0.72, 0]
    assert nearest_world_axes(affine) == (0, 1, 2)

"""Hand values and laws of the point cloud."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.geometry.cloud import PointCloud, cloud_of_slices, point_cloud
from volspine.geometry.stack import Stack


def stack_of(voxels, affine=None, origins=None):
    affine = np.eye(4) if affine is None else affine
    return Stack.from_array(np.asarray(voxels, dtype=np.float32), affine, origins)


def test_a_voxel_lies_where_the_affine_says_in_lps():
    # A sagittal stack: columns run to the back (+y), rows down (-z), slices to the left (+x).
    affine = np.array([[0, 0, 4.0, -8], [0.5, 0, 0, -20], [0, -0.5, 0, 30], [0, 0, 0, 1]])
    voxels = np.zeros((4, 3, 5))
    voxels[2, 1, 4] = 7
    cloud = point_cloud([stack_of(voxels, affine)], threshold=0)
    assert cloud.points_mm.tolist() == [[8.0, -19.0, 29.5]]
    assert cloud.intensity.tolist() == [7.0]


def test_uneven_slices_stand_at_their_own_places():
    origins = np.array([[0.0, 0, 0], [0, 0, 3], [1, 0, 10]])
    cloud = point_cloud([stack_of(np.ones((1, 1, 3)), origins=origins)])
    assert cloud.points_mm.tolist() == origins.tolist()


@given(shape=st.tuples(*[st.integers(1, 5)] * 3), seed=st.integers(0, 99), other=st.integers(1, 3))
def test_every_voxel_comes_exactly_once(shape, seed, other):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3] = rng.normal(size=(3, 4)) * 10
    voxels = rng.permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    second = stack_of(-np.ones((other, 1, 1)))
    cloud = point_cloud([stack_of(voxels, affine), second])
    assert sorted(cloud.intensity.tolist()) == sorted([*voxels.ravel().tolist(), *[-1.0] * other])
    index = np.array([np.argwhere(voxels == value)[0] for value in cloud.intensity[: voxels.size]])
    expected = index @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(cloud.points_mm[: voxels.size], expected, atol=1e-4)


def test_mirroring_the_stack_negates_x_and_nothing_else():
    rng = np.random.default_rng(2)
    affine = np.eye(4)
    affine[:3] = rng.normal(size=(3, 4)) * 10
    voxels = rng.normal(size=(3, 4, 2))
    cloud = point_cloud([stack_of(voxels, affine)])
    mirror = point_cloud([stack_of(voxels, np.diag([-1.0, 1, 1, 1]) @ affine)])
    np.testing.assert_allclose(mirror.points_mm, cloud.points_mm * [-1, 1, 1])
    np.testing.assert_array_equal(mirror.intensity, cloud.intensity)


def test_slices_lost_in_decoding_have_no_points():
    stack = Stack(
        np.eye(4),
        np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 2]]),
        (1, 1),
        lambda: (np.array([[[5.0, 6.0]]], np.float32), (0, 2), ("one dropped",)),
    )
    assert point_cloud([stack]).points_mm[:, 2].tolist() == [0.0, 2.0]


def test_a_threshold_leaves_out_what_is_at_or_below_it():
    cloud = point_cloud([stack_of([[[1, 2, 3]]])])
    assert cloud.above(2).intensity.tolist() == [3.0]
    assert len(point_cloud([stack_of([[[1, 2, 3]]])], threshold=2)) == 1
    assert len(point_cloud([stack_of([[[1, 2, 3]]])], threshold=3)) == 0


def test_slices_come_one_at_a_time():
    clouds = list(cloud_of_slices(stack_of(np.ones((2, 3, 4)))))
    assert [len(c) for c in clouds] == [6, 6, 6, 6]
    assert [c.points_mm[0, 2].item() for c in clouds] == [0, 1, 2, 3]


def test_thinning_keeps_both_ends_and_no_more_than_asked():
    cloud = point_cloud([stack_of(np.arange(100).reshape(1, 1, 100))])
    thin = cloud.thinned(10)
    assert len(thin) == 10
    assert (thin.intensity[0], thin.intensity[-1]) == (0, 99)
    assert cloud.thinned(100) is cloud


def test_no_stack_gives_an_empty_cloud():
    assert point_cloud([]).points_mm.shape == (0, 3)


def test_points_without_intensities_are_refused():
    with pytest.raises(ConfigurationError, match=r"points of shape \(2, 3\) for intensities"):
        PointCloud(np.zeros((2, 3), np.float32), np.zeros(3, np.float32))


def test_a_limit_below_one_is_refused():
    with pytest.raises(ConfigurationError, match="a limit of 0 points"):
        point_cloud([]).thinned(0)

"""What TorchIO is handed, and interpolation in index space."""

import nibabel
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from volspine.volume.image import label_map, linear_at, resample, scalar_image


def test_nibabel_reads_the_orientation_that_the_patient_has():
    # Columns to the patient's left, rows to the back, slices up: LPS by name.
    image = scalar_image(np.zeros((2, 3, 4), np.float32), np.eye(4))
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    assert image.spatial_shape == (2, 3, 4)


def test_a_mask_becomes_a_label_map_of_zeros_and_ones():
    mask = np.zeros((2, 2, 2), np.bool_)
    mask[1, 0, 1] = True
    labels = label_map(mask, np.eye(4))
    assert labels.data.sum().item() == 1
    assert labels.data[0, 1, 0, 1].item() == 1
    np.testing.assert_array_equal(labels.affine, np.diag([-1.0, -1, 1, 1]))


def test_resampling_equals_scipy_where_the_source_reaches():
    rng = np.random.default_rng(0)
    voxels = rng.normal(size=(9, 8, 7)).astype(np.float32)
    matrix = np.eye(4)
    matrix[:3] = np.c_[np.diag([0.4, 0.5, 0.6]) + 0.03 * rng.normal(size=(3, 3)), [1, 1.1, 0.9]]
    shape = (6, 5, 4)
    index = np.indices(shape).reshape(3, -1)
    place = matrix[:3, :3] @ index + matrix[:3, 3:]
    expected = map_coordinates(voxels, place, order=1, mode="nearest").reshape(shape)
    np.testing.assert_allclose(resample(voxels, matrix, shape), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("place", "value"), [(-0.5, 10), (0.25, 12.5), (2.5, 30), (3.6, 0), (-1.6, 0)]
)
def test_both_ends_are_alike_half_a_voxel_out(place, value):
    voxels = np.array([10.0, 20.0, 30.0], np.float32).reshape(3, 1, 1)
    matrix = np.eye(4)
    matrix[0, 3] = place
    assert resample(voxels, matrix, (1, 1, 1)).item() == pytest.approx(value)


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 4, 2), (1, 1, 1)])
def test_values_at_places_equal_scipy_inside_and_beyond_the_edges(shape):
    rng = np.random.default_rng(1)
    voxels = rng.normal(size=shape).astype(np.float32)
    index = rng.uniform(-2, 8, (200, 3))
    index[:50] = np.rint(index[:50])
    expected = map_coordinates(voxels, index.T, order=1, mode="nearest")
    np.testing.assert_allclose(linear_at(voxels, index), expected, atol=1e-5)

"""Laws, hand values and oracles of a cloud of points on a grid in millimetres."""

import numpy as np
import pytest
import torchio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from tests.volume.test_sample import (
    AXIAL,
    RAMP,
    SAGITTAL,
    affine_of,
    deep,
    grid_points,
    mirrored,
    ramp_at,
    ramp_stack,
    sagittal,
    series_of,
    study_of,
    tilt,
)
from volspine.errors import ConfigurationError, GeometryError
from volspine.geometry.cloud import PointCloud, joined, point_cloud
from volspine.geometry.stack import Stack
from volspine.volume.cloud_grid import grid_of_cloud, grid_of_series
from volspine.volume.dense_cloud import DenseCloud, cuts_to_fill, dense_clouds
from volspine.volume.grid import Grid
from volspine.volume.image import scalar_image
from volspine.volume.sample import check_sampling, sample_series, sample_study

SMALL = Grid(spacing_mm=(2.0, 1.0, 1.0), shape=(20, 64, 64))
ORIENTATIONS = [SAGITTAL, AXIAL, tilt(17), tilt(-25) @ AXIAL, SAGITTAL @ tilt(8)]


def gridded(*stacks, grid=SMALL):
    series = series_of(*stacks)
    placed = grid.centered_on(study_of(series))
    return *grid_of_series(series, placed), placed


def ramp_error_mm(*stacks, grid=SMALL, margin=2):
    """The largest distance from the ramp, as mm along its steepest way."""
    values, mask, placed = gridded(*stacks, grid=grid)
    inside = deep(mask, margin)
    assert inside.sum() > 100
    off = np.abs(values - ramp_at(grid_points(placed)))[inside]
    return off.max() / np.linalg.norm(RAMP)


def one_point(mm, grid, *, value=5.0, weight=1.0):
    cloud = PointCloud(np.array([mm], np.float32), np.array([value], np.float32))
    return grid_of_cloud([DenseCloud(cloud, np.array([weight], np.float32))], grid)


@pytest.mark.parametrize("axes", ORIENTATIONS, ids=range(5))
@pytest.mark.parametrize("pixel", [0.4, 2.3])
def test_every_orientation_gives_the_ramp_at_its_true_place(axes, pixel):
    shape = (int(40 / pixel), int(44 / pixel), 12)
    stack = ramp_stack(affine_of(axes, (pixel, pixel, 3.0), shape, (3, -5, 7)), shape)
    assert ramp_error_mm(stack) < 0.15  # Of cells of 2 x 1 x 1 mm.


@settings(max_examples=8, deadline=None)
@given(
    angle=st.floats(-45, 45),
    pixel=st.floats(0.5, 3.0),
    thick=st.floats(0.5, 6.0),
    cell=st.floats(0.7, 3.0),
)
def test_no_cell_inside_what_was_measured_is_empty(angle, pixel, thick, cell):
    shape = (9, 10, 6)
    stack = ramp_stack(affine_of(tilt(angle), (pixel, pixel * 1.1, thick), shape), shape)
    grid = Grid(spacing_mm=(cell, cell, 1.3 * cell), shape=(16, 16, 16))
    series = series_of(stack)
    placed = grid.centered_on(study_of(series))
    _, mask = grid_of_series(series, placed)
    _, inside = sample_series(series, placed)  # Cells whose middle lies inside the stack.
    assert inside.any()
    assert not (inside & ~mask).any()


def test_voxels_copied_one_by_one_leave_cells_empty_where_the_cloud_does_not():
    shape = (40, 40, 8)
    stack = ramp_stack(affine_of(tilt(20), (1.0, 1.0, 4.0), shape), shape)
    grid = Grid(spacing_mm=(1, 1, 1), shape=(30, 30, 20), center_mm=(0, 0, 0))
    bare = point_cloud([stack])
    ones = np.ones(len(bare), np.float32)
    _, holed = grid_of_cloud([DenseCloud(bare, ones)], grid)
    _, whole = grid_of_series(series_of(stack), grid)
    assert holed.mean() < 0.4
    assert whole.all()


def test_what_is_measured_ends_where_the_stack_does():
    stack = sagittal((20, 20, 5), (1.0, 1.0, 4.0))  # 20 mm each way.
    _, mask, grid = gridded(stack, grid=Grid((1.0, 1.0, 1.0), (40, 40, 40)))
    reach = np.abs(grid_points(grid)).max(axis=-1)
    assert mask[reach < 10].all()
    assert not mask[reach > 10.51].any()


def test_a_single_point_lands_in_its_cell_and_nowhere_else():
    grid = Grid(spacing_mm=(2, 1, 1), shape=(5, 5, 5), center_mm=(10, 20, 30))
    values, mask = one_point((8.4, 21.2, 29.1), grid)  # 1.6 mm right, 1.2 back, 0.9 down.
    assert np.argwhere(mask).tolist() == [[3, 1, 1]]
    assert values[3, 1, 1] == pytest.approx(5.0)
    assert values.sum() == pytest.approx(5.0)


def test_points_of_one_cell_are_averaged_by_the_volumes_they_stand_for():
    grid = Grid(spacing_mm=(1, 1, 1), shape=(1, 1, 1), center_mm=(0, 0, 0))
    cloud = PointCloud(np.zeros((2, 3), np.float32), np.array([1.0, 5.0], np.float32))
    values, _ = grid_of_cloud([DenseCloud(cloud, np.array([3.0, 1.0], np.float32))], grid)
    assert values.tolist() == [[[2.0]]]


def test_a_value_that_is_no_number_and_a_point_outside_leave_no_trace():
    grid = Grid(spacing_mm=(1, 1, 1), shape=(3, 3, 3), center_mm=(0, 0, 0))
    for mm, value in [((0, 0, 0), np.nan), ((9, 0, 0), 1.0), ((0, 0, -1e6), 1.0)]:
        values, mask = one_point(mm, grid, value=value)
        assert not mask.any()
        assert not values.any()


def test_a_mark_on_the_patients_left_stays_on_the_left():
    shape = (11, 11, 5)
    voxels = np.zeros(shape, dtype=np.float32)
    voxels[7, 3, 3] = 100.0  # x = +1 (left), y = +2 (back), z = +2 (up)
    stack = Stack.from_array(voxels, affine_of(SAGITTAL, (1, 1, 1), shape))
    grid = Grid(spacing_mm=(1, 1, 1), shape=(11, 11, 11))
    image = sample_study(study_of(series_of(stack)), grid, sampling="cloud").images[1]
    assert np.argwhere(image > 50).tolist() == [[4, 3, 7]]


@pytest.mark.parametrize("thick", [4.0, 3.0])  # With points on the midline, and without.
def test_the_mirror_image_of_a_patient_gives_the_mirrored_grid(thick):
    shape = (24, 24, 7)
    rng = np.random.default_rng(0)
    values = rng.random(shape).astype(np.float32)
    right = Stack.from_array(values, affine_of(SAGITTAL @ tilt(5), (1, 1, thick), shape, (2, 0, 0)))
    grid = Grid(spacing_mm=(2, 1, 1), shape=(16, 24, 24))
    image, mask, _ = gridded(right, grid=grid)
    other, other_mask, _ = gridded(mirrored(right), grid=grid)
    assert not np.array_equal(mask, mask[::-1]) or not np.allclose(image, image[::-1])
    np.testing.assert_array_equal(other_mask, mask[::-1])
    np.testing.assert_allclose(other, image[::-1], atol=2e-3)


def ball(radius, field_mm, axes=AXIAL):
    """A bright ball in the middle of a field of so many mm."""
    shape = (int(field_mm), int(field_mm), int(field_mm / 4))
    affine = affine_of(axes, (1.0, 1.0, 4.0), shape)
    index = np.moveaxis(np.indices(shape).astype(float), 0, -1)
    mm = index @ affine[:3, :3].T + affine[:3, 3]
    return Stack.from_array((np.linalg.norm(mm, axis=-1) < radius).astype(np.float32), affine)


def test_a_millimetre_is_as_many_cells_whatever_else_the_scan_covers():
    grid = Grid(spacing_mm=(2, 2, 2), shape=(24, 24, 24))
    volumes = [float(gridded(ball(12, field), grid=grid)[0].sum() * 8) for field in (48, 96)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.01)
    assert volumes[0] == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.05)


def smooth_stack(axes, spacing, shape):
    affine = affine_of(axes, spacing, shape)
    index = np.moveaxis(np.indices(shape).astype(float), 0, -1)
    mm = index @ affine[:3, :3].T + affine[:3, 3]
    waves = np.sin(mm / [9.0, 7.0, 8.0]).prod(axis=-1)
    return Stack.from_array((100 + 50 * waves).astype(np.float32), affine)


@pytest.mark.parametrize("axes", [SAGITTAL, tilt(15)], ids=["sagittal", "tilted"])
def test_smooth_pictures_are_those_of_torchio_and_of_interpolation(axes):
    stack = smooth_stack(axes, (0.8, 0.8, 2.0), (50, 50, 20))
    grid = Grid(spacing_mm=(2, 1, 1), shape=(14, 28, 28), center_mm=(0, 0, 0))
    ours, mask = grid_of_series(series_of(stack), grid)
    straight, _ = sample_series(series_of(stack), grid)
    image = scalar_image(stack.voxels, stack.affine_lps)
    target = scalar_image(ours, grid.affine_lps)
    theirs = torchio.Resample(target)(image).data[0].numpy()
    inside = binary_erosion(mask)
    for oracle in (straight, theirs):
        off = np.abs(ours - oracle)[inside]
        assert off.max() < 4.0  # The waves are 100 from crest to trough.
        assert off.mean() < 1.0


def test_noise_falls_where_the_grid_is_coarser_than_the_scan():
    rng = np.random.default_rng(1)
    voxels = rng.normal(100, 10, (80, 80, 10)).astype(np.float32)
    stack = Stack.from_array(voxels, affine_of(SAGITTAL, (0.5, 0.5, 4.0), voxels.shape))
    grid = Grid(spacing_mm=(4, 2, 2), shape=(8, 16, 16))
    cloud, mask, placed = gridded(stack, grid=grid)
    straight, _ = sample_series(series_of(stack), placed)
    assert cloud[deep(mask, 1)].std() < 0.6 * straight[deep(mask, 1)].std()


def test_tilted_blocks_of_one_series_keep_their_true_places_without_a_seam():
    shape = (40, 40, 6)
    blocks = [
        ramp_stack(affine_of(tilt(angle), (1, 1, 4), shape, (0, 0, z)), shape)
        for angle, z in [(-12, -14), (0, 0), (12, 14)]
    ]
    assert ramp_error_mm(*blocks, grid=Grid((2, 1, 1), (18, 36, 48)), margin=4) < 0.15


def test_a_missing_slice_is_bridged_and_a_wide_gap_is_not():
    shape = (20, 20, 6)
    affine = affine_of(AXIAL, (1, 1, 3), shape)
    for gap, bridged in [(2, True), (3, False)]:
        steps = np.array([0, 1, 2, 2 + gap, 3 + gap, 4 + gap])
        origins = affine[:3, 3] + steps[:, None] * affine[:3, 2]
        stack = ramp_stack(affine, shape, origins)
        grid = Grid((2, 1, 1), (8, 16, 20))
        image, mask, placed = gridded(stack, grid=grid)
        assert mask.all() == bridged
        if bridged:
            inner = (slice(None), slice(None), slice(2, -2))  # Between the outermost slices.
            expected = ramp_at(grid_points(placed))
            np.testing.assert_allclose(image[inner], expected[inner], atol=0.5)


def test_thin_slices_are_averaged_to_the_thickness_of_a_cell():
    stack = ramp_stack(affine_of(SAGITTAL, (1, 1, 0.5), (30, 30, 60)), (30, 30, 60))
    assert [str(cut) for cut in cuts_to_fill(stack.affine_lps[:3, :3], (2, 1, 1))] == [
        "1",
        "1",
        "1/4",
    ]
    assert ramp_error_mm(stack) < 0.05


def test_where_voxels_fit_the_grid_the_points_are_those_of_the_plain_cloud():
    stack = ramp_stack(affine_of(AXIAL, (2, 1, 1), (4, 5, 3)), (4, 5, 3))
    dense = joined(part.cloud for part in dense_clouds(stack, (2, 1, 1)))
    plain = point_cloud([stack])
    for cloud in (dense, plain):
        assert len(cloud) == 60
    order = [np.lexsort(cloud.points_mm.T) for cloud in (dense, plain)]
    np.testing.assert_allclose(dense.points_mm[order[0]], plain.points_mm[order[1]], atol=1e-4)
    np.testing.assert_allclose(dense.intensity[order[0]], plain.intensity[order[1]])


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.floats(0.2, 6), min_size=6, max_size=6),
    angle=st.floats(-80, 80),
)
def test_no_place_is_further_from_a_point_than_half_a_cell(numbers, angle):
    steps = tilt(angle) * np.array(numbers[:3])
    cuts = cuts_to_fill(steps, numbers[3:])
    apart = np.abs(steps) / np.array([float(cut) for cut in cuts])
    assert (apart.sum(axis=1) <= 1.002 * np.array(numbers[3:])).all()


def test_a_grid_without_a_place_and_an_unknown_sampling_are_refused():
    series = series_of(sagittal())
    with pytest.raises(GeometryError, match="VS-GEO-030"):
        grid_of_series(series, SMALL)
    with pytest.raises(ConfigurationError, match="VS-CFG-230"):
        check_sampling("max")

"""A ball put into a phantom's DICOM files has the same millimetres wherever it is looked at.

The ball is painted with pydicom and numpy from the headers alone; the files then go the whole way:
read, stacks, grid, point cloud, views.
"""

import json

import numpy as np
import pydicom
import pytest

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.dicom.reading import read_study
from volspine.geometry.cloud import point_cloud
from volspine.phantom.cohort import generate
from volspine.viewer.build import point_scene, voxel_scene
from volspine.viewer.panes import PLANES, pane
from volspine.viewer.voxel_layer import grid_over
from volspine.volume.grid import Grid
from volspine.volume.sample import sample_series, sample_study

RADIUS_MM = 5.0
CLOSE_MM = 1.0  # Slices are 4 to 5 mm apart, so the rim is sampled coarsely.
SERIES = (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2, Protocol.AXIAL_T2)


def paint_ball(path, center_mm):
    """Replace a slice by its cut through the ball, from the standard's own equation."""
    ds = pydicom.dcmread(path)
    along_row, along_column = np.reshape(np.array(ds.ImageOrientationPatient, float), (2, 3))
    row_spacing, column_spacing = map(float, ds.PixelSpacing)
    row, column = np.mgrid[: ds.Rows, : ds.Columns][..., None]
    points = (
        np.array(ds.ImagePositionPatient, float)
        + column * column_spacing * along_row
        + row * row_spacing * along_column
    )
    distance = np.linalg.norm(points - center_mm, axis=-1)
    values = 900 * np.clip((RADIUS_MM + 2 - distance) / 4, 0, 1)
    ds.PixelData = np.rint(values).astype("<u2").tobytes()
    ds.save_as(path)


def amid_axial_slices(folder, point_mm):
    """Move a point along the normal to the middle of the axial stack that is nearest to it."""
    offsets = {}
    for path in folder.rglob("*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        along_row, along_column = np.reshape(np.array(ds.ImageOrientationPatient, float), (2, 3))
        normal = np.cross(along_row, along_column)
        if abs(normal[2]) > 0.6:
            offset = normal @ (np.array(ds.ImagePositionPatient, float) - point_mm)
            offsets.setdefault(tuple(normal), []).append(offset)
    nearest = min(offsets, key=lambda normal: abs(np.mean(offsets[normal])))
    return point_mm + np.mean(offsets[nearest]) * np.array(nearest)


@pytest.fixture(scope="module")
def place_and_study(tmp_path_factory):
    root = tmp_path_factory.mktemp("ball") / "root"
    generate(root, studies=1, cohort="clean", header="full", seed=3, size="small")
    (truth,) = (root / "truth").glob("*.json")
    canal = json.loads(truth.read_text())["landmarks_mm"]["spinal_canal_stenosis_l3_l4"]
    folder = root / "train_images" / truth.stem
    center = amid_axial_slices(folder, np.array(canal) + np.array([6.0, -4.0, 0.0]))
    for path in folder.rglob("*.dcm"):
        paint_ball(path, center)
    return center, read_study(folder)


def mean_place(points, weights):
    return (points * weights[:, None]).sum(axis=0) / weights.sum()


@pytest.mark.parametrize("protocol", SERIES)
def test_in_the_point_cloud_and_its_stacks(place_and_study, protocol):
    center, study = place_and_study
    stacks = study.by_protocol(protocol)[0].stacks
    cloud = point_cloud(stacks, threshold=0)
    np.testing.assert_allclose(mean_place(cloud.points_mm, cloud.intensity), center, atol=CLOSE_MM)
    brightest = max(stacks, key=lambda stack: stack.voxels.sum())
    index = np.argwhere(brightest.voxels > 0)
    points = index @ brightest.affine_lps[:3, :3].T + brightest.affine_lps[:3, 3]
    place = mean_place(points, brightest.voxels[tuple(index.T)])
    np.testing.assert_allclose(place, center, atol=CLOSE_MM)


@pytest.mark.parametrize("protocol", SERIES)
def test_in_the_grid(place_and_study, protocol):
    center, study = place_and_study
    sampled = sample_study(study, Grid(spacing_mm=(2, 1, 1), shape=(48, 160, 220)))
    image = sampled.images[PROTOCOLS.index(protocol)]
    points = sampled.grid.mm_from_index(np.argwhere(image > 0).astype(float))
    np.testing.assert_allclose(mean_place(points, image[image > 0]), center, atol=CLOSE_MM)


@pytest.mark.parametrize("protocol", SERIES)
def test_in_the_views(place_and_study, protocol):
    center, study = place_and_study
    points = point_scene(study, protocol=protocol, is_cut=False).points[0]
    np.testing.assert_allclose(points.points_mm.mean(axis=0), center, atol=1.5)
    low, high = voxel_scene(study, protocol=protocol, is_cut=False).bounds_mm
    np.testing.assert_allclose((low + high) / 2, center, atol=2.5)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("protocol", SERIES)
def test_in_every_pane(place_and_study, protocol, plane):
    center, study = place_and_study
    series = study.by_protocol(protocol)[0]
    grid = grid_over([series], spacing_mm=1.0)
    image, mask = sample_series(series, grid)
    shown = pane(image / 900, mask, grid, plane=plane, point_mm=center)
    bright = np.argwhere(shown.pixels[..., 0] > 100)
    rows, columns, _ = shown.pixels.shape
    u, v, _ = shown.locate(center)
    np.testing.assert_allclose(bright.mean(axis=0) + 0.5, [v * rows, u * columns], atol=1.5)

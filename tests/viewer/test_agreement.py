"""A ball at a known place has the same millimetres in stacks, grid, point cloud and every view."""

import base64
import json
import re

import numpy as np
import pytest

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.geometry.cloud import point_cloud
from volspine.viewer.build import point_scene, voxel_scene
from volspine.viewer.camera import frame
from volspine.viewer.page import scene_html
from volspine.viewer.panes import PLANES, pane
from volspine.viewer.ply import scene_ply
from volspine.viewer.snapshot import render
from volspine.viewer.voxel_layer import grid_over
from volspine.volume.grid import Grid
from volspine.volume.sample import sample_series, sample_study
from volspine.volume.subject import voxelize

SERIES = (Protocol.SAGITTAL_T2, Protocol.AXIAL_T2)
CLOSE_MM = 0.35


def mean_place(points, weights):
    return (points * weights[:, None]).sum(axis=0) / weights.sum()


def series_of(study, protocol):
    return study.by_protocol(protocol)[0]


def test_in_the_stacks(ball_study, ball_mm):
    stack = series_of(ball_study, Protocol.SAGITTAL_T2).stacks[0]
    index = np.indices(stack.shape).reshape(3, -1).T
    points = index @ stack.affine_lps[:3, :3].T + stack.affine_lps[:3, 3]
    np.testing.assert_allclose(mean_place(points, stack.voxels.ravel()), ball_mm, atol=CLOSE_MM)


@pytest.mark.parametrize("protocol", SERIES)
def test_in_the_grid(ball_study, ball_mm, protocol):
    sampled = sample_study(ball_study, Grid(spacing_mm=(2, 1, 1), shape=(40, 80, 80)))
    image = sampled.images[PROTOCOLS.index(protocol)]
    points = sampled.grid.mm_from_index(np.argwhere(image > 0).astype(float))
    np.testing.assert_allclose(mean_place(points, image[image > 0]), ball_mm, atol=CLOSE_MM)


@pytest.mark.parametrize("protocol", SERIES)
def test_in_the_torchio_subject(ball_study, ball_mm, protocol):
    subject = voxelize(ball_study, Grid(spacing_mm=(2, 1, 1), shape=(40, 80, 80)))
    image = subject[protocol.value]
    values = image.data[0].numpy()
    ras = np.argwhere(values > 0) @ image.affine[:3, :3].T + image.affine[:3, 3]
    place = mean_place(ras, values[values > 0])
    np.testing.assert_allclose(place, ball_mm * [-1, -1, 1], atol=CLOSE_MM)


@pytest.mark.parametrize("protocol", SERIES)
def test_in_the_point_cloud(ball_study, ball_mm, protocol):
    cloud = point_cloud(series_of(ball_study, protocol).stacks, threshold=0)
    place = mean_place(cloud.points_mm, cloud.intensity)
    np.testing.assert_allclose(place, ball_mm, atol=CLOSE_MM)


@pytest.mark.parametrize("protocol", SERIES)
def test_in_the_voxel_view(ball_study, ball_mm, protocol):
    scene = voxel_scene(ball_study, protocol=protocol, is_cut=False)
    low, high = scene.bounds_mm
    np.testing.assert_allclose((low + high) / 2, ball_mm, atol=1.0)
    vertices = scene.faces[0].mesh().vertices_mm
    np.testing.assert_allclose(vertices.mean(axis=0), ball_mm, atol=1.0)


@pytest.mark.parametrize("protocol", SERIES)
def test_in_the_point_view(ball_study, ball_mm, protocol):
    scene = point_scene(ball_study, protocol=protocol, is_cut=False)
    np.testing.assert_allclose(scene.points[0].points_mm.mean(axis=0), ball_mm, atol=CLOSE_MM)


@pytest.mark.parametrize("protocol", SERIES)
@pytest.mark.parametrize("plane", PLANES)
def test_in_every_pane(ball_study, ball_mm, protocol, plane):
    series = series_of(ball_study, protocol)
    grid = grid_over([series], spacing_mm=1.0)
    image, mask = sample_series(series, grid)
    shown = pane(image / 900, mask, grid, plane=plane, point_mm=ball_mm)
    bright = np.argwhere(shown.pixels[..., 0] > 128)
    rows, columns, _ = shown.pixels.shape
    u, v, off = shown.locate(ball_mm)
    np.testing.assert_allclose(bright.mean(axis=0) + 0.5, [v * rows, u * columns], atol=0.8)
    assert abs(off) <= 0.5


@pytest.mark.parametrize(
    ("make", "renderer"),
    [
        (voxel_scene, "software"),
        (point_scene, "software"),
        (voxel_scene, "open3d"),
        pytest.param(point_scene, "open3d", marks=pytest.mark.slow),
    ],
)
def test_in_the_rendered_picture(ball_study, ball_mm, make, renderer, caplog):
    scene = make(ball_study, protocol=Protocol.SAGITTAL_T2, is_cut=False)
    camera = frame((np.array([-60.0] * 3), np.array([60.0] * 3)), (300, 200))
    picture = render(scene, camera, renderer=renderer)
    if renderer == "open3d" and "cannot draw" in caplog.text:
        pytest.skip("Open3D cannot draw on this machine")
    rows, columns = np.nonzero(picture.max(axis=2) > 40)
    (u, v), _ = camera.project(ball_mm)
    middle = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
    np.testing.assert_allclose(middle, [u, v], atol=2.5)


@pytest.mark.parametrize("make", [voxel_scene, point_scene])
def test_in_the_page(ball_study, make):
    scene = make(ball_study, protocol=Protocol.SAGITTAL_T2, is_cut=False)
    data = json.loads(re.search(r"const scene = (.*);\n", scene_html(scene))[1])
    layer = data["layers"][0]
    parts = np.frombuffer(base64.b64decode(layer["places"]), "<u2").reshape(-1, 4)[:, :3] / 65535
    points = np.array(data["low"]) + parts * (np.array(data["high"]) - np.array(data["low"]))
    drawn = scene.points[0].points_mm if scene.points else scene.faces[0].centers_mm
    np.testing.assert_allclose(points, drawn, atol=0.01)


@pytest.mark.parametrize("make", [voxel_scene, point_scene])
def test_in_the_ply_file(ball_study, ball_mm, make):
    content = scene_ply(make(ball_study, protocol=Protocol.SAGITTAL_T2, is_cut=False))
    header, body = content.split(b"end_header\n", 1)
    count = int(re.search(rb"element vertex (\d+)", header)[1])
    vertex = np.dtype([("place", "<f4", 3), ("color", "u1", 3)])
    places = np.frombuffer(body[: count * vertex.itemsize], vertex)["place"]
    np.testing.assert_allclose(places.mean(axis=0), ball_mm, atol=1.0)

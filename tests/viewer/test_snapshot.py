"""The two renderers, and the way from one to the other."""

import contextlib
import logging
import subprocess
import sys

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import ConfigurationError
from volspine.geometry.stack import Stack
from volspine.viewer import snapshot, window
from volspine.viewer.build import bounds_scene
from volspine.viewer.camera import frame
from volspine.viewer.exhibit import Exhibit
from volspine.viewer.open3d_scene import pack, parts_of, point_px, unpack
from volspine.viewer.palette import BACKGROUND, rgb
from volspine.viewer.scene import Marker, Points, Scene
from volspine.viewer.splat import splat

BOX = (np.array([-10.0] * 3), np.array([10.0] * 3))
CAMERA = frame(BOX, (200, 160), direction=(1.0, 0.0, 0.0))


def scene_of(*points, markers=()):
    layers = tuple(
        Points("p", np.array([place], np.float32), np.array([color], np.uint8), 2.0)
        for place, color in points
    )
    return Scene("t", "s", layers, (), markers, {}, BOX)


def exhibit():
    voxels = np.ones((4, 4, 3), np.float32)
    series = Series("1", "a", Protocol.SAGITTAL_T2, "", [Stack.from_array(voxels, np.eye(4))])
    study = Study("made", [series])
    made = Exhibit(study, bounds_scene(study))
    return made, made.room(body="voxels")


def test_a_point_is_drawn_where_the_camera_sees_it_in_its_colour():
    shown = splat(scene_of(((0, -5, 5), (250, 10, 10))), CAMERA)
    (u, v), _ = CAMERA.project(np.array([0, -5.0, 5.0]))
    assert shown[round(float(v)), round(float(u))].tolist() == [250, 10, 10]
    assert shown[0, 0].tolist() == list(rgb(BACKGROUND))


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_nearer_hides_what_is_further(order):
    points = [((8, 0, 0), (0, 255, 0)), ((-8, 0, 0), (255, 0, 0))][::order]
    shown = splat(scene_of(*points), CAMERA)
    assert shown[80, 100].tolist() == [0, 255, 0]


def test_an_empty_scene_is_background():
    assert (splat(scene_of(), CAMERA) == rgb(BACKGROUND)).all()


def test_a_marker_is_a_shaded_ball_of_its_colour():
    marker = Marker(np.zeros(3), "#ff4d5e", "severe", 4.0)
    shown = splat(scene_of(markers=(marker,)), CAMERA).astype(int)
    red = shown[..., 0] - shown[..., 2] > 40
    radius = 4.0 * CAMERA.focal_px / np.linalg.norm(CAMERA.eye_mm)
    # Squares of five pixels on its surface stand out by two.
    assert red.sum() == pytest.approx(np.pi * (radius + 2) ** 2, rel=0.1)


def test_packing_and_unpacking_keeps_parts_and_view():
    scene = scene_of(((1, 2, 3), (4, 5, 6)), markers=(Marker(np.ones(3), "#ffffff", "m", 1.0),))
    parts, view = unpack(pack(scene, CAMERA))
    for before, after in zip(parts_of(scene), parts, strict=True):
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(view["extrinsic"], CAMERA.extrinsic)
    assert view["near_mm"] < np.linalg.norm(CAMERA.eye_mm) < view["far_mm"]
    assert view["point_px"] == pytest.approx(point_px(scene, CAMERA))


@pytest.mark.parametrize("script", ["raise SystemExit(1)", "import os; os.abort()", "pass"])
def test_when_open3d_fails_however_badly_the_software_renderer_draws(monkeypatch, script, caplog):
    real = subprocess.run

    def instead(command, **options):
        return real([sys.executable, "-c", script], **options)

    monkeypatch.setattr(snapshot.subprocess, "run", instead)
    scene = scene_of(((0, 0, 0), (9, 200, 9)))
    with caplog.at_level(logging.WARNING, "volspine"):
        shown = snapshot.render(scene, CAMERA, renderer="open3d")
    np.testing.assert_array_equal(shown, splat(scene, CAMERA))
    assert "the software renderer does" in caplog.text


@pytest.mark.parametrize("start", [lambda: snapshot.render(scene_of(), CAMERA), window._probe])
@pytest.mark.slow
def test_a_module_in_the_working_folder_is_not_imported(monkeypatch, tmp_path, start):
    (tmp_path / "numpy.py").write_text("open('ran', 'w').close(); raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(ConfigurationError):  # Where Open3D cannot start.
        start()
    assert not (tmp_path / "ran").exists()


def test_when_open3d_hangs_the_software_renderer_draws(monkeypatch):
    def hang(command, **_):
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(snapshot.subprocess, "run", hang)
    scene = scene_of(((0, 0, 0), (9, 200, 9)))
    np.testing.assert_array_equal(snapshot.render(scene, CAMERA), splat(scene, CAMERA))


def test_without_a_display_the_window_is_refused_with_a_remedy(monkeypatch):
    monkeypatch.setattr(window.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="no display") as caught:
        window.show(*exhibit())
    assert "--save" in caught.value.remedy


def test_an_open3d_that_cannot_start_is_an_error_and_not_the_end(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(window, "_PROBE", "import os; os.abort()")
    with pytest.raises(ConfigurationError, match="Open3D cannot start here"):
        window.show(*exhibit())

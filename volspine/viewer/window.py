"""A study and its grades -> an Open3D window on a display, which the keys of a room change.

Whether Open3D can start is tried in a process of its own first: on a machine without graphics
libraries its import would end this one without an error.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from volspine.errors import ConfigurationError
from volspine.types import FloatArray
from volspine.viewer.camera import FRONT_LEFT, frame
from volspine.viewer.exhibit import Exhibit
from volspine.viewer.lettering import labels_of, lettered
from volspine.viewer.open3d_scene import Part, geometries, open3d
from volspine.viewer.palette import BACKGROUND, rgb
from volspine.viewer.room import HELP, KEYS, Room, Thing, pressed, said, things

__all__ = ["Window", "has_display", "show"]

_GLFW = {"RIGHT": 262, "LEFT": 263, "DOWN": 264, "UP": 265, "PAGE_UP": 266, "PAGE_DOWN": 267}
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_SIZE_PX = (1400, 950)
_ZOOM = 0.68
"""Of Open3D, whose 1 leaves wide margins; the body then fills the height."""

_PROBE = "from volspine.viewer.open3d_scene import open3d; open3d()"
_REMEDY = "save a picture or a page instead: --save view.png, or --save view.html"


def has_display() -> bool:
    """Return whether a window can be expected to appear."""
    needs_server = sys.platform not in {"win32", "darwin"}
    return not needs_server or any(os.environ.get(name) for name in _DISPLAYS)


def show(exhibit: Exhibit, room: Room, *, say: Callable[[str], object] | None = None) -> None:
    """Open a window and return when it is closed.

    Args:
        exhibit: What there is to show.
        room: What is shown at first; see `volspine.viewer.room` for the keys that change it.
        say: Told the keys, and after each what is shown.

    Raises:
        ConfigurationError: If there is no display, or Open3D cannot open a window on it.
        MissingExtraError: If the extra `view` is not installed.
    """
    if not has_display():
        raise ConfigurationError(
            "there is no display to open a window on", remedy=_REMEDY, code="VS-CFG-033"
        )
    _probe()
    window = Window(exhibit, room, say=say or (lambda _: None))
    window.run()


class Window:
    """An open window.

    Args:
        exhibit: What there is to show.
        room: What is shown at first.
        say: Told the keys, and after each what is shown.

    Attributes:
        room: What is shown now.

    Raises:
        ConfigurationError: If Open3D cannot open a window on this display.
        MissingExtraError: If the extra `view` is not installed.
    """

    def __init__(self, exhibit: Exhibit, room: Room, *, say: Callable[[str], object]) -> None:
        self._o3d = open3d()
        self._exhibit, self.room, self._say = exhibit, room, say
        self._drawn: dict[Thing, Any] = {}
        self._labels = labels_of(exhibit.scene)
        self._rotation = np.zeros((3, 3))
        self.viewer = self._o3d.visualization.VisualizerWithKeyCallback()
        self._open()
        self._draw(is_first=True)
        self._look()
        for key in KEYS:
            self.viewer.register_key_callback(_code(key), partial(self._press, key))
        self.viewer.register_key_callback(ord("H"), self._help)
        self.viewer.register_key_callback(ord("R"), self._reset)
        self.viewer.register_animation_callback(self._turn_letters)

    def run(self) -> None:
        """Return when the window is closed."""
        self._help(self.viewer)
        self.viewer.run()
        self.viewer.destroy_window()

    def _open(self) -> None:
        scene = self._exhibit.scene
        heat = () if scene.heat is None else scene.heat.caption
        title = " - ".join([scene.title, *heat, *scene.notes])
        width, height = _SIZE_PX
        if not self.viewer.create_window(window_name=title, width=width, height=height):
            raise ConfigurationError(
                "Open3D cannot open a window on this display", remedy=_REMEDY, code="VS-CFG-034"
            )
        options = self.viewer.get_render_option()
        options.background_color = np.array(rgb(BACKGROUND)) / 255
        options.light_on = False
        options.mesh_show_back_face = True
        camera = frame(scene.bounds_mm, _SIZE_PX)
        away = float(np.linalg.norm(camera.eye_mm - scene.center_mm))
        options.point_size = max(self._exhibit.point_mm * camera.focal_px / away, 1.0)

    def _look(self) -> None:
        """Look from the front left above, at the whole scene."""
        control = self.viewer.get_view_control()
        control.set_lookat(self._exhibit.scene.center_mm)
        control.set_front(FRONT_LEFT)
        control.set_up((0.0, 0.0, 1.0))
        control.set_zoom(_ZOOM)

    def _draw(self, *, is_first: bool = False) -> None:
        """Take away what is no longer in the room and draw what is new."""
        wanted = things(self.room)
        for thing in [one for one in self._drawn if one not in wanted]:
            self.viewer.remove_geometry(self._drawn.pop(thing), reset_bounding_box=False)
        for thing in [one for one in wanted if one not in self._drawn]:
            part = self._letters() if thing.kind == "letters" else self._exhibit.part(thing)
            if len(part.vertices_mm):
                (self._drawn[thing],) = geometries(self._o3d, [part])
                self.viewer.add_geometry(self._drawn[thing], reset_bounding_box=is_first)

    def _press(self, key: str, _: Any) -> bool:
        before, self.room = self.room, pressed(self.room, key)
        if self.room == before:
            return False
        self._draw()
        self._say(said(self.room))
        return True

    def _help(self, _: Any) -> bool:
        for line in (*HELP, said(self.room)):
            self._say(line)
        return False

    def _reset(self, _: Any) -> bool:
        self.viewer.reset_view_point(reset_bounding_box=True)
        self._look()
        return True

    def _letters(self) -> Part:
        rotation = self._camera_rotation()
        mesh = lettered(self._labels, rotation)
        self._rotation = rotation
        return Part(mesh.vertices_mm, mesh.colors, mesh.triangles)

    def _camera_rotation(self) -> FloatArray:
        view = self.viewer.get_view_control().convert_to_pinhole_camera_parameters()
        return np.asarray(view.extrinsic, dtype=np.float64)[:3, :3]

    def _turn_letters(self, _: Any) -> bool:
        """Turn the letters to the camera, so that no side is ever read mirrored."""
        drawn = next((g for thing, g in self._drawn.items() if thing.kind == "letters"), None)
        if drawn is None or np.allclose(self._camera_rotation(), self._rotation, atol=1e-6):
            return False
        placed = self._letters().vertices_mm.astype(np.float64)
        drawn.vertices = self._o3d.utility.Vector3dVector(placed)
        self.viewer.update_geometry(drawn)
        return True


def _code(key: str) -> int:
    """Return GLFW's number of a key."""
    return _GLFW[key] if key in _GLFW else ord(key)


def _probe() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-P", "-c", _PROBE], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and "MissingExtraError" not in done.stderr:
        raise ConfigurationError(
            f"Open3D cannot start here (its process ended with {done.returncode})",
            remedy=f"see what is missing with: volspine doctor; or {_REMEDY}",
            code="VS-CFG-035",
        )

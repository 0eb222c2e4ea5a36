"""A scene -> an Open3D window on a display.

Whether Open3D can start is tried in a process of its own first: on a machine without graphics
libraries its import would end this one without an error.
"""

import os
import subprocess
import sys

import numpy as np

from volspine.errors import ConfigurationError
from volspine.viewer.camera import FRONT_LEFT, frame
from volspine.viewer.open3d_scene import geometries, open3d, parts_of, point_px
from volspine.viewer.palette import BACKGROUND, rgb
from volspine.viewer.scene import Scene

__all__ = ["has_display", "show"]

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_SIZE_PX = (1400, 950)
_PROBE = "from volspine.viewer.open3d_scene import open3d; open3d()"
_REMEDY = "save a picture or a page instead: --save view.png, or --save view.html"


def has_display() -> bool:
    """Return whether a window can be expected to appear."""
    needs_server = sys.platform not in {"win32", "darwin"}
    return not needs_server or any(os.environ.get(name) for name in _DISPLAYS)


def show(scene: Scene) -> None:
    """Open a window and return when it is closed.

    Raises:
        ConfigurationError: If there is no display, or Open3D cannot open a window on it.
        MissingExtraError: If the extra `view` is not installed.
    """
    if not has_display():
        raise ConfigurationError(
            "there is no display to open a window on", remedy=_REMEDY, code="VS-CFG-033"
        )
    _probe()
    o3d = open3d()
    window = o3d.visualization.Visualizer()
    width, height = _SIZE_PX
    heat = () if scene.heat is None else scene.heat.caption
    title = " - ".join([scene.title, scene.subtitle, *heat, scene.notes[0]])
    if not window.create_window(window_name=title, width=width, height=height):
        raise ConfigurationError(
            "Open3D cannot open a window on this display", remedy=_REMEDY, code="VS-CFG-034"
        )
    for geometry in geometries(o3d, parts_of(scene)):
        window.add_geometry(geometry)
    options = window.get_render_option()
    options.background_color = np.array(rgb(BACKGROUND)) / 255
    options.light_on = False
    options.mesh_show_back_face = True
    options.point_size = point_px(scene, frame(scene.bounds_mm, _SIZE_PX))
    control = window.get_view_control()
    control.set_lookat(scene.center_mm)
    control.set_front(FRONT_LEFT)
    control.set_up((0.0, 0.0, 1.0))
    window.run()
    window.destroy_window()


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

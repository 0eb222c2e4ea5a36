"""A scene -> pixels, with Open3D where it starts and with the software renderer where it does not.

Open3D draws in a process of its own, since a machine without its graphics libraries would not
raise an error but abort.
"""

import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from volspine.viewer.camera import Camera
from volspine.viewer.open3d_scene import pack
from volspine.viewer.palette import ColorArray
from volspine.viewer.scene import Scene
from volspine.viewer.splat import splat

__all__ = ["Renderer", "render"]

Renderer = Literal["auto", "open3d", "software"]
"""auto: Open3D, and the software renderer where Open3D fails."""

TIMEOUT_S = 90.0
"""How long Open3D may take to start and draw."""

log = logging.getLogger("volspine.viewer")


def render(scene: Scene, camera: Camera, *, renderer: Renderer = "auto") -> ColorArray:
    """Return a picture of shape (height, width, 3).

    Args:
        scene: What to draw.
        camera: From where, and how large.
        renderer: Which of the two; `open3d` falls back as `auto` does, but with a warning.
    """
    if renderer != "software":
        picture = _by_open3d(scene, camera)
        if picture is not None:
            return picture
        level = logging.WARNING if renderer == "open3d" else logging.INFO
        log.log(level, "Open3D cannot draw here; the software renderer does")
    return splat(scene, camera)


def _by_open3d(scene: Scene, camera: Camera) -> ColorArray | None:
    with tempfile.TemporaryDirectory(prefix="volspine-") as folder:
        source, target = Path(folder, "scene.npz"), Path(folder, "picture.png")
        np.savez(source, **pack(scene, camera))  # type: ignore[arg-type]
        # -P: nothing in the working folder may pass for a module.
        command = [sys.executable, "-P", "-m", "volspine.viewer.offscreen"]
        try:
            done = subprocess.run(  # noqa: S603
                [*command, str(source), str(target)],
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode != 0 or not target.is_file():
            log.debug("Open3D ended with %s", done.returncode)
            return None
        with Image.open(target) as picture:
            return np.asarray(picture.convert("RGB"))

"""A scene -> a finished picture: directions, levels, grades, scale and notices around the view.

The writing goes through the same camera as the rendering, so a label stands where its point is.
"""

import numpy as np
from PIL import Image

from volspine.viewer.camera import FRONT_LEFT, Camera, frame
from volspine.viewer.canvas import Canvas
from volspine.viewer.legend import draw_grades, draw_heat_key
from volspine.viewer.palette import FRAME_COLOR, RIGHT_COLOR, ColorArray
from volspine.viewer.scene import Scene
from volspine.viewer.snapshot import Renderer, render

__all__ = ["scene_png"]

_PANEL_PX = 400
_OVERSAMPLING = 2
_MUTED = "#8b95a7"
_DIRECTIONS = {
    "R": (-1.0, 0.0, 0.0),
    "L": (1.0, 0.0, 0.0),
    "A": (0.0, -1.0, 0.0),
    "P": (0.0, 1.0, 0.0),
    "S": (0.0, 0.0, 1.0),
    "I": (0.0, 0.0, -1.0),
}
"""Where each letter lies in LPS."""


def scene_png(
    scene: Scene,
    *,
    size_px: tuple[int, int] = (1500, 1000),
    renderer: Renderer = "auto",
    direction: tuple[float, float, float] = FRONT_LEFT,
) -> bytes:
    """Return a picture of a scene as a PNG file.

    Args:
        scene: What to draw.
        size_px: Width and height.
        renderer: See `volspine.viewer.snapshot`.
        direction: From the patient to the viewer, LPS.
    """
    width, height = size_px
    panel = 0 if scene.grades is None and scene.heat is None else _PANEL_PX
    camera = frame(scene.bounds_mm, (width - panel, height), direction=direction, fill=0.82)
    canvas = Canvas(size_px)
    canvas.picture(_smooth(scene, camera, renderer), (0, 0, width - panel, height))
    canvas.text((36, 42), scene.title, fontsize=19, weight="bold")
    canvas.text((36, 74), scene.subtitle, fontsize=11.5, color=_MUTED)
    _outlines(canvas, scene, camera)
    _rings(canvas, scene, camera)
    _levels(canvas, scene, camera)
    _compass(canvas, camera, (100.0, height - 130.0))
    _scale(canvas, camera)
    if scene.grades is not None:
        draw_grades(canvas, (width - panel + 16, 150), scene.grades)
    if scene.heat is not None:
        draw_heat_key(canvas, (width - panel + 16, 620), scene.heat)
    for row, line in enumerate(reversed(scene.notes)):
        canvas.text(
            (width - 24, height - 26 - 20 * row), line, fontsize=9.5, color=_MUTED, ha="right"
        )
    return canvas.png()


def _smooth(scene: Scene, camera: Camera, renderer: Renderer) -> ColorArray:
    width, height = camera.size_px
    larger = (width * _OVERSAMPLING, height * _OVERSAMPLING)
    closer = Camera(camera.eye_mm, camera.target_mm, camera.focal_px * _OVERSAMPLING, larger)
    picture = Image.fromarray(render(scene, closer, renderer=renderer))
    return np.asarray(picture.resize(camera.size_px, Image.Resampling.BOX))


def _rings(canvas: Canvas, scene: Scene, camera: Camera) -> None:
    # A ring shows even where the sphere itself lies behind tissue.
    for marker in scene.markers:
        (u, v), depth = camera.project(marker.point_mm)
        radius = marker.radius_mm * camera.focal_px / float(depth)
        canvas.circle((u, v), radius + 2, facecolor="none", edgecolor=marker.color, linewidth=1.4)


def _outlines(canvas: Canvas, scene: Scene, camera: Camera) -> None:
    for outline in scene.outlines_mm:
        places, _ = camera.project(outline)
        line = [(float(u), float(v)) for u, v in places]
        canvas.line(line, color=FRAME_COLOR, linewidth=1.1, alpha=0.8)


def _levels(canvas: Canvas, scene: Scene, camera: Camera) -> None:
    low, high = scene.bounds_mm
    x = scene.center_mm[0]
    ends = np.array([[x, high[1], low[2]], [x, high[1], high[2]]])
    edge = float(camera.project(ends)[0][:, 0].max())
    for label, point in scene.level_points_mm.items():
        (u, v), _ = camera.project(point)
        canvas.line([(u + 14, v), (edge + 34, v)], color=_MUTED, linewidth=0.8, alpha=0.7)
        canvas.text((edge + 42, v), label, fontsize=12, weight="bold")


def _compass(canvas: Canvas, camera: Camera, center_px: tuple[float, float]) -> None:
    """Draw the patient's directions as the camera sees them; the right side stands out."""
    arms = {name: camera.rotation @ np.array(way) for name, way in _DIRECTIONS.items()}
    for name, (u, v, away) in sorted(arms.items(), key=lambda arm: -float(arm[1][2])):
        color = RIGHT_COLOR if name == "R" else "#d7dde8"
        faint = 0.95 if away < 0.3 or name == "R" else 0.5
        start = np.array(center_px)
        end = start + 58 * np.array([u, v])
        canvas.line([tuple(start), tuple(end)], color=color, linewidth=1.6, alpha=faint)
        tip = start + 78 * np.array([u, v])
        canvas.text(
            (float(tip[0]), float(tip[1])),
            name,
            color=color,
            alpha=faint,
            fontsize=15 if name == "R" else 12,
            weight="bold",
            ha="center",
        )


def _scale(canvas: Canvas, camera: Camera) -> None:
    distance = float(np.linalg.norm(camera.target_mm - camera.eye_mm))
    length = 50 * camera.focal_px / distance
    left, v = 250.0, camera.size_px[1] - 60.0
    canvas.line([(left, v), (left + length, v)], linewidth=2.5)
    canvas.text(
        (left + length / 2, v + 18), "50 mm at mid-depth", fontsize=9.5, color=_MUTED, ha="center"
    )

"""A small software renderer: the scene as squares, painted from far to near.

For machines on which Open3D or its graphics libraries cannot start. It needs numpy only and draws
the same scene through the same camera, so the writing on top fits either picture.
"""

import numpy as np

from volspine.types import FloatArray
from volspine.viewer.camera import Camera
from volspine.viewer.palette import BACKGROUND, ColorArray, rgb
from volspine.viewer.scene import Scene, sphere

__all__ = ["splat"]

_MAX_HALF_PX = 6


def splat(scene: Scene, camera: Camera) -> ColorArray:
    """Return a picture of shape (height, width, 3)."""
    width, height = camera.size_px
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:] = rgb(BACKGROUND)
    points, colors, sizes = _everything(scene)
    if len(points) == 0:
        return picture
    pixels, depth = camera.project(points)
    half = np.ceil(sizes * camera.focal_px / depth / 2 - 0.5).astype(np.int64)
    _paint(
        picture, np.rint(pixels).astype(np.int64), (colors, np.minimum(half, _MAX_HALF_PX)), depth
    )
    return picture


def _everything(scene: Scene) -> tuple[FloatArray, ColorArray, FloatArray]:
    spheres = [
        sphere(m.point_mm, m.radius_mm, np.array(rgb(m.color), dtype=np.uint8))
        for m in scene.markers
    ]
    points = [layer.points_mm for layer in scene.points]
    points += [layer.centers_mm for layer in scene.faces]
    points += [sheet.mesh.vertices_mm for sheet in scene.sheets]
    points += [ball.vertices_mm for ball in spheres]
    colors = [layer.colors for layer in scene.points]
    colors += [layer.colors for layer in scene.faces]
    colors += [sheet.mesh.colors for sheet in scene.sheets]
    colors += [ball.colors for ball in spheres]
    sizes = [layer.size_mm for layer in scene.points]
    sizes += [max(layer.spacing_mm) for layer in scene.faces]
    sizes += [sheet.spacing_mm for sheet in scene.sheets]
    sizes += [m.radius_mm * 0.15 for m in scene.markers]
    if not points:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0)
    widths = np.concatenate([np.full(len(p), s) for p, s in zip(points, sizes, strict=True)])
    return np.concatenate(points).astype(np.float64), np.concatenate(colors), widths


def _paint(
    picture: ColorArray,
    places: "np.typing.NDArray[np.int64]",
    look: "tuple[ColorArray, np.typing.NDArray[np.int64]]",
    depth: FloatArray,
) -> None:
    height, width, _ = picture.shape
    nearest = np.full((height, width), np.inf)
    colors, half = look
    order = np.argsort(-depth)
    # One offset of the square at a time for all points; a depth buffer settles what is in front.
    reach = int(half.max())
    for dv in range(-reach, reach + 1):
        for du in range(-reach, reach + 1):
            rows = order[half[order] >= max(abs(du), abs(dv))]
            u, v = places[rows, 0] + du, places[rows, 1] + dv
            seen = (u >= 0) & (u < width) & (v >= 0) & (v < height) & (depth[rows] > 0)
            rows, u, v = rows[seen], u[seen], v[seen]
            front = depth[rows] < nearest[v, u]
            rows, u, v = rows[front], u[front], v[front]
            # Far to near, so that of several points on one pixel the last written is the nearest.
            nearest[v, u] = depth[rows]
            picture[v, u] = colors[rows]

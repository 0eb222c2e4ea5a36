"""A scene -> Open3D's geometries, by way of plain arrays that also travel between processes.

Shapes:
    N  points      V  vertices      T  triangles
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from volspine._compat import preload_libusb
from volspine._optional import require
from volspine.types import VoxelArray
from volspine.viewer.camera import Camera
from volspine.viewer.palette import BACKGROUND, FRAME_COLOR, ColorArray, rgb
from volspine.viewer.scene import Marker, Mesh, Scene, sphere, tube

__all__ = ["Part", "frames_of", "geometries", "markers_of", "open3d", "pack", "parts_of", "unpack"]


FRAME_MM = 0.5
"""Radius of the tubes that frames are drawn with."""


class Part(NamedTuple):
    """Triangles, or bare points where there are none."""

    vertices_mm: VoxelArray
    colors: ColorArray
    triangles: NDArray[np.int32]


def open3d() -> Any:
    """Return Open3D.

    Raises:
        MissingExtraError: If the extra `view` is not installed.
    """
    preload_libusb()
    return require("open3d", extra="view", purpose="the 3D viewer")


def parts_of(scene: Scene) -> list[Part]:
    """Return points, voxel faces, planes and marker spheres in the order they are drawn in."""
    nothing = np.zeros((0, 3), dtype=np.int32)
    parts = [Part(layer.points_mm, layer.colors, nothing) for layer in scene.points]
    meshes = [layer.mesh() for layer in scene.faces]
    meshes += [sheet.mesh for sheet in scene.sheets]
    meshes += [_ball(marker) for marker in scene.markers]
    return parts + [Part(m.vertices_mm, m.colors, m.triangles) for m in meshes]


def frames_of(scene: Scene) -> Part:
    """Return the frames of the located levels as thin tubes."""
    color = np.array(rgb(FRAME_COLOR), dtype=np.uint8)
    return _joined([tube(line, FRAME_MM, color) for line in scene.outlines_mm])


def markers_of(scene: Scene) -> Part:
    """Return the findings as balls in the colour of their grades."""
    return _joined([_ball(marker) for marker in scene.markers])


def _ball(marker: Marker) -> Mesh:
    color = np.array(rgb(marker.color), dtype=np.uint8)
    return sphere(marker.point_mm, marker.radius_mm, color)


def _joined(meshes: Sequence[Mesh]) -> Part:
    """Return some meshes as one part; an empty one if there is none."""
    starts = np.cumsum([0, *(len(mesh.vertices_mm) for mesh in meshes)])
    triangles = [mesh.triangles + start for mesh, start in zip(meshes, starts, strict=False)]
    return Part(
        np.concatenate([np.zeros((0, 3), np.float32), *(mesh.vertices_mm for mesh in meshes)]),
        np.concatenate([np.zeros((0, 3), np.uint8), *(mesh.colors for mesh in meshes)]),
        np.concatenate([np.zeros((0, 3), np.int32), *triangles]).astype(np.int32),
    )


def pack(scene: Scene, camera: Camera) -> dict[str, NDArray[Any]]:
    """Return scene and view as named arrays for `numpy.savez`."""
    low, high = scene.bounds_mm
    distance = float(np.linalg.norm(camera.eye_mm - scene.center_mm))
    reach = float(np.linalg.norm(high - low))
    arrays: dict[str, NDArray[Any]] = {
        "view_size_px": np.array(camera.size_px),
        "view_background": np.array(rgb(BACKGROUND)),
        "view_point_px": np.array(point_px(scene, camera)),
        "view_extrinsic": camera.extrinsic,
        "view_focal_px": np.array(camera.focal_px),
        "view_near_mm": np.array(max(distance - reach, 1.0)),
        "view_far_mm": np.array(distance + reach),
    }
    for number, part in enumerate(parts_of(scene)):
        for name in Part._fields:
            arrays[f"part_{number}_{name}"] = getattr(part, name)
    return arrays


def unpack(arrays: Mapping[str, NDArray[Any]]) -> tuple[list[Part], dict[str, NDArray[Any]]]:
    """Return the parts and the view that `pack` put in."""
    names = list(arrays)
    count = sum(name.endswith("_vertices_mm") for name in names)
    parts = [
        Part(*(arrays[f"part_{number}_{field}"] for field in Part._fields))
        for number in range(count)
    ]
    view = {name[5:]: arrays[name] for name in names if name.startswith("view_")}
    return parts, view


def point_px(scene: Scene, camera: Camera) -> float:
    """Return how many pixels wide a point is drawn, so that neighbours just touch."""
    if not scene.points:
        return 1.0
    distance = float(np.linalg.norm(camera.eye_mm - scene.center_mm))
    size_mm = max(layer.size_mm for layer in scene.points)
    return max(size_mm * camera.focal_px / distance, 1.0)


def geometries(o3d: Any, parts: Sequence[Part]) -> list[Any]:
    """Return a mesh or a point cloud for each part."""
    made = []
    for part in parts:
        vertices = o3d.utility.Vector3dVector(part.vertices_mm.astype(np.float64))
        colors = o3d.utility.Vector3dVector(part.colors / 255.0)
        if len(part.triangles):
            triangles = o3d.utility.Vector3iVector(part.triangles)
            geometry = o3d.geometry.TriangleMesh(vertices, triangles)
            geometry.vertex_colors = colors
        else:
            geometry = o3d.geometry.PointCloud(vertices)
            geometry.colors = colors
        made.append(geometry)
    return made

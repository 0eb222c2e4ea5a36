"""A scene -> a binary PLY file, which Open3D, MeshLab, Blender and CloudCompare read.

Points have places in LPS millimetres and colours; voxel faces, planes,
balls of findings and frames of levels come as triangles.
"""

import numpy as np

from volspine.viewer.open3d_scene import frames_of, parts_of
from volspine.viewer.scene import Scene

__all__ = ["scene_ply"]

_VERTEX = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
)
_FACE = np.dtype([("count", "u1"), ("corners", "<i4", (3,))])


def scene_ply(scene: Scene) -> bytes:
    """Return the file's content."""
    parts = [*parts_of(scene), frames_of(scene)]
    starts = np.cumsum([0, *(len(part.vertices_mm) for part in parts)])
    vertices = np.empty(int(starts[-1]), dtype=_VERTEX)
    faces = np.empty(sum(len(part.triangles) for part in parts), dtype=_FACE)
    faces["count"] = 3
    row = 0
    said = () if scene.heat is None else scene.heat.caption
    for start, part in zip(starts, parts, strict=False):
        block = vertices[start : start + len(part.vertices_mm)]
        for axis, name in enumerate("xyz"):
            block[name] = part.vertices_mm[:, axis]
        for channel, name in enumerate(("red", "green", "blue")):
            block[name] = part.colors[:, channel]
        faces["corners"][row : row + len(part.triangles)] = part.triangles + start
        row += len(part.triangles)
    return _header(len(vertices), len(faces), said) + vertices.tobytes() + faces.tobytes()


def _header(num_vertices: int, num_faces: int, said: tuple[str, ...]) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", "comment LPS millimetres"]
    lines += [f"comment heat: {line}" for line in said]
    lines += [f"element vertex {num_vertices}"]
    lines += [f"property float {name}" for name in "xyz"]
    lines += [f"property uchar {name}" for name in ("red", "green", "blue")]
    if num_faces:
        lines += [f"element face {num_faces}", "property list uchar int vertex_indices"]
    return ("\n".join([*lines, "end_header"]) + "\n").encode("ascii")

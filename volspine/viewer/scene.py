"""Scene: what a view draws, as plain arrays, whoever draws it.

Open3D, the software renderer, the page and the PLY file all draw the same scene. Colours carry
their shading, so that no renderer needs a light of its own. Millimetres are LPS throughout.

Shapes:
    N  points, or faces      V  vertices      T  triangles
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from volspine.grades import RESEARCH_USE, StudyGrades
from volspine.types import FloatArray, VoxelArray
from volspine.viewer.heat import Heat
from volspine.viewer.palette import ColorArray

__all__ = ["Faces", "Marker", "Mesh", "Points", "Scene", "Sheet", "sphere", "tube"]

_TANGENTS = ((1, 2), (2, 0), (0, 1))  # For each axis, the two others in right-handed order.
_LIGHT = np.array([0.62, -0.45, 0.64])  # From the left, the front and above, as the camera.


@dataclass(frozen=True)
class Points:
    """Points of one series.

    Attributes:
        name: What they show.
        points_mm: Float32, shape (N, 3), LPS millimetres.
        colors: Shape (N, 3).
        size_mm: How wide each is drawn.
        intensity: Shape (N,), 0 to 1 within its series; None where it is not known.
    """

    name: str
    points_mm: VoxelArray
    colors: ColorArray
    size_mm: float
    intensity: VoxelArray | None = None

    def above(self, threshold: float) -> "Points":
        """Return the points brighter than a threshold; all if it is 0 or none has an intensity."""
        if threshold <= 0 or self.intensity is None:
            return self
        keep = self.intensity > threshold
        return replace(
            self,
            points_mm=self.points_mm[keep],
            colors=self.colors[keep],
            intensity=self.intensity[keep],
        )


@dataclass(frozen=True)
class Faces:
    """Visible faces of voxels.

    Attributes:
        name: What they show.
        centers_mm: Float32, shape (N, 3), LPS millimetres.
        normals: Shape (N,); 1, 2, 3 for faces that look to +x, +y, +z (left, back, head);
            negative for the opposite.
        colors: Shape (N, 3).
        spacing_mm: Size of a voxel along x, y and z.
    """

    name: str
    centers_mm: VoxelArray
    normals: NDArray[np.int8]
    colors: ColorArray
    spacing_mm: tuple[float, float, float]

    def mesh(self) -> "Mesh":
        """Return two triangles for each face, counter-clockwise seen from outside."""
        half = np.asarray(self.spacing_mm) / 2
        corners = np.repeat(self.centers_mm[:, None].astype(np.float64), 4, axis=1)
        for axis, (first, second) in enumerate(_TANGENTS):
            for sign in (1, -1):
                rows = self.normals == sign * (axis + 1)
                square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])[::sign]
                corners[rows, :, first] += square[:, 0] * half[first]
                corners[rows, :, second] += square[:, 1] * half[second]
        base = np.arange(len(corners))[:, None] * 4
        triangles = np.concatenate([base + np.array([0, 1, 2]), base + np.array([0, 2, 3])], axis=1)
        return Mesh(
            corners.reshape(-1, 3).astype(np.float32),
            np.repeat(self.colors, 4, axis=0),
            triangles.reshape(-1, 3).astype(np.int32),
        )


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour at each vertex: (V, 3) float32, (V, 3) uint8, (T, 3) int32."""

    vertices_mm: VoxelArray
    colors: ColorArray
    triangles: NDArray[np.int32]


@dataclass(frozen=True)
class Sheet:
    """A plane through the patient.

    Attributes:
        name: What it shows.
        mesh: Its pixels as vertices.
        spacing_mm: Between pixels.
    """

    name: str
    mesh: Mesh
    spacing_mm: float


@dataclass(frozen=True)
class Marker:
    """A finding at its place.

    Attributes:
        point_mm: LPS millimetres, shape (3,).
        color: `#rrggbb`.
        label: What it is, with its grade.
        radius_mm: Of the sphere that is drawn.
    """

    point_mm: FloatArray
    color: str
    label: str
    radius_mm: float


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn.

    Attributes:
        title: One line; no patient data.
        subtitle: What is shown and how.
        points: Point layers.
        faces: Voxel layers.
        markers: Findings at their places.
        level_points_mm: Label of a level to its place on the midline, for those located.
        bounds_mm: Lowest and highest LPS corner.
        outlines_mm: Lines to draw, each (N, 3): the frame of each level that was located.
        grades: All findings, for the table beside the picture; None if there are none.
        notes: Said in every picture; research use at least.
        heat: What a grade looked at, which colours are tinted by; for its key.
        sheets: Planes through the patient.
    """

    title: str
    subtitle: str
    points: tuple[Points, ...]
    faces: tuple[Faces, ...]
    markers: tuple[Marker, ...]
    level_points_mm: dict[str, FloatArray]
    bounds_mm: tuple[FloatArray, FloatArray]
    outlines_mm: tuple[FloatArray, ...] = ()
    grades: StudyGrades | None = None
    notes: tuple[str, ...] = (RESEARCH_USE,)
    heat: Heat | None = None
    sheets: tuple[Sheet, ...] = ()

    @property
    def center_mm(self) -> FloatArray:
        """The middle of what is drawn."""
        return np.asarray((self.bounds_mm[0] + self.bounds_mm[1]) / 2, dtype=np.float64)

    def above(self, threshold: float) -> "Scene":
        """Return the scene with only those points that are brighter than a threshold, 0 to 1."""
        return replace(self, points=tuple(layer.above(threshold) for layer in self.points))


def sphere(center_mm: FloatArray, radius_mm: float, color: ColorArray, *, rings: int = 24) -> Mesh:
    """Return a shaded sphere.

    Args:
        center_mm: LPS millimetres, shape (3,).
        radius_mm: Positive.
        color: Shape (3,).
        rings: Circles of latitude; twice as many meridians.
    """
    polar = np.linspace(0, np.pi, rings + 1)
    turn = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    theta, phi = (grid.ravel() for grid in np.meshgrid(polar, turn, indexing="ij"))
    normals = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], 1)
    glow = 0.45 + 0.55 * np.clip(normals @ _LIGHT, 0, 1)
    shine = 110 * np.clip(normals @ _LIGHT, 0, 1) ** 12
    colors = np.clip(color * glow[:, None] + shine[:, None], 0, 255).astype(np.uint8)
    ring, spoke = np.meshgrid(np.arange(rings), np.arange(2 * rings), indexing="ij")
    here, right = ring * 2 * rings + spoke, ring * 2 * rings + (spoke + 1) % (2 * rings)
    below, corner = here + 2 * rings, right + 2 * rings
    triangles = np.stack([here, below, right, right, below, corner], axis=-1).reshape(-1, 3)
    vertices = (center_mm + radius_mm * normals).astype(np.float32)
    return Mesh(vertices, colors, triangles.astype(np.int32))


def tube(points_mm: FloatArray, radius_mm: float, color: ColorArray, *, sides: int = 6) -> Mesh:
    """Return a line as a tube, open at both ends.

    Args:
        points_mm: Its corners, LPS, shape (N, 3); at least two, no two neighbours the same.
        radius_mm: Positive.
        color: Shape (3,).
        sides: Of its cross section.
    """
    vertices, triangles = [], []
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    for number, (start, end) in enumerate(itertools.pairwise(points_mm)):
        along = (end - start) / np.linalg.norm(end - start)
        across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
        across /= np.linalg.norm(across)
        ring = np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * np.cross(along, across)
        vertices += [start + radius_mm * ring, end + radius_mm * ring]
        here = 2 * sides * number + np.arange(sides)
        right = 2 * sides * number + (np.arange(sides) + 1) % sides
        triangles += [
            np.stack([here, right, right + sides], axis=1),
            np.stack([here, right + sides, here + sides], axis=1),
        ]
    placed = np.concatenate(vertices).astype(np.float32)
    tints = np.tile(np.asarray(color, dtype=np.uint8), (len(placed), 1))
    return Mesh(placed, tints, np.concatenate(triangles).astype(np.int32))

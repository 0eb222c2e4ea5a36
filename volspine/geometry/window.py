"""Landmarks -> level frames -> windows: boxes in millimetres that lie along a disc.

A level's frame has its origin at the canal behind the disc. Its axes follow the spine:

    z   to the head, along the tangent of a smooth curve through the canal points of the chain
    x   to the patient's left, from the right landmarks to the left ones, at right angles to z
    y   to the back, at right angles to both

The curve is a cubic in the length along the chain, fitted by least squares, so that one wrong point
bends it little; fewer than five points give a lower degree. The plane of a disc is *taken to be*
at right angles to it; nothing of the disc itself is looked at. On phantoms, given their true chain,
the disc's normal is 1 to 2 degrees off (root mean square) from L1/L2 to L4/L5, and at L5/S1 leans
some 4 degrees further forwards than the tangent.

Axes are made of landmarks alone, so that a turned patient has turned frames and a mirrored one
mirrored frames. Only where no level has landmarks of both sides is x that of the scanner, and z
where there is one canal point alone.

Shapes:
    D, H, W  slices, rows and columns of a window      7 discs of `CHAIN`      5 levels
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from volspine.anatomy import LEVELS, TARGETS, Finding, Level, Side
from volspine.errors import ConfigurationError, GeometryError
from volspine.geometry.axes import Plane
from volspine.landmarks import Landmarks
from volspine.types import BoolArray, Float, FloatArray

__all__ = [
    "AXIAL",
    "SAGITTAL",
    "CropShape",
    "LevelFrame",
    "Window",
    "frames_along",
    "level_frames",
    "sideways",
    "turned_to_frame",
]

LEFT, UPRIGHT = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
"""What is taken where the landmarks do not say: the axes of the scanner."""

_DEGREE = 3
_FADE = 0.5
"""How much less a level's left and right landmarks count for the x of its neighbour."""


@dataclass(frozen=True)
class CropShape:
    """Size of a crop; slices are those of the series.

    Attributes:
        slices: How many.
        pixels: Rows and columns.
        pixel_mm: Distance between their centres.
    """

    slices: int
    pixels: tuple[int, int]
    pixel_mm: float


SAGITTAL = CropShape(slices=11, pixels=(112, 112), pixel_mm=0.7)
"""About 50 mm from side to side, with both foramina, and 78 mm from top to bottom and from front to
back."""

AXIAL = CropShape(slices=5, pixels=(112, 112), pixel_mm=0.6)
"""About 22 mm from top to bottom, 67 mm from front to back and from side to side."""


@dataclass(frozen=True, eq=False)
class LevelFrame:
    """Axes along the spine at one level; valid once constructed.

    Attributes:
        level: Which.
        origin_mm: Canal at the disc, LPS millimetres, shape (3,).
        axes: Unit vectors to the left, the back and the head as rows, shape (3, 3); LPS.

    Raises:
        GeometryError: If the axes are not those of a right-handed frame, or the origin not finite.
    """

    level: Level
    origin_mm: FloatArray
    axes: FloatArray

    def __post_init__(self) -> None:
        fits = self.origin_mm.shape == (3,) and self.axes.shape == (3, 3)
        if not (fits and np.all(np.isfinite(self.origin_mm)) and np.all(np.isfinite(self.axes))):
            raise GeometryError("a level's frame is not finite", code="VS-GEO-070")
        is_rotation = np.allclose(self.axes @ self.axes.T, np.eye(3), atol=1e-6)
        if not is_rotation or np.linalg.det(self.axes) < 0:
            raise GeometryError("a level's axes are not at right angles", code="VS-GEO-071")

    @property
    def normal(self) -> FloatArray:
        """Upward normal of the disc, as far as the chain tells."""
        return np.asarray(self.axes[2], dtype=np.float64)

    def local(self, points_mm: FloatArray) -> FloatArray:
        """Return LPS points (..., 3) as millimetres to the left, the back and the head."""
        return np.asarray((points_mm - self.origin_mm) @ self.axes.T, dtype=np.float64)

    def patient(self, local_mm: FloatArray) -> FloatArray:
        """Return millimetres to the left, the back and the head (..., 3) as LPS points."""
        return np.asarray(local_mm @ self.axes + self.origin_mm, dtype=np.float64)


def level_frames(landmarks: Landmarks) -> tuple[LevelFrame | None, ...]:
    """Return the frame of each level, cranial to caudal; None where the canal is absent.

    Args:
        landmarks: Of a study; the canal of the five levels is taken from the 25 points.
    """
    chain = np.array(landmarks.chain_mm, dtype=np.float64)
    canal = landmarks.points_mm[: len(LEVELS)]
    chain[1:-1] = np.where(np.isfinite(canal), canal, chain[1:-1])
    return frames_along(chain, sideways(landmarks.points_mm))


def sideways(points_mm: Float[np.ndarray, "25 3"]) -> Float[np.ndarray, "5 3"]:
    """Return for each level the sum of its steps from a right landmark to the left one.

    Longer steps count more, as an error of a millimetre turns them less.

    Returns:
        LPS millimetres; NaN at a level without any pair.
    """
    steps = np.full((len(LEVELS), 2, 3), np.nan)
    for target in TARGETS:
        if target.side is Side.LEFT:
            kind = 0 if target.finding is Finding.FORAMEN else 1
            step = points_mm[target.index] - points_mm[target.mirrored.index]
            steps[LEVELS.index(target.level), kind] = step
    there = np.isfinite(steps).all(axis=2)
    total = np.where(there[..., None], steps, 0.0).sum(axis=1)
    return np.where(there.any(axis=1)[:, None], total, np.nan)


def frames_along(
    chain_mm: Float[np.ndarray, "7 3"], left_mm: Float[np.ndarray, "5 3"] | None = None
) -> tuple[LevelFrame | None, ...]:
    """Return the frame of each level from the canal points of a chain.

    Args:
        chain_mm: At the discs of `CHAIN`, LPS; NaN where absent.
        left_mm: A vector towards the left at each level, of any length; NaN where unknown.
    """
    there = np.isfinite(chain_mm).all(axis=1)
    heads = _tangents(chain_mm, there)
    left = np.full((len(LEVELS), 3), np.nan) if left_mm is None else left_mm
    return tuple(
        LevelFrame(level, chain_mm[n + 1].copy(), _axes(heads[n + 1], _smooth(left, n)))
        if there[n + 1]
        else None
        for n, level in enumerate(LEVELS)
    )


def _tangents(chain_mm: FloatArray, there: BoolArray) -> FloatArray:
    """Return unit tangents towards the head at each disc of the chain; NaN where absent."""
    points, result = chain_mm[there], np.full(chain_mm.shape, np.nan)
    if len(points) < 2:
        result[there] = UPRIGHT
        return result
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if along[-1] <= 0:
        raise GeometryError("the points of the chain are one point", code="VS-GEO-072")
    along = 2 * along / along[-1] - 1.0
    degree = min(_DEGREE, max(len(points) - 2, 1))
    powers = np.arange(1, degree + 1)
    curve = np.linalg.lstsq(along[:, None] ** np.arange(degree + 1), points, rcond=None)[0]
    tangents = -(powers * along[:, None] ** (powers - 1)) @ curve[1:]
    result[there] = tangents / np.linalg.norm(tangents, axis=1, keepdims=True)
    return result


def _smooth(left_mm: FloatArray, level: int) -> FloatArray:
    """Return a vector to the left at a level, with the help of its neighbours."""
    there = np.isfinite(left_mm).all(axis=1)
    if not there.any():
        return np.array(LEFT)
    weight = _FADE ** np.abs(np.arange(len(left_mm)) - level)
    return np.asarray((weight[there, None] * left_mm[there]).sum(axis=0), dtype=np.float64)


def _axes(head: FloatArray, left: FloatArray) -> FloatArray:
    x = left - (left @ head) * head
    length = np.linalg.norm(x)
    if length < 1e-3 * np.linalg.norm(left):
        raise GeometryError("left and head of a level point the same way", code="VS-GEO-073")
    x = x / length
    return np.stack([x, np.cross(head, x), head])


@dataclass(frozen=True, eq=False)
class Window:
    """A box along a disc with its lattice; valid once constructed.

    Slices run to the left (sagittal) or the head (axial), rows to the feet or the back, columns to
    the back or the left. Mirrored, whatever runs to the left runs to the right instead: the right
    side then looks as a left one. Where each voxel is in the patient is said by `affine_lps` all
    the same.

    Attributes:
        frame: Of the level.
        plane: `sagittal` or `axial`.
        shape: (D, H, W).
        spacing_mm: Between slices, rows and columns.
        offset_mm: From the frame's origin to the middle of the window, LPS.
        mirrored: Whether left and right change places.

    Raises:
        ConfigurationError: If plane, shape or spacing cannot be.
    """

    frame: LevelFrame
    plane: Plane
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mirrored: bool = False

    def __post_init__(self) -> None:
        positive = min(self.shape) > 0 and min(self.spacing_mm) > 0
        finite = np.all(np.isfinite([*self.spacing_mm, *self.offset_mm]))
        if self.plane == "coronal" or not (positive and finite):
            raise ConfigurationError(
                f"a {self.plane} window of shape {self.shape} and spacing {self.spacing_mm} mm",
                remedy="ask for a sagittal or an axial window of positive size",
                code="VS-CFG-096",
            )

    @classmethod
    def of_size(
        cls,
        frame: LevelFrame,
        plane: Plane,
        *,
        size_mm: Sequence[float],
        spacing_mm: tuple[float, float, float],
    ) -> "Window":
        """Return the window whose voxels fill a box, to the nearest whole number of them.

        Args:
            frame: Of the level.
            plane: `sagittal` or `axial`.
            size_mm: Across the slices, along their columns and along their rows.
            spacing_mm: Between slices, rows and columns.
        """
        counts = [max(round(s / d), 1) for s, d in zip(size_mm, spacing_mm, strict=True)]
        return cls(frame, plane, (counts[0], counts[1], counts[2]), spacing_mm)

    @property
    def directions(self) -> FloatArray:
        """Unit vectors along growing slice, row and column, as rows, shape (3, 3); LPS."""
        left, back, head = self.frame.axes
        left = -left if self.mirrored else left
        return np.stack([left, -head, back] if self.plane == "sagittal" else [head, back, left])

    @property
    def affine_lps(self) -> FloatArray:
        """Slice, row and column to LPS millimetres, shape (4, 4)."""
        affine = np.eye(4)
        affine[:3, :3] = (self.directions * np.array(self.spacing_mm)[:, None]).T
        middle = (np.array(self.shape) - 1) / 2
        centre = self.frame.origin_mm + np.array(self.offset_mm)
        affine[:3, 3] = centre - affine[:3, :3] @ middle
        return affine


def turned_to_frame(frame: LevelFrame, normal: Float[np.ndarray, "3"]) -> Float[np.ndarray, "2 3"]:
    """Return rows and columns of a sagittal slice turned within it so that the disc lies level.

    Args:
        frame: Of the level.
        normal: Unit normal of the slice, towards the left.

    Returns:
        Unit vectors down the disc's normal and to the back, LPS; both lie in the slice.

    Example:
        >>> upright = LevelFrame(Level.L4_L5, np.zeros(3), np.eye(3))
        >>> turned_to_frame(upright, np.array([1.0, 0.0, 0.0])).tolist()
        [[0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    """
    down = (frame.normal @ normal) * normal - frame.normal
    down = down / np.linalg.norm(down)
    return np.stack([down, np.cross(normal, down)]) + 0.0

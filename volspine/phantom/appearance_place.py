"""Placement: how a person lies under the slices of one sagittal series, and what it covers.

Points of the series are (x, y, z) in mm from the middle of the grid, to the right, to the front and
to the head. Slices may be oblique: slice s is where x' = x + a y + b z equals its place. A point of
the series shows the map's (fractional) index

    p = M (m + u(m)) + t,    m = (x', y, z),    u(m) = sum_w A_w prod_c cos(f_wc m_c + g_wc)

with M the rotation, the zoom, the mirror and the shear of oblique slices. `to_grid` inverts this
for points by m <- q - u(m), q = M^-1 (p - t).

Shapes: N slices of S sub-slices, W waves.
"""

from dataclasses import dataclass

import numpy as np

from volspine.phantom.tissue_map import TissueMap
from volspine.types import FloatArray
from volspine.volume.grid import Grid

__all__ = ["MAP_GRID", "Placement", "Slab", "Wave", "draw_placement"]

MAP_GRID = Grid(spacing_mm=(4.0, 2.0, 2.0), shape=(24, 96, 128), center_mm=(0.0, 0.0, 0.0))
"""What the localizer looks at; its middle is that of the series."""

_COLUMN_MM = 18.0
"""How far the middle of the lumbar bodies lies in front of the canal."""

_PITCH, _TURN = np.deg2rad(7.0), np.deg2rad(4.0)
_ZOOM, _ZOOM_AXIS = 0.12, 0.03


@dataclass(frozen=True)
class Slab:
    """The slices of a series.

    Attributes:
        count: N.
        spacing_mm: Between their middles.
        thickness_mm: Of each.
        middle_mm: Place x' of the middle of all.
        shear: (a, b), how oblique they are, mm per mm.
        sub_slices: S, how many are averaged across a slice.
    """

    count: int
    spacing_mm: float
    thickness_mm: float
    middle_mm: float = 0.0
    shear: tuple[float, float] = (0.0, 0.0)
    sub_slices: int = 3

    @property
    def first_mm(self) -> float:
        """Place x' of the leftmost slice."""
        return self.middle_mm - self.spacing_mm * (self.count - 1) / 2

    @property
    def places_mm(self) -> FloatArray:
        """Place x' of every sub-slice, shape (N, S)."""
        inner = (np.arange(self.sub_slices) - (self.sub_slices - 1) / 2) / self.sub_slices
        middles = self.first_mm + self.spacing_mm * np.arange(self.count)
        return np.asarray(middles[:, None] + self.thickness_mm * inner)


@dataclass(frozen=True)
class Wave:
    """One wave of the elastic warp.

    Attributes:
        amplitude_mm: (3,) A.
        frequency: (3,) f, rad/mm.
        phase: (3,) g, rad.
    """

    amplitude_mm: FloatArray
    frequency: FloatArray
    phase: FloatArray

    def at(self, points: FloatArray) -> FloatArray:
        """Return the displacement of points (..., 3), mm."""
        height = np.cos(points * self.frequency + self.phase).prod(axis=-1)
        return np.asarray(height[..., None] * self.amplitude_mm)


@dataclass(frozen=True)
class Placement:
    """Where a person is in a series.

    Attributes:
        matrix: (3, 3) M, map indices per mm of (x', y, z).
        start: (3,) t, the map index at the middle of the grid.
        waves: Of the warp; none where it is rigid.
        slab: The slices.
        low_mm: Lowest y and z that is covered, (2,).
        high_mm: Highest.
        column_mm: y of the lumbar bodies.
        mirrored: Whether the person is seen in a mirror.
    """

    matrix: FloatArray
    start: FloatArray
    waves: tuple[Wave, ...]
    slab: Slab
    low_mm: FloatArray
    high_mm: FloatArray
    column_mm: float
    mirrored: bool = False

    def to_grid(self, points_index: FloatArray) -> FloatArray:
        """Return where map indices (..., 3) lie, as fractional indices of `MAP_GRID`."""
        straight = (points_index - self.start) @ np.linalg.inv(self.matrix).T
        points = straight
        for _ in range(40):
            points = straight - sum((w.at(points) for w in self.waves), start=np.zeros(3))
        a, b = self.slab.shear
        x = points[..., 0] - a * points[..., 1] - b * points[..., 2]
        found = np.stack([x, points[..., 1], points[..., 2]], axis=-1)
        middle = (np.asarray(MAP_GRID.shape) - 1) / 2
        return np.asarray(found / MAP_GRID.spacing_mm + middle)


def draw_placement(made: TissueMap, rng: np.random.Generator) -> Placement:
    """Place a person at random.

    Args:
        made: Whose map.
        rng: As many numbers are drawn whatever is found.
    """
    slab = _draw_slab(rng)
    mirrored = bool(rng.random() < 0.5)
    linear = _draw_linear(rng) @ np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    centre, column = _draw_centre(made, rng)
    low, high = _draw_box(rng)
    if rng.random() < 0.5:
        # A series that was cut is mostly shown in its own middle.
        shift = (low + high) / 2
        centre = centre + linear @ np.array([0.0, *shift])
        low, high, column = low - shift, high - shift, column - float(shift[0])
    oblique = np.eye(3)
    oblique[0, 1:] = [-part for part in slab.shear]
    steps = np.abs(np.diag(made.affine_lps)[:3])
    placed = Placement(
        matrix=linear @ oblique / steps[:, None],
        start=made.index_from_mm(centre * np.array([-1.0, -1.0, 1.0])),
        waves=_draw_waves(rng),
        slab=slab,
        low_mm=low,
        high_mm=high,
        column_mm=column,
        mirrored=mirrored,
    )
    return _within_map(placed, made)


def _draw_linear(rng: np.random.Generator) -> FloatArray:
    """Rotation and zoom, (3, 3)."""
    angles = rng.normal(0, 1, 3) * np.array([_PITCH, _TURN, _TURN])
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    pitch = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    roll = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    yaw = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    zoom = np.exp(_ZOOM * rng.standard_normal() + _ZOOM_AXIS * rng.standard_normal(3))
    return np.asarray(pitch @ roll @ yaw * zoom)


def _draw_centre(made: TissueMap, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Return the body's point in the middle of the series, to the right, front and head, mm."""
    canal = made.points_mm[2:4].mean(axis=0)
    # Anywhere, so that a place in the field of view names no level.
    usual, wide = rng.uniform(-52.0, 48.0), rng.uniform(-95.0, 105.0)
    up = usual if rng.random() < 0.75 else wide
    back = float(rng.uniform(-60.0, 35.0))
    aside = rng.normal(0, 7.0)
    centre = np.array([aside - canal[0], _COLUMN_MM - canal[1] - back, canal[2] + up])
    return centre, back


def _draw_slab(rng: np.random.Generator) -> Slab:
    kind = rng.random()
    spacing, share = float(rng.uniform(3.2, 5.4)), float(rng.uniform(0.75, 1.0))
    count, wide = int(rng.integers(11, 20)), float(rng.uniform(30.0, 50.0))
    few, fewer = int(rng.integers(8, 11)), int(rng.integers(6, 8))
    shear = np.deg2rad(rng.normal(0, 3.0, 2)) * (rng.random() < 0.5)
    middle = float(rng.normal(0, 1.5))
    if kind > 0.90:
        spacing *= 0.7
        count = round(wide / spacing)
    elif kind > 0.80:
        count, spacing = few, spacing * 1.15
    elif kind > 0.70:
        count, spacing = fewer, spacing * 1.3
    return Slab(
        count=count,
        spacing_mm=spacing,
        thickness_mm=spacing * share,
        middle_mm=middle,
        shear=(float(shear[0]), float(shear[1])),
        sub_slices=3 if spacing * share > 3.0 else 2,
    )


def _draw_box(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest y and z of the field of view; in 60 % a side is cut off."""
    half = np.array([rng.uniform(75.0, 160.0), rng.uniform(100.0, 165.0)])
    low, high = -half, half
    cut, kind, depth = rng.random() < 0.6, rng.random(), 95.0 * rng.random() ** 1.4
    front, rear = rng.uniform(0.0, 45.0), rng.uniform(0.0, 25.0)
    sides = rng.random(2) < 0.3
    if cut:
        reach = np.minimum(half, np.asarray(MAP_GRID.shape[1:], dtype=np.float64))
        low, high = np.maximum(low, -reach), np.minimum(high, reach)
        high = high - np.array([front * sides[0], depth * (kind < 0.55)])
        low = low + np.array([rear * sides[1], depth * (kind > 0.45)])
        # Both ends at once leave half as much to each.
        both = 0.45 < kind < 0.55
        high[1] += 0.4 * depth * both
        low[1] -= 0.4 * depth * both
    return low, high


def _draw_waves(rng: np.random.Generator) -> tuple[Wave, ...]:
    found = rng.random() < 0.5
    waves = []
    for _ in range(3):
        amplitude = rng.normal(0, 1, 3) * np.array([2.0, 3.0, 3.0])
        frequency = 2 * np.pi / np.exp(rng.uniform(np.log(110), np.log(350), 3))
        waves.append(Wave(amplitude, frequency, rng.uniform(0, 2 * np.pi, 3)))
    return tuple(waves) if found else ()


def _within_map(placed: Placement, made: TissueMap) -> Placement:
    """Return the placement, its field of view cut off where the map ends below and above."""
    ends = []
    for z_index in (0.0, made.tissues.shape[2] - 1.0):
        # Straight across through the middle of the spine: an end of the picture is not oblique.
        x, y = 0.0, placed.column_mm
        row = placed.matrix[2]
        ends.append((z_index - placed.start[2] - row[0] * x - row[1] * y) / row[2])
    low = np.array([placed.low_mm[0], max(placed.low_mm[1], ends[0] + 4.0)])
    high = np.array([placed.high_mm[0], min(placed.high_mm[1], ends[1] - 4.0)])
    return Placement(
        placed.matrix, placed.start, placed.waves, placed.slab, low, high, placed.column_mm,
        placed.mirrored,
    )  # fmt: skip

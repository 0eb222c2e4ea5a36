"""Heat: what a localizer says of one study, read in patient millimetres.

    heat over cells, and offsets  ->  peaks, masses, places

The heat of a point is a distribution over the measured cells. A place is read off it by votes: each
cell near by says where the point is (its own middle plus the offset that the network gives there)
and counts as much as its heat, within a Gaussian window that moves onto the mean once or twice.

Shapes:
    P  27 points, in the order of `volspine.landmarks.POINTS`
    A, B, C  cells to the right, to the front and to the head
    N  places
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from volspine.errors import GeometryError
from volspine.landmarks import CHAIN, POINTS
from volspine.types import BoolArray, FloatArray, IntArray
from volspine.volume.grid import Grid

__all__ = ["HeatMaps", "Read", "peaks"]

Float32 = NDArray[np.float32]

WINDOW_MM = 5.0
"""Standard deviation of the window within which cells vote; the target has 4 mm."""

REACH_MM = 10.0
"""Heat within this distance of a place counts as its own; of a Gaussian of 4 mm that is 90 %."""

_TO_LPS = np.array([-1.0, -1.0, 1.0])
_STEPS = 2


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """Heat of one study.

    Attributes:
        log_heat: (P, A, B, C) float32; logarithm of a distribution over the measured cells, -inf
            elsewhere.
        any_disc: (A, B, C) float32; probability that some disc's canal point is here.
        offset_mm: (P, 3, A, B, C) float32; from the cell's middle to the point, to the right, to
            the front and to the head.
        inside: (A, B, C); what was measured.
        presence: (P,) how likely each point is in view at all.
        grid: Of the cells, with its centre.

    Raises:
        GeometryError: If the shapes do not fit, or nothing was measured.
    """

    log_heat: Float32
    any_disc: Float32
    offset_mm: Float32
    inside: BoolArray
    presence: FloatArray
    grid: Grid

    def __post_init__(self) -> None:
        cells = self.grid.shape
        fits = (
            self.log_heat.shape == (len(POINTS), *cells)
            and self.any_disc.shape == self.inside.shape == cells
            and self.offset_mm.shape == (len(POINTS), 3, *cells)
            and self.presence.shape == (len(POINTS),)
        )
        if not fits or not self.inside.any():
            raise GeometryError(
                "heat maps of a wrong shape, or of nothing that was measured", code="VS-GEO-080"
            )

    @cached_property
    def heat(self) -> Float32:
        """(P, A, B, C); sums to 1 over the cells."""
        return np.exp(self.log_heat)

    def box(self, center_mm: FloatArray, reach_mm: float) -> "_Box":
        """Return the cells within a cube around a place, as far as there are any."""
        middle = self.grid.index_from_mm(center_mm)
        half = reach_mm / np.asarray(self.grid.spacing_mm)
        low = np.maximum(np.ceil(middle - half), 0).astype(int)
        high = np.minimum(np.floor(middle + half), np.array(self.grid.shape) - 1).astype(int)
        i, j, k = (slice(int(a), max(int(a), int(b) + 1)) for a, b in zip(low, high, strict=True))
        rulers = [np.arange(s.start, s.stop, dtype=np.float64) for s in (i, j, k)]
        index = np.stack(np.meshgrid(*rulers, indexing="ij"), axis=-1)
        return _Box((i, j, k), self.grid.mm_from_index(index))

    def mass(self, center_mm: FloatArray, channels: Sequence[int]) -> FloatArray:
        """Return how much heat of each channel lies within 10 mm of a place."""
        box = self.box(center_mm, REACH_MM)
        near = _square_distance(box.cells_mm, center_mm) <= REACH_MM**2
        heat = self.heat[:, *box.part][list(channels)]
        return np.asarray((heat * near).sum(axis=(1, 2, 3)), dtype=np.float64)

    def any_near(self, center_mm: FloatArray) -> float:
        """Return the greatest probability of any disc within about a cell of a place."""
        return float(self.any_disc[self.box(center_mm, 6.0).part].max(initial=0.0))

    def read(self, start_mm: FloatArray, channels: Sequence[int]) -> "Read":
        """Read a place off the heat of some channels together, near a first guess.

        Args:
            start_mm: LPS, shape (3,).
            channels: Indices of points whose votes count; each votes with its own offsets.
        """
        place, moment = start_mm, WINDOW_MM**2
        chosen = list(channels)
        for _ in range(_STEPS):
            box = self.box(place, 3 * WINDOW_MM)
            window = np.exp(_square_distance(box.cells_mm, place) / (-2 * WINDOW_MM**2))
            weight = self.heat[:, *box.part][chosen] * window
            total = float(weight.sum())
            if total <= 0:
                break
            offset = np.moveaxis(self.offset_mm[:, :, *box.part][chosen], 1, -1)
            votes = box.cells_mm + offset * _TO_LPS
            place = (votes * weight[..., None]).sum(axis=(0, 1, 2, 3)) / total
            moment = float((_square_distance(votes, place) * weight).sum()) / total
        return Read(np.asarray(place, dtype=np.float64), float(np.sqrt(moment)))

    def room_mm(self, point_mm: FloatArray) -> tuple[float, float]:
        """Return how far the measured cells reach above and below a place, straight up and down."""
        a, b, _ = self._nearest(point_mm)
        heights = np.flatnonzero(self.inside[a, b])
        if not heights.size:
            return 0.0, 0.0
        step = self.grid.spacing_mm[2]
        here = float(self.grid.index_from_mm(point_mm)[2])
        return (heights[-1] + 0.5 - here) * step, (here - heights[0] + 0.5) * step

    def outside_mm(self, point_mm: FloatArray) -> float:
        """Return how far a place lies from the nearest measured cell's edge; 0 within one."""
        index = self.grid.index_from_mm(point_mm)
        spacing = np.asarray(self.grid.spacing_mm)
        gap = np.maximum(np.abs(self._measured - index) - 0.5, 0.0) * spacing
        return float(np.sqrt((gap**2).sum(axis=1).min()))

    @cached_property
    def _measured(self) -> IntArray:
        return np.argwhere(self.inside)

    def _nearest(self, point_mm: FloatArray) -> tuple[int, int, int]:
        index = np.rint(self.grid.index_from_mm(point_mm)).astype(int)
        a, b, c = np.clip(index, 0, np.array(self.grid.shape) - 1)
        return int(a), int(b), int(c)


@dataclass(frozen=True)
class _Box:
    """Some cells: where they are in the arrays, and their middles in mm, (..., 3)."""

    part: tuple[slice, slice, slice]
    cells_mm: FloatArray


@dataclass(frozen=True)
class Read:
    """A place read off the heat.

    Attributes:
        point_mm: LPS, shape (3,).
        moment_mm: Root mean square distance of the votes from it.
    """

    point_mm: FloatArray
    moment_mm: float


def peaks(maps: HeatMaps, *, apart_mm: float = 12.0, most: int = 40) -> FloatArray:
    """Return where discs may be: local maxima of any disc and of each disc of the chain, (N, 3).

    Args:
        maps: The heat.
        apart_mm: Of two peaks nearer than this the stronger one is kept.
        most: How many are kept at most.
    """
    discs = maps.heat[: len(CHAIN)]
    strength = maps.any_disc + discs.sum(axis=0)
    tops = [_tops(maps.any_disc, 0.05), *(_tops(disc, 0.002) for disc in discs)]
    cells = np.unique(np.concatenate(tops), axis=0)
    order = np.argsort(-strength[tuple(cells.T)], kind="stable")[: 4 * most]
    found: list[FloatArray] = []
    for cell in cells[order]:
        place = _middle(maps, maps.grid.mm_from_index(cell.astype(np.float64)))
        if all(_square_distance(place, other) >= apart_mm**2 for other in found):
            found.append(place)
        if len(found) == most:
            break
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _middle(maps: HeatMaps, start_mm: FloatArray) -> FloatArray:
    """Read a disc's place off the heat of all discs; where there is none, off that of any disc."""
    if maps.mass(start_mm, range(len(CHAIN))).sum() >= 0.01:
        return maps.read(start_mm, range(len(CHAIN))).point_mm
    box = maps.box(start_mm, REACH_MM)
    weight = maps.any_disc[box.part][..., None] + 1e-9
    return np.asarray((box.cells_mm * weight).sum(axis=(0, 1, 2)) / weight.sum())


def _tops(values: Float32, least: float) -> IntArray:
    """Return the cells, (N, 3), that are local maxima of at least some height."""
    top = (values >= least) & (values == maximum_filter(values, size=3, mode="constant"))
    return np.argwhere(top)


def _square_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(((a - b) ** 2).sum(axis=-1))

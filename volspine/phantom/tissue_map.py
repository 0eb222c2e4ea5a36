"""Tissue map: which tissue every 2 mm of one person's trunk is made of, and where 27 points lie.

spec -> anatomy -> labels at the nodes of a lattice -> belly drawn nearer or farther

A map has no contrast, coil or field of view; `appearance` gives it a fresh one each time it is
seen. The lattice is ordered as `Grid` orders it: i grows to the patient's right, j to the front and
k to the head. Millimetres are LPS with the middle of L3 at height 0; the person is not turned.

Shapes: (I, J, K) = (56, 128, 190), from T8 to S5 and from the back's surface to the belly's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volspine.anatomy import Protocol
from volspine.errors import GeometryError
from volspine.landmarks import CHAIN, POINT_OF_TARGET, POINTS
from volspine.phantom.anatomy import Anatomy
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.plan import SeriesPlan
from volspine.phantom.render import render_labels
from volspine.phantom.spec import Spec
from volspine.phantom.tissue_map_people import map_stream, varied_anatomy
from volspine.phantom.tissues import Sequence, Tissue
from volspine.phantom.truth import build_truth, canal_points, landmarks
from volspine.types import FloatArray, IntArray

__all__ = ["SHAPE", "SPACING_MM", "TissueMap", "map_points", "tissue_map"]

SPACING_MM = 2.0
"""Distance between nodes along each axis."""

SHAPE = (56, 128, 190)
"""Nodes to the right, to the front and to the head."""

_TOP_MM = 214.0
"""Height of the highest nodes above the middle of L3; T8 is there."""

_BEHIND_MM = 104.0
"""How far the rearmost nodes lie behind the lumbar bodies."""

_COLUMNS = 190
"""Columns that are painted, from back to front; fewer or more of the foremost ones are kept."""

_BELLY_MM = -34.0
"""From here forwards, before the lumbar bodies, the belly is drawn nearer or farther."""

_UNUSED = Sequence("T2", 3000.0, 100.0)


@dataclass(frozen=True, eq=False)
class TissueMap:
    """One person's tissues; valid once constructed.

    Attributes:
        tissues: (I, J, K) uint8, values of `Tissue`.
        affine_lps: (4, 4) index to LPS millimetres.
        points_mm: (27, 3) LPS millimetres in the order of `POINTS`.
        spec: From which it was made.
        varied: Whether the person was strained beyond the cohort.

    Raises:
        GeometryError: If a tissue is unknown, or shapes or values cannot be.
    """

    tissues: NDArray[np.uint8]
    affine_lps: FloatArray
    points_mm: FloatArray
    spec: Spec
    varied: bool = True

    def __post_init__(self) -> None:
        fits = (
            self.tissues.ndim == 3
            and self.tissues.size > 0
            and self.tissues.max() < len(Tissue)
            and self.affine_lps.shape == (4, 4)
            and self.points_mm.shape == (len(POINTS), 3)
        )
        if not fits or not np.all(np.isfinite(self.points_mm)):
            raise GeometryError(
                f"a tissue map of shape {self.tissues.shape} with points of shape "
                f"{self.points_mm.shape} cannot be",
                remedy="write the maps again",
                code="VS-GEO-062",
            )

    @property
    def points_index(self) -> FloatArray:
        """Fractional indices of the points, shape (27, 3)."""
        return self.index_from_mm(self.points_mm)

    def index_from_mm(self, points_mm: FloatArray) -> FloatArray:
        """Return the fractional indices of LPS points (..., 3)."""
        steps = np.diag(self.affine_lps)[:3]
        return np.asarray((points_mm - self.affine_lps[:3, 3]) / steps, dtype=np.float64)


def tissue_map(spec: Spec, *, varied: bool = True) -> TissueMap:
    """Return the map of one person; the same, bit for bit, at every call.

    Args:
        spec: Which person; its image size and noise do not matter.
        varied: Strain the person beyond the cohort, as `varied_anatomy` does; else the person is
            that of the cohort's study.
    """
    anatomy = varied_anatomy(spec) if varied else build_truth(spec).anatomy
    middle = float(anatomy.frame.centres_mm[4:11, 0].mean())
    # The last number of the stream, so that it changes nothing before it.
    stretch = float(map_stream(spec).spawn(1)[0].uniform(0.5, 1.1)) if varied else 1.0
    tissues = render_labels(anatomy, _plan(middle + _BEHIND_MM)).astype(np.uint8)
    columns = _kept_columns(stretch)
    return TissueMap(
        tissues=np.ascontiguousarray(tissues.transpose(0, 2, 1)[:, ::-1, ::-1][:, columns]),
        affine_lps=_affine(middle + _BEHIND_MM),
        points_mm=map_points(anatomy),
        spec=spec,
        varied=varied,
    )


def map_points(anatomy: Anatomy) -> FloatArray:
    """Return the 27 points of an anatomy in the order of `POINTS`, body frame, (27, 3), mm."""
    points = np.zeros((len(POINTS), 3))
    points[: len(CHAIN)] = canal_points(
        anatomy, range(FIRST_SEGMENT - 1, FIRST_SEGMENT - 1 + len(CHAIN))
    )
    points[list(POINT_OF_TARGET)] = landmarks(anatomy)
    return points


def _plan(rearmost_mm: float) -> SeriesPlan:
    """Return sagittal slices through the nodes, from left to right."""
    count = SHAPE[0]
    centres = np.zeros((count, 3))
    centres[:, 0] = SPACING_MM * ((count - 1) / 2 - np.arange(count))
    centres[:, 1] = rearmost_mm - SPACING_MM * (_COLUMNS - 1) / 2
    centres[:, 2] = _TOP_MM - SPACING_MM * (SHAPE[2] - 1) / 2
    size = (SHAPE[2], _COLUMNS)
    return SeriesPlan(
        series_id="",
        protocol=Protocol.SAGITTAL_T2,
        sequence=_UNUSED,
        centres_mm=centres,
        tilts=np.zeros(count),
        stacks=(0,) * count,
        thickness_mm=SPACING_MM,
        spacing_mm=SPACING_MM,
        acquired=size,
        acquired_mm=SPACING_MM,
        matrix=size,
        snr=0.0,
        sub_slices=1,
    )


def _affine(rearmost_mm: float) -> FloatArray:
    affine = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = (
        SPACING_MM * (SHAPE[0] - 1) / 2,
        rearmost_mm,
        _TOP_MM - SPACING_MM * (SHAPE[2] - 1),
    )
    return affine


def _kept_columns(stretch: float) -> IntArray:
    """Return the painted column of each node from back to front; before the spine one in 1 / s."""
    columns = np.arange(SHAPE[1], dtype=np.float64)
    start = (_BEHIND_MM - _BELLY_MM) / SPACING_MM
    columns += np.maximum(columns - start, 0.0) * (1.0 / stretch - 1.0)
    return np.minimum(np.rint(columns), _COLUMNS - 1).astype(np.int64)

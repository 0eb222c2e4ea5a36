"""Views: which sagittal series of a study the localizer looks at, laid on one grid.

The best sagittal T2 and the best sagittal T1 are taken (`volspine.volume.choose`). Where one of
them is missing, as in a study whose headers say nothing, another sagittal series stands in for it.
All lie in the frame of reference in which the study is graded; series of another one are left out.

Pixels much finer than the grid are averaged in blocks first, which takes out noise that sampling at
every third pixel would keep.

Shapes:
    I, J, K  voxels of the grid, RAS order
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import VolspineError
from volspine.geometry.stack import Stack
from volspine.types import BoolArray, FloatArray, VoxelArray
from volspine.volume.choose import Candidate, ranked
from volspine.volume.frames import chosen_frame
from volspine.volume.grid import Grid, coverage_mm
from volspine.volume.sample import sample_series

__all__ = ["MAX_VIEWS", "View", "sagittal_views", "view_on_grid"]

MAX_VIEWS = 2
"""How many series are looked at."""

MIN_SLICES = 5
"""A series of fewer slices, such as a scout, is not looked at."""

_GRADED = (Protocol.SAGITTAL_T2, Protocol.SAGITTAL_T1)


@dataclass(frozen=True, eq=False)
class View:
    """A series on a grid.

    Attributes:
        image: (I, J, K) float32; zero where not measured.
        mask: (I, J, K); what was measured.
    """

    image: VoxelArray
    mask: BoolArray


def sagittal_views(study: Study) -> list[Series]:
    """Return the series to look at, made coarser; none if the study has no sagittal one.

    A series that cannot be decoded is passed over.
    """
    frame = _frame(study)
    usable = [s for s in study.series if _is_sagittal(s) and s.frame_of_reference in ("", frame)]
    groups = [[s for s in usable if s.protocol is protocol] for protocol in _GRADED]
    rest = [s for s in usable if s.protocol is Protocol.OTHER]
    chosen = [best for group in groups for best in _best(group, 1)]
    return [*chosen, *_best(rest, MAX_VIEWS - len(chosen))]


def view_on_grid(series: Series, grid: Grid) -> View:
    """Return a series on a grid with a centre."""
    return View(*sample_series(series, grid))


def _frame(study: Study) -> str:
    """Return the frame of reference of the graded series, or of most sagittal slices."""
    if frame := chosen_frame(study):
        return frame
    slices: dict[str, int] = {}
    for series in filter(_is_sagittal, study.series):
        if name := series.frame_of_reference:
            slices[name] = slices.get(name, 0) + sum(s.shape[2] for s in series.stacks)
    return max(slices, key=slices.__getitem__, default="")


def _is_sagittal(series: Series) -> bool:
    slices = sum(stack.shape[2] for stack in series.stacks)
    return series.plane == "sagittal" and slices >= MIN_SLICES


def _best(group: Sequence[Series], count: int) -> list[Series]:
    """Return the best series, each with its stacks decoded and made coarser."""
    if count <= 0:
        return []
    decoded = [series for one in group for series in _decoded(one)]
    if len(decoded) <= 1:
        return decoded
    grid = _coarse_grid(decoded)
    order = ranked([Candidate(series, *sample_series(series, grid)) for series in decoded])
    return [candidate.series for candidate in order[:count]]


def _decoded(series: Series) -> list[Series]:
    """Return the series with coarser stacks; nothing if it cannot be decoded or is blank."""
    try:
        stacks = [_coarser(stack) for stack in series.stacks]
    except VolspineError:
        return []
    is_blank = all(stack.voxels.min() == stack.voxels.max() for stack in stacks)
    return [] if is_blank else [replace(series, stacks=stacks)]


def _coarse_grid(series: Sequence[Series]) -> Grid:
    """Return a coarse grid over all series, on which what they cover is compared."""
    low, high = coverage_mm([stack for one in series for stack in one.stacks])
    x, y, z = (float(v) for v in (low + high) / 2)
    i, j, k = (max(1, int(n)) for n in np.ceil((high - low) / 8.0))
    return Grid((8.0, 8.0, 8.0), (i, j, k), (x, y, z))


def _coarser(stack: Stack, pixel_mm: float = 2.0) -> Stack:
    """Return the stack with pixels averaged in blocks of up to about `pixel_mm`."""
    voxels = stack.voxels
    a, b = (max(1, int(pixel_mm / float(mm) + 0.2)) for mm in stack.spacing_mm[:2])
    across, down, slices = voxels.shape[0] // a, voxels.shape[1] // b, voxels.shape[2]
    if a == b == 1 or min(across, down) < 2:
        return stack
    cut = voxels[: across * a, : down * b].reshape(across, a, down, b, slices)
    shift = _block_shift(stack.affine_lps, a, b)
    affine = stack.affine_lps @ np.diag([a, b, 1.0, 1.0])
    affine[:3, 3] += shift
    mean = np.asarray(cut.mean(axis=(1, 3), dtype=np.float32))
    return Stack.from_array(mean, affine, stack.slice_origins_mm + shift)


def _block_shift(affine_lps: FloatArray, a: int, b: int) -> FloatArray:
    """Return how far the middle of the first block lies from that of the first pixel."""
    return np.asarray(affine_lps[:3, 0] * (a - 1) / 2 + affine_lps[:3, 1] * (b - 1) / 2)

"""Locate: a study and a localizer -> 25 landmarks in the patient's millimetres.

    sagittal T2 and T1 on one grid -> network, on each in several sizes and on its mirror image
        -> fused heat -> ordered names -> points, spreads, confidences, doubts

The grid lies in the middle of what the sagittal series cover. Where they reach much farther up and
down than the grid does, as in pictures of the whole spine, it is tried at several heights, moved to
the middle of the best chain, and looked at again there. The mirror image is looked at with its
sides swapped back, so a mirrored study gets the mirrored points. Nothing random is drawn.

A chain may slip by one level as a whole where the network takes L5/S1 for S1/S2. Not always does it
do so at every size that it is shown the patient in, so sizes are averaged as series are (`ZOOMS`).

Shapes:
    I, J, K  voxels of the grid, RAS order    A, B, C  cells
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from volspine.dicom.study import Series, Study
from volspine.inference.device import exact_arithmetic, resolve_device
from volspine.inference.levels import level_shift
from volspine.inference.locate_views import View, sagittal_views, view_on_grid
from volspine.landmarks import CHAIN, Landmarks
from volspine.models.chain_decode import Calibration, decode, gather, nothing_found
from volspine.models.chain_fuse import Told, cell_grid, cell_mask, fuse
from volspine.models.chain_heat import HeatMaps
from volspine.models.chain_zoom import unzoomed, zoomed_grid
from volspine.models.localizer import Localizer, average_mirrors
from volspine.types import FloatArray
from volspine.volume.grid import Grid, coverage_mm

__all__ = ["ZOOMS", "heat_of_views", "locate", "shift_landmarks"]

ZOOMS = (0.9, 1.0, 1.12)
"""How much larger the voxels of the grids are on which a study is looked at."""

TALLER_MM = 84.0
"""A study that reaches this much farther up and down than the grid is looked at piece by piece."""

_STEP = 0.6
"""Heights at which the grid is tried are at most this part of its height apart."""

NO_SAGITTAL = "levels are located in sagittal series, and the study has none that can be read"


def locate(
    study: Study,
    localizer: Localizer,
    *,
    device: str | torch.device = "auto",
    shift_levels: int = 0,
    calibration: Calibration | None = None,
) -> Landmarks:
    """Return the landmarks of one study.

    Args:
        study: As read.
        localizer: A trained localizer.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        shift_levels: Name each level this many levels lower.
        calibration: How evidence becomes millimetres and probabilities.

    Raises:
        ConfigurationError: If the shift leaves nothing.
        DeviceError: If a named device is not there.
    """
    level_shift(shift_levels)
    where = device if isinstance(device, torch.device) else resolve_device(device)
    series = sagittal_views(study)
    if not series:
        return nothing_found(NO_SAGITTAL)
    run = _Run(tuple(series), localizer.to(where).eval(), where)
    maps = run.find()
    if maps is None:
        return nothing_found(NO_SAGITTAL)
    return shift_landmarks(decode(maps, calibration=calibration), shift_levels)


def heat_of_views(
    views: Mapping[float, Sequence[View]], grid: Grid, localizer: Localizer, device: torch.device
) -> HeatMaps:
    """Return the fused heat of series, each looked at together with its mirror image.

    Args:
        views: By zoom, series on the grid that `zoomed_grid` gives for it.
        grid: Unzoomed, with its centre.
        localizer: On the device.
        device: Where it computes.

    Raises:
        GeometryError: If no view measured anything.
    """
    told = [
        unzoomed(_told(view, localizer, device), zoom)
        for zoom, several in views.items()
        for view in several
        if view.mask.any()
    ]
    return fuse(told, cell_grid(grid))


def _told(view: View, localizer: Localizer, device: torch.device) -> Told:
    image, mask = (
        torch.from_numpy(part.astype(np.float32))[None, None].to(device)
        for part in (view.image, view.mask)
    )
    with torch.inference_mode(), exact_arithmetic():
        located = average_mirrors(localizer, image, mask)
    heat, offset = (np.asarray(part[0].float().cpu().numpy()) for part in located)
    return Told(heat, offset, cell_mask(view.mask))


def shift_landmarks(landmarks: Landmarks, levels: int) -> Landmarks:
    """Return the landmarks with each level named some levels lower, as a person asked for.

    Args:
        landmarks: As located.
        levels: How many levels lower; negative is higher, 0 changes nothing.

    Raises:
        ConfigurationError: If nothing would be left.
    """
    if levels == 0:
        return landmarks
    shift = level_shift(levels)
    source = [0 if s is None else s for s in shift.source]
    gone = np.array([s is None for s in shift.source])
    reasons = [shift.reason if s is None else landmarks.reasons[s] for s in shift.source]
    return Landmarks(
        points_mm=np.where(gone[:, None], np.nan, landmarks.points_mm[source]),
        spread_mm=np.where(gone, np.nan, landmarks.spread_mm[source]),
        confidence=np.where(gone, 0.0, landmarks.confidence[source]),
        reasons=tuple(reasons),
        chain_mm=_moved(landmarks.chain_mm, levels, np.nan),
        level_confidence=_moved(landmarks.level_confidence, levels, 0.0),
        doubts=(f"the levels were renamed by {levels:+d} on demand",),
    )


def _moved(values: FloatArray, places: int, fill: float) -> FloatArray:
    """Return values moved down the first axis, with `fill` where nothing moves to."""
    moved = np.full_like(values, fill)
    size = len(values)
    moved[max(places, 0) : size + min(places, 0)] = values[max(-places, 0) : size - max(places, 0)]
    return moved


@dataclass(frozen=True, eq=False)
class _Run:
    """The series of one study, and what looks at them."""

    series: tuple[Series, ...]
    localizer: Localizer
    device: torch.device

    @property
    def grids(self) -> list[Grid]:
        """The grid in the middle of what the series cover; several, one below another, if tall."""
        low, high = coverage_mm([stack for one in self.series for stack in one.stacks])
        x, y, z = ((low + high) / 2).tolist()
        first, second, third = self.localizer.shape
        size = (first, second, third)
        right, front, head = self.localizer.spacing_mm
        height, reach = third * head, float(high[2] - low[2])
        over = reach - height
        count = 1 if over <= TALLER_MM else 1 + math.ceil(over / (_STEP * height))
        steps = np.linspace(over / 2, -over / 2, count) if count > 1 else np.zeros(1)
        return [Grid((right, front, head), size, (x, y, z + float(step))) for step in steps]

    def find(self) -> HeatMaps | None:
        """Return the heat on the grid where the chain is; None if nothing was measured there."""
        grids = self.grids
        if len(grids) == 1:
            return self._look(grids[0])
        tried = [self._glance(grid) for grid in grids]
        found = [gather(maps) for maps in tried if maps is not None]
        best = max(found, key=lambda evidence: evidence.named.score, default=None)
        if best is None or not best.placed.seen.any():
            return self._look(grids[-1])
        x, y, _ = grids[0].center_mm or (0.0, 0.0, 0.0)
        height = float(np.nanmean(best.placed.points_mm[: len(CHAIN), 2]))
        return self._look(replace(grids[0], center_mm=(x, y, height)))

    def _glance(self, grid: Grid) -> HeatMaps | None:
        """Return the heat of the first series alone, seen as large as it is."""
        return self._heat({1.0: [view_on_grid(self.series[0], grid)]}, grid)

    def _look(self, grid: Grid) -> HeatMaps | None:
        grids = {zoom: zoomed_grid(grid, zoom) for zoom in ZOOMS}
        views = {
            zoom: [view_on_grid(one, zoomed) for one in self.series]
            for zoom, zoomed in grids.items()
        }
        return self._heat(views, grid)

    def _heat(self, views: Mapping[float, Sequence[View]], grid: Grid) -> HeatMaps | None:
        if not any(view.mask.any() for several in views.values() for view in several):
            return None
        return heat_of_views(views, grid, self.localizer, self.device)

"""Fuse: what a network said of each sagittal series -> the heat of one study.

Series are looked at one by one and fused here, in patient space: they lie on one grid of cells.

Shapes:
    P  27 points, in the order of `volspine.landmarks.POINTS`
    A, B, C  cells to the right, to the front and to the head; each is 1 x 2 x 2 voxels
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from volspine.errors import GeometryError
from volspine.landmarks import POINTS
from volspine.models.chain_heat import HeatMaps
from volspine.types import BoolArray, FloatArray
from volspine.volume.grid import Grid

__all__ = ["Told", "cell_grid", "cell_mask", "fuse"]

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Told:
    """What the network said of one series.

    Attributes:
        logits: (P + 1, A, B, C): the points, then any disc.
        offset_mm: (P, 3, A, B, C).
        inside: (A, B, C); what the series measured.
    """

    logits: Float32
    offset_mm: Float32
    inside: BoolArray


def cell_grid(grid: Grid) -> Grid:
    """Return the grid of the cells of a localizer's grid: each takes in 1 x 2 x 2 voxels.

    Args:
        grid: Of the voxels; its second and third size are even.
    """
    i, j, k = grid.shape
    right, front, head = grid.spacing_mm
    return Grid((right, 2 * front, 2 * head), (i, j // 2, k // 2), grid.center_mm)


def cell_mask(mask: BoolArray) -> BoolArray:
    """Return which cells hold a measured voxel, (A, B, C), from voxels (A, 2 B, 2 C)."""
    i, j, k = mask.shape
    return np.asarray(mask.reshape(i, j // 2, 2, k // 2, 2).any(axis=(2, 4)))


def fuse(series: Sequence[Told], grid: Grid) -> HeatMaps:
    """Return the heat of one study from what the network said of each of its series.

    In each cell the log heat is the mean over the series that measured there, then the whole is
    made a distribution again; offsets are averaged alike. The log-odds of a point being in view,
    which a localizer tells by log(sum(exp(logits)) / cells), are averaged too.

    Args:
        series: One or more.
        grid: Of the cells.

    Raises:
        GeometryError: If nothing is given or was measured, or the shapes do not fit.
    """
    there = [told for told in series if told.inside.any()]
    if not there:
        raise GeometryError("no heat maps, or of nothing that was measured", code="VS-GEO-081")
    weights: list[Float32] = [told.inside.astype(np.float32) for told in there]
    total: Float32 = np.sum(weights, axis=0, dtype=np.float32)
    inside = total > 0
    shares: list[Float32] = [(w / np.maximum(total, 1)).astype(np.float32) for w in weights]
    log_heat = _weighted([_log_softmax(told) for told in there], shares)
    any_disc = expit(_weighted([told.logits[-1] for told in there], shares))
    return HeatMaps(
        log_heat=_log_softmax(Told(log_heat, there[0].offset_mm, inside), points=len(log_heat)),
        any_disc=np.where(inside, any_disc, np.float32(0)).astype(np.float32),
        offset_mm=_weighted([told.offset_mm for told in there], shares),
        inside=inside,
        presence=expit(np.mean([_log_odds(told) for told in there], axis=0)),
        grid=grid,
    )


def _log_odds(told: Told) -> FloatArray:
    """Return the log-odds of each point being in view: its logits tell them, as trained."""
    logits = told.logits[:-1].reshape(len(POINTS), -1)
    top = logits.max(axis=1)
    total = np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)
    return np.asarray(top + np.log(total / logits.shape[1]), dtype=np.float64)


def _weighted(values: Sequence[Float32], shares: Sequence[Float32]) -> Float32:
    """Return the sum of values times shares, where a share of 0 silences even -inf."""
    total = np.zeros_like(values[0])
    for value, share in zip(values, shares, strict=True):
        total += np.where(share > 0, value, np.float32(0)) * share
    return total


def _log_softmax(told: Told, points: int = len(POINTS)) -> Float32:
    """Return the logarithm of a distribution over the measured cells for each point."""
    masked = np.where(told.inside, told.logits[:points], np.float32(-np.inf))
    top = masked.max(axis=(1, 2, 3), keepdims=True)
    total = np.exp(masked - top).sum(axis=(1, 2, 3), keepdims=True)
    return np.asarray(masked - top - np.log(total), dtype=np.float32)

"""Brightness: a series and the places in it -> the grey window that all its pictures share.

Slices of one series are shown in one window, so that a dark slice is dark because the patient is.
The window is set where the reader looks: within a box about the located places, from the 0.5th to
the 99.5th percentile of what was measured there. Without places it is that of whole slices.
"""

from collections.abc import Sequence

import numpy as np

from volspine.geometry.stack import Stack
from volspine.types import FloatArray, VoxelArray

__all__ = ["AROUND_MM", "grey_window"]

AROUND_MM = 45.0
"""How far the box reaches beyond the places: the bones and muscles beside the canal, and little of
the fat beneath the skin, which lies next to a surface coil and outshines everything."""

_EVERY = 3
"""Of the pixels of a slice, one in so many along either edge is looked at."""

_PERCENTILES = (0.5, 99.5)


def grey_window(stacks: Sequence[Stack], points_mm: FloatArray) -> tuple[float, float]:
    """Return the intensities that are shown black and white.

    Args:
        stacks: Of one series; decoded here.
        points_mm: (N, 3) LPS places; NaN where not located.
    """
    seen = points_mm[np.isfinite(points_mm).all(axis=1)]
    parts = [_near(stack, seen) for stack in stacks]
    values = np.concatenate([part.ravel() for part in parts] or [np.zeros(0, np.float32)])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, _PERCENTILES)
    return float(low), float(max(high, low + 1e-6))


def _near(stack: Stack, points_mm: FloatArray) -> VoxelArray:
    """Return the pixels of a stack within the box, or all where it does not reach the stack."""
    voxels = stack.voxels
    if len(points_mm):
        corner = points_mm - stack.slice_origins_mm[0]
        place, *_ = np.linalg.lstsq(stack.affine_lps[:3, :2], corner.T, rcond=None)
        reach = AROUND_MM / stack.spacing_mm[:2]
        first = np.clip(np.floor(place.min(axis=1) - reach), 0, None).astype(int)
        last = np.clip(np.ceil(place.max(axis=1) + reach), 0, None).astype(int)
        part = voxels[first[0] : last[0] : _EVERY, first[1] : last[1] : _EVERY]
        if part.size:
            return part
    return voxels[::_EVERY, ::_EVERY]

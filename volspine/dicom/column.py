"""Column: how clearly a sagittal series shows fluid with lumbar vertebrae in front of it.

The sac is found as the clearest bright (T2) or dark (T1) band. Along a line 12 to 42 mm in front of
it vertebrae and discs alternate, which makes the autocorrelation of intensity peak at their
distance: 26 to 46 mm in a lumbar spine, 14 to 22 mm in a neck. Slow changes, which are the coil's,
are taken out first.

    repeat = max over local peaks of  sum p(z) p(z + lag) / sum p(z) p(z)

Neither a head nor a knee has both: no band runs through them from top to bottom that has anything
in front of it that repeats.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from volspine.dicom.contrast import (
    WORKING_MM,
    best_path,
    bright_ridge,
    dark_ridge,
    in_depth,
    log_intensity,
    middle_slices,
)
from volspine.geometry.stack import Stack
from volspine.types import FloatArray

__all__ = ["Column", "clearest_column"]

LUMBAR_MM = (24.0, 48.0)
"""Distances of neighbouring discs that a lumbar spine may have."""

_OFFSETS = range(6, 20, 2)  # Pixels from the middle of the sac to what is averaged in front of it.
_WIDTH = 4
_COIL = 11.0  # Pixels: slower changes are the coil's.
_FAINTEST = 0.03  # Less contrast than this repeats by chance.
_FUNDAMENTAL = 0.5  # A peak this near to the highest one, at a shorter distance, is the distance.


class Column(NamedTuple):
    """What one slice shows.

    Attributes:
        band: Contrast of the band (see `contrast`).
        repeat: Autocorrelation at the distance of the discs, -1 to 1.
        period_mm: That distance; 0 where nothing repeats.
    """

    band: float
    repeat: float
    period_mm: float

    @property
    def is_lumbar(self) -> bool:
        """Whether what repeats does so at the distance of lumbar discs."""
        return LUMBAR_MM[0] <= self.period_mm <= LUMBAR_MM[1]


def clearest_column(stack: Stack, *, is_bright: bool) -> Column:
    """Return what the slice shows in whose front something repeats most clearly.

    Args:
        stack: Sagittal.
        is_bright: Whether fluid is bright, as in T2.

    Raises:
        PixelError: If the voxels cannot be decoded.
    """
    found = [_column(image, is_bright=is_bright) for image in middle_slices(stack)]
    band = max(column.band for column in found)
    return max(found, key=lambda column: column.repeat)._replace(band=band)


def _column(image: FloatArray, *, is_bright: bool) -> Column:
    smooth, inside = log_intensity(image, (2.0, 1.5)), in_depth(image)
    ridge = bright_ridge(smooth, inside) if is_bright else dark_ridge(smooth, inside)
    band, columns = best_path(ridge)
    rows = np.flatnonzero(np.isfinite(columns))
    fine = log_intensity(image, (0.7, 0.7))
    repeat, period = -1.0, 0.0
    for offset in _OFFSETS:
        places = columns[rows].astype(int)[:, None] - offset - np.arange(_WIDTH)
        profile = fine[rows[:, None], np.clip(places, 0, image.shape[1] - 1)].mean(axis=1)
        height, lag = _repeat(profile)
        if height > repeat:
            repeat, period = height, lag * WORKING_MM
    return Column(band, repeat, period)


def _repeat(profile: FloatArray) -> tuple[float, int]:
    """Return the height and the lag of the peak of the autocorrelation that makes the others."""
    wavy = gaussian_filter1d(profile - gaussian_filter1d(profile, _COIL), 1.0)
    wavy = wavy - wavy.mean()
    power = float(wavy @ wavy) / len(wavy)
    most = min(int(LUMBAR_MM[1] / WORKING_MM) + 1, 2 * len(wavy) // 3)
    if power < _FAINTEST**2 or most < 3:
        return -1.0, 0
    heights = [float(wavy[:-lag] @ wavy[lag:]) / (len(wavy) - lag) for lag in range(1, most + 1)]
    peaks = {
        k + 1: heights[k] / power
        for k in range(1, len(heights) - 1)
        if heights[k - 1] < heights[k] >= heights[k + 1] and heights[k] > 0
    }
    highest = max(peaks.values(), default=-1.0)
    lag = min((lag for lag, height in peaks.items() if height >= _FUNDAMENTAL * highest), default=0)
    return peaks.get(lag, -1.0), lag

"""Contrast: how the fluid of the spine shows in an image, for when no header says T1 or T2.

The dural sac is a band some 15 mm wide that runs from top to bottom of a midline sagittal slice, 3
to 13 cm in front of the skin of the back. Its fluid is brighter than what lies on either side of it
in a T2 image, and darker in a T1 image. The best bright and the best dark band are sought as paths
from top to bottom that drift slowly. In axial slices a bright round spot is sought instead.

Contrasts are natural logarithms of intensity, inside over beside: 0.7 is twice as bright.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter, median_filter, zoom

from volspine.geometry.stack import Stack
from volspine.geometry.turn import scanner_axes
from volspine.types import BoolArray, FloatArray

__all__ = ["Bands", "band_contrast", "fluid_contrast", "spot_contrast"]

WORKING_MM = 2.0
"""Pixel size at which bands are sought."""

BESIDE = 7
"""Pixels from the middle of the sac to what is beside it."""

DEPTH_MM = (30.0, 130.0)
"""How far in front of the skin of the back the sac lies."""

_FLOOR = 0.05  # Of the brightest: air must not pass for a dark band.
_OUTSIDE = -3.0
_LARGEST = 1.5  # No stretch of a path may make up for all the rest of it.


class Bands(NamedTuple):
    """Contrast of the best bright and the best dark band; higher is clearer."""

    bright: float
    dark: float


def fluid_contrast(stack: Stack) -> Bands:
    """Return the clearest bright and dark band (or bright spot) among the middle slices.

    Raises:
        PixelError: If the voxels cannot be decoded.
    """
    measure = band_contrast if stack.plane == "sagittal" else spot_contrast
    found = [measure(image) for image in _middle_slices(stack)]
    return Bands(max(bands.bright for bands in found), max(bands.dark for bands in found))


def _middle_slices(stack: Stack) -> list[FloatArray]:
    """Return the middle third of the slices at 2 mm.

    Sagittal: rows run to the feet and columns to the back. Axial: rows run to the back.
    """
    axes, flips = scanner_axes(stack.affine_lps, stack.plane)
    turned = stack.voxels.transpose(axes)[tuple(slice(None, None, -1 if f else 1) for f in flips)]
    between_columns, between_rows, _ = stack.spacing_mm[list(axes)] / WORKING_MM
    count = turned.shape[2]
    third = range(count // 3, max(count - count // 3, count // 3 + 1))
    return [
        zoom(turned[:, :, k].T.astype(np.float64), (between_rows, between_columns), order=1)
        for k in third
    ]


def band_contrast(image: Float[np.ndarray, "H W"]) -> Bands:
    """Return the contrast of the best bright and the best dark band of a sagittal slice.

    Args:
        image: 2 mm pixels; rows run to the feet, columns to the back.
    """
    smooth = _log_intensity(image, (2.0, 1.5))
    front, back = np.roll(smooth, BESIDE, axis=1), np.roll(smooth, -BESIDE, axis=1)
    outside = ~_in_depth(image)
    bright = np.clip(smooth - np.maximum(front, back), _OUTSIDE, _LARGEST)
    dark = np.clip(np.minimum(front, back) - smooth, _OUTSIDE, _LARGEST)
    bright[outside] = dark[outside] = _OUTSIDE
    # Below, the sac curves away over the sacrum and tapers.
    rows = slice(len(image) // 10, max(3 * len(image) // 4, len(image) // 10 + 1))
    return Bands(_best_path(bright[rows]), _best_path(dark[rows]))


def spot_contrast(image: Float[np.ndarray, "H W"]) -> Bands:
    """Return how much brighter the brightest spot near the middle is than all around it.

    Args:
        image: 2 mm pixels of an axial slice.
    """
    smooth = _log_intensity(image, (1.5, 1.5))
    shifts = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]
    around = [np.roll(smooth, (BESIDE * r, BESIDE * c), axis=(0, 1)) for r, c in shifts]
    spot = smooth - np.max(around, axis=0)
    height, width = spot.shape
    middle = spot[height // 4 : height - height // 4, 2 * width // 5 : width - 2 * width // 5]
    return Bands(float(middle.max(initial=_OUTSIDE)), _OUTSIDE)


def _log_intensity(image: FloatArray, sigma: tuple[float, float]) -> FloatArray:
    high = float(np.percentile(image, 99))
    scaled = np.clip(image / high, 0.0, 1.0) if high > 0 else np.zeros_like(image)
    return np.asarray(np.log(gaussian_filter(scaled, sigma) + _FLOOR), dtype=np.float64)


def _in_depth(image: FloatArray) -> BoolArray:
    """Return where pixels lie 3 to 13 cm in front of the skin of the back."""
    smooth = gaussian_filter(image, (6.0, 2.0))
    is_body = smooth > 0.25 * np.percentile(smooth, 95)
    columns = np.arange(image.shape[1])
    skin = median_filter(np.max(is_body * columns, axis=1), size=41, mode="nearest")
    depth = (skin[:, None] - columns) * WORKING_MM
    return np.asarray((depth > DEPTH_MM[0]) & (depth < DEPTH_MM[1]), dtype=np.bool_)


def _best_path(ridge: FloatArray) -> float:
    """Return the mean height of the highest path from top to bottom, one pixel aside a row."""
    total = ridge[0]
    for row in ridge[1:]:
        padded = np.pad(total, 1, constant_values=-np.inf)
        total = row + np.max([padded[:-2], padded[1:-1], padded[2:]], axis=0)
    return float(total.max() / len(ridge))

"""Contrast: how the fluid of the spine shows in an image, for when no header says T1 or T2.

The dural sac is a band some 15 mm wide that runs from top to bottom of a midline sagittal slice, 3
to 13 cm in front of the skin of the back. Its fluid is brighter than what lies on either side of it
in a T2 image, and darker in a T1 image. It is sought as the path from top to bottom that drifts
slowly and stands out most. Three measures, each of the image alone, whatever its unit:

    fluid_score        one sagittal series: how far the clearest bright band stands out, and how
                       skewed intensities are, since fluid is a small part that is much brighter;
                       and how far the clearest dark band stands out
    fluid_difference   two sagittal series of the same place: how much clearer one band is that is
                       bright in the first *and* dark in the second than the other way round;
                       bright fat, which is bright in both, cannot pass for fluid
    spot_score         axial slices: a round bright spot near the middle instead of a band

Contrasts are natural logarithms of intensity, inside over beside: 0.7 is twice as bright. Slices
thinner than 4 mm are averaged to that.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter, map_coordinates, median_filter

from volspine.geometry.stack import Stack
from volspine.geometry.turn import scanner_axes, turned_affine
from volspine.types import BoolArray, FloatArray

__all__ = [
    "WORKING_MM",
    "band_score",
    "best_path",
    "bright_ridge",
    "dark_ridge",
    "fluid_difference",
    "fluid_score",
    "in_depth",
    "log_intensity",
    "middle_slices",
    "spot_contrast",
    "spot_score",
]

WORKING_MM = 2.0
"""Pixel size at which bands are sought."""

SLAB_MM = 4.0
"""Thinner slices are averaged to this."""

DEPTH_MM = (30.0, 130.0)
"""How far in front of the skin of the back the sac lies."""

SKEW_SHARE = 0.1
"""Weight of the skewness of intensities beside the contrast of the band."""

_BEHIND = 6  # Pixels from the middle of the sac to what lies behind it,
_FRONT = range(6, 14)  # and to what lies in front of it: the vertebral bodies.
_NEAR = (6, 9)  # Dark fluid need not be darker than all of them.
_AROUND = 7
_FLOOR = 0.05  # Of the brightest: air must not pass for a dark band.
_OUTSIDE = -3.0
_LARGEST = 0.5  # No stretch of a path may make up for all the rest of it.
_SCALE = 10.0  # Pixels over which a coil's sensitivity hardly changes.


def fluid_score(stack: Stack) -> tuple[float, float]:
    """Return how much the middle of a sagittal series looks like bright, and like dark fluid.

    Raises:
        PixelError: If the voxels cannot be decoded.
    """
    bright, dark, skewed = np.max([band_score(image) for image in middle_slices(stack)], axis=0)
    return float(bright + SKEW_SHARE * skewed), float(dark)


def fluid_difference(first: Stack, second: Stack) -> float:
    """Return how much brighter fluid is in the first of two sagittal series; negative if darker.

    Zero where they show no common part.

    Raises:
        PixelError: If the voxels cannot be decoded.
    """
    pairs = zip(middle_slices(first), middle_slices(second, like=first), strict=True)
    found = [_both_ways(a, b) for a, b in pairs if np.count_nonzero(b) > b.size // 2]
    if not found:
        return 0.0
    ways = np.max(found, axis=0)
    return float(ways[0] - ways[1])


def spot_score(stack: Stack) -> float:
    """Return the usual contrast of the brightest round spot near the middle of axial slices.

    Raises:
        PixelError: If the voxels cannot be decoded.
    """
    return float(np.median([spot_contrast(image) for image in middle_slices(stack)]))


def middle_slices(stack: Stack, like: Stack | None = None) -> list[FloatArray]:
    """Return the middle third of the slices, 2 mm pixels.

    Sagittal: rows run to the feet and columns to the back. Axial: rows run to the back.

    Args:
        stack: Whose voxels are shown.
        like: Whose slices and pixels are shown, where not its own; zero where not measured.
    """
    frame = like or stack
    axes, flips = scanner_axes(frame.affine_lps, frame.plane)
    affine = turned_affine(frame.affine_lps, frame.shape, axes=axes, flips=flips)
    columns, rows, count = (frame.shape[axis] for axis in axes)
    step = np.linalg.norm(affine[:3, :3], axis=0)
    row = np.arange(0.0, rows - 1 + 1e-6, WORKING_MM / step[1])
    column = np.arange(0.0, columns - 1 + 1e-6, WORKING_MM / step[0])
    slab = max(1, round(SLAB_MM / float(step[2])))
    third = range(count // 3, max(count - count // 3, count // 3 + 1), slab)
    index_from_mm = np.linalg.inv(stack.affine_lps)
    shown = []
    for first in third:
        members = range(first, min(first + slab, count))
        layers = [_layer(stack, index_from_mm @ affine, (row, column, k)) for k in members]
        shown.append(np.mean(layers, axis=0))
    return shown


def _layer(
    stack: Stack, index: FloatArray, where: tuple[FloatArray, FloatArray, int]
) -> FloatArray:
    """Return one slice, linearly interpolated; zero outside."""
    row, column, k = where
    lattice = np.stack(np.broadcast_arrays(column[None], row[:, None], float(k)))
    places = np.tensordot(index[:3, :3], lattice, 1) + index[:3, 3, None, None]
    # Rounding must not push the outermost slice outside.
    places = np.where(np.abs(places - np.rint(places)) < 1e-6, np.rint(places), places)
    values = map_coordinates(stack.voxels, places, order=1, mode="constant", cval=0.0)
    return np.asarray(values, dtype=np.float64)


def band_score(image: Float[np.ndarray, "H W"]) -> tuple[float, float, float]:
    """Return the contrast of the clearest bright and dark bands of a sagittal slice, and its skew.

    Args:
        image: 2 mm pixels; rows run to the feet, columns to the back.
    """
    inside, smooth = in_depth(image), log_intensity(image, (2.0, 1.5))
    bright, _ = best_path(bright_ridge(smooth, inside))
    dark, _ = best_path(dark_ridge(smooth, inside))
    return bright, dark, _skewness(image, inside)


def bright_ridge(smooth: FloatArray, inside: BoolArray) -> FloatArray:
    """Return how much brighter each pixel is than what lies in front of it and behind it.

    Args:
        smooth: Logarithm of intensity.
        inside: Where the sac may be.
    """
    return _ridge(smooth, inside, _FRONT)


def dark_ridge(smooth: FloatArray, inside: BoolArray) -> FloatArray:
    """Return how much darker each pixel is than what lies next in front of it and behind it."""
    return _ridge(-smooth, inside, _NEAR)


def _ridge(smooth: FloatArray, inside: BoolArray, reach: Sequence[int]) -> FloatArray:
    front = np.max([np.roll(smooth, by, axis=1) for by in reach], axis=0)
    behind = np.roll(smooth, -_BEHIND, axis=1)
    ridge = np.clip(smooth - np.maximum(front, behind), _OUTSIDE, _LARGEST)
    return np.where(inside, ridge, _OUTSIDE)


def _both_ways(first: FloatArray, second: FloatArray) -> tuple[float, float]:
    """Return the clearest band that is bright in the first and dark in the second; and converse."""
    a, b = log_intensity(first, (2.0, 1.5)), log_intensity(second, (2.0, 1.5))
    inside = in_depth(first)
    ways = [
        _ridge(bright, inside, _NEAR) + _ridge(-dark, inside, _NEAR)
        for bright, dark in ((a, b), (b, a))
    ]
    return best_path(ways[0])[0], best_path(ways[1])[0]


def spot_contrast(image: Float[np.ndarray, "H W"]) -> float:
    """Return how much brighter the brightest spot near the middle is than all around it.

    Args:
        image: 2 mm pixels of an axial slice.
    """
    smooth = log_intensity(image, (1.5, 1.5))
    shifts = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]
    around = [np.roll(smooth, (_AROUND * r, _AROUND * c), axis=(0, 1)) for r, c in shifts]
    spot = smooth - np.max(around, axis=0)
    height, width = spot.shape
    middle = spot[height // 4 : height - height // 4, 2 * width // 5 : width - 2 * width // 5]
    return float(min(middle.max(initial=_OUTSIDE), 1.0))


def log_intensity(image: FloatArray, sigma: tuple[float, float]) -> FloatArray:
    """Return the logarithm of a smoothed image, as a part of its brightest; bounded below."""
    high = float(np.percentile(image, 99))
    scaled = np.clip(image / high, 0.0, 1.0) if high > 0 else np.zeros_like(image)
    return np.asarray(np.log(gaussian_filter(scaled, sigma) + _FLOOR), dtype=np.float64)


def _skewness(image: FloatArray, inside: BoolArray) -> float:
    """Return the skewness of intensities over their surroundings, where the spine may be."""
    high = float(np.percentile(image, 99))
    if high <= 0 or np.count_nonzero(inside) < 100:
        return 0.0
    scaled = np.clip(image / high, 0.0, None)
    over = gaussian_filter(scaled / (gaussian_filter(scaled, _SCALE) + _FLOOR), 0.7)[inside]
    spread = float(over.std())
    return float(np.mean((over - over.mean()) ** 3)) / spread**3 if spread > 1e-6 else 0.0


def in_depth(image: FloatArray) -> BoolArray:
    """Return where pixels lie 3 to 13 cm in front of the skin of the back."""
    smooth = gaussian_filter(image, (6.0, 2.0))
    is_body = smooth > 0.25 * np.percentile(smooth, 95)
    columns = np.arange(image.shape[1])
    skin = median_filter(np.max(is_body * columns, axis=1), size=41, mode="nearest")
    depth = (skin[:, None] - columns) * WORKING_MM
    return np.asarray((depth > DEPTH_MM[0]) & (depth < DEPTH_MM[1]), dtype=np.bool_)


def best_path(ridge: FloatArray) -> tuple[float, FloatArray]:
    """Return the mean height of the highest path from top to bottom, and its column in each row.

    A path moves one pixel aside a row at most. The rows at the top, where a slice may be faint, and
    those below the sac are left out: their column is NaN.
    """
    first, last = len(ridge) // 10, max(3 * len(ridge) // 4, len(ridge) // 10 + 1)
    total, steps = ridge[first], []
    for row in ridge[first + 1 : last]:
        padded = np.pad(total, 1, constant_values=-np.inf)
        before = np.stack([padded[:-2], padded[1:-1], padded[2:]])
        steps.append(before.argmax(axis=0) - 1)
        total = row + before.max(axis=0)
    columns = np.full(len(ridge), np.nan)
    column = columns[last - 1] = int(total.argmax())
    for row in range(last - 2, first - 1, -1):
        column = columns[row] = column + int(steps[row - first][column])
    return float(total.max() / (last - first)), columns

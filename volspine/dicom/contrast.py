"""Contrast: T1 or T2, from the image alone.

The spinal canal is a band about 15 mm wide that runs from top to bottom of a midline sagittal slice
a few centimetres in front of the back's skin. Its fluid is bright in a T2 image and dark in a T1
image. Both the brightest and the darkest such band are sought, as paths from top to bottom that
drift slowly; the one that stands out more decides. It is a last resort for stripped headers, and
where it is not clear it says so.

In axial slices the same is asked of a round spot near the middle.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter, zoom

from volspine.geometry.axes import Plane
from volspine.geometry.stack import Stack
from volspine.types import FloatArray

__all__ = ["band_contrast", "weighting_from_image"]

WORKING_MM = 2.0
"""Pixel size at which bands are sought."""

BAND_MM = 14.0
"""Width of the canal."""

CLEAR = 0.15
"""Smallest lead of one kind of band over the other that counts."""


def weighting_from_image(
    plane: Plane, stacks: Sequence[Stack]
) -> tuple[Literal["t1", "t2"] | None, float]:
    """Return the weighting that the contrast suggests, or None, and how clear it is.

    Args:
        plane: Plane of the slices.
        stacks: Stacks of the series; the largest is looked at.

    Raises:
        PixelError: If the voxels cannot be decoded.
    """
    stack = max(stacks, key=lambda s: s.shape[2])
    values = np.asarray(stack.voxels, dtype=np.float64)
    middle = _upright(values, stack)
    contrasts = [band_contrast(image, stack_plane=plane) for image in middle]
    lead = float(np.median(contrasts)) if contrasts else 0.0
    if abs(lead) < CLEAR:
        return None, lead
    return ("t2" if lead > 0 else "t1"), lead


def _upright(values: FloatArray, stack: Stack) -> list[FloatArray]:
    """Return the middle slices at 2 mm, first axis down (or back), second axis back (or left)."""
    count = values.shape[2]
    chosen = range(count // 3, max(count - count // 3, count // 3 + 1))
    affine = stack.affine_lps
    down_first = abs(affine[2, 1]) >= abs(affine[2, 0])
    images = []
    for k in chosen:
        image = values[:, :, k].T if down_first or stack.plane == "axial" else values[:, :, k]
        spacing = stack.spacing_mm[[1, 0]] if down_first else stack.spacing_mm[:2]
        images.append(zoom(image, spacing / WORKING_MM, order=1))
    return images


def band_contrast(image: Float[np.ndarray, "H W"], *, stack_plane: Plane) -> float:
    """Return by how much the best bright band outdoes the best dark one, in robust deviations.

    Args:
        image: 2 mm pixels; for sagittal slices the first axis runs along the spine.
        stack_plane: Sagittal looks for a band, axial for a spot.
    """
    low, high = np.percentile(image, [1, 99])
    if high <= low:
        return 0.0
    scaled = np.clip((image - low) / (high - low), 0.0, 1.0)
    sigma = BAND_MM / WORKING_MM / 4.0
    along = 3.0 * sigma if stack_plane == "sagittal" else sigma
    ridge = gaussian_filter(scaled, (along, sigma)) - gaussian_filter(scaled, (along, 3.5 * sigma))
    inner = ridge[:, _inner(ridge.shape[1])]
    if stack_plane != "sagittal":
        inner = inner[_inner(inner.shape[0])]
        return float(inner.max() + inner.min())
    return _best_path(inner) - _best_path(-inner)


def _inner(size: int) -> slice:
    """Return the middle of an axis; edges hold skin, fat and background."""
    return slice(size // 5, size - size // 5)


def _best_path(ridge: FloatArray) -> float:
    """Return the mean height of the highest path from top to bottom, one pixel aside a row."""
    total = ridge[0]
    for row in ridge[1:]:
        padded = np.pad(total, 1, constant_values=-np.inf)
        total = row + np.max([padded[:-2], padded[1:-1], padded[2:]], axis=0)
    return float(total.max() / len(ridge))

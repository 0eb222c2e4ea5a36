"""Intensities of any scanner -> a common scale, by two percentiles of what was measured.

MR intensities have no unit. Each series is scaled by itself so that its 1st percentile becomes 0
and its 99th becomes 1, both taken inside the mask; single bright vessels or dead pixels then move
nothing. Scaling or shifting the input changes nothing in the result.

Shapes:
    I, J, K  voxels of a grid
"""

import numpy as np

from volspine.types import BoolArray, VoxelArray

__all__ = ["CEILING", "normalize"]

PERCENTILES = (1.0, 99.0)
"""Which become 0 and 1."""

CEILING = 1.5
"""Largest value; bright outliers are cut here, so that they cannot dominate a network's input."""


def normalize(image: VoxelArray, mask: BoolArray) -> VoxelArray:
    """Return intensities from 0 to `CEILING`; zero where nothing was measured.

    Args:
        image: Shape (I, J, K).
        mask: Shape (I, J, K); what was measured.

    Returns:
        Shape (I, J, K); all zero where the measured part is empty or constant.

    Example:
        >>> ramp = np.arange(101, dtype=np.float32).reshape(101, 1, 1)
        >>> normalize(ramp, np.ones(ramp.shape, dtype=np.bool_))[50, 0, 0].item()
        0.5
    """
    scaled = np.zeros(image.shape, dtype=np.float32)
    measured = image[mask].astype(np.float64)
    measured = measured[np.isfinite(measured)]
    if measured.size == 0:
        return scaled
    low, high = np.percentile(measured, PERCENTILES)
    # A narrow bright object in a flat field has equal percentiles; fall back to the full range.
    if high <= low:
        low, high = measured.min(), measured.max()
    if high <= low:
        return scaled
    finite = mask & np.isfinite(image)
    scaled[finite] = np.clip((image[finite] - low) / (high - low), 0.0, CEILING)
    return scaled

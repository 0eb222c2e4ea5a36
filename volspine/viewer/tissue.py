"""Which voxels are body: noise in the air is dropped, dark bone and gas inside are filled in.

Shapes:
    I, J, K  voxels of a stack or of a grid
"""

import numpy as np
from scipy import ndimage

from volspine.types import BoolArray, VoxelArray
from volspine.viewer.palette import tissue_threshold

__all__ = ["body_mask"]

_BLUR = 1.2
"""In voxels within a slice; steadies the border against noise."""

_AIR = 0.6
"""Part of the threshold between air and tissue that dim tissue far from the coil still reaches."""

_MIN_PART = 0.05
"""Pieces smaller than this part of the largest one are noise."""


def body_mask(image: VoxelArray, measured: BoolArray, *, axis: int) -> BoolArray:
    """Return the body as one solid.

    Args:
        image: Normalised, shape (I, J, K).
        measured: Shape (I, J, K).
        axis: Along which slices lie; each is blurred and filled by itself.
    """
    sigma = [0.0 if a == axis else _BLUR for a in range(3)]
    smooth = ndimage.gaussian_filter(image, sigma)
    solid = measured & (smooth > _AIR * tissue_threshold(smooth))
    flat = np.moveaxis(ndimage.generate_binary_structure(2, 1)[None], 0, axis)
    solid = _without_crumbs(ndimage.binary_opening(solid, flat))
    solid = ndimage.binary_closing(solid, flat, iterations=3) | solid
    slices = np.moveaxis(solid, axis, 0)  # A view: what is written here stands in `solid`.
    for n in range(slices.shape[0]):
        slices[n] = ndimage.binary_fill_holes(slices[n])
    return np.asarray(solid & measured)


def _without_crumbs(solid: BoolArray) -> BoolArray:
    labels, count = ndimage.label(solid)
    if count <= 1:
        return solid
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= _MIN_PART * sizes.max())[labels])

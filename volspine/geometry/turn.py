"""Turn: permute and reverse the axes of an array so that they run as on a scanner; no voxel moves.

sagittal   columns to the back, rows to the feet, slices from right to left
coronal    columns to the left, rows to the feet, slices from front to back
axial      columns to the left, rows to the back, slices from foot to head
"""

from itertools import permutations

import numpy as np
from jaxtyping import Float

from volspine.geometry.axes import Plane
from volspine.types import FloatArray

__all__ = ["Axes", "Flips", "nearest_world_axes", "scanner_axes", "turned_affine"]

Axes = tuple[int, int, int]
"""Which array axis becomes column, row and slice."""

Flips = tuple[bool, bool, bool]
"""Which of them are reversed."""

_WORLD: dict[Plane, Axes] = {"sagittal": (1, 2, 0), "coronal": (0, 2, 1), "axial": (0, 1, 2)}
"""World axis (x, y, z) that column, row and slice index run along."""

_SIGNS: dict[Plane, Axes] = {"sagittal": (1, -1, 1), "coronal": (1, -1, 1), "axial": (1, 1, 1)}
"""Whether each of them grows with x, y and z in LPS."""


def nearest_world_axes(affine: Float[np.ndarray, "4 4"]) -> Axes:
    """Return the world axis that each array axis is nearest to, a different one for each.

    Example:
        >>> nearest_world_axes(np.eye(4)[[2, 0, 1, 3]])
        (1, 2, 0)
    """
    columns = affine[:3, :3]
    cosines = np.abs(columns / np.linalg.norm(columns, axis=0))
    best = max(permutations(range(3)), key=lambda world: sum(cosines[world, range(3)]))
    return best[0], best[1], best[2]


def scanner_axes(affine_lps: Float[np.ndarray, "4 4"], plane: Plane) -> tuple[Axes, Flips]:
    """Return which array axes are column, row and slice on a scanner, and which to reverse.

    Example:
        >>> scanner_axes(np.diag([-1.0, -1.0, 1.0, 1.0]), "sagittal")
        ((1, 2, 0), (True, True, True))
    """
    world = nearest_world_axes(affine_lps)
    i, j, k = (world.index(axis) for axis in _WORLD[plane])
    reverse = [
        bool(affine_lps[axis, array_axis] * sign < 0)
        for axis, array_axis, sign in zip(_WORLD[plane], (i, j, k), _SIGNS[plane], strict=True)
    ]
    return (i, j, k), (reverse[0], reverse[1], reverse[2])


def turned_affine(
    affine: Float[np.ndarray, "4 4"], shape: tuple[int, int, int], *, axes: Axes, flips: Flips
) -> FloatArray:
    """Return the affine of an array after `transpose(axes)` and reversal of the flipped ones.

    Args:
        affine: Of the array as it is.
        shape: Of the array as it is.
        axes: Which axis becomes the first, second and third.
        flips: Which of the new axes are reversed.

    Example:
        >>> reverse_first = dict(axes=(0, 1, 2), flips=(True, False, False))
        >>> turned_affine(np.eye(4), (5, 1, 1), **reverse_first)[0]
        array([-1.,  0.,  0.,  4.])
    """
    turned = np.array(affine, dtype=np.float64)
    turned[:3, :3] = affine[:3, list(axes)]
    for new, (old, is_flipped) in enumerate(zip(axes, flips, strict=True)):
        if is_flipped:
            turned[:3, 3] += affine[:3, old] * (shape[old] - 1)
            turned[:3, new] *= -1.0
    return turned + 0.0

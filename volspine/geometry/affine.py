"""Affines: from where the voxels of a stack are said to be to one matrix that says it.

An affine takes a voxel index to millimetres, (i, j, k, 1) -> (x, y, z, 1), with i the column, j the
row and k the slice, at voxel centres. DICOM gives two direction cosines and a position a slice
(PS3.3, C.7.6.2.1.1): the first cosine points along a row, so along growing i, and the second down
a column, so along growing j. Pixel Spacing lists the distance between *rows* first.

Shapes:
    P  points      K  slices
"""

import numpy as np

from volspine.errors import GeometryError
from volspine.types import Float, FloatArray

__all__ = [
    "LPS_TO_RAS",
    "flip_frame",
    "orthonormalize",
    "stack_affine",
    "swap_lps_ras",
    "transform_points",
]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Takes LPS millimetres to RAS millimetres, and back: it is its own inverse."""

COSINE_TOLERANCE = 1e-3
"""How far direction cosines may be from orthonormal before they cannot be trusted."""


def orthonormalize(cosines: Float[np.ndarray, "6"]) -> Float[np.ndarray, "2 3"]:
    """Return the row and column directions of an Image Orientation (Patient) as unit vectors.

    Rounding in a file leaves the two vectors slightly off; both are turned by the same small
    amount, so neither is preferred.

    Args:
        cosines: Direction of growing column index, then of growing row index.

    Raises:
        GeometryError: If length or angle are off by more than 1e-3.

    Example:
        >>> orthonormalize(np.array([0, 1, 0, 0, 0, -1.0]))
        array([[ 0.,  1.,  0.],
               [ 0.,  0., -1.]])
    """
    if not np.all(np.isfinite(cosines)):
        raise _untrusted("direction vectors are not finite")
    along_row, along_column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(cosines.reshape(2, 3), axis=1)
    dot = float(along_row @ along_column)
    if np.any(np.abs(lengths - 1.0) > COSINE_TOLERANCE):
        raise _untrusted(f"direction vectors have lengths {lengths[0]:.4g} and {lengths[1]:.4g}")
    if abs(dot) > COSINE_TOLERANCE:
        raise _untrusted(f"the cosine between rows and columns is {dot:.2g}")
    along_row, along_column = along_row / lengths[0], along_column / lengths[1]
    if abs(along_row @ along_column) < 1e-12:
        return np.stack([along_row, along_column])  # Exact as it is; no rounding is added.
    sum_, difference = along_row + along_column, along_row - along_column
    sum_, difference = sum_ / np.linalg.norm(sum_), difference / np.linalg.norm(difference)
    both = np.stack([sum_ + difference, sum_ - difference]) / np.sqrt(2.0)
    return np.asarray(both, dtype=np.float64)


def _untrusted(finding: str) -> GeometryError:
    return GeometryError(
        f"ImageOrientationPatient is invalid: {finding}",
        remedy="export the series again from the scanner or archive",
        code="VS-GEO-003",
    )


def stack_affine(
    directions: Float[np.ndarray, "2 3"],
    pixel_spacing_mm: tuple[float, float],
    origin_mm: Float[np.ndarray, "3"],
    *,
    step_mm: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "4 4"]:
    """Return the affine of a stack of slices.

    Args:
        directions: Unit vectors along growing column index and growing row index.
        pixel_spacing_mm: Distance between rows, then between columns, as DICOM lists them.
        origin_mm: Centre of voxel (0, 0) of the first slice.
        step_mm: From a slice to the next; need not be normal to the slices (a sheared stack).

    Example:
        >>> sagittal = np.array([[0, 1, 0], [0, 0, -1.0]])
        >>> stack_affine(sagittal, (2.0, 1.0), np.zeros(3), step_mm=np.array([4.0, 0, 0]))
        array([[ 0.,  0.,  4.,  0.],
               [ 1.,  0.,  0.,  0.],
               [ 0., -2.,  0.,  0.],
               [ 0.,  0.,  0.,  1.]])
    """
    between_rows, between_columns = pixel_spacing_mm
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * between_columns
    affine[:3, 1] = directions[1] * between_rows
    affine[:3, 2] = step_mm
    affine[:3, 3] = origin_mm
    return affine + 0.0  # No negative zeros, which differ in bytes only.


def transform_points(
    affine: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "P 3"]
) -> Float[np.ndarray, "P 3"]:
    """Return points taken through an affine.

    Example:
        >>> transform_points(np.diag([2.0, 3.0, 4.0, 1.0]), np.array([[1.0, 1.0, 1.0]]))
        array([[2., 3., 4.]])
    """
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3], dtype=np.float64)


def flip_frame(affine: FloatArray) -> FloatArray:
    """Return an index-to-LPS affine as index-to-RAS, or the other way round.

    Example:
        >>> flip_frame(np.eye(4)).diagonal()
        array([-1., -1.,  1.,  1.])
    """
    return np.asarray(LPS_TO_RAS @ affine, dtype=np.float64)


def swap_lps_ras(values: FloatArray) -> FloatArray:
    """Return an affine or points of the one frame in the other; its own inverse.

    Args:
        values: A (4, 4) affine from voxel index to millimetres, or points of shape (..., 3).

    Example:
        >>> swap_lps_ras(np.array([10.0, 20.0, 30.0])).tolist()
        [-10.0, -20.0, 30.0]
    """
    if values.shape == (4, 4):
        return flip_frame(values)
    return np.asarray(values * LPS_TO_RAS.diagonal()[:3], dtype=np.float64)

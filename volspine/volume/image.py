"""Voxels handed to TorchIO, in its frame, and interpolated on another lattice.

Inside this library millimetres grow to the patient's left, back and head (LPS, DICOM). TorchIO
counts to the right, front and head (RAS); affines cross here. Only this module and `subject` know
TorchIO and SimpleITK, which are imported on first use.

Shapes:
    I, J, K  voxels of a stack: column, row, slice      X, Y, Z  voxels of the result
"""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from volspine.geometry.affine import swap_lps_ras
from volspine.types import BoolArray, FloatArray, VoxelArray

if TYPE_CHECKING:
    import torchio

__all__ = ["label_map", "linear_at", "resample", "resample_where", "scalar_image"]


def scalar_image(voxels: VoxelArray, affine_lps: FloatArray) -> "torchio.ScalarImage":
    """Return intensities as a TorchIO image; the affine crosses to RAS here.

    Args:
        voxels: Shape (I, J, K).
        affine_lps: Shape (4, 4); voxel index to LPS millimetres.
    """
    import torch
    import torchio

    tensor = torch.from_numpy(np.ascontiguousarray(voxels))[None]
    return torchio.ScalarImage(  # type: ignore[no-untyped-call]
        tensor=tensor, affine=swap_lps_ras(affine_lps)
    )


def label_map(mask: BoolArray, affine_lps: FloatArray) -> "torchio.LabelMap":
    """Return a mask as a TorchIO label map of 0 and 1; the affine crosses to RAS here.

    Args:
        mask: Shape (I, J, K).
        affine_lps: Shape (4, 4); voxel index to LPS millimetres.
    """
    import torch
    import torchio

    tensor = torch.from_numpy(mask.astype(np.uint8))[None]
    return torchio.LabelMap(  # type: ignore[no-untyped-call]
        tensor=tensor, affine=swap_lps_ras(affine_lps)
    )


def resample(
    voxels: VoxelArray, source_from_target: FloatArray, shape: tuple[int, int, int]
) -> VoxelArray:
    """Return voxels interpolated linearly on another lattice; beyond the outermost centres, theirs.

    Everything happens in index coordinates, so that sheared and left-handed stacks need no case of
    their own. Values up to half a voxel outside the outermost centres are those of the edge; what
    is further out is zero.

    Args:
        voxels: Shape (I, J, K).
        source_from_target: Shape (4, 4); index in the result to (fractional) index in `voxels`.
        shape: (X, Y, Z) of the result.

    Returns:
        Shape (X, Y, Z).
    """
    source = _itk().GetImageFromArray(_with_edge(voxels))
    source.SetOrigin((-1.0, -1.0, -1.0))
    resampled = _resampled(source, source_from_target, shape)
    return np.array(_view(resampled))


def resample_where(
    out: VoxelArray, voxels: VoxelArray, source_from_target: FloatArray, inside: BoolArray
) -> None:
    """Interpolate voxels linearly on another lattice, and keep what lies inside.

    Args:
        out: Shape (X, Y, Z); written where `inside` holds.
        voxels: Shape (I, J, K).
        source_from_target: As for `resample`.
        inside: Shape (X, Y, Z); nowhere further out than half a voxel.
    """
    source = _itk().GetImageFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    shape = (out.shape[0], out.shape[1], out.shape[2])
    resampled = _resampled(source, source_from_target, shape)
    np.copyto(out, _view(resampled), where=inside)


def linear_at(voxels: VoxelArray, index: FloatArray) -> VoxelArray:
    """Return voxels interpolated linearly at some places; outside, those of the nearest edge.

    Args:
        voxels: Shape (I, J, K).
        index: Shape (P, 3); fractional indices.

    Returns:
        Shape (P,).
    """
    top = np.array(voxels.shape) - 1
    place = np.clip(index, 0, top)
    low = np.minimum(place.astype(np.intp), np.maximum(top - 1, 0))
    part, high = place - low, np.minimum(low + 1, top)
    total = np.zeros(len(index))
    for upper in itertools.product((False, True), repeat=3):
        weight = np.where(upper, part, 1 - part).prod(axis=1)
        total += weight * voxels[tuple(np.where(upper, high, low).T)]
    return total.astype(np.float32)


def _itk() -> Any:
    import SimpleITK

    return SimpleITK  # Its stubs type nothing.


def _resampled(source: Any, source_from_target: FloatArray, shape: tuple[int, int, int]) -> Any:
    """Return an image whose axes run backwards, so that its memory is that of an array (X, Y, Z).

    ITK's first axis is the one whose voxels are neighbours in memory, NumPy's the last.
    """
    itk = _itk()
    backwards = source_from_target[:3, 2::-1]
    transform = itk.AffineTransform(backwards.ravel().tolist(), source_from_target[:3, 3].tolist())
    resampler = itk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape[::-1]])
    resampler.SetTransform(transform)
    resampler.SetInterpolator(itk.sitkLinear)
    return resampler.Execute(source)


def _view(image: Any) -> VoxelArray:
    """Return the voxels of an image, (X, Y, Z), as long as the image lives."""
    return np.asarray(_itk().GetArrayViewFromImage(image), dtype=np.float32)


def _with_edge(voxels: VoxelArray) -> VoxelArray:
    # ITK takes the border at index -0.5 as inside and the one at n - 0.5 as outside; one repeated
    # voxel all round makes both the same, so that a mirrored study gives the mirrored result.
    columns, rows, slices = voxels.shape
    padded = np.empty((slices + 2, rows + 2, columns + 2), dtype=np.float32)
    padded[1:-1, 1:-1, 1:-1] = voxels.transpose(2, 1, 0)
    for axis in range(3):
        edges = np.moveaxis(padded, axis, 0)
        edges[0], edges[-1] = edges[1], edges[-2]
    return padded

"""Array aliases used in every room; annotations only, so nothing heavy is imported here."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayLike", "BoolArray", "FloatArray", "IntArray", "VoxelArray"]

FloatArray: TypeAlias = NDArray[np.float64]
"""Coordinates, affines, probabilities: float64."""

VoxelArray: TypeAlias = NDArray[np.float32]
"""Voxel intensities: float32."""

IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

ArrayLike: TypeAlias = NDArray[Any] | Sequence[Any]
"""What `numpy.asarray` takes; numpy's own alias refuses tuples under runtime type checks."""

"""Array aliases used in every room; annotations only, so nothing heavy is imported here.

Shapes in annotations are jaxtyping's. They are checked in tests only; rooms that also work with
NumPy and torch alone take `Float` from here, which is a plain array where jaxtyping is missing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jaxtyping import Float
else:
    try:
        from jaxtyping import Float
    except ModuleNotFoundError:

        class Float:
            """Stands for the array type alone: `Float[np.ndarray, "4 4"]` is `np.ndarray`."""

            def __class_getitem__(cls, item: tuple[type, str]) -> type:
                return item[0]


__all__ = ["ArrayLike", "BoolArray", "Float", "FloatArray", "IntArray", "VoxelArray"]

FloatArray: TypeAlias = NDArray[np.float64]
"""Coordinates, affines, probabilities: float64."""

VoxelArray: TypeAlias = NDArray[np.float32]
"""Voxel intensities: float32."""

IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

ArrayLike: TypeAlias = NDArray[Any] | Sequence[Any]
"""What `numpy.asarray` takes; numpy's own alias refuses tuples under runtime type checks."""

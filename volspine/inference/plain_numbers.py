"""Plain numbers: nested lists from a file that anyone may have written -> an array, or an error.

Texts that look like numbers, truth values, what is not finite or absurdly large, and lists of
unequal length are no numbers here.
"""

import numpy as np

from volspine.types import FloatArray

__all__ = ["LARGEST", "plain_numbers"]

LARGEST = 1e9
"""Greatest size of a number, so that sums of squares stay finite."""


def plain_numbers(value: object, shape: tuple[int | None, ...]) -> FloatArray:
    """Return lists of numbers as an array.

    Args:
        value: As JSON has it; as deeply nested as the shape has axes.
        shape: What it must have; None where any number will do.

    Raises:
        TypeError: If there is anything else in it.
        ValueError: If it is of another shape, or a number is not finite or too large.

    Example:
        >>> plain_numbers([[1, 2.5]], (1, None)).tolist()
        [[1.0, 2.5]]
    """
    array = np.array(_checked(value, len(shape)), dtype=np.float64)
    if array.ndim != len(shape) or any(
        n not in (None, size) for n, size in zip(shape, array.shape, strict=True)
    ):
        raise ValueError(f"numbers of shape {array.shape}, not {shape}")
    return array


def _checked(value: object, depth: int) -> object:
    if depth:
        if not isinstance(value, list | tuple):
            raise TypeError("not a list")
        return [_checked(item, depth - 1) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    if not abs(value) <= LARGEST:  # Nor is NaN, and an integer may be too large for a float.
        raise ValueError("not a number of ordinary size")
    return float(value)

"""Midline: where a slice lies beside the canal or between the discs, in words.

The canal's places are the midline. With o a slice's origin, n the normal of its stack (towards the
patient's left, back or head) and c a place of the canal, a slice lies

    d = (o - c) . n

millimetres to the left of it, behind it or above it. A sagittal slice alone does not show its side,
so every picture of one says it.
"""

from dataclasses import dataclass

import numpy as np

from volspine.anatomy import LEVELS
from volspine.dicom.study import Series
from volspine.geometry.stack import Stack
from volspine.types import FloatArray

__all__ = ["NEAR_MM", "Beside", "beside_canal", "slice_in_words"]

NEAR_MM = 3.0
"""Nearer than this a sagittal slice is in the midline; a canal is about 20 mm wide."""


@dataclass(frozen=True)
class Beside:
    """Where a slice lies.

    Attributes:
        tag: Short, for a corner of the picture: `R 17 mm`, `midline`, `L4/L5 +3 mm`; may be empty.
        words: The same as a clause.
    """

    tag: str
    words: str


def beside_canal(
    stack: Stack, k: int, points_mm: FloatArray, *, near_mm: FloatArray | None = None
) -> Beside:
    """Return where slice k of a stack lies.

    Args:
        stack: Any orientation.
        k: Index of the slice.
        points_mm: (25, 3) places of the targets, LPS; NaN where not located.
        near_mm: A place, LPS; the midline of a sagittal slice is then that of the level nearest to
            it, as spines are bent.
    """
    canal = points_mm[: len(LEVELS)]
    there = np.flatnonzero(np.isfinite(canal).all(axis=1))
    away = (stack.slice_origins_mm[k] - canal) @ stack.normal
    if stack.plane == "axial":
        return _between_discs(there, away)
    if stack.plane != "sagittal":
        return Beside("", "")
    if len(there) == 0:
        return _sideways(_beside_middle(stack, k), "the middle of the stack")
    if near_mm is not None:
        there = there[[int(np.linalg.norm(canal[there] - near_mm, axis=1).argmin())]]
    return _sideways(float(away[there].mean()), "the midline")


def slice_in_words(series: Series, number: int, k: int) -> str:
    """Return which slice it is: `slice 9 of 15, image 31`, the image being its InstanceNumber.

    Args:
        series: Of any protocol.
        number: Of the stack; told where there are several.
        k: Of the slice in the stack.
    """
    count = series.stacks[number].shape[2]
    words = f"slice {k + 1} of {count}"
    if len(series.stacks) > 1:
        words += f" of stack {number + 1} of {len(series.stacks)}"
    sources = series.instances[number] if number < len(series.instances) else []
    # Where slices could not be decoded, sources and slices are not one to one.
    image = sources[k].instance_number if len(sources) == count else None
    return words if image is None else f"{words}, image {image}"


def _sideways(left_mm: float, of: str) -> Beside:
    if abs(left_mm) < NEAR_MM:
        return Beside("midline" if of == "the midline" else "middle", f"in {of}")
    side = "left" if left_mm > 0 else "right"
    away = f"{abs(left_mm):.0f} mm"
    return Beside(f"{side[0].upper()} {away}", f"{away} to the patient's {side} of {of}")


def _between_discs(there: "np.ndarray[tuple[int], np.dtype[np.int64]]", away: FloatArray) -> Beside:
    if len(there) == 0:
        return Beside("", "")
    nearest = there[int(np.abs(away[there]).argmin())]
    level, up = LEVELS[nearest].label, float(away[nearest])
    if abs(up) < 1:
        return Beside(level, f"through the middle of {level}")
    where = "above" if up > 0 else "below"
    return Beside(f"{level} {up:+.0f} mm", f"{abs(up):.0f} mm {where} the middle of {level}")


def _beside_middle(stack: Stack, k: int) -> float:
    origins = stack.slice_origins_mm
    return float((origins[k] - origins.mean(axis=0)) @ stack.normal)

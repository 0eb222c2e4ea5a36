"""Thin slices -> slices as thick as usual, each the mean of several neighbours.

A crop keeps so many native slices. Of a 3D sequence of 1 mm slices these would not reach from the
canal to the foramina, and each would be noisier and show less than what graders are trained on. So
n neighbours are averaged where n of them are no thicker than `THICK_MM`:

    n = floor(THICK_MM / step),   mean of slices f + n k ... f + n k + n - 1   for k = 0 ... m - 1

with the remainder left out at both ends. Slices of more than half of `THICK_MM` stay as they are.
"""

from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import PROTOCOLS
from volspine.dicom.study import Series, Study
from volspine.errors import VolspineError
from volspine.geometry.stack import Stack
from volspine.volume.crop_records import CropSource

__all__ = ["THICK_MM", "Thickened", "thickened"]

THICK_MM = 4.5
"""About the usual distance of slices in lumbar studies, gaps included."""


@dataclass(frozen=True)
class Thickened:
    """A study whose thin slices were averaged, and how to name the native ones.

    Attributes:
        study: With other stacks where slices were thin; else the very same series.
        groups: By series name and number of the stack: the first slice that is averaged, and how
            many make one.
    """

    study: Study
    groups: dict[tuple[str, int], tuple[int, int]]

    def native(self, source: CropSource) -> CropSource:
        """Return where a crop comes from, in slices of the study as it was: the middle ones."""
        if (source.series, source.stack) not in self.groups:
            return source
        first, count = self.groups[source.series, source.stack]
        slices = tuple(k if k < 0 else first + count * k + count // 2 for k in source.slices)
        return replace(source, slices=slices)


def thickened(study: Study) -> Thickened:
    """Return a study without thin slices; stacks that have some are decoded, others are not.

    Args:
        study: Left as it is, but for what is decoded of it.
    """
    groups: dict[tuple[str, int], tuple[int, int]] = {}
    series = [_series(each, groups) if each.protocol in PROTOCOLS else each
              for each in study.series]  # fmt: skip
    return Thickened(replace(study, series=series) if groups else study, groups)


def _series(series: Series, groups: dict[tuple[str, int], tuple[int, int]]) -> Series:
    """Return a series of thick slices, and note which of its stacks had thin ones."""
    stacks = list(series.stacks)
    for number, stack in enumerate(series.stacks):
        count = _count(stack)
        if count > 1:
            first = (stack.shape[2] % count) // 2
            groups[series.name, number] = first, count
            stacks[number] = _averaged(stack, first, count)
    return series if stacks == series.stacks else replace(series, stacks=stacks)


def _count(stack: Stack) -> int:
    """Return how many slices make one; 1 where they are thick, uneven or cannot be decoded."""
    if _fit(stack) < 2:
        return 1
    try:
        _ = stack.voxels  # Which may drop slices.
    except VolspineError:
        return 1  # Whoever needs it says so.
    return _fit(stack) if stack.is_regular else 1


def _fit(stack: Stack) -> int:
    step = abs(float(stack.affine_lps[:3, 2] @ stack.normal))
    count = int(THICK_MM / max(step, 1e-3) + 1e-3)
    return count if stack.shape[2] >= 2 * count else 1


def _averaged(stack: Stack, first: int, count: int) -> Stack:
    groups = (stack.shape[2] - first) // count
    used = slice(first, first + groups * count)
    voxels = stack.voxels[:, :, used].reshape(*stack.shape[:2], groups, count).mean(axis=-1)
    origins = stack.slice_origins_mm[used].reshape(groups, count, 3).mean(axis=1)
    affine = stack.affine_lps.copy()
    affine[:3, 2] *= count
    affine[:3, 3] = origins[0]
    return Stack.from_array(voxels.astype(np.float32), affine, origins)

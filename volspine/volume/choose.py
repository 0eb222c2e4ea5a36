"""Choose: of several series of one protocol, which is used first, and why.

Series that cover the grid alike, to within `ALIKE`, are told apart by, in this order:

    drawbacks    taken after a contrast agent, reformatted from another series, fat suppressed
    resolution   the smallest voxels
    time         the highest series number: a series is repeated because the first one failed

Where they do not cover it alike, the one that covers most is used first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from volspine.dicom.study import Series
from volspine.types import BoolArray, VoxelArray

__all__ = ["ALIKE", "Candidate", "ranked", "why_first"]

ALIKE = 0.8
"""Part of the greatest coverage from which a series covers the grid as well as the greatest."""

_FINER = 0.98
"""Voxels less than 2 % smaller are no finer."""

_ORDER = ("after a contrast agent", "reformatted from another series", "fat suppressed")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A series on the grid.

    Attributes:
        series: The series.
        values: Shape (X, Y, Z).
        inside: Where it was measured.
    """

    series: Series
    values: VoxelArray
    inside: BoolArray

    @property
    def size(self) -> int:
        """Voxels of the grid that it covers."""
        return int(np.count_nonzero(self.inside))

    @property
    def drawbacks(self) -> tuple[bool, ...]:
        """For each drawback, the worst first, whether the series has it."""
        return tuple(drawback in self.series.drawbacks for drawback in _ORDER)

    @property
    def fineness(self) -> int:
        """The same for voxels of the same volume, lower for smaller ones."""
        volumes = [abs(float(np.linalg.det(s.affine_lps[:3, :3]))) for s in self.series.stacks]
        return round(float(np.log(min(volumes)) / -np.log(_FINER)))


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the series in the order in which they are used."""
    least = ALIKE * max((candidate.size for candidate in candidates), default=0)

    def key(candidate: Candidate) -> tuple[bool, tuple[bool, ...], int, int, int]:
        is_less = candidate.size < least
        size = -candidate.size if is_less else 0
        number = -candidate.series.number
        return is_less, candidate.drawbacks, size, candidate.fineness, number

    return sorted(candidates, key=key)


def why_first(order: Sequence[Candidate]) -> str:
    """Return why the first of several series comes before the others."""
    first, rest = order[0], order[1:]
    alike = [candidate for candidate in rest if candidate.size >= ALIKE * first.size]
    if not alike:
        return f"covers most of the grid of {len(order)} series"
    many = f"of {len(alike) + 1} series that cover the grid alike"
    second = alike[0]
    for drawback, has, other_has in zip(_ORDER, first.drawbacks, second.drawbacks, strict=True):
        if other_has and not has:
            return f"{many}, the one not {drawback}"
    if first.fineness < second.fineness:
        return f"{many}, the one of the finest resolution"
    if first.series.number > second.series.number:
        return f"{many}, the last one acquired"
    return f"{many}, the first in the study"

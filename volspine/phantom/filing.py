"""Filing: how a study's slices are numbered, scaled and marked in its files and tables.

The public challenge's files are not tidy, and a reader must bear it. What was counted there (1,975
studies, 6,294 series, 147,218 images, 48,692 marks) is drawn here, from a random stream of its own,
for the cohorts that stand for such data; the others are filed plainly. Nothing here changes what a
study shows: the voxels are the stored values times slope plus intercept, wherever they are read.

Rates, and what they stand for: rescale values other than 1 and 0 in 26,437 images; rescale
attributes absent in some studies; ten placeholder marks near (5, 5); 146 graded targets without a
mark; 35 of 572 blank grades with one; five canal marks on a T1 series. Odd instance numbers, in
0.3 % of series there, are drawn ten times as often, so that small cohorts have them.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from volspine.anatomy import TARGETS
from volspine.phantom.plan import Plan
from volspine.phantom.spec import Cohort, Spec, Stage
from volspine.types import VoxelArray

__all__ = ["Filing", "Marking", "SeriesFiling", "file_study", "numbered", "rescale"]

ODD_SCALE, NO_SCALE = 0.18, 0.14
"""Share of studies with other rescale values than 1 and 0, and without any."""

ODD_NUMBERS = 0.03
"""Share of series whose instance numbers are not 1, 2, 3 and so on."""

GAP_AS_SPACING, NO_SPACING = 0.03, 0.05
"""Share of studies whose spacing between slices is the gap between them, and is absent."""

PLACEHOLDER, UNMARKED = 10 / 48_692, 146 / 48_803
"""Share of graded targets whose mark is a placeholder, and without a mark."""

ON_ANOTHER_SERIES = 5 / 9_870
"""Share of canals marked on the other sagittal series."""

BLANK_MARKED = 35 / 572
"""Share of missing grades that have a mark all the same."""

STYLES = 3
"""Ways of naming a series in the header."""


class Marking(StrEnum):
    """What the coordinate table says of a target."""

    TRUE = "true"
    """The true place, on the nearest slice."""
    ABSENT = "absent"
    PLACEHOLDER = "placeholder"
    """A point near (5, 5) pixels."""
    ELSEWHERE = "elsewhere"
    """The true place, on the other sagittal series."""


@dataclass(frozen=True)
class SeriesFiling:
    """How one series is filed.

    Attributes:
        numbers: Instance number, and so file name, of each slice.
        slope: What a stored value is multiplied by.
        intercept: What is added to that.
    """

    numbers: tuple[int, ...]
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True)
class Filing:
    """How a study is filed.

    Attributes:
        series: One for each planned series.
        markings: What the coordinate table says of each target, 25.
        blank_marked: Whether a missing grade has its mark all the same, 25.
        says_scale: Whether the headers hold the rescale attributes.
        spacing_is_gap: Whether the spacing between slices leaves their thickness out.
        says_spacing: Whether the headers hold the spacing between slices.
        style: How series are named, 0 to 2.
    """

    series: tuple[SeriesFiling, ...]
    markings: tuple[Marking, ...] = (Marking.TRUE,) * len(TARGETS)
    blank_marked: tuple[bool, ...] = (False,) * len(TARGETS)
    says_scale: bool = True
    spacing_is_gap: bool = False
    says_spacing: bool = True
    style: int = 1


def file_study(spec: Spec, plan: Plan) -> Filing:
    """Decide how a study is filed: untidily in `rsna_like` and `shift`, else plainly.

    Args:
        spec: What is synthesised.
        plan: Its series.
    """
    if spec.cohort not in (Cohort.RSNA_LIKE, Cohort.SHIFT):
        return Filing(tuple(SeriesFiling(numbered(len(p.centres_mm))) for p in plan.series))
    rng = spec.stream(Stage.FILES)
    markings, blank_marked = _draw_markings(rng)
    scale, spacing = rng.random(2)
    style = int(rng.integers(STYLES))
    is_odd = bool(scale < ODD_SCALE)
    return Filing(
        series=tuple(_draw_series(rng, len(p.centres_mm), is_odd=is_odd) for p in plan.series),
        markings=markings,
        blank_marked=blank_marked,
        says_scale=is_odd or bool(scale >= ODD_SCALE + NO_SCALE),
        spacing_is_gap=bool(spacing < GAP_AS_SPACING),
        says_spacing=bool(not GAP_AS_SPACING <= spacing < GAP_AS_SPACING + NO_SPACING),
        style=style,
    )


def _draw_markings(
    rng: np.random.Generator,
) -> tuple[tuple[Marking, ...], tuple[bool, ...]]:
    draws = rng.random((3, len(TARGETS)))
    markings = tuple(
        _marking(float(how), is_elsewhere=bool(target.side is None and where < ON_ANOTHER_SERIES))
        for target, how, where in zip(TARGETS, draws[0], draws[1], strict=True)
    )
    return markings, tuple(bool(blank < BLANK_MARKED) for blank in draws[2])


def _marking(how: float, *, is_elsewhere: bool) -> Marking:
    if how < PLACEHOLDER:
        return Marking.PLACEHOLDER
    if how < PLACEHOLDER + UNMARKED:
        return Marking.ABSENT
    return Marking.ELSEWHERE if is_elsewhere else Marking.TRUE


def _draw_series(rng: np.random.Generator, count: int, *, is_odd: bool) -> SeriesFiling:
    kind, start, step = rng.random(), int(rng.integers(2, 60)), int(rng.integers(2, 104))
    slope, offset = float(np.exp(rng.uniform(np.log(0.25), np.log(4.0)))), rng.random()
    holes = rng.random(count) < 0.15
    numbers = numbered(count)
    if kind < ODD_NUMBERS / 3:
        numbers = numbered(count, start=start)
    elif kind < ODD_NUMBERS * 2 / 3:
        numbers = tuple(int(n) for n in 1 + np.arange(count) + np.cumsum(holes))
    elif kind < ODD_NUMBERS:
        numbers = numbered(count, step=step)
    if not is_odd:
        return SeriesFiling(numbers)
    return SeriesFiling(numbers, round(slope, 6), float(round(40 * offset - 20) * (offset > 0.75)))


def rescale(stored: NDArray[np.uint16], filing: SeriesFiling) -> VoxelArray:
    """Return the values that stored ones stand for: times slope plus intercept, float32."""
    values = stored.astype(np.float32)
    if (filing.slope, filing.intercept) != (1.0, 0.0):
        values = values * np.float32(filing.slope) + np.float32(filing.intercept)
    return values


def numbered(count: int, *, start: int = 1, step: int = 1) -> tuple[int, ...]:
    """Return evenly spaced instance numbers."""
    return tuple(range(start, start + step * count, step))

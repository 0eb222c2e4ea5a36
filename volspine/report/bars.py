"""Intervals as bars: estimates to the places of lines and marks in an SVG.

Across is the value. A row has a bar from the lower to the upper end of its interval, a disc where
the estimate is, and, where there is something to compare with, an open diamond: form and place tell
them apart, colour only helps. Templates draw it.

Frame: pixels of an SVG, to the right and down.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from volspine.metrics.intervals import Estimate

__all__ = ["Bar", "Chart", "chart"]

LEFT, RIGHT, WIDTH = 120, 14, 420
"""Room for names, room behind the axis, and all of it, pixels."""

ROW, TOP, BOTTOM = 26, 8, 26


@dataclass(frozen=True)
class Bar:
    """One row.

    Attributes:
        label: Name.
        text: Numbers in words.
        y: Of its middle.
        x: Of the estimate; None where it is not defined.
        left: Of the lower end; None without an interval.
        right: Of the upper end.
        other: Of what it is compared with; None without that.
    """

    label: str
    text: str
    y: float
    x: float | None
    left: float | None
    right: float | None
    other: float | None


@dataclass(frozen=True)
class Chart:
    """Several rows on one axis.

    Attributes:
        title: What is shown.
        note: Which way is better.
        bars: The rows.
        ticks: Place and text of each tick.
        height: Of the picture.
        mark: Place of a line through all rows, such as no difference; None without one.
    """

    title: str
    note: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    height: int
    mark: float | None = None

    @property
    def base(self) -> int:
        """Where the axis is."""
        return self.height - BOTTOM


def chart(
    title: str,
    rows: Sequence[tuple[str, Estimate, float | None]],
    *,
    note: str = "",
    digits: int = 3,
    mark: float | None = None,
) -> Chart:
    """Return the places of all marks.

    Args:
        title: What is shown.
        rows: Name, estimate and what it is compared with, if with anything.
        note: Which way is better.
        digits: Of the numbers in words.
        mark: Value of a line through all rows.
    """
    shown = [v for _, e, other in rows for v in (*e, other) if v is not None and not math.isnan(v)]
    ticks = _ticks(*_ends([*shown, *([] if mark is None else [mark])]))
    low, high = ticks[0], ticks[-1]

    def across(value: float | None) -> float | None:
        if value is None or math.isnan(value):
            return None
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 1)

    bars = tuple(
        Bar(
            label,
            _words(estimate, other, digits),
            TOP + ROW * (n + 0.5),
            *map(across, (estimate.value, estimate.low, estimate.high, other)),
        )
        for n, (label, estimate, other) in enumerate(rows)
    )
    places = tuple((across(tick) or 0.0, f"{tick:.6g}") for tick in ticks)
    return Chart(title, note, bars, places, TOP + ROW * len(rows) + BOTTOM, across(mark))


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high - low > 1e-9 else (low - 0.05, high + 0.05)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers that enclose two values."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 10) for n in range(first, max(last, first + 1) + 1)]


def _words(estimate: Estimate, other: float | None, digits: int) -> str:
    value, low, high = (f"{each:.{digits}f}" for each in estimate)
    if math.isnan(estimate.value):
        return "not defined"
    words = value if math.isnan(estimate.low) else f"{value} ({low} to {high})"
    return words if other is None else f"{words}; compared with {other:.{digits}f}"

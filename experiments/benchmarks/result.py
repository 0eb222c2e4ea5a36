"""One line of the table: how long one way of doing one thing takes, and how right it is."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from timing import Row

__all__ = ["OURS", "Plan", "Result", "as_plain", "exponent", "paired", "quartiles"]

OURS = "volspine"


@dataclass(frozen=True)
class Plan:
    """How the rows are measured.

    Attributes:
        tiny: Small things, twice: for tests of the benchmarks, not for figures.
        clock: `wall`, or `cpu`: user and system seconds of the process, on a busy machine.
        threads: That every process may use for one operation.
    """

    tiny: bool = False
    clock: str = "wall"
    threads: int = 2

    @property
    def timer(self) -> Callable[[], float]:
        """Return the clock for what runs in this process."""
        return time.process_time if self.clock == "cpu" else time.perf_counter

    def times(self, count: int) -> int:
        """Return how often something is repeated: twice if all is tiny."""
        return min(count, 2) if self.tiny else count


@dataclass(frozen=True, kw_only=True)
class Result:
    """One way to do one thing.

    Attributes:
        row: Letter of the row.
        what: What is done.
        who: Which way.
        median_s: Seconds once warm, and quartiles; of the plan's clock.
        low_s: First quartile.
        high_s: Third quartile.
        rounds: How often it was measured.
        fresh_s: Seconds of the whole process, from its start to its end.
        peak_mb: Largest memory of a fresh process that did it once.
        ratio: Median over rounds of its seconds over ours, and quartiles; above 1 we are faster.
        ratio_low: First quartile.
        ratio_high: Third quartile.
        correct: What was checked.
        is_correct: Whether it is right; None where there is nothing to be right about.
        target: What was to be reached.
        met: Whether it was.
        more: Other figures.
    """

    row: str
    what: str
    who: str
    median_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    rounds: int = 0
    fresh_s: float | None = None
    peak_mb: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    correct: str = ""
    is_correct: bool | None = None
    target: str = ""
    met: bool | None = None
    more: dict[str, Any] = field(default_factory=dict)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return first quartile, median and third quartile; of one value that value thrice."""
    if len(values) < 2:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def exponent(sizes: list[float], values: list[float]) -> float:
    """Return the slope of log value over log size."""
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(slope)


def paired(row: str, compared: Row, *, least: float | None = None) -> list[Result]:
    """Return a comparison of two ways as two lines; `least` is the ratio that was to be reached."""
    both = {"row": row, "what": compared.name, "rounds": compared.rounds, "is_correct": True}
    ours = Result(
        **both, who=compared.ours, median_s=compared.ours_ms / 1e3, correct=compared.agreement,
        target="" if least is None else f"at least {least:g}x",
        met=None if least is None else compared.ratio >= least,
    )  # fmt: skip
    other = Result(
        **both, who=compared.other, median_s=compared.other_ms / 1e3, ratio=compared.ratio,
        ratio_low=compared.low, ratio_high=compared.high, correct=compared.agreement,
    )  # fmt: skip
    return [ours, other]


def as_plain(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return lines as JSON would have them."""
    return [asdict(result) for result in results]

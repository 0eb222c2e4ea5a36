"""Two ways to do one thing, timed in turns.

A busy machine slows both alike when they take turns, so the ratio of each round is trusted and the
seconds are not. A comparison first checks that both give the same answer; a faster wrong one is no
result.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Row", "compare"]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: What is done.
        ours: The way of this library, in words, and its median time in milliseconds.
        other: The other way, in words, and its median time in milliseconds.
        ratio: Median over the rounds of the other's time over ours; above 1 we are faster.
        low: First quartile of that ratio.
        high: Third quartile.
        rounds: Number of rounds.
        agreement: How near the two answers are, in words.
    """

    name: str
    ours: str
    ours_ms: float
    other: str
    other_ms: float
    ratio: float
    low: float
    high: float
    rounds: int
    agreement: str


def compare(
    name: str,
    ours: tuple[str, Callable[[], object]],
    other: tuple[str, Callable[[], object]],
    *,
    agreement: str,
    rounds: int = 9,
    clock: Callable[[], float] = time.perf_counter,
) -> Row:
    """Time two functions in turns and return the comparison.

    Args:
        name: What is done.
        ours: Words and function.
        other: Words and function.
        agreement: What was checked beforehand about the two answers.
        rounds: Number of turns of each, after one that is not counted.
        clock: `time.process_time` counts the processor's seconds only.
    """
    ours[1](), other[1]()
    pairs = [(_seconds(ours[1], clock), _seconds(other[1], clock)) for _ in range(rounds)]
    low, ratio, high = statistics.quantiles([theirs / mine for mine, theirs in pairs], n=4)
    return Row(
        name=name,
        ours=ours[0],
        ours_ms=1e3 * statistics.median(mine for mine, _ in pairs),
        other=other[0],
        other_ms=1e3 * statistics.median(theirs for _, theirs in pairs),
        ratio=ratio,
        low=low,
        high=high,
        rounds=rounds,
        agreement=agreement,
    )


def _seconds(function: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    function()
    return clock() - start

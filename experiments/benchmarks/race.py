"""Several ways in turns: each in a process of its own that stays warm, and each in fresh ones.

A busy machine slows all alike when they take turns, so the ratio of each round is trusted more than
the seconds. Every process is given the same number of threads.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from result import OURS, Plan, Result, quartiles

__all__ = ["Contender", "Measured", "fresh", "race", "results"]

_SERVE = Path(__file__).with_name("serve.py")


@dataclass(frozen=True)
class Contender:
    """One way.

    Attributes:
        function: `module:function` for `serve`.
        arguments: What it is called with.
        rounds: At most so many; a slow way need not be run as often, and 0 is in fresh ones only.
        fresh: How many fresh processes do it once.
    """

    function: str
    arguments: dict[str, Any]
    rounds: int = 1000
    fresh: int = 1


@dataclass
class Measured:
    """What was measured of one way; lists hold one entry a round."""

    seconds: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    failed: str = ""


def race(ways: Mapping[str, Contender], plan: Plan, *, rounds: int) -> dict[str, Measured]:
    """Run every way in fresh processes, then all in turns, warm; one turn is not counted."""
    found = {name: Measured() for name in ways}
    for again in range(max((way.fresh for way in ways.values()), default=0)):
        for name, way in ways.items():
            if again < plan.times(way.fresh) and not found[name].failed:
                fresh(found[name], way, plan)
    left = {name: way for name, way in ways.items() if way.rounds and not found[name].failed}
    processes = {name: _start(way, plan) for name, way in left.items()}
    for turn in range(plan.times(rounds) + 1):
        for name, way in left.items():
            if turn <= way.rounds and not found[name].failed:
                _take(found[name], processes[name], plan, counts=turn > 0)
    for process in processes.values():
        process.communicate()
    return found


def fresh(measured: Measured, way: Contender, plan: Plan) -> None:
    """Run a way once in a process of its own, imports and all."""
    began = time.perf_counter()
    before = os.times()
    process = _start(way, plan, "--once")
    said, complaint = process.communicate()
    after = os.times()
    lines = said.splitlines()
    if process.returncode or not lines:
        measured.failed = _last(complaint)
        return
    answer = json.loads(lines[-1])
    cpu = sum(after[2:4]) - sum(before[2:4])
    measured.fresh.append(cpu if plan.clock == "cpu" else time.perf_counter() - began)
    measured.peaks.append(answer["peak_mb"])


def results(
    row: str,
    what: str,
    found: Mapping[str, Measured],
    *,
    checks: Mapping[str, tuple[str, bool | None]] | None = None,
    targets: Mapping[str, float] | None = None,
    ours: str = OURS,
) -> list[Result]:
    """Return the lines of a race.

    Args:
        row: Letter.
        what: What was done.
        found: What `race` returned.
        checks: For each way, what was checked and whether it is right.
        targets: For peers, the ratio that was to be reached.
        ours: Which way is ours.
    """
    lines = []
    for name, measured in found.items():
        text, is_right = (checks or {}).get(name, ("", None))
        if measured.failed:
            lines.append(Result(row=row, what=what, who=name, correct=measured.failed))
            continue
        ratios = [] if name == ours else _ratios(measured.seconds, found[ours].seconds)
        low, ratio, high = quartiles(ratios) if ratios else (None,) * 3
        least = (targets or {}).get(name)
        spread = quartiles(measured.seconds) if measured.seconds else (None,) * 3
        lines.append(
            Result(
                row=row, what=what, who=name, rounds=len(measured.seconds),
                low_s=spread[0], median_s=spread[1], high_s=spread[2],
                fresh_s=quartiles(measured.fresh)[1] if measured.fresh else None,
                peak_mb=max(measured.peaks, default=None),
                ratio=ratio, ratio_low=low, ratio_high=high, correct=text, is_correct=is_right,
                target="" if least is None else f"at least {least:g}x",
                met=None if least is None or ratio is None else ratio >= least,
            )
        )  # fmt: skip
    return lines


def _ratios(theirs: list[float], ours: list[float]) -> list[float]:
    return [a / b for a, b in zip(theirs, ours, strict=False)]


def _start(way: Contender, plan: Plan, *more: str) -> "subprocess.Popen[str]":
    threads = {
        name: str(plan.threads)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    }
    return subprocess.Popen(
        [sys.executable, str(_SERVE), way.function, json.dumps(way.arguments), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if more else subprocess.DEVNULL,
        text=True,
        env={**os.environ, **threads},
    )


def _take(
    measured: Measured, process: "subprocess.Popen[str]", plan: Plan, *, counts: bool
) -> None:
    """Give a warm process a turn."""
    if process.stdin is None or process.stdout is None:
        return
    try:
        process.stdin.write("go\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass
    line = process.stdout.readline()
    if not line:
        measured.failed = "the process ended by itself"
        return
    answer = json.loads(line)
    measured.facts.append(answer)
    if counts:
        measured.seconds.append(answer[plan.clock])


def _last(complaint: str | None) -> str:
    lines = (complaint or "").strip().splitlines()
    text = lines[-1] if lines else "no answer"
    return "not installed" if text.startswith("ModuleNotFoundError") else f"failed: {text[:80]}"

"""Row e: what a phantom study, a prepared study, a scanned file and a start cost."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from result import OURS, Plan, Result, quartiles

from volspine.data.store_making import prepare
from volspine.phantom.cohort import generate

__all__ = ["rows"]

_PHANTOM_S = 1.5
_IMPORT = 3.0
_BARE = "a bare interpreter"
_STARTS = {
    _BARE: ["-c", "pass"],
    "import volspine": ["-c", "import volspine"],
    "volspine predict --help": ["-m", "volspine", "predict", "--help"],
    "volspine --help": ["-m", "volspine", "--help"],
    "import torch": ["-c", "import torch"],
}


def rows(plan: Plan) -> list[Result]:
    """Measure all of it."""
    count = 2 if plan.tiny else 6
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        size = "small" if plan.tiny else "full"
        spent = [_cpu(lambda n=n: generate(
            folder / f"root_{n}", studies=1, cohort="probe", seed=n, size=size
        )) for n in range(count + 1)][1:]  # fmt: skip
        root = generate(folder / "root", studies=count, cohort="probe", seed=9, size=size)
        return [
            _line("a phantom study, CPU", spent, target=_PHANTOM_S, says=_per("CPU-second")),
            _prepared(root, folder / "store", count, plan),
            _scanned(root, plan),
            *_starts(plan),
        ]


def _line(
    what: str, spent: Sequence[float], *, says: Callable[[float], str], target: float | None = None
) -> Result:
    low, middle, high = quartiles(spent)
    return Result(
        row="e", what=what, who=OURS, low_s=low, median_s=middle, high_s=high, rounds=len(spent),
        correct=says(middle), target="" if target is None else f"under {target:g} s",
        met=None if target is None else middle < target,
    )  # fmt: skip


def _per(unit: str) -> Callable[[float], str]:
    return lambda seconds: f"{1 / seconds:.2f} a {unit}"


def _prepared(root: Path, store: Path, count: int, plan: Plan) -> Result:
    """Prepare a root several times over, and look that every study came out."""
    spent = []
    for _ in range(plan.times(3)):
        shutil.rmtree(store, ignore_errors=True)
        seconds, done = _timed(lambda: prepare(root, store), plan)
        if done.made != count:
            raise AssertionError(f"{done.made} of {count} studies were prepared")
        spent.append(seconds / count)
    return _line(
        "prepare, a study, one process", spent, says=lambda s: f"{60 / s:.0f} studies a minute"
    )


def _scanned(root: Path, plan: Plan) -> Result:
    """Scan a root with the command, and look that every file was found."""
    files = sum(1 for path in root.rglob("*.dcm"))
    spent = []
    for _ in range(plan.times(5)):
        seconds, answer = _timed(
            lambda: _run(["-m", "volspine", "scan", str(root), "--json"]), plan
        )
        found = json.loads(answer)["studies"]
        slices = sum(x["shape"][2] for s in found for one in s["series"] for x in one["stacks"])
        if slices != files:
            raise AssertionError(f"{slices} of {files} files were found")
        spent.append(seconds / files)
    return _line(
        f"scan, a file of {files}, the start of the command included", spent,
        says=lambda s: f"{1 / s:.0f} files a second",
    )  # fmt: skip


def _starts(plan: Plan) -> list[Result]:
    """Start interpreters in turns; the ratio is to the one that does nothing."""
    spent: dict[str, list[float]] = {name: [] for name in _STARTS}
    for turn in range(plan.times(15) + 1):
        for name, arguments in _STARTS.items():
            if name == "import torch" and turn > 3:
                continue
            seconds, _ = _timed(lambda words=arguments: _run(words), plan)
            if turn:
                spent[name].append(seconds)
    found = []
    for name, seconds in spent.items():
        ratios = [a / b for a, b in zip(seconds, spent[_BARE], strict=False)]
        low, middle, high = quartiles(seconds)
        line = Result(
            row="e", what="start", who=name, low_s=low, median_s=middle, high_s=high,
            rounds=len(seconds), correct=f"{statistics.median(ratios):.2f} x bare",
        )  # fmt: skip
        found.append(_judged(line, statistics.median(ratios)))
    return found


def _judged(line: Result, multiple: float) -> Result:
    if line.who != "import volspine":
        return line
    told = {"target": f"under {_IMPORT:g}x bare", "met": multiple < _IMPORT}
    return Result(**{**line.__dict__, **told})


def _run(words: Sequence[str]) -> str:
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
    return done.stdout


def _timed(run: Callable[[], Any], plan: Plan) -> tuple[float, Any]:
    """Return seconds of the plan's clock, those of child processes included, and the answer."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    answer = run()
    wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
    return (cpu if plan.clock == "cpu" else wall), answer


def _cpu(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start

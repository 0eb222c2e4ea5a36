"""Every benchmark, as one table on the terminal; `BENCH_JSON=path` writes the lines as well.

    python experiments/benchmarks/run.py [--rows a,b] [--clock cpu] [--threads 2] [--tiny]

`make bench` runs all rows, `make bench ROWS=a,b` some. Ways that are compared take turns, each in a
process of its own, warm and fresh; read the ratios and their quartiles rather than the seconds,
which are those of this machine. `--clock cpu` counts the processor's seconds, for a machine that
does other work.

    a  a study on disk -> three volumes on one grid         e  phantom, prepare, scan, starts
    b  25 ordinal links                                     f  growth with slices and studies
    c  training                                             g  parts: headers, decoding, sampling,
    d  prediction                                              direct phantoms

A line says whether its answer is right and whether its target was met; lost ones stay in the table.
"""

import argparse
import importlib
import json
import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from result import Plan, Result, as_plain
from rich.console import Console
from rich.table import Table

__all__ = ["main", "measured", "table_of"]

ROWS = {
    "a": "reading_grids",
    "b": "links",
    "c": "training",
    "d": "predicting",
    "e": "rates",
    "f": "growth",
    "g": "parts",
}


_WIDEST = 160


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for, show it, write it."""
    parser = argparse.ArgumentParser(description="volspine beside what one would use instead")
    parser.add_argument("--rows", default=",".join(ROWS), help="letters, separated by commas")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tiny", action="store_true", help="small and twice: to try the code")
    told = parser.parse_args(arguments)
    letters = [letter.strip() for letter in told.rows.split(",")]
    if unknown := set(letters) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    os.environ["OMP_NUM_THREADS"] = str(told.threads)
    report = measured(letters, Plan(told.tiny, told.clock, told.threads))
    # Narrower, its columns vanish; a page or a file may be as wide as it takes.
    Console(width=max(Console().width, _WIDEST)).print(table_of(report))
    if path := os.environ.get("BENCH_JSON"):
        Path(path).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measured(letters: Sequence[str], plan: Plan) -> dict[str, Any]:
    """Return the lines of some rows as JSON would have them, with the machine they are of."""
    lines: list[Result] = []
    spent, load = {}, [os.getloadavg()[0]]
    for letter in letters:
        start = time.perf_counter()
        lines += importlib.import_module(ROWS[letter]).rows(plan)
        spent[letter] = round(time.perf_counter() - start, 1)
        load.append(os.getloadavg()[0])
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
        "clock": plan.clock,
        "threads": plan.threads,
        "tiny": plan.tiny,
        "load": [round(value, 1) for value in load],
        "seconds": spent,
        "lines": as_plain(lines),
    }


def _machine() -> dict[str, Any]:
    import torch

    named = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (named.read_text().splitlines() if named.exists() else [])
        if line.startswith("model name")
    ]
    return {
        "processor": (names or [platform.processor() or platform.machine()])[0],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
    }


def table_of(report: dict[str, Any]) -> Table:
    """Return the table for the terminal."""
    machine = report["machine"]
    table = Table(
        title=f"volspine on {machine['processor']}, {machine['cores']} cores, "
        f"{report['threads']} threads, {report['clock']} seconds",
        caption="x: its time over ours, median and quartiles; fresh: a whole process",
    )
    for title in ("", "what, and by whom", "right?"):
        table.add_column(title)
    for title in ("warm, ms", "fresh, s", "MB", "x", "target"):
        table.add_column(title, justify="right", no_wrap=title != "target")
    for line in report["lines"]:
        table.add_row(*cells(line))
    return table


def cells(line: dict[str, Any]) -> list[str]:
    """Return the cells of a line, the same on the terminal and on the page."""
    ratio, low, high = line["ratio"], line["ratio_low"], line["ratio_high"]
    spread = "" if ratio is None else f"{ratio:.2f}"
    spread += "" if low is None or low == high else f" ({low:.2f} to {high:.2f})"
    verdict = {True: " right", False: " WRONG", None: ""}[line["is_correct"]]
    met = {True: ": met", False: ": MISSED", None: ""}[line["met"]]
    return [
        line["row"],
        f"{line['what']}: {line['who']}",
        line["correct"] + ("," if line["correct"] and verdict else "") + verdict,
        _warm(line),
        "" if line["fresh_s"] is None else f"{line['fresh_s']:.2f}",
        "" if line["peak_mb"] is None else f"{line['peak_mb']:.0f}",
        spread,
        line["target"] + met,
    ]


def _warm(line: dict[str, Any]) -> str:
    if line["median_s"] is None:
        return ""
    middle, low, high = (_ms(line[key]) for key in ("median_s", "low_s", "high_s"))
    return f"{middle} ({low} to {high})" if low and line["rounds"] > 1 else middle


def _ms(seconds: float | None) -> str:
    """Return milliseconds with three digits that count.

    Example:
        >>> _ms(0.0123456), _ms(6.4512), _ms(None)
        ('12.3', '6450', '')
    """
    return "" if seconds is None else f"{float(f'{1e3 * seconds:.3g}'):.6g}"


if __name__ == "__main__":
    main()

"""Every benchmark, as a table on the terminal; `BENCH_JSON=path` writes the rows as well.

`make bench` runs this. Each row compares two ways that give the same answer, timed in turns; read
the ratio and its quartiles, not the milliseconds.
"""

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import direct
import link
import reading
import sampling
import starting
import torch
from rich.console import Console
from rich.table import Table
from timing import Row

BENCHMARKS = (starting, reading, link, sampling, direct)


def main() -> None:
    """Run all and show them."""
    rows = [row for benchmark in BENCHMARKS for row in benchmark.rows()]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    Console().print(table_of(rows, machine))
    if path := os.environ.get("BENCH_JSON"):
        report = {"machine": machine, "rows": [asdict(row) for row in rows]}
        Path(path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def table_of(rows: list[Row], machine: str) -> Table:
    """Return the table."""
    table = Table(title=f"volspine on {machine}", caption="x: the other's time over ours")
    table.add_column("what, and how far the answers agree")
    for title in ("ours, ms", "other, ms", "x", "quartiles"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row.name}: {row.ours} against {row.other} ({row.agreement})",
            f"{row.ours_ms:.1f}",
            f"{row.other_ms:.1f}",
            f"{row.ratio:.2f}",
            f"{row.low:.2f} to {row.high:.2f}",
        )
    return table


if __name__ == "__main__":
    main()

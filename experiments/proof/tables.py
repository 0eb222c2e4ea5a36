"""Tables: measured rows as Markdown, with the command, day, machine, seed and commit of each."""

import datetime as dt
import math
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from proof.measures import Estimate
from volspine.tasks.machine import hardware

PACKAGE = "../../volspine"
"""Beside the experiments, from here."""

Cell = str | float | int | Estimate


def provenance(seed: object, *, note: str = "") -> str:
    """Return a line that says how the rows above or below it came about."""
    script = Path(sys.argv[0])
    parts = (
        f"`python {Path(script.parent.name) / script.name} {shlex.join(sys.argv[1:])}`",
        dt.datetime.now(tz=dt.UTC).date().isoformat(),
        hardware(),
        f"seed {seed}",
        f"commit {commit()}",
        *([note] if note else []),
    )
    return "; ".join(parts) + "."


@cache
def commit() -> str:
    """Return the commit of the working tree, and whether files of the code differ from it.

    It is looked up once: ask at the start of a run, since others may commit meanwhile.
    """
    git = shutil.which("git")
    here = Path(__file__).parent
    if git is None:
        return "unknown"
    name = _said([git, "-C", str(here), "rev-parse", "--short", "HEAD"])
    changed = _said([git, "-C", str(here), "status", "--porcelain", "-uno", "--", "..", PACKAGE])
    return (name or "unknown") + (" with local changes" if changed else "")


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], *, digits: int = 3) -> str:
    """Return rows as a Markdown table; an estimate is shown with its interval."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(shown(c, digits=digits) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def shown(cell: Cell, *, digits: int = 3) -> str:
    """Return a cell; a number that is not there is a dash.

    Example:
        >>> shown(Estimate(0.5, 0.41, 0.62), digits=2)
        '0.50 (0.41 to 0.62)'
    """
    if isinstance(cell, Estimate):
        if math.isnan(cell.value):
            return "-"
        value, low, high = (f"{v:.{digits}f}" for v in cell)
        return f"{value} ({low} to {high})"
    if isinstance(cell, float):
        return "-" if math.isnan(cell) else f"{cell:.{digits}f}"
    return str(cell)


def in_percent(estimate: Estimate) -> str:
    """Return a percentage without decimals, with its interval."""
    return shown(estimate, digits=0)

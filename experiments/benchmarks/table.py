"""The tables of `docs/explanation/performance.md`, from the JSON of a run of the benchmarks.

    python experiments/benchmarks/table.py bench.json [page]

replaces what stands between the two markers of the page, and nothing else.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from run import cells

__all__ = ["BEGIN", "END", "main", "markdown", "replaced"]

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/performance.md"
_HEAD = ["by", "right?", "warm, ms", "fresh, s", "MB", "x", "target"]
_RULE = ["---", "---", *["--:"] * 4, "---"]


def main() -> None:
    """Replace the table of a page."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    page = Path(sys.argv[2]) if len(sys.argv) > 2 else _PAGE
    page.write_text(replaced(page.read_text(encoding="utf-8"), markdown(report)), encoding="utf-8")


def markdown(report: dict[str, Any]) -> str:
    """Return the tables, and a line that says of what machine and load it is."""
    machine, load = report["machine"], report["load"]
    said = (
        f"{report['date']}, {machine['processor']}, {machine['cores']} cores, "
        f"{report['threads']} threads each, torch {machine['torch']}, {report['clock']} seconds; "
        f"load of the machine {min(load):.1f} to {max(load):.1f}; "
        f"{sum(report['seconds'].values()) / 60:.0f} minutes in all"
    )
    return "\n\n".join([said, *_tables(report["lines"])])


def _tables(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a table, under its letter and name, for each thing that was measured."""
    for (letter, what), group in groupby(lines, key=lambda line: (line["row"], line["what"])):
        rows = [_HEAD, _RULE, *([line["who"], *cells(line)[2:]] for line in group)]
        table = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
        yield "\n".join([f"**{letter}. {what}**", "", *table])


def replaced(page: str, table: str) -> str:
    """Return a page with another table between its markers.

    Raises:
        ValueError: If it does not have both markers, once each, in their order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError(f"the page needs {BEGIN} and {END} once each")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


if __name__ == "__main__":
    main()

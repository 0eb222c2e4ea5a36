"""The table of `docs/explanation/performance.md`, from the JSON of a run of the benchmarks.

    python experiments/benchmarks/table.py bench.json [page]

replaces what stands between the two markers of the page, and nothing else.
"""

import json
import sys
from pathlib import Path
from typing import Any

from run import cells

__all__ = ["BEGIN", "END", "main", "markdown", "replaced"]

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/performance.md"
_HEAD = ["", "what, and by whom", "right?", "warm, ms", "fresh, s", "MB", "x", "target"]


def main() -> None:
    """Replace the table of a page."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    page = Path(sys.argv[2]) if len(sys.argv) > 2 else _PAGE
    page.write_text(replaced(page.read_text(encoding="utf-8"), markdown(report)), encoding="utf-8")


def markdown(report: dict[str, Any]) -> str:
    """Return the table, and a line that says of what machine and load it is."""
    machine, load = report["machine"], report["load"]
    said = (
        f"{report['date']}, {machine['processor']}, {machine['cores']} cores, "
        f"{report['threads']} threads each, torch {machine['torch']}, {report['clock']} seconds; "
        f"load of the machine {min(load):.1f} to {max(load):.1f}; "
        f"{sum(report['seconds'].values()) / 60:.0f} minutes in all"
    )
    rows = [_HEAD, ["---"] * len(_HEAD), *(cells(line) for line in report["lines"])]
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join([said, "", *lines])


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

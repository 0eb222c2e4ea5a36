"""`volspine scan`: which studies, series, protocols and stacks lie under a path, and what is wrong.

Only headers are read, so it is quick; nothing is graded and no deep learning is loaded.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volspine.cli.progress import track

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["add_arguments", "run"]

_ALL_WELL, _SOME_FAILED, _NONE_SUCCEEDED = 0, 3, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `volspine scan`."""
    parser.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="a study, a folder of studies, a challenge root, a zip, a NIfTI file, or any folder",
    )
    parser.add_argument("--json", action="store_true", help="write JSON instead of tables")


def run(arguments: argparse.Namespace) -> int:
    """Scan a path and print what is there.

    Returns:
        0 if every study forms at least one volume; 3 if some do not; 4 if none does.
    """
    from volspine.dicom.scan import describe, scan

    found = track(scan(arguments.path), "Scanning", quiet=arguments.quiet)
    described = [describe(scanned) for scanned in found]
    studies = [entry for entry in described if entry["name"] or entry["error"]]
    others = [fault for entry in described if entry not in studies for fault in entry["faults"]]
    if arguments.json:
        report = {"path": str(arguments.path), "studies": studies, "other_files": others}
        print(json.dumps(report, indent=2))
    else:
        _print_tables(studies, others)
    failed = sum(entry["error"] is not None for entry in studies)
    if failed == len(studies):
        return _NONE_SUCCEEDED
    return _SOME_FAILED if failed else _ALL_WELL


def _print_tables(studies: list[dict[str, Any]], others: list[dict[str, str]]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for study in studies:
        _print_study(console, study)
    if others:
        console.print(f"Other files: {len(others)}", style="bold")
        _print_faults(console, others)
    series = sum(len(study["series"]) for study in studies)
    studied = _count(len(studies), "study", "studies")
    console.print(f"{studied}, {_count(series, 'series', 'series')}")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _print_study(console: "Console", study: dict[str, Any]) -> None:
    name = f"  ({study['name']})" if study["name"] else ""
    console.print(f"{study['path']}{name}", style="bold")
    if study["series"]:
        _print_series(console, study["series"])
    for repair in study["repairs"]:
        console.print(f"  note: {repair}", style="yellow")
    error = study["error"] or {"message": None}
    if study["error"]:
        text = f"  {error['code']}: {error['message']}; {error['remedy']}"
        console.print(text, style="red")
    _print_faults(console, [f for f in study["faults"] if f["reason"] != error["message"]])
    console.print()


def _print_series(console: "Console", found: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("series", "protocol", "sure", "plane", "voxels", "spacing, mm"):
        table.add_column(heading, header_style="dim", no_wrap=True)
    for series in found:
        for number, stack in enumerate(series["stacks"]):
            sure = f"{series['confidence']:.0%}"
            head = ("", "", "") if number else (series["name"], series["protocol"], sure)
            table.add_row(*map(Text, (*head, stack["plane"], *_stack_texts(stack))))
    console.print(table)
    for series in found:
        why = "; ".join((series["reason"], *series["drawbacks"]))
        console.print(f"  {series['name']}: {why}", style="dim")
        for repair in series["repairs"]:
            console.print(f"  {series['name']}: {repair}", style="yellow")


def _stack_texts(stack: dict[str, Any]) -> tuple[str, str]:
    shape = " x ".join(map(str, stack["shape"]))
    return shape, " x ".join(f"{mm:.2f}" for mm in stack["spacing_mm"])


def _print_faults(console: "Console", faults: list[dict[str, str]]) -> None:
    """Print faults, those with one reason together."""
    by_reason: dict[str, list[str]] = {}
    for fault in faults:
        by_reason.setdefault(f"{fault['reason']} ({fault['code']})", []).append(fault["path"])
    for reason, paths in by_reason.items():
        console.print(f"  {reason}: {', '.join(paths)}")

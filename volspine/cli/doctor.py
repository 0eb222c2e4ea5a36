"""`volspine doctor`: what is wrong with this installation, in plain words, and how to mend it.

Exit code 0 when nothing is broken, 1 when something is.
"""

import argparse
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from volspine import __version__

if TYPE_CHECKING:
    from volspine.cli.checks import Check

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="a JSON object with every check")


def run(arguments: argparse.Namespace) -> int:
    """Make every check and print what each found."""
    from volspine.cli import machine, packages
    from volspine.cli.checks import State
    from volspine.cli.progress import track

    looks = (*packages.CHECKS, *machine.CHECKS)
    checks = [found for look in track(looks, "Looking", quiet=arguments.quiet) for found in look()]
    faults = sum(check.state is State.FAULT for check in checks)
    print(_as_json(checks) if arguments.json else _as_text(checks, faults))
    return int(faults > 0)


def _as_json(checks: Iterable["Check"]) -> str:
    report = {
        "volspine": __version__,
        "platform": platform.platform(),
        "checks": [asdict(check) for check in checks],
    }
    return json.dumps(report, indent=2)


def _as_text(checks: list["Check"], faults: int) -> str:
    width = max(len(check.name) for check in checks)
    lines = [f"volspine {__version__} on {platform.platform()}"]
    for check in checks:
        lines.append(f"{check.state.value:<5}  {check.name:<{width}}  {check.found}")
        if check.remedy:
            lines.append(f"{'':<5}  {'':<{width}}  -> {check.remedy}")
    lines.append(_verdict(faults))
    return "\n".join(lines)


def _verdict(faults: int) -> str:
    if not faults:
        return "Nothing is broken."
    count = "One fault" if faults == 1 else f"{faults} faults"
    return f"{count} to mend; the arrow below each says how."

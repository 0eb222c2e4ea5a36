"""`volspine prepare`: a challenge root, or any folder of studies -> a store of native stacks."""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volspine.anatomy import PROTOCOLS
from volspine.jobs import ENGINES

if TYPE_CHECKING:
    from volspine.data.store_outcome import Prepared

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("root", type=Path, metavar="ROOT", help="challenge root, or any folder of studies")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="STORE",
        help="folder of the store; the same command goes on where it was interrupted, makes anew "
        "what is damaged or has changed, and keeps the rest",
    )
    add("--workers", type=_positive, default=1, metavar="W", help="number of processes")
    add("--engine", choices=list(ENGINES), default="local", help="where they are: here, or on Ray")
    add("--protocol", choices=[p.value for p in PROTOCOLS], help="what a lone NIfTI file is")


def run(arguments: argparse.Namespace) -> int:
    """Prepare the studies; the exit code says whether all, some or none could be."""
    from volspine.anatomy import Protocol
    from volspine.cli.progress import counting
    from volspine.data.store_making import prepare

    with ExitStack() as stack:

        def on_start(total: int) -> Callable[[], Any]:
            bar = counting("Preparing", total=total, quiet=arguments.quiet)
            return stack.enter_context(bar)

        done = prepare(
            arguments.root,
            arguments.out,
            workers=arguments.workers,
            engine=arguments.engine,
            protocol=None if arguments.protocol is None else Protocol(arguments.protocol),
            on_start=on_start,
        )
    _tell(done, quiet=arguments.quiet)
    return done.exit_code


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _tell(done: "Prepared", *, quiet: bool) -> None:
    from volspine.data.store_summary import summary_lines

    for source, error in done.failures:
        print(f"volspine: {error.code}: {error.message} [{source}]", file=sys.stderr)
    if done.stopped is not None:
        print(f"volspine: {done.stopped}", file=sys.stderr)
    if quiet:
        return
    for line in summary_lines(done.summary):
        print(line)
    size = done.summary.get("prepared", {}).get("bytes", 0) / 1e6
    print(
        f"{done.made} prepared, {done.kept} there already, {len(done.failures)} failed: "
        f"{done.store} ({size:.0f} MB)"
    )

"""`volspine predict`: studies -> a folder of results."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from volspine.anatomy import PROTOCOLS
from volspine.jobs import ENGINES

if TYPE_CHECKING:
    from volspine.errors import VolspineError
    from volspine.inference.batch import Job, Report

__all__ = ["add_arguments", "run"]

_FORMATS = "csv,json,html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "studies",
        nargs="+",
        type=Path,
        metavar="STUDY",
        help="study folder, zip, NIfTI file, folder of studies, or challenge root",
    )
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    add("--model", type=Path, metavar="BUNDLE", help="model folder; the demo bundle if omitted")
    add(
        "--format",
        default=_FORMATS,
        metavar="LIST",
        help=f"some of {_FORMATS},sr,sc; sr and sc repeat the patient's identifiers "
        f"(default: {_FORMATS})",
    )
    add("--protocol", choices=[p.value for p in PROTOCOLS], help="what a lone NIfTI file is")
    add("--shard", metavar="I/N", help="only every N-th study, from the I-th")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="keep results that are there")
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there")
    add("--workers", type=_positive, default=1, metavar="W", help="number of processes")
    add("--engine", choices=list(ENGINES), default="local", help="where they are: here, or on Ray")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--shift-levels", type=int, default=0, metavar="N", help="name findings N levels lower")
    add(
        "--tta",
        type=int,
        default=0,
        metavar="N",
        help="grade N variants besides, seen from nearby, and report the mean (0): about N + 1 "
        "times the work of the networks",
    )
    add("--strict", action="store_true", help="turn repairs and refusals into failures")


def run(arguments: argparse.Namespace) -> int:
    """Grade the studies; the exit code says whether all, some or none succeeded."""
    from volspine.cli.progress import counting
    from volspine.inference.batch import grade_batch
    from volspine.jobs import shard

    job = _job(arguments)
    studies, unreadable = _find(arguments)
    if arguments.shard:
        studies = list(shard(studies, arguments.shard))
    with counting("Grading", total=len(studies), quiet=arguments.quiet) as advance:
        report = grade_batch(
            studies,
            job,
            workers=arguments.workers,
            on_study=advance,
            unreadable=unreadable,
            engine=arguments.engine,
        )
    _tell(report, job, quiet=arguments.quiet)
    return report.exit_code


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _job(arguments: argparse.Namespace) -> "Job":
    from volspine.inference.batch import Job
    from volspine.inference.levels import level_shift
    from volspine.inference.predictor import Options
    from volspine.inference.variants import check_variants

    check_variants(arguments.tta)
    level_shift(arguments.shift_levels)  # Refuses what leaves no level, before any work.
    existing = "resume" if arguments.resume else "overwrite" if arguments.overwrite else "refuse"
    return Job(
        out=arguments.out,
        model=arguments.model,
        device=arguments.device,
        formats=_formats(arguments.format),
        existing=existing,
        options=Options(
            protocol=arguments.protocol,
            strict=arguments.strict,
            shift_levels=arguments.shift_levels,
            tta=arguments.tta,
        ),
    )


def _formats(text: str) -> tuple[str, ...]:
    from volspine.errors import ConfigurationError
    from volspine.inference.batch import FORMATS

    named = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in named if name not in FORMATS]
    if unknown or not named:
        raise ConfigurationError(
            f"format {', '.join(unknown) or 'list'!r} is not one of {', '.join(FORMATS)}",
            remedy=f"use for example --format {_FORMATS}",
            code="VS-CFG-063",
        )
    return named


def _find(arguments: argparse.Namespace) -> tuple[list[Path], list[tuple[Path, "VolspineError"]]]:
    """Return the studies below the paths given, each once, and the paths that hold none."""
    from volspine.dicom.scan import find_studies
    from volspine.errors import VolspineError

    found: list[Path] = []
    unreadable: list[tuple[Path, VolspineError]] = []
    for path in arguments.studies:
        try:
            found.extend(find_studies(path))
        except VolspineError as error:
            unreadable.append((path, error))
    return list(dict.fromkeys(found)), unreadable


def _tell(report: "Report", job: "Job", *, quiet: bool) -> None:
    import sys

    for failure in report.failures:
        error = f"{failure.code}: {failure.message} [{failure.path}]; {failure.remedy}"
        print(f"volspine: {error}", file=sys.stderr)
    if not quiet:
        print(f"{report.succeeded} graded, {len(report.failures)} failed: {job.out}")
        for line in report.notices:
            print(line)

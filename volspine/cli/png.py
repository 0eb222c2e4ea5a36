"""`volspine png`: instances of studies -> PNG files and a table of what is marked on them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from volspine.cli.png_study import Pictured, Request
    from volspine.data.rsna import LabelledStudy
    from volspine.errors import VolspineError

__all__ = ["add_arguments", "run"]

_TABLES = ("labels.csv", "pictures.csv")
_ALL_WELL, _SOME_FAILED, _NONE_SUCCEEDED = 0, 3, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("root", type=Path, metavar="ROOT", help="challenge root, or any folder of studies")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the pictures")
    add("--annotate", action="store_true", help="draw condition, level, side and grade in")
    add(
        "--all",
        action="store_true",
        help="every instance, not only the labelled ones; what one gets where nothing is labelled",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="keep pictures that are there")
    existing.add_argument("--overwrite", action="store_true", help="replace earlier pictures")
    add("--workers", type=_positive, default=1, metavar="W", help="number of processes")


def run(arguments: argparse.Namespace) -> int:
    """Write the pictures; the exit code says whether all, some or none could be."""
    from volspine.dicom.find import find_studies

    done = _Done()
    labelled = _labelled(done.distinct(find_studies(arguments.root)))
    requests = _requests(arguments, labelled)
    _make_room(arguments)
    try:
        _write(arguments, requests, done)
    finally:
        # Also when interrupted: what is finished is valid and listed.
        done.write_tables(arguments.out, [request.path for request in requests])
    return done.tell(arguments.out, quiet=arguments.quiet)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _labelled(paths: Sequence[Path]) -> dict[Path, "LabelledStudy | None"]:
    """Return each study with what the tables beside its images folder say of it."""
    labels: dict[Path, LabelledStudy] = {}
    for images in sorted({path.resolve().parent for path in paths}):
        labels |= _tables_beside(images)
    return {path: labels.get(path.resolve()) for path in paths}


def _tables_beside(images: Path) -> dict[Path, "LabelledStudy"]:
    from volspine.data.rsna import read_root

    subset = images.name.removesuffix("_images")
    tables = [images.parent / f"{subset}{end}.csv" for end in ("", "_label_coordinates")]
    if subset == images.name or not any(table.is_file() for table in tables):
        return {}
    root = read_root(images.parent, subset=subset)
    return {study.folder.resolve(): study for study in root.studies}


def _requests(
    arguments: argparse.Namespace, labelled: dict[Path, "LabelledStudy | None"]
) -> list["Request"]:
    """Return what is to be made: of labelled studies alone if there are any, unless all is."""
    from volspine.cli.png_study import Request

    is_marked = {path: bool(study and study.annotations) for path, study in labelled.items()}
    everything = arguments.all or not any(is_marked.values())
    return [
        Request(
            path=path,
            out=arguments.out,
            labelled=study,
            everything=everything,
            annotate=arguments.annotate,
            resume=arguments.resume,
        )
        for path, study in labelled.items()
        if everything or is_marked[path]
    ]


def _make_room(arguments: argparse.Namespace) -> None:
    """Refuse a folder with other files, or take away earlier pictures if that was asked for."""
    from volspine.errors import OutputError

    out: Path = arguments.out
    try:
        if not (arguments.resume or arguments.overwrite):
            if out.exists() and any(out.iterdir()):
                raise OutputError(
                    "the folder is not empty",
                    path=out,
                    remedy="choose another, or add --resume or --overwrite",
                    code="VS-OUT-080",
                )
        elif out.exists():
            _check_tables(out)
            _remove_earlier(out, pictures=arguments.overwrite)
    except OSError as error:
        raise OutputError(
            f"the folder cannot be used: {error.strerror or type(error).__name__}",
            path=out,
            remedy="check permissions, or choose another",
            code="VS-OUT-081",
        ) from error


def _check_tables(out: Path) -> None:
    """Refuse a folder in which another's table has the name of one that is written here."""
    from volspine.cli.png_study import LABEL_COLUMNS, PICTURE_COLUMNS
    from volspine.errors import OutputError

    for name, columns in zip(_TABLES, (LABEL_COLUMNS, PICTURE_COLUMNS), strict=True):
        path, header = out / name, ",".join(columns).encode()
        if path.exists() and path.read_bytes()[: len(header)] != header:
            raise OutputError(
                "this table was not made by volspine png, and would be lost",
                path=path,
                remedy="move it away, or choose another folder",
                code="VS-OUT-082",
            )


def _remove_earlier(out: Path, *, pictures: bool) -> None:
    """Remove what is left of a call that was killed and, if asked for, all pictures made here."""
    from volspine.cli.png_study import was_made_here

    leftovers = [path for path in out.glob(".*.png.*.png") if path.is_file()]
    earlier = [path for path in out.glob("*.png") if was_made_here(path)] if pictures else []
    for path in dict.fromkeys(leftovers + earlier):
        path.unlink()
    for name in _TABLES:
        (out / name).unlink(missing_ok=True)


class _Done:
    """What was made so far, by study."""

    def __init__(self) -> None:
        self._made: dict[Path, Pictured] = {}
        self._failures: list[VolspineError] = []
        self._taken: set[str] = set()

    def distinct(self, paths: Sequence[Path]) -> list[Path]:
        """Return studies whose folders do not give them the same name; the others are failures."""
        first: dict[str, Path] = {}
        for path in paths:
            folder = path.resolve()
            in_root = folder.parent.name.endswith("_images")
            if first.setdefault(folder.name if in_root else str(folder), path) is not path:
                self._failures.append(_same_name(path))
        return list(first.values())

    def add(self, path: Path, made: "Pictured") -> None:
        """Note what was made of a study, unless its pictures bear another's names."""
        names = {str(row["file"]) for row in made.pictures}
        self._failures += made.faults
        if names & self._taken:
            self._failures.append(_same_name(path))
            return
        self._taken |= names
        self._made[path] = made

    def fail(self, error: "VolspineError") -> None:
        """Note a study of which nothing could be made."""
        self._failures.append(error)

    def write_tables(self, out: Path, order: Sequence[Path]) -> None:
        """Write the tables, studies in the order in which they were found; none over nothing."""
        if not self._made:
            return
        from volspine.cli.png_study import LABEL_COLUMNS, PICTURE_COLUMNS
        from volspine.jobs import write_text
        from volspine.report.table import csv_text

        made = [self._made[path] for path in order if path in self._made]
        labels = [row for study in made for row in study.labels]
        pictures = [row for study in made for row in study.pictures]
        write_text(out / "labels.csv", csv_text(LABEL_COLUMNS, labels))
        write_text(out / "pictures.csv", csv_text(PICTURE_COLUMNS, pictures))

    def tell(self, out: Path, *, quiet: bool) -> int:
        """Print the failures and what was made; return the exit code."""
        import sys

        for error in self._failures:
            print(f"volspine: {error}", file=sys.stderr)
        marks = sum(len(study.labels) for study in self._made.values())
        if not quiet:
            studies = len(self._made)
            print(f"{len(self._taken)} pictures of {studies} studies, {marks} marks: {out}")
        if not self._failures:
            return _ALL_WELL
        return _SOME_FAILED if self._taken else _NONE_SUCCEEDED


def _same_name(path: Path) -> "VolspineError":
    from volspine.errors import ConfigurationError

    return ConfigurationError(
        "another study of this call has the same name",
        path=path,
        remedy="picture it into another folder",
        code="VS-CFG-290",
    )


def _write(arguments: argparse.Namespace, requests: Sequence["Request"], done: _Done) -> None:
    from volspine.cli.png_study import picture_study
    from volspine.cli.progress import counting
    from volspine.jobs import run_many

    with counting("Drawing", total=len(requests), quiet=arguments.quiet) as advance:
        for outcome in run_many(picture_study, requests, workers=arguments.workers):
            if outcome.result is not None:
                done.add(outcome.item.path, outcome.result)
            elif outcome.error is not None:
                done.fail(outcome.error)
            advance()

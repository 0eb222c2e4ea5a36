"""Batch: many studies -> a folder of results, and tables over all of them.

    OUT/<name>/result.json, grades.csv, report.html, key_<level>_<condition>.png
    OUT/summary.csv       one row per result      OUT/submission.csv   25 rows per result
    OUT/failures.csv      one row per study that has no result

`result.json` is written last, so a folder that has one is complete. The tables are made from the
results in the folder: whatever was interrupted, resumed or sharded, they agree with what is there.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from volspine.dicom.reading import read_study
from volspine.errors import ConfigurationError, OutputError, VolspineError
from volspine.inference.graded import GradedStudy
from volspine.inference.predictor import Options, Predictor
from volspine.inference.provenance import model_facts
from volspine.inference.tables import EXISTS, Failure, name_from_path, write_tables
from volspine.jobs import run_many, write_bytes, write_text
from volspine.report.manifest import manifest_text, model_notices, read_manifest
from volspine.report.structured import require_highdicom
from volspine.report.table import GRADE_COLUMNS, csv_text, grade_rows

__all__ = ["DEFAULT_FORMATS", "FORMATS", "Job", "Report", "grade_batch", "write_result"]

DEFAULT_FORMATS = ("csv", "json", "html")
FORMATS = (*DEFAULT_FORMATS, "sr", "sc")
"""What can be written for each study; `result.json` always is."""

RESULT = "result.json"
_OURS = ("result.json", "grades.csv", "report.html", "key_*.png", "sr.dcm", "sc_*.dcm")

log = logging.getLogger("volspine")


@dataclass(frozen=True, kw_only=True)
class Job:
    """How a batch is graded and written; the same for every study, and picklable.

    Attributes:
        out: Folder of the results.
        model: Folder of the bundle; None is the demo bundle.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        formats: Some of `FORMATS`.
        existing: What to do about a result that is there: `refuse`, `resume` or `overwrite`.
        options: How studies are read.
    """

    out: Path
    model: str | Path | None = None
    device: str = "auto"
    formats: tuple[str, ...] = DEFAULT_FORMATS
    existing: str = "refuse"
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Report:
    """What became of a batch.

    Attributes:
        succeeded: Number of studies that have a result now, refused ones among them.
        failures: Studies that have none, and why.
        notices: What every output must say.
    """

    succeeded: int
    failures: tuple[Failure, ...]
    notices: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 all well, 3 some failed, 4 none succeeded."""
        if not self.failures:
            return 0
        return 3 if self.succeeded else 4


def grade_batch(
    studies: Sequence[Path],
    job: Job,
    *,
    workers: int = 1,
    on_study: Callable[[], Any] | None = None,
    unreadable: Sequence[tuple[Path, VolspineError]] = (),
) -> Report:
    """Grade studies and write results and tables; a study that fails does not stop the rest.

    Args:
        studies: One path each, as `read_study` takes them.
        job: How.
        workers: Number of processes; each loads the model once.
        on_study: Called after each study.
        unreadable: Inputs in which no study was found, to be listed as failures.

    Raises:
        VolspineError: If the model cannot be loaded or the folder not be written.
    """
    if {"sr", "sc"} & set(job.formats):
        require_highdicom()
    bundle = _predictor(job.model, job.device).bundle
    attempted = [path for path, _ in unreadable]
    names: set[str] = set()
    failures = [Failure.of(path, error) for path, error in unreadable]
    try:
        for outcome in run_many(_Worker(job), _distinct(studies, failures), workers=workers):
            attempted.append(outcome.item)
            error = outcome.error
            if outcome.result in names:
                error = _same_name(outcome.item)
            if error is not None:
                failures.append(Failure.of(outcome.item, error))
            elif outcome.result is not None:
                names.add(outcome.result)
            if on_study is not None:
                on_study()
    finally:
        # Also when interrupted: what is finished is valid and listed.
        write_tables(job.out, attempted, failures, card=bundle.card)
    return Report(len(names), tuple(failures), model_notices(model_facts(bundle)))


def write_result(graded: GradedStudy, out: Path, formats: Sequence[str] = DEFAULT_FORMATS) -> Path:
    """Write one study's files into `out/<name>` and return that folder.

    What an earlier run left there is removed first, and `result.json` comes last.

    Raises:
        OutputError: If a file cannot be written.
    """
    folder = out / graded.name
    _remove_earlier(folder)
    if "csv" in formats:
        write_text(folder / "grades.csv", csv_text(GRADE_COLUMNS, grade_rows(graded.grades)))
    if "html" in formats:
        for image in graded.key_images:
            write_bytes(folder / image.file_name, image.png)
        write_text(folder / "report.html", graded.report_html())
    grades = graded.grades
    notes = [_dicom_note(graded, folder, name) for name in ("sr", "sc") if name in formats]
    if any(notes):
        provenance = {**grades.provenance, "notes": list(dict.fromkeys(filter(None, notes)))}
        grades = replace(grades, provenance=provenance)
    write_text(folder / RESULT, manifest_text(grades))
    return folder


def _dicom_note(graded: GradedStudy, folder: Path, name: str) -> str:
    """Write a DICOM output; return why there is none if the study does not allow it."""
    try:
        if name == "sr":
            graded.save_sr(folder)
        else:
            graded.save_sc(folder)
    except ConfigurationError as error:
        log.warning("%s: %s", graded.name, error.message)
        return error.message
    return ""


def _distinct(studies: Sequence[Path], failures: list[Failure]) -> list[Path]:
    """Return studies whose paths do not give them the same name; the others are failures."""
    first: dict[str, Path] = {}
    for path in studies:
        name = name_from_path(path) or str(path)
        if first.setdefault(name, path) is not path:
            failures.append(Failure.of(path, _same_name(path)))
    return list(first.values())


@dataclass(frozen=True)
class _Worker:
    """Grades one study and writes it; what is sent to a process."""

    job: Job

    def __call__(self, path: Path) -> str:
        try:
            return self._grade(path)
        except VolspineError:
            raise
        except Exception as error:
            # One broken study must not cost the others; its text may quote a header, so it stays
            # in the debug log.
            log.debug("unexpected error", exc_info=True)
            raise VolspineError(
                f"internal error ({type(error).__name__})",
                path=path,
                remedy="run it alone with --debug and report what it says",
                code="VS-999",
            ) from error

    def _grade(self, path: Path) -> str:
        job = self.job
        study = read_study(path, strict=job.options.strict, protocol=job.options.protocol)
        predictor = _predictor(job.model, job.device)
        if self._is_there(study.name, predictor):
            return study.name
        graded = predictor.predict(study, job.options)
        write_result(graded, job.out, job.formats)
        return graded.name

    def _is_there(self, name: str, predictor: Predictor) -> bool:
        """Return whether a result that is there is kept."""
        path = self.job.out / name / RESULT
        if self.job.existing == "overwrite" or not path.exists():
            return False
        if self.job.existing == "refuse":
            raise OutputError(
                "there is a result already",
                path=path,
                remedy="add --resume to keep it, or --overwrite to replace it",
                code=EXISTS,
            )
        return _is_current(path, predictor, self.job.options)


def _is_current(path: Path, predictor: Predictor, options: Options) -> bool:
    """Return whether a result can be read and is of this very model and these options."""
    try:
        provenance = read_manifest(path).provenance
    except VolspineError:
        return False
    weights = provenance.get("model", {}).get("weights_sha256")
    is_same_model = weights == predictor.bundle.card.weights_sha256
    return bool(is_same_model and provenance.get("settings") == options.to_dict())


@lru_cache(maxsize=1)
def _predictor(model: str | Path | None, device: str) -> Predictor:
    return Predictor(model, device=device)


def _remove_earlier(folder: Path) -> None:
    try:
        for pattern in _OURS:
            for path in folder.glob(pattern):
                path.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot replace an earlier result: {error.strerror}",
            path=folder,
            remedy="check permissions, or choose another output folder",
            code="VS-OUT-061",
        ) from error


def _same_name(path: Path) -> VolspineError:
    return ConfigurationError(
        "another study of this batch has the same name",
        path=path,
        remedy="grade it into another folder",
        code="VS-CFG-061",
    )

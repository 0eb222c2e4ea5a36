"""Batch: many studies -> a folder of results, and tables over all of them.

    OUT/<name>/result.json, grades.csv, report.html, key_<level>_<condition>.png
    OUT/summary.csv       one row per result      OUT/submission.csv   25 rows per result
    OUT/failures.csv      one row per study that has no result

`result.json` is written last, so a folder that has one is complete. The tables are made from the
results in the folder: whatever was interrupted, resumed or sharded, they agree with what is there.
Several processes may write into one folder: each study and the tables are one's alone at a time.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from volspine.dicom.reading import read_study
from volspine.errors import ConfigurationError, OutputError, VolspineError
from volspine.inference.device import resolve_device
from volspine.inference.predictor import Options, Predictor
from volspine.inference.provenance import model_facts
from volspine.inference.result_files import DEFAULT_FORMATS, FORMATS, RESULT, write_result
from volspine.inference.tables import EXISTS, Failure, name_from_path, write_tables
from volspine.jobs import Outcome, claimed, run_many, write_bytes
from volspine.report.manifest import model_notices, read_manifest
from volspine.report.structured import require_highdicom

__all__ = ["DEFAULT_FORMATS", "FORMATS", "Job", "Report", "grade_batch", "write_result"]

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
    engine: str = "local",
) -> Report:
    """Grade studies and write results and tables; a study that fails does not stop the rest.

    Args:
        studies: One path each, as `read_study` takes them.
        job: How.
        workers: Number of processes; each loads the model once.
        on_study: Called after each study.
        unreadable: Inputs in which no study was found, to be listed as failures.
        engine: Where the processes are, as for `volspine.jobs.run_many`.

    Raises:
        VolspineError: If the model cannot be loaded or the folder not be written.
    """
    if {"sr", "sc"} & set(job.formats):
        require_highdicom()
    bundle = _predictor(job.model, job.device if engine == "local" else "cpu").bundle
    tally = _Tally(unreadable)
    try:
        wanted = tally.distinct(studies)
        with closing(_outcomes(job, wanted, workers=workers, engine=engine)) as outcomes:
            for outcome in outcomes:
                tally.count(outcome)
                if on_study is not None:
                    on_study()
    finally:
        # Also when interrupted: what is finished is valid and listed.
        with claimed(job.out / ".tables.claim"):
            write_tables(job.out, tally.attempted, tally.failures, card=bundle.card)
    notices = model_notices(model_facts(bundle))
    return Report(len(tally.names), tuple(tally.failures), notices)


class _Tally:
    """What was tried, what has a result and what has none."""

    def __init__(self, unreadable: Sequence[tuple[Path, VolspineError]]) -> None:
        self.attempted = [path for path, _ in unreadable]
        self.failures = [Failure.of(path, error) for path, error in unreadable]
        self.names: set[str] = set()

    def distinct(self, studies: Sequence[Path]) -> list[Path]:
        """Return studies whose paths do not give them the same name; the others are failures."""
        first: dict[str, Path] = {}
        for path in studies:
            name = name_from_path(path) or str(path)
            if first.setdefault(name, path) is not path:
                self.failures.append(Failure.of(path, _same_name(path)))
        return list(first.values())

    def count(self, outcome: Outcome[Path, str]) -> None:
        self.attempted.append(outcome.item)
        error = outcome.error
        if outcome.result in self.names:
            error = _same_name(outcome.item)
        if error is not None:
            self.failures.append(Failure.of(outcome.item, error))
        elif outcome.result is not None:
            self.names.add(outcome.result)


def _outcomes(
    job: Job, studies: Sequence[Path], *, workers: int, engine: str
) -> Generator[Outcome[Path, str], None, None]:
    if engine == "local":
        yield from run_many(_Worker(job), studies, workers=workers)
        return
    # A cluster lends GPUs by number alone, and `auto` is what this machine would choose.
    device = "cuda" if job.device.startswith("cuda") else resolve_device(job.device).type
    gpus = device == "cuda"
    with _sign(job.out) as sign:
        worker = _Worker(_placed(replace(job, device=device)), Path.cwd(), sign)
        yield from run_many(worker, studies, workers=workers, engine=engine, gpus=gpus)


def _placed(job: Job) -> Job:
    """Return a job that can be done from any working folder."""
    model = None if job.model is None else Path(job.model).absolute()
    return replace(job, out=job.out.absolute(), model=model)


@contextmanager
def _sign(out: Path) -> Iterator[Path]:
    """Leave a file in the output folder by which another machine knows that it is the same one."""
    sign = out.absolute() / f".batch.{uuid4().hex}"
    write_bytes(sign, b"")
    try:
        yield sign
    finally:
        sign.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Worker:
    """Grades one study and writes it; what is sent to a process.

    Attributes:
        job: How.
        base: What paths of studies are relative to, if not to where the process is.
        sign: A file of the output folder that every machine must see.
    """

    job: Job
    base: Path = Path()
    sign: Path | None = None

    def __call__(self, path: Path) -> str:
        try:
            return self._grade(self.base / path)
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
        if self.sign is not None and not self.sign.exists():
            raise _not_shared(job.out)
        study = read_study(path, strict=job.options.strict, protocol=job.options.protocol)
        predictor = _predictor(job.model, job.device)
        with claimed(job.out / f".{study.name}.claim"):
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


def _same_name(path: Path) -> VolspineError:
    return ConfigurationError(
        "another study of this batch has the same name",
        path=path,
        remedy="grade it into another folder",
        code="VS-CFG-061",
    )


def _not_shared(out: Path) -> OutputError:
    return OutputError(
        "a machine of the cluster does not see the output folder",
        path=out,
        remedy="choose one on a file system that all of them share",
        code="VS-OUT-062",
    )

"""Write a cohort of synthetic studies in the challenge's layout, with the truth beside it.

    OUT/train.csv, train_series_descriptions.csv, train_label_coordinates.csv
    OUT/train_images/<study_id>/<series_id>/<instance>.dcm
    OUT/truth/<study_id>.json
    OUT/label_maps/<study_id>/<series_id>.nii.gz, label_maps/labels.json     on request

A study depends on the seed, the cohort and its index alone, so the files are the same, bit for bit,
whatever the number of workers. Each study's folder appears whole, then its truth: a study that has
its truth is finished, and an interrupted cohort goes on from there.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from volspine.errors import ConfigurationError, OutputError
from volspine.jobs import run_many, write_text
from volspine.phantom.dicom import write_study
from volspine.phantom.labelmap import label_table, write_label_maps
from volspine.phantom.spec import Cohort, Header, Noise, Size, Spec, parse_choice
from volspine.phantom.study import acquire_study, outline_study
from volspine.phantom.tables import (
    StudyRows,
    spec_record,
    study_rows,
    truth_record,
    write_tables,
)

__all__ = ["generate"]


@dataclass(frozen=True)
class _Job:
    """Where the studies go, and what is written of each."""

    out: Path
    label_maps: bool
    resume: bool

    def folders(self, spec: Spec) -> list[Path]:
        """Return the folders that a study has."""
        kinds = ["train_images", *(["label_maps"] if self.label_maps else [])]
        return [self.out / kind / spec.study_id for kind in kinds]

    def truth(self, spec: Spec) -> Path:
        """Return the file that says that a study is finished."""
        return self.out / "truth" / f"{spec.study_id}.json"


def generate(  # noqa: PLR0913  the public command's options, all but one keyword-only
    out: Path,
    *,
    studies: int,
    cohort: str | Cohort = Cohort.RSNA_LIKE,
    noise: str | Noise | None = None,
    header: str | Header = Header.RSNA,
    seed: int = 0,
    workers: int = 1,
    on_study: Callable[[str], None] | None = None,
    size: str | Size = Size.FULL,
    label_maps: bool = False,
    resume: bool = False,
) -> Path:
    """Write synthetic studies in the challenge's layout and return the root.

    Args:
        out: New or empty folder.
        studies: How many; even for the cohort `pairs`.
        cohort: Population.
        noise: Reader noise of the labels; None takes the cohort's default.
        header: DICOM header profile.
        seed: Root seed, not negative.
        workers: Processes, at least one.
        on_study: Called with the study id as each study is done.
        size: `small` makes tiny images for tests.
        label_maps: Whether to write label maps as NIfTI too.
        resume: Whether to keep the finished studies of an interrupted call with the same options.

    Raises:
        ConfigurationError: If an option is not known or the count does not fit.
        OutputError: If the folder already holds a cohort, or another one, or cannot be written.
    """
    base = Spec(
        seed=seed,
        cohort=Cohort(parse_choice(Cohort, str(cohort), "cohort")),
        noise=None if noise is None else Noise(parse_choice(Noise, str(noise), "noise")),
        header=Header(parse_choice(Header, str(header), "header")),
        size=Size(parse_choice(Size, str(size), "size")),
    )
    _check_count(base, studies)
    _check_whole("seed", seed, least=0)
    _check_whole("workers", workers, least=1)
    specs = [replace(base, index=index) for index in range(studies)]
    job = _Job(out, label_maps, resume)
    _check_folder(job, specs)
    rows: dict[str, StudyRows] = {}
    for outcome in run_many(partial(_write_one, job), specs, workers=workers):
        if outcome.error is not None or outcome.result is None:
            raise outcome.error or OutputError("a study was not written", path=out)
        rows[outcome.result.study_id] = outcome.result
        if on_study is not None:
            on_study(outcome.result.study_id)
    if label_maps:
        write_text(out / "label_maps" / "labels.json", label_table())
    write_tables(out, [rows[spec.study_id] for spec in specs])
    return out


def _check_count(spec: Spec, studies: int) -> None:
    if studies < 1 or studies > 99_999:
        raise ConfigurationError(
            f"cannot write {studies} studies", remedy="ask for 1 to 99999", code="VS-CFG-042"
        )
    if spec.cohort is Cohort.PAIRS and studies % 2:
        raise ConfigurationError(
            f"{studies} studies do not form pairs", remedy="ask for an even number",
            code="VS-CFG-043",
        )  # fmt: skip


def _check_whole(option: str, value: int, *, least: int) -> None:
    if value < least:
        raise ConfigurationError(
            f"{option} {value} is too small", remedy=f"choose {least} or more", code="VS-CFG-059"
        )


def _check_folder(job: _Job, specs: list[Spec]) -> None:
    """Refuse a folder that holds a cohort, or, when resuming, another one."""
    if not job.resume:
        if (job.out / "train.csv").exists() or (job.out / "train_images").exists():
            raise OutputError(
                "the folder already holds a cohort",
                path=job.out,
                remedy="choose another folder, remove this one first, or go on with --resume",
                code="VS-OUT-002",
            )
        return
    wanted = {spec.study_id: spec_record(spec) for spec in specs}
    for path in sorted((job.out / "truth").glob("*.json")):
        if not _is_made_from(path, wanted.get(path.stem, {})):
            raise OutputError(
                "the folder holds a study that these options would not make",
                path=path,
                remedy="resume with the options of the first call, or choose another folder",
                code="VS-OUT-003",
            )


def _is_made_from(truth: Path, wanted: dict[str, object]) -> bool:
    """Whether a truth file is of a study that was made from the wanted spec."""
    try:
        found = json.loads(truth.read_text())["spec"]
    except (ValueError, KeyError, TypeError, OSError):
        return False
    return bool(wanted) and {key: found.get(key) for key in wanted} == wanted


def _write_one(job: _Job, spec: Spec) -> StudyRows:
    """Write one study; its folders appear whole, then its truth. A finished one is kept."""
    folders, truth = job.folders(spec), job.truth(spec)
    if job.resume and truth.exists() and all(folder.is_dir() for folder in folders):
        return study_rows(outline_study(spec))
    made = acquire_study(spec)
    writers = [write_study, write_label_maps]
    for folder, write in zip(folders, writers, strict=False):
        with _whole_folder(folder) as partial_folder:
            write(made, partial_folder)
    write_text(truth, json.dumps(truth_record(made), indent=1) + "\n")
    return study_rows(made)


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder that takes the place of `folder` at the end, or goes away on any failure."""
    temporary = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror or type(error).__name__}",
            path=folder,
            remedy="check free space and permissions, or choose another folder",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

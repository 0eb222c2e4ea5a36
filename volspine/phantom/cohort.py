"""Write a cohort of synthetic studies in the challenge's layout, with the truth beside it.

    OUT/train.csv, train_series_descriptions.csv, train_label_coordinates.csv
    OUT/train_images/<study_id>/<series_id>/<instance>.dcm
    OUT/truth/<study_id>.json

A study depends on the seed, the cohort and its index alone, so the files are the same, bit for bit,
whatever the number of workers. Each study's folder appears whole.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from volspine.anatomy import TARGETS, Finding, Grade, Protocol
from volspine.challenge import (
    COORDINATE_COLUMNS,
    LABEL_COLUMNS,
    MISSING,
    SERIES_COLUMNS,
    condition_title,
    description_from_protocol,
)
from volspine.errors import ConfigurationError, OutputError
from volspine.jobs import run_many, write_text
from volspine.phantom.dicom import write_study
from volspine.phantom.spec import Cohort, Header, Noise, Size, Spec, parse_choice
from volspine.phantom.study import Acquired, acquire_study

__all__ = ["StudyRows", "generate", "mark", "truth_record"]

_VIEW = {
    Finding.CANAL: Protocol.SAGITTAL_T2,
    Finding.FORAMEN: Protocol.SAGITTAL_T1,
    Finding.RECESS: Protocol.AXIAL_T2,
}


@dataclass(frozen=True)
class StudyRows:
    """What one study adds to the three tables."""

    study_id: str
    labels: tuple[int, ...]
    series: tuple[tuple[str, str], ...]
    coordinates: tuple[tuple[str, ...], ...]


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
) -> Path:
    """Write synthetic studies in the challenge's layout and return the root.

    Args:
        out: New or empty folder.
        studies: How many; even for the cohort `pairs`.
        cohort: Population.
        noise: Reader noise of the labels; None takes the cohort's default.
        header: DICOM header profile.
        seed: Root seed.
        workers: Processes.
        on_study: Called with the study id as each study is done.
        size: `small` makes tiny images for tests.

    Raises:
        ConfigurationError: If an option is not known or the count does not fit.
        OutputError: If the folder already holds a cohort or cannot be written.
    """
    base = Spec(
        seed=seed,
        cohort=Cohort(parse_choice(Cohort, str(cohort), "cohort")),
        noise=None if noise is None else Noise(parse_choice(Noise, str(noise), "noise")),
        header=Header(parse_choice(Header, str(header), "header")),
        size=Size(parse_choice(Size, str(size), "size")),
    )
    _check(out, base, studies)
    specs = [replace(base, index=index) for index in range(studies)]
    rows: dict[str, StudyRows] = {}
    for outcome in run_many(partial(_write_one, out), specs, workers=workers):
        if outcome.error is not None or outcome.result is None:
            raise outcome.error or OutputError("a study was not written", path=out)
        rows[outcome.result.study_id] = outcome.result
        if on_study is not None:
            on_study(outcome.result.study_id)
    write_tables(out, [rows[spec.study_id] for spec in specs])
    return out


def _check(out: Path, spec: Spec, studies: int) -> None:
    if studies < 1 or studies > 99_999:
        raise ConfigurationError(
            f"cannot write {studies} studies", remedy="ask for 1 to 99999", code="VS-CFG-042"
        )
    if spec.cohort is Cohort.PAIRS and studies % 2:
        raise ConfigurationError(
            f"{studies} studies do not form pairs", remedy="ask for an even number",
            code="VS-CFG-043",
        )  # fmt: skip
    if (out / "train.csv").exists() or (out / "train_images").exists():
        raise OutputError(
            "the folder already holds a cohort",
            path=out,
            remedy="choose another folder, or remove this one first",
            code="VS-OUT-002",
        )


def _write_one(out: Path, spec: Spec) -> StudyRows:
    """Write one study; its folder appears whole, then its truth."""
    made = acquire_study(spec)
    folder = out / "train_images" / spec.study_id
    partial_folder = folder.with_name(f".{spec.study_id}.partial")
    try:
        shutil.rmtree(partial_folder, ignore_errors=True)
        write_study(made, partial_folder)
        partial_folder.replace(folder)
    except OSError as error:
        shutil.rmtree(partial_folder, ignore_errors=True)
        raise OutputError(
            f"cannot write: {error.strerror or type(error).__name__}",
            path=folder,
            remedy="check free space and permissions, or choose another folder",
        ) from error
    text = json.dumps(truth_record(made), indent=1)
    write_text(out / "truth" / f"{spec.study_id}.json", text + "\n")
    series = tuple((p.series_id, description_from_protocol(p.protocol)) for p in made.plan.series)
    labels = tuple(int(label) for label in made.labels)
    return StudyRows(spec.study_id, labels, series, tuple(_coordinates(made)))


def truth_record(made: Acquired) -> dict[str, object]:
    """Return what `truth/<study_id>.json` holds: grades before reader noise, LPS millimetres."""
    truth, spec = made.truth, made.truth.spec
    names = [target.name for target in TARGETS]
    pair = truth.pair
    return {
        "grades": dict(zip(names, (int(g) for g in truth.grades), strict=True)),
        "landmarks_mm": {
            name: [round(float(x), 4) for x in point]
            for name, point in zip(names, made.landmarks_mm, strict=True)
        },
        "measures": {
            **{n: round(float(m), 5) for n, m in zip(names, truth.measures, strict=True)},
            **{
                f"sac_area_mm2_{TARGETS[n].level.value}": round(float(a), 3)
                for n, a in enumerate(truth.sac_areas_mm2)
            },
        },
        "spec": {
            "study_id": spec.study_id,
            "seed": spec.seed,
            "index": spec.index,
            "cohort": spec.cohort.value,
            "noise": spec.reader.value,
            "header": spec.header.value,
            "size": spec.size.value,
            "synthetic": True,
            **({} if pair is None else {"pair": {
                "with": pair.partner, "target": pair.target.name,
                "from": pair.grades[0], "to": pair.grades[1],
            }}),
        },
    }  # fmt: skip


def _coordinates(made: Acquired) -> Iterable[tuple[str, ...]]:
    """Yield the rows of the coordinate table: each labelled target on its nearest slice."""
    for target, label in zip(TARGETS, made.labels, strict=True):
        if label == MISSING:
            continue
        series_id, instance, x, y = mark(made, target.index)
        yield (
            made.truth.spec.study_id, series_id, str(instance), condition_title(target.condition),
            target.level.label, f"{x:.4f}", f"{y:.4f}",
        )  # fmt: skip


def mark(made: Acquired, target_index: int) -> tuple[str, int, float, float]:
    """Return series id, instance number, column and row of a target on its nearest slice."""
    point = made.truth.landmarks_mm[target_index]
    view = _VIEW[TARGETS[target_index].finding]
    best: tuple[float, str, int, float, float] | None = None
    for plan in made.plan.series:
        if plan.protocol is not view:
            continue
        for index in range(len(plan.centres_mm)):
            across, down = plan.axes(index)
            offset = point - plan.first_pixel(index)
            gap = abs(float(offset @ np.cross(across, down)))
            if best is None or gap < best[0]:
                x, y = float(offset @ across), float(offset @ down)
                best = (gap, plan.series_id, index + 1, x / plan.pixel_mm, y / plan.pixel_mm)
    if best is None:
        raise ConfigurationError(f"no {view.value} series is planned", code="VS-CFG-044")
    return best[1:]


def write_tables(out: Path, rows: list[StudyRows]) -> None:
    """Write the challenge's three tables, studies in the given order."""
    labels = [
        (r.study_id, *("" if g == MISSING else Grade(g).label for g in r.labels)) for r in rows
    ]
    series = [(r.study_id, *pair) for r in rows for pair in r.series]
    marks = [row for r in rows for row in r.coordinates]
    _write_csv(out / "train_series_descriptions.csv", SERIES_COLUMNS, series)
    _write_csv(out / "train_label_coordinates.csv", COORDINATE_COLUMNS, marks)
    _write_csv(out / "train.csv", ("study_id", *LABEL_COLUMNS), labels)


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    lines = [",".join(columns), *(",".join(row) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")

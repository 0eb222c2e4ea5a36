"""What a synthetic study adds to the challenge's three tables, and its truth.

The coordinate table holds the true point of each graded target, projected on the nearest slice of
the series that its condition is read on. The cohorts that stand for real data carry a few
imperfections of the challenge's table too (see `filing`); `truth/` never does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from volspine.anatomy import TARGETS, Finding, Grade, Protocol
from volspine.challenge import (
    COORDINATE_COLUMNS,
    LABEL_COLUMNS,
    MISSING,
    SERIES_COLUMNS,
    condition_title,
    description_from_protocol,
)
from volspine.errors import ConfigurationError
from volspine.jobs import write_text
from volspine.phantom.filing import Marking
from volspine.phantom.spec import Spec
from volspine.phantom.study import Acquired

__all__ = [
    "Mark",
    "StudyRows",
    "mark",
    "nearest_slice",
    "spec_record",
    "study_rows",
    "truth_record",
    "write_tables",
]

NEAR_MM = 10.0
"""A missing grade has a mark at most if a slice runs this near."""

_VIEW = {
    Finding.CANAL: Protocol.SAGITTAL_T2,
    Finding.FORAMEN: Protocol.SAGITTAL_T1,
    Finding.RECESS: Protocol.AXIAL_T2,
}


@dataclass(frozen=True)
class Mark:
    """Where a target lies on a slice.

    Attributes:
        series: Position of the series in the plan.
        index: Of the slice in the series.
        x: Column.
        y: Row.
        gap_mm: How far the slice runs from the target.
    """

    series: int
    index: int
    x: float
    y: float
    gap_mm: float


@dataclass(frozen=True)
class StudyRows:
    """What one study adds to the three tables."""

    study_id: str
    labels: tuple[int, ...]
    series: tuple[tuple[str, str], ...]
    coordinates: tuple[tuple[str, ...], ...]


def study_rows(made: Acquired) -> StudyRows:
    """Return what a study adds to the tables; its pixels are not needed."""
    return StudyRows(
        study_id=made.truth.spec.study_id,
        labels=tuple(int(label) for label in made.labels),
        series=tuple(
            (p.series_id, description_from_protocol(p.protocol)) for p in made.plan.series
        ),
        coordinates=tuple(_coordinates(made)),
    )


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
            **spec_record(spec),
            **({} if pair is None else {"pair": {
                "with": pair.partner, "target": pair.target.name,
                "from": pair.grades[0], "to": pair.grades[1],
            }}),
        },
    }  # fmt: skip


def spec_record(spec: Spec) -> dict[str, object]:
    """Return what a study was made from, as `truth/<study_id>.json` says it."""
    return {
        "study_id": spec.study_id,
        "seed": spec.seed,
        "index": spec.index,
        "cohort": spec.cohort.value,
        "noise": spec.reader.value,
        "header": spec.header.value,
        "size": spec.size.value,
        "synthetic": True,
    }


def _coordinates(made: Acquired) -> Iterable[tuple[str, ...]]:
    """Yield the rows of the coordinate table."""
    for target in TARGETS:
        found = _marked(made, target.index)
        if found is None:
            continue
        series = made.plan.series[found.series]
        instance = made.filing.series[found.series].numbers[found.index]
        yield (
            made.truth.spec.study_id, series.series_id, str(instance),
            condition_title(target.condition), target.level.label,
            f"{found.x:.4f}", f"{found.y:.4f}",
        )  # fmt: skip


def _marked(made: Acquired, target_index: int) -> Mark | None:
    """Return where the table puts a target; None where it has no row."""
    filing, marking = made.filing, made.filing.markings[target_index]
    blank = made.labels[target_index] == MISSING
    if marking is Marking.ABSENT or (blank and not filing.blank_marked[target_index]):
        return None
    view = _VIEW[TARGETS[target_index].finding]
    if marking is Marking.ELSEWHERE:
        view = Protocol.SAGITTAL_T1
    found = nearest_slice(made, target_index, view)
    if found is None or (blank and found.gap_mm > NEAR_MM):
        return None
    if marking is Marking.PLACEHOLDER:
        return Mark(found.series, found.index, 5.0 + found.x % 0.5, 5.0 + found.y % 0.5, 0.0)
    return found


def nearest_slice(made: Acquired, target_index: int, view: Protocol | None = None) -> Mark | None:
    """Return where a target lies on the slice nearest to it; None if no series is of the view.

    Args:
        made: The study; its pixels are not needed.
        target_index: Position in `TARGETS`.
        view: Protocol of the series to look at; by default the one that the condition is read on.
    """
    point = made.truth.landmarks_mm[target_index]
    wanted = view or _VIEW[TARGETS[target_index].finding]
    best: Mark | None = None
    for number, plan in enumerate(made.plan.series):
        for index in range(len(plan.centres_mm) if plan.protocol is wanted else 0):
            offset = point - plan.first_pixel(index)
            gap = abs(float(offset @ plan.normal(index)))
            if best is None or gap < best.gap_mm:
                x, y = (float(offset @ axis) / plan.pixel_mm for axis in plan.axes(index))
                best = Mark(number, index, x, y, gap)
    return best


def mark(made: Acquired, target_index: int) -> tuple[str, int, float, float]:
    """Return series id, instance number, column and row of a target on its nearest slice.

    Raises:
        ConfigurationError: If no series is of the kind that its condition is read on.
    """
    found = nearest_slice(made, target_index)
    if found is None:
        raise ConfigurationError(
            "no series shows this target", remedy="ask for another study", code="VS-CFG-044"
        )
    instance = made.filing.series[found.series].numbers[found.index]
    return made.plan.series[found.series].series_id, instance, found.x, found.y


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

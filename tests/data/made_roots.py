"""A challenge root of tiny studies, made of arrays instead of DICOM files."""

import csv
from pathlib import Path

import numpy as np

from volspine.anatomy import PROTOCOLS, TARGETS, Grade, Protocol
from volspine.challenge import (
    COORDINATE_COLUMNS,
    LABEL_COLUMNS,
    SERIES_COLUMNS,
    condition_title,
    description_from_protocol,
)
from volspine.dicom.study import Series, Source, Study
from volspine.geometry.stack import Stack

SERIES_IDS = {protocol: str(1000 + n) for n, protocol in enumerate(PROTOCOLS)}
SLICES, ROWS, COLUMNS = 8, 24, 20
SPACING_MM = (4.0, 4.0, 4.0)


def write_table(path: Path, columns, rows, line_end: str = "\n") -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator=line_end)
        writer.writerow(columns)
        writer.writerows(rows)


def grade_text(grade: int) -> str:
    return "" if grade < 0 else Grade(grade).label


def mark_of(target) -> tuple[int, int, int]:
    """Column (towards the back), row (downwards) and slice (towards the left) of a target."""
    slice_ = {None: 4, "left": 6, "right": 1}[target.side and target.side.value]
    return 10, 3 + 4 * (target.index % 5), slice_


def write_root(root: Path, grades, *, line_end: str = "\n", seed: int = 0) -> Path:
    """Write the tables and image folders of as many studies as `grades` has rows."""
    root.mkdir(parents=True, exist_ok=True)
    ids = [str(100 + n) for n in range(len(grades))]
    labels = [[i, *map(grade_text, row)] for i, row in zip(ids, grades, strict=True)]
    write_table(root / "train.csv", ["study_id", *LABEL_COLUMNS], labels, line_end)
    series = [
        [i, SERIES_IDS[protocol], description_from_protocol(protocol)]
        for i in ids
        for protocol in PROTOCOLS
    ]
    write_table(root / "train_series_descriptions.csv", SERIES_COLUMNS, series, line_end)
    marks = []
    for i in ids:
        for target in TARGETS:
            x, y, k = mark_of(target)
            title = condition_title(target.condition)
            marks.append(
                [i, SERIES_IDS[Protocol.SAGITTAL_T2], k + 1, title, target.level.label, x, y]
            )
    write_table(root / "train_label_coordinates.csv", COORDINATE_COLUMNS, marks, line_end)
    for i, row in zip(ids, grades, strict=True):
        folder = root / "train_images" / i
        folder.mkdir(parents=True)
        (folder / "grades.txt").write_text(" ".join(map(str, row)))
    return root


def read_fake_study(path: Path, **_) -> Study:
    """Stand in for `read_study`: bright spots at the marks, brighter where the grade is worse.

    Sagittal slices from the patient's right to the left, columns to the back, rows downwards.
    """
    grades = [int(g) for g in (path / "grades.txt").read_text().split()]
    rng = np.random.default_rng(int(path.name))
    affine = np.array([[0, 0, 4.0, -14.0], [4.0, 0, 0, -38.0], [0, -4.0, 0, 46.0], [0, 0, 0, 1]])
    series = []
    for protocol in PROTOCOLS:
        voxels = rng.normal(100, 5, (COLUMNS, ROWS, SLICES)).astype(np.float32)
        for target, grade in zip(TARGETS, grades, strict=True):
            x, y, k = mark_of(target)
            voxels[x - 1 : x + 2, y - 1 : y + 2, k] += 60.0 * max(grade, 0)
        sources = [[Source("", k + 1, f"{path.name}.1.{k + 1}", "") for k in range(SLICES)]]
        series.append(
            Series(
                uid=f"{path.name}.{SERIES_IDS[protocol]}",
                name=SERIES_IDS[protocol],
                protocol=protocol,
                reason="made so",
                stacks=[Stack.from_array(voxels, affine)],
                instances=sources,
            )
        )
    return Study(name=path.name, series=series, path=path)

"""Own labels of the made-up studies: canal and recesses at two levels, under other names."""

import csv
from pathlib import Path

import yaml

from tests.data import made_roots
from volspine.anatomy import TARGETS
from volspine.data.own_tables import OwnTables

NAMES = {
    "tight_high": "spinal_canal_stenosis_l2_l3",
    "tight_low": "spinal_canal_stenosis_l3_l4",
    "root_l_high": "left_subarticular_stenosis_l2_l3",
    "root_r_high": "right_subarticular_stenosis_l2_l3",
    "root_l_low": "left_subarticular_stenosis_l3_l4",
    "root_r_low": "right_subarticular_stenosis_l3_l4",
}
"""Own name of a target, and what it is a name of."""

GRADES = ("free", "touched", "squeezed", "never seen")


def targets() -> dict[str, object]:
    """Return what is graded, as plain data."""
    rows = []
    for name in NAMES:
        finding, *_, level = name.split("_")
        side = {"_l_": {"side": "left"}, "_r_": {"side": "right"}}.get(name[4:7], {})
        rows.append({"name": name, "finding": finding, "level": level, **side})
    return {"grades": list(GRADES), "targets": rows}


def write_own(folder: Path, grades) -> tuple[Path, OwnTables]:
    """Write images, targets, labels and marks; return the folder of studies, and the tables."""
    root = made_roots.write_root(folder / "theirs", grades) / "train_images"
    (folder / "targets.yaml").write_text(yaml.safe_dump(targets()))
    index = {target.name: target.index for target in TARGETS}
    labels, marks = [["study_id", *NAMES]], [["study_id", "target", "x_mm", "y_mm", "z_mm"]]
    for number, row in enumerate(grades):
        told = [row[index[there]] for there in NAMES.values()]
        labels.append([str(100 + number), *("" if g < 0 else GRADES[g] for g in told)])
        marks += [[str(100 + number), name, *place(index[there])] for name, there in NAMES.items()]
    for name, rows in (("labels.csv", labels), ("marks.csv", marks)):
        with (folder / name).open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)
    return root, OwnTables(
        targets=folder / "targets.yaml",
        table=folder / "labels.csv",
        marks=folder / "marks.csv",
    )


def place(target: int) -> list[float]:
    """Return where `read_fake_study` paints a target, LPS mm."""
    x, y, k = made_roots.mark_of(TARGETS[target])
    return [-14.0 + 4.0 * k, -38.0 + 4.0 * x, 46.0 - 4.0 * y]

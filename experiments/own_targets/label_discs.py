"""Label the discs of a phantom root as a reader of one's own would: a table and a file of marks.

    python experiments/own_targets/label_discs.py ROOT

writes ROOT/discs.csv, study_id and a column for each target of targets.yaml, and disc_marks.csv,
where the middle of each disc is, LPS mm. The grade of a disc is how much of the water of its
nucleus it has kept, which the phantom knows and its T2-weighted images show.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.spec import Cohort, Header, Noise, Size, Spec
from volspine.phantom.study import outline_study
from volspine.phantom.truth import canal_points

LEVELS = ("t12_l1", "l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")
SEGMENTS = tuple(FIRST_SEGMENT - 1 + n for n in range(len(LEVELS)))
GRADES = ("wet", "drying", "dry", "black")
LEAST = (0.75, 0.5, 0.25)
"""Share of water that a disc has at least in each grade but the last."""


def grade_of(water: float) -> str:
    """Return the grade of a disc that has kept a share of its water.

    Example:
        >>> grade_of(0.9), grade_of(0.1)
        ('wet', 'black')
    """
    return GRADES[sum(water < least for least in LEAST)]


def label(spec: Spec) -> tuple[list[str], np.ndarray]:
    """Return the grade of each disc and where its middle is, (6, 3) LPS mm."""
    made = outline_study(spec)
    anatomy = made.truth.anatomy
    places = np.array([
        (x, *anatomy.frame.locate(segment, 0.5, 0.0))
        for segment, (x, _, _) in zip(SEGMENTS, canal_points(anatomy, SEGMENTS), strict=True)
    ])  # fmt: skip
    grades = [grade_of(float(anatomy.subject.hydration[segment])) for segment in SEGMENTS]
    return grades, made.plan.pose.to_patient(places)


def spec_of(truth: Path) -> Spec:
    """Return what a study was made from, as its truth file says."""
    told = json.loads(truth.read_text())["spec"]
    return Spec(
        seed=told["seed"],
        index=told["index"],
        cohort=Cohort(told["cohort"]),
        noise=Noise(told["noise"]),
        header=Header(told["header"]),
        size=Size(told["size"]),
    )


def write_csv(path: Path, rows: list[list[str]]) -> None:
    """Write rows, of which the first is the header."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def main() -> None:
    """Label every study of a root."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("root", type=Path, help="what volspine phantom wrote")
    root = parser.parse_args().root
    names = [f"disc_{level}" for level in LEVELS]
    labels, marks = [["study_id", *names]], [["study_id", "target", "x_mm", "y_mm", "z_mm"]]
    for truth in sorted((root / "truth").glob("*.json")):
        grades, places = label(spec_of(truth))
        labels.append([truth.stem, *grades])
        marks += [
            [truth.stem, name, *(f"{v:.2f}" for v in place)]
            for name, place in zip(names, places, strict=True)
        ]
    write_csv(root / "discs.csv", labels)
    write_csv(root / "disc_marks.csv", marks)
    print(f"{len(labels) - 1} studies labelled")


if __name__ == "__main__":
    main()

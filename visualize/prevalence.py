"""How common each grade is at each level: a panel a condition, from a table of labels.

    python visualize/prevalence.py [train.csv] [--out FILE.png]

The table is a `train.csv`, or a long table with grades. Without one the labels of synthetic people
are drawn, without an image. A bar is a level, 100 % of its labels; numbers are per cent; beside it
stands how many labels there are. Darker is worse, and severe is hatched, so the picture reads in
grey too. Numbers of synthetic studies say nothing about patients. Research use only, not a medical
device.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from volspine.anatomy import LEVELS, Condition, Grade, Target
from volspine.data.grade_values import read_grade_values
from volspine.errors import VolspineError
from volspine.phantom.people import draw_people
from volspine.types import FloatArray, IntArray

STUDIES = 2000
"""Synthetic people, without a table."""

COLORS = ("#dbe6f1", "#f2b84b", "#7a1f3d")
"""Normal/Mild, Moderate, Severe: light to dark, told apart by colour-blind readers."""

INKS = ("#222222", "#222222", "white")
LEAST_WRITTEN = 0.04
"""Share below which a part of a bar is too short for its number."""


def main() -> None:
    """Read or draw the labels, and draw how common they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="train.csv or long table with grades")
    parser.add_argument("--out", type=Path, default=Path("prevalence.png"))
    arguments = parser.parse_args()
    try:
        values, name = labels_of(arguments.table)
    except VolspineError as error:
        raise SystemExit(str(error)) from error
    title = f"Grades by level: {len(values)} studies, {name}. Research use only."
    drawn(counts_of(values), title=title).savefig(arguments.out, dpi=100)
    print(f"saved {arguments.out}: {len(values)} studies, {name}")


def labels_of(table: Path | None) -> tuple[FloatArray, str]:
    """Return labels (N, 25), NaN where missing, and whose they are."""
    if table is not None:
        return read_grade_values(table), table.name
    labels = draw_people(STUDIES).labels.astype(np.float64)
    return np.where(labels < 0, np.nan, labels), "labels of synthetic people"


def counts_of(values: FloatArray) -> IntArray:
    """Return how many labels of each grade a target has, (25, 3); expected grades are rounded."""
    return np.stack([(np.rint(values) == grade).sum(axis=0) for grade in Grade], axis=1)


def drawn(counts: IntArray, *, title: str) -> Figure:
    """Return a panel a condition, as in the patient: L1/L2 above, the right side on the left."""
    order = (
        Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
        Condition.RIGHT_SUBARTICULAR_STENOSIS,
        Condition.SPINAL_CANAL_STENOSIS,
        Condition.LEFT_SUBARTICULAR_STENOSIS,
        Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
    )
    figure, axes = plt.subplots(1, len(order), figsize=(15, 4.2), sharey=True, layout="constrained")
    for axis, condition in zip(axes, order, strict=True):
        rows = [Target(condition, level).index for level in LEVELS]
        draw(axis, counts[rows])
        axis.set_title(condition.label, fontsize=10)
    axes[0].set_yticks(range(len(LEVELS)), [level.label for level in LEVELS])
    axes[0].invert_yaxis()
    axes[0].set_ylabel("level")
    figure.suptitle(title, fontsize=11)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(Grade), frameon=False)
    return figure


def draw(axis: Axes, counts: IntArray) -> None:
    """Draw the bars of one condition, counts (5, 3)."""
    total = counts.sum(axis=1)
    shares = counts / np.maximum(total, 1)[:, None]
    left = np.zeros(len(counts))
    for grade in Grade:
        share = shares[:, grade]
        look = {"color": COLORS[grade], "edgecolor": "white", "label": grade.label}
        axis.barh(range(len(counts)), share, left=left, hatch="//" if grade == 2 else "", **look)
        for row in np.flatnonzero(share >= LEAST_WRITTEN):
            place = {"ha": "center", "va": "center", "fontsize": 8, "color": INKS[grade]}
            box = {"facecolor": COLORS[grade], "edgecolor": "none", "pad": 0.8}
            text = f"{100 * share[row]:.0f}"
            axis.text(left[row] + share[row] / 2, row, text, bbox=box, **place)
        left = left + share
    for row, n in enumerate(total):
        axis.text(1.02, row, f"{n}", va="center", fontsize=8, color="0.35")
    axis.set(xlim=(0, 1.16), xlabel="share of labels, %; beside: number")
    axis.set_xticks([0, 0.5, 1], ["0", "50", "100"])
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()

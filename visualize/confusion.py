"""What is mistaken for what: a confusion matrix for each condition.

    python visualize/confusion.py [RUN/test_predictions.csv] [--out FILE.png]

The table is what `volspine test` writes; the grade given is the likeliest one. Without a table
synthetic people are drawn, read by one reader and graded by whoever knows their severities exactly:
what is then still mistaken is the reader's noise, and no grader can do better. A row is what the
label says, a column what was given; a cell holds its share of the row and its number of labels, and
is darker the larger the share. Above stands Cohen's kappa with squared distances. Numbers of
synthetic studies say nothing about patients. Research use only, not a medical device.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from volspine.anatomy import TARGETS, Condition, Grade
from volspine.data.prediction_table import read_predictions
from volspine.errors import VolspineError
from volspine.metrics.ordinal import confusion, quadratic_weighted_kappa
from volspine.phantom.people import draw_people
from volspine.types import FloatArray, IntArray

STUDIES = 2000
"""Synthetic people, without a table."""

DARK = 0.55
"""Cells with a larger share have white numbers."""


def main() -> None:
    """Read or make grades, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="test_predictions.csv of a run")
    parser.add_argument("--out", type=Path, default=Path("confusion.png"))
    arguments = parser.parse_args()
    try:
        probabilities, labels, name = judged_rows(arguments.table)
    except VolspineError as error:
        raise SystemExit(str(error)) from error
    counts = confusions(probabilities, labels)
    figure = drawn(counts, title=f"{len(labels)} studies, {name}. Research use only.")
    figure.savefig(arguments.out, dpi=100)
    print(f"saved {arguments.out}: {len(labels)} studies, {name}")


def judged_rows(table: Path | None) -> tuple[FloatArray, IntArray, str]:
    """Return probabilities (N, 25, 3), labels (N, 25) and whose they are."""
    if table is not None:
        return *read_predictions(table), table.name
    people = draw_people(STUDIES)
    return people.belief, people.labels, "synthetic people, graded by the best possible grader"


def confusions(probabilities: FloatArray, labels: IntArray) -> dict[Condition, IntArray]:
    """Return counts by label (row) and likeliest grade (column), of all levels of a condition."""
    given = probabilities.argmax(axis=-1)
    of = {c: [t.index for t in TARGETS if t.condition is c] for c in Condition}
    return {c: confusion(labels[:, rows], given[:, rows]) for c, rows in of.items()}


def drawn(counts: dict[Condition, IntArray], *, title: str) -> Figure:
    """Return a matrix a condition."""
    figure, axes = plt.subplots(1, len(counts), figsize=(17, 4.1), layout="constrained")
    for axis, (condition, count) in zip(axes, counts.items(), strict=True):
        draw(axis, count)
        kappa = quadratic_weighted_kappa(count)
        axis.set_title(f"{condition.label}\nkappa {kappa:.2f}", fontsize=10)
    axes[0].set_ylabel("label")
    figure.suptitle(title, fontsize=11)
    return figure


def draw(axis: Axes, counts: IntArray) -> None:
    """Draw one matrix, (3, 3)."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        color = "white" if share > DARK else "black"
        text = f"{100 * share:.0f} %\n{counts[row, column]}"
        axis.text(column, row, text, ha="center", va="center", color=color, fontsize=10)
    names = [grade.label.replace("/", "/\n") for grade in Grade]
    axis.set_xticks(range(len(names)), names, fontsize=9)
    axis.set_yticks(range(len(names)), names, fontsize=9, rotation=90, va="center")
    axis.set_xlabel("given")


if __name__ == "__main__":
    main()

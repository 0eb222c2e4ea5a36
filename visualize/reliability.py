"""Did what a model said come true that often: a reliability diagram for each finding and grade.

    python visualize/reliability.py RUN/test_predictions.csv [--out FILE.png] [--bins 10]

The table is what `volspine test` writes: calibrated probabilities beside the label. A disc is a bin
of rows that say about the same, its area as their number, its bar the 95 % interval of the share
that came true; on the dashed line both agree. A bar that crosses it says nothing against the model.
Numbers of synthetic studies say nothing about patients.
Research use only, not a medical device.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from volspine.challenge import MISSING, PROBABILITY_COLUMNS, parse_row_id
from volspine.data.tables import number_in, read_rows, whole_number_in
from volspine.errors import VolspineError
from volspine.metrics.reliability import Reliability, reliability
from volspine.types import FloatArray, IntArray

COLOR = "#1f5fa8"


def main() -> None:
    """Read, judge and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path, help="test_predictions.csv of a run")
    parser.add_argument("--out", type=Path, default=Path("reliability.png"))
    parser.add_argument("--bins", type=int, default=10, help="at most; 20 rows or more in each")
    arguments = parser.parse_args()
    try:
        probabilities, grades = read_predictions(arguments.predictions)
    except VolspineError as error:
        raise SystemExit(str(error)) from error
    figure = drawn(reliability(probabilities, grades, bins=arguments.bins))
    figure.suptitle(f"{len(grades)} studies of {arguments.predictions}", fontsize=10)
    figure.savefig(arguments.out, dpi=120)
    print(f"saved {arguments.out}")


def read_predictions(path: Path) -> tuple[FloatArray, IntArray]:
    """Return probabilities (N, 25, 3) and labels (N, 25) of a table; -1 where there is none.

    Raises:
        TableError: If the table is missing, lacks a column or has a cell that is no number.
    """
    studies: dict[str, tuple[FloatArray, IntArray]] = {}
    for row in read_rows(path, ("row_id", *PROBABILITY_COLUMNS, "grade")):
        name, target = parse_row_id(row["row_id"])
        p, grade = studies.setdefault(name, (np.full((25, 3), 1 / 3), np.full(25, MISSING)))
        p[target.index] = [number_in(row, column, path) for column in PROBABILITY_COLUMNS]
        grade[target.index] = whole_number_in(row, "grade", path) if row["grade"] else MISSING
    if not studies:
        raise SystemExit("the table has no row")
    probabilities, grades = zip(*studies.values(), strict=True)
    return np.stack(probabilities), np.stack(grades)


def drawn(judged: dict[str, dict[str, Reliability]]) -> Figure:
    """Return a picture with a row for each finding and a column for each event."""
    columns = len(next(iter(judged.values())))
    figure, axes = plt.subplots(
        len(judged), columns, figsize=(3 * columns, 3.3 * len(judged)), layout="constrained"
    )
    for row, (finding, events) in zip(axes, judged.items(), strict=True):
        for ax, (event, found) in zip(row, events.items(), strict=True):
            draw(ax, found)
            ax.set_title(f"{finding}\n{event}".replace("_", " "), fontsize=9)
        row[0].set_ylabel("share that came true")
    for ax in axes[-1]:
        ax.set_xlabel("probability said")
    return figure


def draw(ax: Axes, found: Reliability) -> None:
    """Draw one event."""
    ax.plot([0, 1], [0, 1], "--", color="0.5", linewidth=1)
    most = max((b.rows for b in found.bins), default=1)
    for b in found.bins:
        ax.plot([b.said, b.said], [b.interval.low, b.interval.high], color=COLOR, linewidth=1.2)
        ax.scatter([b.said], [b.seen], s=36 * b.rows / most, color=COLOR, zorder=3)
    text = (
        f"{found.events} of {found.rows} rows\n"
        f"ECE {found.ece:.3f}, by chance {found.chance:.3f}\n"
        f"slope {found.slope:.2f} ({found.slope_interval.low:.2f} to "
        f"{found.slope_interval.high:.2f})"
    )
    ax.text(0.03, 0.97, text, transform=ax.transAxes, va="top", fontsize=7)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")


if __name__ == "__main__":
    main()

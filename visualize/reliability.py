"""Did what a model said come true that often: a reliability diagram for each finding and grade.

    python visualize/reliability.py [RUN/test_predictions.csv] [--out FILE.png] [--bins 10]

The table is what `volspine test` writes: calibrated probabilities beside the label. Without one,
synthetic people are drawn and judged by whoever knows their severities exactly, so that every bin
should lie on the line. A disc is a bin
of rows that say about the same, its area as their number, its bar the 95 % interval of the share
that came true; on the dashed line both agree. A bar that crosses it says nothing against the model.
Numbers of synthetic studies say nothing about patients.
Research use only, not a medical device.
"""

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from volspine.data.prediction_table import read_predictions
from volspine.errors import VolspineError
from volspine.metrics.reliability import Reliability, reliability
from volspine.phantom.people import draw_people
from volspine.types import FloatArray, IntArray

COLOR = "#1f5fa8"

STUDIES = 600
"""Synthetic people, without a table."""


def main() -> None:
    """Read, judge and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="test_predictions.csv of a run")
    parser.add_argument("--out", type=Path, default=Path("reliability.png"))
    parser.add_argument("--bins", type=int, default=10, help="at most; 20 rows or more in each")
    arguments = parser.parse_args()
    try:
        probabilities, grades, name = judged_rows(arguments.table)
    except VolspineError as error:
        raise SystemExit(str(error)) from error
    figure = drawn(reliability(probabilities, grades, bins=arguments.bins))
    figure.suptitle(f"{len(grades)} studies, {name}. Research use only.", fontsize=10)
    figure.savefig(arguments.out, dpi=100)
    print(f"saved {arguments.out}: {len(grades)} studies, {name}")


def judged_rows(table: Path | None) -> tuple[FloatArray, IntArray, str]:
    """Return probabilities (N, 25, 3), labels (N, 25) and whose they are."""
    if table is not None:
        return *read_predictions(table), table.name
    people = draw_people(STUDIES)
    return people.belief, people.labels, "synthetic people, judged by the best possible grader"


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

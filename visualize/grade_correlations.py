"""Which grades are bad together: the correlations of the 25 targets, and what they say of sides.

    python visualize/grade_correlations.py [TABLE.csv] [--out FILE.png] [--studies 2000] [--seed 0]

The table is a `train.csv`, or rows of an out-of-fold or test table: grades where it has them, else
expected grades. Without a table the labels of synthetic people are drawn on the spot, without an
image. Spearman's coefficient, over the studies that know both grades of a pair
(`volspine.metrics.correlation` says why); a hatched cell has none. Below the matrix stands how
alike left and right of one level are, beside neighbouring levels and other findings.
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

from volspine.anatomy import LEVELS, TARGETS, Condition
from volspine.data.grade_values import read_grade_values
from volspine.errors import VolspineError
from volspine.metrics.correlation import Kinship, grade_correlation, kinships
from volspine.phantom.people import draw_people
from volspine.types import FloatArray

COLORS = "RdBu_r"
"""Red to blue through white: told apart by colour-blind readers, and in print by the numbers."""

DARK = 0.6
"""Cells with a coefficient beyond this have white numbers."""


def main() -> None:
    """Read or draw the grades, correlate, say and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="train.csv or long table of grades")
    parser.add_argument("--out", type=Path, default=Path("grade_correlations.png"))
    parser.add_argument("--studies", type=int, default=2000, help="synthetic ones, without a table")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic ones")
    arguments = parser.parse_args()
    try:
        values = _values(arguments.table, arguments.studies, arguments.seed)
        rho = grade_correlation(values)
    except VolspineError as error:
        raise SystemExit(str(error)) from error
    name = arguments.table.name if arguments.table else "labels of synthetic people"
    told = [sentence(kin) for kin in kinships(rho)]
    print("\n".join(told))
    drawn(rho, title=f"{len(values)} studies, {name}", caption=told).savefig(arguments.out, dpi=100)
    print(f"saved {arguments.out}")


def _values(table: Path | None, studies: int, seed: int) -> FloatArray:
    return read_grade_values(table) if table else synthetic_grades(studies, seed)


def synthetic_grades(studies: int, seed: int) -> FloatArray:
    """Return the labels that one reader gives synthetic people, (N, 25); NaN where missing."""
    labels = draw_people(studies, seed=seed).labels.astype(np.float64)
    return np.where(labels < 0, np.nan, labels)


def sentence(kin: Kinship) -> str:
    """Return what is found of one kind of pair, in words."""
    if not kin.pairs:
        return f"{kin.name}: no pair has a correlation"
    return (
        f"{kin.name}: mean {kin.mean:.2f} of {kin.pairs} pairs ({kin.least:.2f} to {kin.most:.2f})"
    )


def drawn(rho: FloatArray, *, title: str, caption: list[str]) -> Figure:
    """Return the matrix as a picture, blocks by condition, with the caption below."""
    figure, ax = plt.subplots(figsize=(11, 11.3), layout="constrained")
    ax.set_facecolor("0.85")
    ax.patch.set_hatch("////")
    ax.patch.set_edgecolor("0.6")
    image = ax.imshow(np.ma.masked_invalid(rho), cmap=COLORS, vmin=-1, vmax=1)
    write_numbers(ax, rho)
    mark_blocks(ax)
    ax.set_title(f"Spearman correlation of grades, in hundredths: {title}", fontsize=12)
    figure.colorbar(image, ax=ax, shrink=0.6, pad=0.02, label="correlation")
    figure.supxlabel("\nMean correlation by kind of pair\n" + "\n".join(caption), fontsize=10)
    return figure


def write_numbers(ax: Axes, rho: FloatArray) -> None:
    """Write each coefficient in hundredths."""
    for (row, column), value in np.ndenumerate(rho):
        if np.isfinite(value):
            color = "white" if abs(value) > DARK else "black"
            text = f"{100 * value:.0f}"
            ax.text(column, row, text, ha="center", va="center", fontsize=6.5, color=color)


def mark_blocks(ax: Axes) -> None:
    """Name the levels at each tick and the conditions beside their blocks, with lines between."""
    count = len(LEVELS)
    names = [target.level.label for target in TARGETS]
    ax.set_xticks(range(len(TARGETS)), names, rotation=90, fontsize=8)
    ax.set_yticks(range(len(TARGETS)), names, fontsize=8)
    for n, condition in enumerate(Condition):
        middle, text = n * count + (count - 1) / 2, _two_lines(condition)
        place = {"fontsize": 10, "ha": "center", "va": "center"}
        ax.text(middle, len(TARGETS) + 2.1, text, **place)
        ax.text(-3.6, middle, text, rotation=90, **place)
    for edge in range(count, len(TARGETS), count):
        ax.axhline(edge - 0.5, color="black", linewidth=1.2)
        ax.axvline(edge - 0.5, color="black", linewidth=1.2)


def _two_lines(condition: Condition) -> str:
    *first, last = condition.term.split("_")
    return f"{' '.join(first)}\n{last}"


if __name__ == "__main__":
    main()

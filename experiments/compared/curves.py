"""Curves: from the logs of runs to one picture, a panel for each run.

Blue, left axis: the challenge's score of the validation set at the end of every epoch, after the
decision layer; the dashed line is what the prior scores on the test set. Grey, right axis: the mean
training loss of every epoch, whatever it is made of. Parts of a run that was resumed are joined.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

SCORE, LOSS, STEP = "val/score", "train/loss", "step"
BLUE, GREY = "#1f5fa8", "#8a8a8a"
COLUMNS = 4


class Curve(NamedTuple):
    """Values by step, each (points, 2)."""

    score: np.ndarray
    loss: np.ndarray


def read_curve(folder: Path) -> Curve:
    """Return what was logged of a run, in order of steps; of a step logged twice the last.

    Raises:
        SystemExit: If nothing was logged.
    """
    tables = sorted(folder.glob("logs/version_*/metrics.csv"), key=_version)
    rows = [row for path in tables for row in _rows(path)]
    curve = Curve(*(_values(rows, name) for name in (SCORE, LOSS)))
    if not len(curve.loss):
        raise SystemExit(f"{folder.name} has no logs of its training")
    return curve


def _version(path: Path) -> int:
    return int(path.parent.name.rpartition("_")[2])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _values(rows: Sequence[dict[str, str]], name: str) -> np.ndarray:
    found = {int(row[STEP]): float(row[name]) for row in rows if row.get(name) and row.get(STEP)}
    return np.array(sorted(found.items()), dtype=np.float64).reshape(-1, 2)


def draw(curves: dict[str, Curve], prior: float, path: Path) -> None:
    """Save a picture with a panel for each run.

    Args:
        curves: By name of the run.
        prior: Score of the prior.
        path: Of the picture.
    """
    lines = -(-len(curves) // COLUMNS)
    size = (3.4 * COLUMNS, 2.5 * lines + 0.6)
    figure, axes = plt.subplots(lines, COLUMNS, figsize=size, squeeze=False, layout="constrained")
    highest = max([prior, *(c.score[:, 1].max() for c in curves.values() if len(c.score))])
    for axis, (name, curve) in zip(axes.flat, curves.items(), strict=False):
        _panel(axis, name, curve, prior)
        axis.set_ylim(0, 1.05 * highest)
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    figure.suptitle(
        "Validation score (blue) beside the prior's of the test set (dashed), "
        "and training loss (grey, right)",
        fontsize=10,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _panel(axis: Axes, name: str, curve: Curve, prior: float) -> None:
    other = axis.twinx()
    other.plot(*curve.loss.T, color=GREY, linewidth=1.2)
    other.set_ylim(0, 1.05 * max(curve.loss[:, 1].max(), 1e-9))
    other.tick_params(labelsize=7, colors=GREY)
    axis.axhline(prior, color="black", linestyle="--", linewidth=0.8)
    axis.plot(*curve.score.T, color=BLUE, linewidth=1.6, marker="o", markersize=2.5)
    axis.set_zorder(other.get_zorder() + 1)
    axis.patch.set_visible(False)
    axis.set_title(name, fontsize=9)
    axis.set_xlabel("step", fontsize=7)
    axis.tick_params(labelsize=7)
    axis.tick_params(axis="y", colors=BLUE)

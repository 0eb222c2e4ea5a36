"""What more studies bring: score against how many were learned from, beside prior and ceiling.

    python visualize/learning_curve.py [CURVE/learning_curve.csv] [--out FILE.png]

The table is that of `experiments/learning_curve.py`, which trains networks on images. Without one a
small experiment runs on the spot, without an image: synthetic people have 25 severities that are
measured with an error, one reader grades them, and for each target a regression on all 25 measures
is fitted to 25, 50, ... 1,600 people and tried on 2,000 others, five times. Dotted: who knows only
how common each grade is. Dashed: the best possible grader, who knows each severity without error,
as no regression here does. Bars: least and most of the five. Numbers of synthetic studies say
nothing about patients. Research use only, not a medical device.
"""

import argparse
import csv
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import minimize

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.phantom.people import People, draw_people
from volspine.types import FloatArray, IntArray

SIZES = (25, 50, 100, 200, 400, 800, 1600)
REPEATS, TEST = 5, 2000
ERROR = 0.4
"""Of a measured severity, in its standard deviations."""

RIDGE = 3.0
"""Weight of the squared coefficients beside the sum of log losses."""

SHOWN = 4
"""Targets of each finding that are fitted; all would take a minute."""

COLORS = {Finding.CANAL: "#0072b2", Finding.FORAMEN: "#d55e00", Finding.RECESS: "#009e73"}
MARKS = {Finding.CANAL: "o", Finding.FORAMEN: "s", Finding.RECESS: "^"}
TITLES = {
    "accuracy": "accuracy (higher is better)",
    "log_loss": "log loss (lower is better)",
    "weighted_log_loss": "weighted log loss (lower is better)",
}
Row = dict[str, str | float]


def main() -> None:
    """Read or make the curve, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="learning_curve.csv of an experiment")
    parser.add_argument("--out", type=Path, default=Path("learning_curve.png"))
    arguments = parser.parse_args()
    if arguments.table is None:
        rows, name = experiment(), "regressions on measures of synthetic people"
    else:
        rows, name = table_rows(arguments.table), arguments.table.name
    drawn(rows, title=f"Learning curve: {name}. Research use only.").savefig(arguments.out, dpi=100)
    print(f"saved {arguments.out}: {name}")


def table_rows(path: Path) -> list[Row]:
    """Return the rows of a table of `experiments/learning_curve.py`."""
    names = ("mean", "low", "high")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [{**row, **{name: float(row[name]) for name in names}} for row in rows]
    except (OSError, KeyError, ValueError) as error:
        raise SystemExit(f"{path.name} is no table of a learning curve: {error}") from error


def experiment(
    sizes: tuple[int, ...] = SIZES, repeats: int = REPEATS, test: int = TEST
) -> list[Row]:
    """Return the curve of regressions on measured severities, with floor and ceiling."""
    others = draw_people(test, seed=1)
    common = draw_people(5000, seed=2).belief.mean(axis=0)
    pools = [draw_people(max(sizes), seed=100 + n) for n in range(repeats)]
    rows: list[Row] = []
    for finding in Finding:
        targets = [t.index for t in TARGETS if t.finding is finding][:SHOWN]
        guess = np.broadcast_to(common[targets], (test, len(targets), len(Grade)))
        ends = {"prior": guess, "ceiling": others.belief[:, targets]}
        for name, belief in ends.items():
            rows += told(finding, name, [scores(belief, others.labels[:, targets])])
        for size in sizes:
            beliefs = [learned(pool, others, targets, size) for pool in pools]
            found = [scores(belief, others.labels[:, targets]) for belief in beliefs]
            rows += told(finding, str(size), found)
    return rows


def learned(pool: People, others: People, targets: list[int], size: int) -> FloatArray:
    """Return what regressions on some people believe of others, (N, targets, 3)."""
    here, there = measured(pool, seed=size)[:size], measured(others, seed=0)
    beliefs = []
    for target in targets:
        known = pool.labels[:size, target] >= 0
        weights = fitted(here[known], pool.labels[:size, target][known])
        beliefs.append(softmax(there @ weights))
    return np.stack(beliefs, axis=1)


def measured(people: People, *, seed: int) -> FloatArray:
    """Return severities with an error, and a column of ones, (N, 26)."""
    rng = np.random.default_rng(seed)
    seen = people.severity + ERROR * rng.standard_normal(people.severity.shape)
    return np.hstack([seen, np.ones((len(seen), 1))])


def fitted(x: FloatArray, labels: IntArray) -> FloatArray:
    """Return the coefficients (26, 3) of a regression with least penalised log loss."""
    truth, shape = np.eye(len(Grade))[labels], (x.shape[1], len(Grade))

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        weights = flat.reshape(shape)
        p = softmax(x @ weights)
        slope = x.T @ (p - truth) + RIDGE * weights
        total = -np.log(np.maximum((p * truth).sum(axis=1), 1e-12)).sum()
        return total + RIDGE / 2 * (weights**2).sum(), slope.ravel()

    return minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B").x.reshape(shape)


def softmax(scores: FloatArray) -> FloatArray:
    """Return probabilities along the last axis."""
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def scores(belief: FloatArray, labels: IntArray) -> tuple[float, float]:
    """Return accuracy and log loss of beliefs (N, T, 3) against labels (N, T), -1 missing."""
    known = labels >= 0
    p, truth = belief[known], labels[known]
    right = p[np.arange(len(p)), truth]
    return float((p.argmax(axis=1) == truth).mean()), float(
        -np.log(np.maximum(right, 1e-12)).mean()
    )


def told(finding: Finding, size: str, found: list[tuple[float, float]]) -> list[Row]:
    """Return one row a measure."""
    rows: list[Row] = []
    for measure, values in zip(("accuracy", "log_loss"), zip(*found, strict=True), strict=True):
        spread = {"mean": float(np.mean(values)), "low": min(values), "high": max(values)}
        rows.append(
            {"finding": finding.name.lower(), "studies": size, "measure": measure, **spread}
        )
    return rows


def drawn(rows: list[Row], *, title: str) -> Figure:
    """Return a panel a measure."""
    measures = [name for name in TITLES if any(row["measure"] == name for row in rows)]
    figure, axes = plt.subplots(
        1, len(measures), figsize=(5.4 * len(measures), 4.6), layout="constrained", squeeze=False
    )
    for axis, measure in zip(axes[0], measures, strict=True):
        draw(axis, [row for row in rows if row["measure"] == measure])
        axis.set(title=TITLES[measure], xlabel="studies learned from")
    axes[0, 0].legend(frameon=False)
    figure.suptitle(f"{title}\ndashed: ceiling, dotted: prior", fontsize=10)
    return figure


def draw(axis: Axes, rows: list[Row]) -> None:
    """Draw one measure."""
    for finding, color in COLORS.items():
        name = finding.name.lower()
        of = {str(row["studies"]): row for row in rows if row["finding"] == name}
        runs = [row for size, row in of.items() if size.isdigit()]
        x = [int(row["studies"]) for row in runs]
        mean, low, high = (np.array([row[k] for row in runs]) for k in ("mean", "low", "high"))
        look = {"color": color, "marker": MARKS[finding], "label": name, "capsize": 3}
        axis.errorbar(x, mean, [mean - low, high - mean], **look)
        for end, style in (("ceiling", "--"), ("prior", ":")):
            if end in of:
                axis.axhline(of[end]["mean"], color=color, linestyle=style, linewidth=1.2)
    axis.set_xscale("log")
    axis.set_xticks(x, [f"{size:,}" for size in x])
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()

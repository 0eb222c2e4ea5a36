"""Picture: the learning curve, one panel a measure, large enough to be read when small."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from curve.scores import Row

from volspine.anatomy import Finding

STYLE = {"font.size": 15, "axes.spines.top": False, "axes.spines.right": False}
TITLES = {"accuracy": "accuracy", "weighted_log_loss": "weighted log loss"}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw accuracy and weighted log loss against the number of training studies."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
        for axis, measure in zip(axes, TITLES, strict=True):
            panel(axis, [row for row in rows if row.measure == measure])
            axis.set(title=TITLES[measure])
        axes[0].legend(fontsize=12, frameon=False)
        figure.supxlabel("training studies (dashed: ceiling, dotted: prior)", fontsize=13)
        figure.savefig(path, dpi=100)
        plt.close(figure)


def panel(axis: plt.Axes, rows: Sequence[Row]) -> None:
    """Draw one measure: mean of the repeats, their range, prior and ceiling."""
    for number, finding in enumerate(Finding):
        name, colour = finding.name.lower(), f"C{number}"
        of = {row.studies: row for row in rows if row.finding == name}
        runs = [row for row in of.values() if row.studies.isdigit()]
        sizes = [int(row.studies) for row in runs]
        spread = [[r.mean - r.low for r in runs], [r.high - r.mean for r in runs]]
        means = [r.mean for r in runs]
        axis.errorbar(sizes, means, spread, fmt="o-", color=colour, capsize=4, lw=2, label=name)
        axis.axhline(of["ceiling"].mean, color=colour, linestyle="--", linewidth=1.5)
        axis.axhline(of["prior"].mean, color=colour, linestyle=":", linewidth=1.5)
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()

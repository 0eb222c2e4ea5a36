"""How a small network learns: the quick recipe after 50, 150 and 500 phantom studies.

    volspine phantom ROOT --studies 580 --seed 101 --workers 2
    python experiments/learning_curve.py ROOT --out CURVE

Every run trains for the same number of steps on one of three nested sets and is tested on the same
60 studies. Their labels are a single reader's, so the ceilings of `volspine phantom --card` hold: a
model above one of them would have seen something that it should not. CURVE/learning_curve.csv and
.png hold the result; runs that are done are not repeated. The numbers say nothing about patients.
"""

import argparse
import csv
import json
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt

from volspine.anatomy import TARGETS, Finding
from volspine.cli.fit import run_lightning
from volspine.phantom.card import card
from volspine.phantom.spec import Cohort, Noise

RECIPE = Path(__file__).with_name("phantom_quick.yaml")
TERMS = {Finding.CANAL: "spinal", Finding.FORAMEN: "foraminal", Finding.RECESS: "subarticular"}


def main() -> None:
    """Train, test, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="phantom root with single_reader labels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 150, 500])
    parser.add_argument("--steps", type=int, default=600, help="optimiser steps of every run")
    parser.add_argument("--test", type=int, default=60, help="studies to test on")
    parser.add_argument("--val", type=int, default=20, help="studies that choose the checkpoint")
    arguments = parser.parse_args()
    rows = []
    for size in sorted(arguments.sizes):
        run = arguments.out / f"studies_{size}"
        if not (run / "test_metrics.json").exists():
            run.mkdir(parents=True, exist_ok=True)
            split(arguments.root, run, (arguments.test, arguments.val, size))
            train(arguments.root, run, math.ceil(arguments.steps * 4 / size))
        rows += measured(run, size)
    rows += ceilings()
    save(rows, arguments.out)


def split(root: Path, run: Path, sizes: tuple[int, int, int]) -> None:
    """Write the run's split: the same studies to test on and to choose by, then the first to train.

    The studies of a cohort are independent draws, so their order is as good as a random one.
    """
    studies = sorted(path.stem for path in (root / "truth").glob("*.json"))
    if len(studies) < sum(sizes):
        raise SystemExit(f"{root} holds {len(studies)} studies, {sum(sizes)} are needed")
    ends = np.cumsum([0, *sizes])
    names = ("test", "val", "train")
    sets = {name: studies[ends[n] : ends[n + 1]] for n, name in enumerate(names)}
    (run / "wanted_split.json").write_text(json.dumps(sets), encoding="utf-8")


def train(root: Path, run: Path, epochs: int) -> None:
    """Fit and test the quick recipe on a run's split."""
    options = [
        *("-c", str(RECIPE), "--data.root", str(root)),
        *("--data.split.file", str(run / "wanted_split.json")),
        *("--data.loader.cache_dir", str(run.parent / "cache")),
        *("--trainer.max_epochs", str(epochs)),
        *("--trainer.default_root_dir", str(run)),
    ]
    for command in (["fit", *options], ["test", *options, "--ckpt_path", "best"]):
        if run_lightning(command):
            raise SystemExit(f"volspine {command[0]} failed in {run.name}")


def measured(run: Path, size: int) -> list[dict[str, object]]:
    """Return accuracy and weighted log loss of a run, one row a finding."""
    terms = json.loads((run / "test_metrics.json").read_text(encoding="utf-8"))["terms"]
    with (run / "test_predictions.csv").open(newline="", encoding="utf-8") as file:
        table = [row for row in csv.DictReader(file) if row["grade"] not in ("", "-1")]
    findings = {target.name: target.finding for target in TARGETS}
    hits: dict[Finding, list[bool]] = {finding: [] for finding in Finding}
    for row in table:
        name = row["row_id"].split("_", 1)[1]
        believed = np.argmax([float(row[k]) for k in ("normal_mild", "moderate", "severe")])
        hits[findings[name]].append(int(believed) == int(row["grade"]))
    return [
        line(str(size), finding, float(np.mean(hits[finding])), terms[TERMS[finding]])
        for finding in Finding
    ]


def ceilings() -> list[dict[str, object]]:
    """Return what the prevalence alone and a reader of the exact severity reach."""
    made = card(Cohort.RSNA_LIKE, Noise.SINGLE_READER).ceilings
    rows = [line("prior", finding, c.majority, c.prior_loss) for finding, c in made.items()]
    return rows + [line("ceiling", finding, c.accuracy, c.loss) for finding, c in made.items()]


def line(studies: str, finding: Finding, accuracy: float, loss: float) -> dict[str, object]:
    """Return one row of the table."""
    return {
        "studies": studies,
        "finding": finding.name.lower(),
        "accuracy": round(accuracy, 3),
        "weighted_log_loss": round(loss, 3),
    }


def save(rows: list[dict[str, object]], out: Path) -> None:
    """Print the rows, write them as CSV, and draw them."""
    with (out / "learning_curve.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print((out / "learning_curve.csv").read_text(encoding="utf-8"))
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, measure in zip(axes, ("accuracy", "weighted_log_loss"), strict=True):
        draw(axis, rows, measure)
    axes[0].legend(fontsize=8)
    figure.suptitle("Synthetic studies, single reader's labels; dashed: Bayes limit", fontsize=10)
    figure.savefig(out / "learning_curve.png", dpi=110)


def draw(axis: plt.Axes, rows: list[dict[str, object]], measure: str) -> None:
    """Draw one measure against the number of training studies."""
    for number, finding in enumerate(Finding):
        chosen = [row for row in rows if row["finding"] == finding.name.lower()]
        runs = [row for row in chosen if str(row["studies"]).isdigit()]
        sizes = [int(str(row["studies"])) for row in runs]
        axis.plot(sizes, [row[measure] for row in runs], "o-", color=f"C{number}",
                  label=finding.name.lower())  # fmt: skip
        limit = next(row[measure] for row in chosen if row["studies"] == "ceiling")
        axis.axhline(limit, color=f"C{number}", linestyle="--", linewidth=1)
    axis.set(xscale="log", xlabel="training studies", ylabel=measure.replace("_", " "))


if __name__ == "__main__":
    main()

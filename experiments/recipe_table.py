"""Runs of several recipes on the same test studies: one table, beside prior and floor.

    python experiments/recipe_table.py RUNS --root D/rsna_like D/probe --out TABLE \
        --curves docs/images/recipe_curves.png

RUNS holds a folder for each run of `volspine fit` and `volspine test`, named after its recipe; only
files in it are read. TABLE/recipes.md gets the table of runs, how far off the targets were looked
for, and what each idea was worth: paired differences of runs that differ in it. The floor is told
from the truth of the phantoms (`--root`). Runs that were tested on different studies are refused.

Phantoms say nothing about patients.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from compared import curves
from compared.floor import known_truth
from compared.runs import read_runs
from compared.scores import (
    HEAD,
    PAIR_HEAD,
    PLACE_HEAD,
    UNTRAINED,
    Scored,
    losses_of_report,
    pair_rows,
    place_rows,
    rows,
    score_of_report,
    scored,
)
from proof.tables import provenance, table

NOTES = f"""\
Lower is better but for kappa and accuracy. In brackets 90 % bootstrap intervals over studies, which
all rows share. *Prior - three terms* is paired; a row whose interval includes 0 is *untrained*, and
a part that is no better than its prior beyond doubt is marked {UNTRAINED}. *Held-out accuracy* is \
of the test
studies; *majority class* is that of the commonest grades of the training split on the same studies;
*accuracy on studies trained on* is told so that nobody takes it for the first."""


def main() -> None:
    """Read, print, write and draw."""
    arguments = parsed()
    folders = run_folders(arguments.runs)
    runs = read_runs(folders)
    found = [scored(run) for run in runs]
    text = report(found, arguments.root)
    print(text)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "recipes.md").write_text(text + "\n", encoding="utf-8")
    if arguments.curves is not None:
        logged = {folder.name: curves.read_curve(folder) for folder in folders}
        curves.draw(logged, score_of_report(runs[0].labels, runs[0].frequencies), arguments.curves)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder of the runs' folders")
    parser.add_argument("--root", type=Path, nargs="+", default=[], help="phantoms, for the floor")
    parser.add_argument("--out", type=Path, help="folder of recipes.md")
    parser.add_argument("--curves", type=Path, help="picture of losses and validation scores")
    return parser.parse_args()


def run_folders(place: Path) -> list[Path]:
    """Return the folders of tested runs, by name.

    Raises:
        SystemExit: If there is none.
    """
    found = sorted(path.parent for path in place.glob("*/test_metrics.json"))
    if not found:
        raise SystemExit("there is no tested run here: give the folder that holds runs' folders")
    return found


def report(found: Sequence[Scored], roots: Sequence[Path]) -> str:
    """Return all tables."""
    run = found[0].run
    floor, labels = None, "the floor is not told: give the phantoms with --root"
    if roots:
        truth, labels = known_truth(run, roots)
        floor = losses_of_report(run.labels, truth)
    parts = [
        table(HEAD, rows(found, floor)),
        NOTES,
        f"{len(run.keys)} test studies; {labels}. {differing(found)}{provenance(0)}",
        "Places: median error in mm; shares within 5 mm; within 10 mm.",
        table(PLACE_HEAD, place_rows(found)),
        "From without to with: above 0 it paid, bold where the interval excludes 0.",
        table(PAIR_HEAD, pair_rows(found)),
    ]
    return "\n\n".join(parts)


def differing(found: Sequence[Scored]) -> str:
    """Say which runs have another prior than the first, as they were trained on other studies."""
    first = found[0].run.frequencies
    odd = [one.run.name for one in found if not np.allclose(one.run.frequencies, first, atol=1e-6)]
    return f"Trained on other studies than the rest: {', '.join(odd)}. " if odd else ""


if __name__ == "__main__":
    main()

"""How a small network learns from 50, 150 and 500 phantom studies.

    python experiments/learning_curve.py CURVE --workers 2

Crops of the levels come straight from the phantom (`volspine.phantom.direct`), centred on the
true landmarks, with a single reader's labels. For each size and repeat one small network is
trained, with the same recipe, on nested sets; validation says when to stop; all are tested on the
same studies. The curve has to rise, since more studies average the reader's errors out, and to stay
under the ceilings of `volspine phantom --card`: a model above one of them would have seen something
that it should not.

CURVE/crops holds the crops and CURVE/runs the probabilities of every run; what is there is not made
again. CURVE/learning_curve.csv, .md and .png hold the result. It says nothing about patients.
"""

import argparse
import csv
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from curve.crops import render_missing
from curve.patches import Studies, load
from curve.picture import draw
from curve.scores import Row, Sums, gain, limits, markdown, rows_of, sums
from curve.training import Recipe, predict, train

from volspine.anatomy import Finding
from volspine.phantom.spec import Size


def main() -> None:
    """Render, train, test, print and draw."""
    arguments = parsed()
    torch.set_num_threads(arguments.threads)
    sizes = sorted(arguments.sizes)
    parts = (arguments.test, arguments.val, sizes[-1])
    studies = load(
        render_missing(
            arguments.out / "crops",
            sum(parts),
            seed=arguments.seed,
            size=Size(arguments.size),
            workers=arguments.workers,
        )
    )
    ends = np.cumsum([0, *parts])
    test, val, pool = (studies.of(slice(*ends[n : n + 2])) for n in range(3))
    found: dict[int, list[np.ndarray]] = {size: [] for size in sizes}
    for repeat in range(arguments.repeats):
        for size in sizes:
            sets = (pool.of(slice(0, size)), val, test)
            found[size].append(run(arguments, sets, Recipe(arguments.steps, repeat)))
    report({size: np.stack(runs) for size, runs in found.items()}, test, arguments.out)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of crops, runs and result")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 150, 500])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each size")
    parser.add_argument("--steps", type=int, default=1000, help="most steps of a run")
    parser.add_argument("--test", type=int, default=150, help="studies to test on")
    parser.add_argument("--val", type=int, default=20, help="studies that say when to stop")
    parser.add_argument("--seed", type=int, default=101, help="of the cohort")
    parser.add_argument("--size", choices=[s.value for s in Size], default="full")
    parser.add_argument("--workers", type=int, default=1, help="processes that render")
    parser.add_argument("--threads", type=int, default=1, help="that train")
    return parser.parse_args()


def run(
    arguments: argparse.Namespace, sets: tuple[Studies, Studies, Studies], recipe: Recipe
) -> np.ndarray:
    """Return a run's log-probabilities of the studies to test on, (N, 25, 3)."""
    pool, val, test = sets
    size = len(pool.labels)
    name = f"{arguments.size}_{arguments.seed}_{size}_steps{recipe.steps}_repeat{recipe.seed}"
    path = arguments.out / "runs" / f"{name}_test{len(test.labels)}.npy"
    if not path.exists():
        trained = train(pool, val, recipe)
        log_probs = predict(trained.network, test).numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, log_probs)
        print(f"{name}: validation {trained.loss:.4f} at step {trained.step}", flush=True)
    found: np.ndarray = np.load(path)
    return found


def report(found: dict[int, np.ndarray], test: Studies, out: Path) -> None:
    """Print the table, write it, and draw the curve."""
    labels, grades = test.labels.numpy(), test.grades.numpy()
    rows: list[Row] = []
    gains = {}
    for finding in Finding:
        parts: list[Sums] = [sums(finding, p, labels, grades) for p in found.values()]
        for size, part in zip(found, parts, strict=True):
            rows += rows_of(finding, size, part)
        gains[finding.name.lower()] = gain(parts[-1], parts[0])
    rows += limits()
    with (out / "learning_curve.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    table = markdown(rows, list(found), gains)
    (out / "learning_curve.md").write_text(table + "\n", encoding="utf-8")
    print(table)
    draw(rows, out / "learning_curve.png")


if __name__ == "__main__":
    main()

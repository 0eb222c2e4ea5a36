"""What each part of level mode is worth: one part off at a time, everything else equal.

    python experiments/level_ablation.py STORE --out ABLATION

STORE is a folder of crops as `volspine.data.crop_store` writes them. Each row is a grader that is
trained on the same studies, in the same order, for as many steps from the same seed, and tested on
the same new people at points moved as the localizer errs. `--rows` names what to run: `full` and
the parts of `ablation.variants`, and `study mode`, a grader of one voxel grid of the whole study
that is given the same people, labels and processor time of training at each of three learning
rates, of which the best on the test counts.

The loss is the mean of three weighted log losses after the decision layer, against labels of
`--reader`. Differences are paired over studies; a row whose interval of (prior - row) includes 0
learned nothing and is called untrained. ABLATION/rows holds what was run, so a run that was stopped
goes on; ABLATION/ablation.md holds the table. It says nothing about patients.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from ablation.rows import Bench, Row, add_options, bench_of, level_row, study_row
from ablation.variants import FULL, STUDY_MODE, VARIANTS
from proof.measures import FINDINGS, RESAMPLES, Estimate, agreement, columns, estimates, reported
from proof.tables import Cell, commit, provenance, table

from volspine.decide import frequencies
from volspine.phantom.spec import Noise

RATES = (5e-4, 2e-3, 5e-3)
"""Of study mode."""


def main() -> None:
    """Train what is missing, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, studies=400, steps=300, reader=Noise.NONE)
    names = [*VARIANTS, STUDY_MODE]
    parser.add_argument("--rows", nargs="+", choices=names, default=names)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    settings = parser.parse_args()
    commit()  # Of now, not of when the table is done.
    bench = bench_of(settings)
    found: dict[str, Row] = {}
    for name in dict.fromkeys([FULL, *settings.rows]):
        for label, row in rows_of(bench, name, found):
            found[label] = row
            gap = compared(bench, {FULL: found[FULL], label: row})[-1][2:5]
            print(f"{label}: loss, less full, prior less it {gap}", flush=True)
    text = "\n\n".join([table(HEAD, compared(bench, found)), footnote(bench)])
    (settings.out / "ablation.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")


def rows_of(bench: Bench, name: str, found: dict[str, Row]) -> Sequence[tuple[str, Row]]:
    """Return the rows of a name: one, or of study mode one a learning rate."""
    seed, table_only = bench.settings.seed, bench.settings.table
    labels = [f"{name} {rate:g}" for rate in RATES] if name == STUDY_MODE else [name]
    if table_only and not all(bench.path(label, seed).exists() for label in labels):
        return []
    if name != STUDY_MODE:
        return [(name, level_row(bench, name, VARIANTS[name], seed))]
    seconds = found[FULL].seconds
    pairs = zip(labels, RATES, strict=True)
    return [(label, study_row(bench, label, rate, seconds, seed)) for label, rate in pairs]


HEAD = (
    "row",
    "off",
    "loss",
    "loss less that of full",
    "prior less row",
    "kappa canal",
    "kappa foramen",
    "kappa recess",
    "processor seconds, steps",
    "parameters, millions",
)


def compared(bench: Bench, found: dict[str, Row]) -> list[list[Cell]]:
    """Return the cells of every row, the prior's first."""
    labels, grades = bench.test.labels(), bench.test.grades()
    prior = columns(reported(frequencies(bench.pool.labels()), labels))
    losses = {name: columns(reported(row.probabilities, labels)) for name, row in found.items()}
    nothing = first(prior - losses[FULL])
    cells: list[list[Cell]] = [["prior", "learning", first(prior), nothing, *["-"] * 6]]
    for name, row in found.items():
        kappas = agreement(grades, row.log_probs.argmax(axis=-1))
        gain = first(prior - losses[name])
        cells.append(
            [
                name if gain.low > 0 else f"{name}: UNTRAINED",
                off(name),
                first(losses[name]),
                first(losses[name] - losses[FULL]) if name != FULL else "-",
                gain,
                *(kappas[finding][0].value for finding in FINDINGS),
                f"{row.seconds:.0f}, {row.steps}",
                f"{row.parameters / 1e6:.1f}",
            ]
        )
    return cells


def off(name: str) -> str:
    """Return what is off in a row, in words."""
    return VARIANTS[name].words if name in VARIANTS else "crops: learning rate of the last figure"


def first(drawn: np.ndarray) -> Estimate:
    """Return the mean of three terms, with its interval."""
    return estimates(drawn)[0]


def footnote(bench: Bench) -> str:
    """Return how the table came about."""
    s = bench.settings
    note = (
        f"{len(bench.pool.rows)} studies, {s.steps} steps of {s.batch}, learning rate {s.rate:g}, "
        f"{s.trunk}, labels of reader `{s.reader}`; tested on {len(bench.test.rows)} `rsna_like` "
        f"of seed {s.test_seed} at jittered points; 90 % paired bootstrap over studies "
        f"({RESAMPLES} draws); kappa against the truth"
    )
    return provenance(s.seed, note=note)


if __name__ == "__main__":
    main()

"""The ordinal links against a softmax: the same grader, studies, steps and seeds, each link.

    python experiments/link_against_softmax.py STORE --out LINKS --seeds 0 1 2

STORE is a folder of crops as `volspine.data.crop_store` writes them; labels are those of a single
reader. Two links are paired over seeds and over the studies that both are tested on. A softmax
becomes the default only if it wins with an interval that excludes 0. `scaled` is the cumulative
link whose noise is as wide as a second score says. LINKS/rows holds what was run; LINKS/links.md
holds the table. It says nothing about patients.
"""

import argparse

import numpy as np
from ablation.rows import Bench, Row, add_options, bench_of, level_row
from ablation.variants import FULL, VARIANTS
from proof.measures import (
    COLUMNS,
    RESAMPLES,
    Estimate,
    Reported,
    agreement,
    averaged,
    columns,
    estimates,
    reported,
)
from proof.tables import Cell, commit, provenance, table

from volspine.phantom.spec import Noise

LINKS = {"cumulative": "cumulative", "scaled": FULL, "softmax": "softmax"}
PAIRS = (("cumulative", "softmax"), ("scaled", "softmax"), ("scaled", "cumulative"))


def main() -> None:
    """Train what is missing, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, studies=500, steps=300, reader=Noise.SINGLE_READER)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    settings = parser.parse_args()
    commit()  # Of now, not of when the table is done.
    bench = bench_of(settings)
    found: dict[str, list[Row]] = {link: [] for link in LINKS}
    for seed in settings.seeds:
        for link, name in LINKS.items():
            found[link].append(level_row(bench, name, VARIANTS[name], seed))
        one = {link: rows[-1:] for link, rows in found.items()}
        for pair in PAIRS:
            gap = difference(bench, one, *pair)[0]
            print(f"seed {seed}: {' less '.join(pair)} {gap}", flush=True)
    text = report(bench, found)
    (settings.out / "links.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")


def report(bench: Bench, found: dict[str, list[Row]]) -> str:
    """Return the table, the verdict, and where they come from."""
    head = ("link", *COLUMNS, "kappa, all", "range of three terms over seeds")
    rows = [cells(bench, link, rows) for link, rows in found.items()]
    gaps = {pair: difference(bench, found, *pair) for pair in PAIRS}
    rows += [[" less ".join(pair), *gap, "-", "-"] for pair, gap in gaps.items()]
    s = bench.settings
    note = (
        f"{len(bench.pool.rows)} studies, {s.steps} steps of {s.batch}, learning rate {s.rate:g}, "
        f"{s.trunk}, labels of reader `{s.reader}`; tested on {len(bench.test.rows)} `rsna_like` "
        f"of seed {s.test_seed} at jittered points; losses are means over "
        f"{len(s.seeds)} seeds, 90 % bootstrap over studies ({RESAMPLES} draws), paired in the "
        "differences"
    )
    said = " ".join(verdict(*pair, gap[0]) for pair, gap in gaps.items())
    return "\n\n".join([table(head, rows), said, provenance(s.seeds, note=note)])


def cells(bench: Bench, link: str, rows: list[Row]) -> list[Cell]:
    """Return the cells of a link."""
    drawn = columns(terms_of(bench, rows))
    alone = [estimates(columns(terms_of(bench, [row])))[0].value for row in rows]
    kappas = [
        agreement(bench.test.grades(), row.log_probs.argmax(axis=-1))["all"][0].value
        for row in rows
    ]
    spread = f"{min(alone):.3f} to {max(alone):.3f}"
    return [link, *estimates(drawn), float(np.mean(kappas)), spread]


def terms_of(bench: Bench, rows: list[Row]) -> Reported:
    """Return what several seeds contribute, as one: each study's losses are averaged."""
    labels = bench.test.labels()
    return averaged([reported(row.probabilities, labels) for row in rows])


def difference(bench: Bench, found: dict[str, list[Row]], one: str, other: str) -> list[Estimate]:
    """Return one link less another in every column; below 0 the first is better."""
    first, second = (columns(terms_of(bench, found[link])) for link in (one, other))
    return estimates(first - second)


def verdict(one: str, other: str, gap: Estimate) -> str:
    """Return what follows from one link less another."""
    if gap.low > 0:
        return f"The {other} link beats the {one} one by more than the interval."
    if gap.high < 0:
        return f"The {one} link beats the {other} one by more than the interval."
    return f"Of the {one} and the {other} link neither wins: the interval includes 0."


if __name__ == "__main__":
    main()

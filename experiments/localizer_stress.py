"""A localizer on people it was not taught by: the stress table of the second phantom.

    python -m experiments.localizer_stress MODEL --studies 30 --out TABLE

MODEL is a bundle with a localizer, or a checkpoint of one. Every study of the second phantom, an
anatomy generator that shares no code with the library's, is scanned plainly and under every row of
the table: cut, shifted, scaled, turned, noisier, thinner, with one series only, mirrored. A level
is named right if the disc nearest to its canal point is the one it is called after, within 12 mm.
Shares are over the levels in view; `invented` is over those that are not. TABLE.csv holds the
table, TABLE.jsonl each study's outcome; rows that are done are not repeated there.

Phantoms say whether a localizer depends on the very generator that taught it. They say nothing
about patients.
"""

import argparse
import csv
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.second_phantom.case import Person
from tests.second_phantom.stress import ROWS, harder, judge
from volspine.inference.bundle import load_bundle
from volspine.inference.checkpoint import read_localizer
from volspine.inference.locate import locate
from volspine.models.localizer import Localizer

COLUMNS = (
    "row", "levels", "right", "off", "astray", "absent", "invented", "canal", "canal95",
    "foramen", "foramen95", "recess", "recess95", "doubted", "seconds",
)  # fmt: skip


def main() -> None:
    """Scan, locate, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="bundle with a localizer, or a checkpoint of one")
    parser.add_argument("--studies", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="index of the first study")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--out", type=Path, help="start of the names of the files to write")
    arguments = parser.parse_args()
    localizer = load(arguments.model)
    done = read(arguments.out)
    for index in range(arguments.first, arguments.first + arguments.studies):
        missing = [row for row in arguments.rows if (row, arguments.seed, index) not in done]
        person = Person(arguments.seed, index) if missing else None
        for row in missing:
            outcome = examine(person, row, localizer)
            done[row, arguments.seed, index] = outcome
            keep(arguments.out, (row, arguments.seed, index), outcome)
    table = [summary(row, [v for k, v in done.items() if k[0] == row]) for row in arguments.rows]
    show(table, arguments.out)


def load(model: Path) -> Localizer:
    """Return the localizer of a bundle or of a checkpoint."""
    if model.is_dir():
        localizer = load_bundle(model).localizer
        if localizer is None:
            raise SystemExit(f"{model} has no localizer")
        return localizer
    return read_localizer(model).localizer


def examine(person: Person, row: str, localizer: Localizer) -> dict:
    """Return what a localizer got right of one person under one row, as plain data."""
    case = harder(person, ROWS[row])
    start = time.perf_counter()
    found = locate(case.study, localizer)
    outcome = judge(case, found) | {"seconds": time.perf_counter() - start}
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in outcome.items()}


def read(out: Path | None) -> dict:
    """Return the outcomes that earlier runs left."""
    path = out and out.with_suffix(".jsonl")
    if not path or not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {tuple(row["key"]): row["outcome"] for row in rows}


def keep(out: Path | None, key: tuple, outcome: dict) -> None:
    """Append one outcome."""
    if out:
        with out.with_suffix(".jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "outcome": outcome}) + "\n")


def summary(row: str, outcomes: list[dict]) -> dict:
    """Return one row of the table: shares in percent, distances in mm."""
    verdicts = Counter(v for outcome in outcomes for v in outcome["verdicts"])
    seen = sum(verdicts[v] for v in ("right", "off", "astray", "absent"))
    unseen = sum(verdicts.values()) - seen
    shares = {v: percent(verdicts[v], seen) for v in ("right", "off", "astray", "absent")}
    result = {"row": row, "levels": seen, **shares}
    result["invented"] = percent(verdicts["invented"], unseen)
    for name in ("canal", "foramen", "recess"):
        away = np.array([o[f"{name}_mm"] for o in outcomes], dtype=float)
        away = away[np.isfinite(away)]
        some = away.size > 0
        result[name] = round(float(np.median(away)), 1) if some else ""
        result[f"{name}95"] = round(float(np.percentile(away, 95)), 1) if some else ""
    result["doubted"] = percent(sum(o["doubted"] for o in outcomes), len(outcomes))
    result["seconds"] = round(float(np.median([o["seconds"] for o in outcomes])), 2)
    return result


def percent(part: int, whole: int) -> float | str:
    """Return a share in percent, or nothing of nothing."""
    return round(100 * part / whole, 1) if whole else ""


def show(table: list[dict], out: Path | None) -> None:
    """Print the table and write it."""
    print(f"{'row':38}" + "".join(f"{c:>10}" for c in COLUMNS[1:]))
    for row in table:
        print(f"{row['row']:38}" + "".join(f"{row[c]:>10}" for c in COLUMNS[1:]))
    if out:
        with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()

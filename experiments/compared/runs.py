"""Runs: from the files in the folder of each run to what it said, cost and learned.

    test_predictions.csv   probabilities and labels of the test studies
    test_places.csv        how far off each target was looked for; not of every grader
    test_metrics.json      frequencies of the training split, accuracy on studies trained on, data
    run.json               parameters, time, hardware

Runs of one finding each, named `<recipe>_canal`, `<recipe>_foramen` and `<recipe>_recess`, become
one: each gives its own finding.

Shapes: N studies; 25 targets; 3 grades.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from volspine.anatomy import TARGETS
from volspine.challenge import PROBABILITY_COLUMNS, row_id
from volspine.metrics.intervals import GROUPS

FINDINGS = tuple(name for name in GROUPS if name != "all")
_PART = re.compile(r"(?P<recipe>.+)_(?P<finding>" + "|".join(FINDINGS) + ")")


@dataclass(frozen=True, eq=False)
class Run:
    """One row of the table.

    Attributes:
        name: Of the folder.
        keys: N names of test studies, sorted.
        labels: (N, 25); -1 where missing.
        probabilities: (N, 25, 3), calibrated.
        frequencies: (25, 3) of the grades in the training split.
        away_mm: (N, 25) how far off each target was looked for: infinite where it was not found,
            NaN where the true place is not known; None of a grader that does not say.
        wrong: (N, 25) whether the place found is another level's.
        training: Accuracy on studies that were trained on, by finding and of all.
        facts: What `run.json` says.
        mode: `study` or `level`.
    """

    name: str
    keys: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    frequencies: np.ndarray
    away_mm: np.ndarray | None = None
    wrong: np.ndarray | None = None
    training: dict[str, float] = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    mode: str = "study"


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Return the runs in the order of their folders; those of single findings made one.

    Raises:
        SystemExit: If a file is missing or odd, or runs were tested on different studies.
    """
    runs = merged([read_run(folder) for folder in folders])
    check_same(runs)
    return runs


def read_run(folder: Path) -> Run:
    """Return a run.

    Raises:
        SystemExit: If a file is missing or odd.
    """
    try:
        metrics = json.loads((folder / "test_metrics.json").read_text(encoding="utf-8"))
        facts = folder / "run.json"
        keys, labels, probabilities = _predictions(folder / "test_predictions.csv")
        away, wrong = _places(folder / "test_places.csv", keys)
        told = metrics["accuracy"]["on_studies_trained_on"] or {}
        return Run(
            name=folder.name,
            keys=keys,
            labels=labels,
            probabilities=probabilities,
            frequencies=np.array(metrics["frequencies_of_training"]),
            away_mm=away,
            wrong=wrong,
            training={name: one["value"] for name, one in told.items()},
            facts=json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {},
            mode="level" if "crops" in metrics["data"] else "study",
        )
    except (OSError, KeyError, ValueError) as error:
        text = f"{type(error).__name__}: {error}"
        raise SystemExit(f"{folder.name} is not the folder of a tested run ({text})") from error


def _predictions(path: Path) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row["row_id"]: row for row in csv.DictReader(file)}
    first = row_id("", TARGETS[0])
    keys = tuple(sorted(name.removesuffix(first) for name in rows if name.endswith(first)))
    if not keys or len(rows) != len(keys) * len(TARGETS):
        raise ValueError(f"{path.name} does not have 25 rows for each study")
    found = [[rows[row_id(key, target)] for target in TARGETS] for key in keys]
    labels = np.array([[int(row["grade"] or -1) for row in one] for one in found])
    said = [[[float(row[name]) for name in PROBABILITY_COLUMNS] for row in one] for one in found]
    chances = np.array(said)
    return keys, labels, chances / chances.sum(axis=-1, keepdims=True)


def _places(path: Path, keys: Sequence[str]) -> tuple[np.ndarray | None, np.ndarray | None]:
    if not path.is_file():
        return None, None
    where = {row_id(k, t): (n, t.index) for n, k in enumerate(keys) for t in TARGETS}
    away = np.full((len(keys), len(TARGETS)), np.nan)
    wrong = np.zeros(away.shape, dtype=bool)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            place = where[row["row_id"]]
            away[place] = float(row["error_mm"] or np.inf)
            wrong[place] = row["at_wrong_level"] == "1"
    return away, wrong


def merged(runs: Sequence[Run]) -> list[Run]:
    """Return runs, those of one finding each made one where all three are there."""
    parts: dict[str, dict[str, Run]] = {}
    for run in runs:
        match = _PART.fullmatch(run.name)
        recipe, finding = match.groups() if match else (run.name, "all")
        parts.setdefault(recipe, {})[finding] = run
    result = []
    for recipe, found in parts.items():
        whole = set(found) == set(FINDINGS)
        result += [_joined(recipe, found)] if whole else list(found.values())
    return result


def _joined(name: str, parts: dict[str, Run]) -> Run:
    """Return three runs as one; each gives the targets of its finding, and adds to the cost."""
    check_same(list(parts.values()))
    first = parts[FINDINGS[0]]
    told = [run.away_mm is not None for run in parts.values()]
    arrays = ["probabilities", *(["away_mm", "wrong"] if all(told) else [])]
    taken = {array: getattr(first, array).copy() for array in arrays}
    for finding, run in parts.items():
        for array, values in taken.items():
            values[:, GROUPS[finding]] = getattr(run, array)[:, GROUPS[finding]]
    training = {f: run.training[f] for f, run in parts.items() if f in run.training}
    if len(training) == len(FINDINGS):
        sizes = [len(GROUPS[f]) for f in training]
        training["all"] = float(np.average(list(training.values()), weights=sizes))
    places = {} if all(told) else {"away_mm": None, "wrong": None}
    facts = _cost([run.facts for run in parts.values()])
    return replace(first, name=name, training=training, facts=facts, **taken, **places)


def _cost(facts: Sequence[dict]) -> dict:
    if not all(facts):
        return {}
    seconds = {name: sum(one["seconds"][name] for one in facts) for name in ("wall", "processor")}
    total = sum(one["parameters"] for one in facts)
    return {**facts[0], "seconds": seconds, "parameters": total, "runs": len(facts)}


def check_same(runs: Sequence[Run]) -> None:
    """Check that runs were tested on the same studies with the same labels.

    Raises:
        SystemExit: If not; it names two that differ.
    """
    for run in runs[1:]:
        first = runs[0]
        if run.keys != first.keys:
            odd = len(set(run.keys) ^ set(first.keys))
            raise SystemExit(
                f"{run.name} was tested on other studies than {first.name} ({odd} differ): test "
                "them with the same roots and the same data.split"
            )
        if not np.array_equal(run.labels, first.labels):
            raise SystemExit(f"{run.name} was tested on other labels than {first.name}")

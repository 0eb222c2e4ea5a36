"""Out-of-fold predictions: what was said of every study by a model that never saw its patient.

    fold_<n>/test_predictions.csv  ->  oof.csv: row_id, three probabilities, grade, fold

They are what a pipeline can honestly know of itself, and all that calibration may be fitted to. A
temperature is fitted twice: once on everything, which goes into the ensemble's bundle; and for each
fold on the others alone, which is what its effect is judged by. So no row is judged by a number
that its own label helped to choose.

Shapes:
    N  studies    T  the 25 targets    K  the 3 grades    F  folds
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from volspine.anatomy import TARGETS, Finding, Grade
from volspine.challenge import MISSING, PROBABILITY_COLUMNS, parse_row_id, row_id
from volspine.data.folds import Folds
from volspine.data.tables import Row, number_in, read_rows, whole_number_in
from volspine.decide import frequencies
from volspine.errors import TableError
from volspine.jobs import write_text
from volspine.metrics.calibration import fit_temperature, tempered
from volspine.metrics.likelihood import likelihood_loss
from volspine.types import FloatArray, IntArray

__all__ = ["OOF_COLUMNS", "OutOfFold", "gather", "member_weights", "read_oof", "write_oof"]

OOF_COLUMNS = ("row_id", *PROBABILITY_COLUMNS, "grade", "fold")
"""Columns of oof.csv; `grade` is empty where there is no label."""

_SAID = (*OOF_COLUMNS[:4], "grade")
_LEAST = 1e-6  # Files hold six decimals.


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What was said of every study while it was held out.

    Attributes:
        keys: N studies.
        probabilities: Shape (N, T, K), as the folds' models said them.
        grades: Labels, shape (N, T); -1 where missing.
        fold: Shape (N,), from 1.
    """

    keys: tuple[str, ...]
    probabilities: FloatArray
    grades: IntArray
    fold: IntArray

    @property
    def log_probs(self) -> FloatArray:
        """Logarithms of the probabilities, none of them infinite."""
        return np.asarray(np.log(np.maximum(self.probabilities, _LEAST)))

    def temperature(self) -> FloatArray:
        """Return the temperature of each target that all studies ask for, shape (T,)."""
        return fit_temperature(self.log_probs, self.grades)

    def calibrated(self) -> FloatArray:
        """Return probabilities, (N, T, K), each fold's at the temperature the others ask for."""
        report = np.empty_like(self.probabilities)
        for number in np.unique(self.fold):
            mine = self.fold == number
            heat = fit_temperature(self.log_probs[~mine], self.grades[~mine])
            report[mine] = tempered(self.log_probs[mine], heat)
        return report


def member_weights(said: OutOfFold) -> FloatArray:
    """Return how much the model of each fold may count for each target, (F, T).

    For each finding it is what the model knew of its own held-out studies: by how much, in nats a
    label, it is likelier there than the frequencies of the other folds. One that knew nothing
    counts nothing; where none did, all count alike. Levels and sides share a weight.
    """
    numbers = np.unique(said.fold)
    gains = np.zeros((len(numbers), len(TARGETS)))
    for place, number in enumerate(numbers):
        mine = said.fold == number
        known = frequencies(said.grades[~mine])
        prior = np.broadcast_to(known, said.probabilities[mine].shape)
        for finding in Finding:
            ours = [target.index for target in TARGETS if target.finding is finding]
            truth = said.grades[mine][:, ours]
            if (truth >= 0).any():
                report = said.probabilities[mine][:, ours]
                gain = likelihood_loss(prior[:, ours], truth) - likelihood_loss(report, truth)
                gains[place, ours] = max(gain, 0.0)
    total = gains.sum(axis=0)
    even = np.full_like(gains, 1 / len(numbers))
    return np.where(total > 0, gains / np.where(total > 0, total, 1), even)


def gather(
    folds: Folds, files: Sequence[Path], *, temperatures: Sequence[FloatArray] = ()
) -> OutOfFold:
    """Return what the models of all folds said of what was held out of them.

    Args:
        folds: Who was held out of which.
        files: For each fold, the test_predictions.csv of its run.
        temperatures: For each fold, (T,), at which its run reported. They are undone: an ensemble
            has one temperature, which is fitted to what its members say without any.

    Raises:
        TableError: If a file is not such a table, or is not of the studies of its fold.
    """
    parts = []
    for number, (path, held_out) in enumerate(zip(files, folds.parts, strict=True), start=1):
        part = _read(path, read_rows(path, _SAID), fold=number)
        if set(part.keys) != set(held_out):
            raise TableError(
                f"the predictions are not of the studies held out of fold {number}",
                path=path,
                remedy="remove the folder of this fold and run volspine cv again",
                code="VS-TAB-101",
            )
        parts.append(part)
    for part, heat in zip(parts, temperatures, strict=bool(temperatures)):
        part.probabilities[:] = tempered(part.log_probs, 1 / heat)
    return _joined(parts)


def write_oof(said: OutOfFold, path: Path) -> None:
    """Write oof.csv: 25 rows a study."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(OOF_COLUMNS)
    for n, key in enumerate(said.keys):
        for target, row, label in zip(TARGETS, said.probabilities[n], said.grades[n], strict=True):
            shown = "" if label == MISSING else int(label)
            numbers = (f"{p:.6f}" for p in row)
            writer.writerow([row_id(key, target), *numbers, shown, int(said.fold[n])])
    write_text(path, text.getvalue())


def read_oof(path: Path) -> OutOfFold:
    """Return what oof.csv says.

    Raises:
        TableError: If it is not such a table, or a row is missing or there twice.
    """
    rows = read_rows(path, OOF_COLUMNS)
    numbers = {whole_number_in(row, "fold", path) for row in rows}
    return _joined(
        [
            _read(path, [row for row in rows if row["fold"] == str(number)], fold=number)
            for number in sorted(numbers)
        ]
    )


def _read(path: Path, rows: Sequence[Row], *, fold: int) -> OutOfFold:
    """Return the predictions of one fold, studies in the order of their names."""
    cells: dict[str, dict[int, Row]] = {}
    for row in rows:
        key, target = parse_row_id(row["row_id"])
        cells.setdefault(key, {})[target.index] = row
    keys = tuple(sorted(cells))
    if len(rows) != len(keys) * len(TARGETS) or any(len(c) < len(TARGETS) for c in cells.values()):
        raise TableError(
            "a row is missing, or there twice",
            path=path,
            remedy=f"give each study {len(TARGETS)} rows, as volspine test and cv write them",
            code="VS-TAB-102",
        )
    ordered = [[cells[key][t] for t in range(len(TARGETS))] for key in keys]
    probabilities = [[_distribution(row, path) for row in study] for study in ordered]
    grades = [[_grade(row, path) for row in study] for study in ordered]
    shape = (len(keys), len(TARGETS))
    return OutOfFold(
        keys,
        np.array(probabilities, dtype=np.float64).reshape(*shape, len(Grade)),
        np.array(grades, dtype=np.int64).reshape(shape),
        np.full(len(keys), fold),
    )


def _distribution(row: Row, path: Path) -> list[float]:
    values = [number_in(row, name, path) for name in PROBABILITY_COLUMNS]
    total = sum(values)
    if min(values) < 0 or not 0.99 < total < 1.01:
        raise TableError(
            f"row {row['row_id'][:80]!r} is not a distribution over the grades",
            path=path,
            remedy="give three probabilities that sum to one",
            code="VS-TAB-103",
        )
    return [value / total for value in values]


def _grade(row: Row, path: Path) -> int:
    grade = whole_number_in(row, "grade", path) if row["grade"] else MISSING
    if grade not in (MISSING, *Grade):
        raise TableError(
            f"{row['grade'][:40]!r} is not a grade",
            path=path,
            remedy="write 0, 1 or 2, or nothing where there is no label",
            code="VS-TAB-104",
        )
    return grade


def _joined(parts: Sequence[OutOfFold]) -> OutOfFold:
    return OutOfFold(
        tuple(key for part in parts for key in part.keys),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.grades for part in parts]),
        np.concatenate([part.fold for part in parts]),
    )

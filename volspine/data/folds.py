"""Folds: labelled studies -> k parts that share no patient, each with its share of mild and severe.

Every part is held out once and graded by a model that was trained on the others, so that each study
gets a prediction by a model that never saw its patient. What is left of the others chooses the best
checkpoint: it is taken from the training studies, never from the part that is held out.

The parts are written to a table and fixed there:

    study_id,group,fold
    4003253,4003253,1
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from volspine.data.rsna import LabelledStudy
from volspine.data.splits import Split, dealing_order, split_studies
from volspine.data.tables import read_rows, whole_number_in
from volspine.errors import ConfigurationError, TableError
from volspine.jobs import write_text

__all__ = ["FOLD_COLUMNS", "Folds", "deal_folds", "fold_split", "read_folds", "write_folds"]

FOLD_COLUMNS = ("study_id", "group", "fold")
"""Columns of the table."""


@dataclass(frozen=True)
class Folds:
    """Which part each study is held out in.

    Attributes:
        parts: Keys of the studies of each part, sorted.
        groups: The patient of each study, by key.
    """

    parts: tuple[tuple[str, ...], ...]
    groups: dict[str, str]

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self.parts)


def deal_folds(studies: Sequence[LabelledStudy], folds: int, *, seed: int = 0) -> Folds:
    """Deal the patients out to so many parts.

    The result depends on ids, grades and seed, not on the order of the studies.

    Args:
        studies: Every study with labels.
        folds: Number of parts, 2 or more.
        seed: Another seed gives other parts.

    Raises:
        ConfigurationError: If there are fewer patients than parts, or fewer parts than two.
    """
    groups = {study.key: study.group or study.key for study in studies}
    if not 2 <= folds <= len(set(groups.values())):
        raise ConfigurationError(
            f"{len(set(groups.values()))} patients cannot be dealt out to {folds} folds",
            remedy="choose two folds or more, and at most one for each patient",
            code="VS-CFG-300",
        )
    parts: list[list[str]] = [[] for _ in range(folds)]
    for members in dealing_order(studies, seed):
        min(parts, key=len).extend(members)
    return Folds(tuple(tuple(sorted(part)) for part in parts), groups)


def fold_split(
    folds: Folds, held_out: int, studies: Sequence[LabelledStudy], *, val: float = 0.1
) -> Split:
    """Return who is trained on, who chooses the checkpoint and who is tested on for one fold.

    Args:
        folds: All parts.
        held_out: Which of them is tested on, from 0.
        studies: Those of the parts.
        val: Fraction below 1, or number, of the others that choose the best checkpoint; 0 for none,
            where the last checkpoint is taken.

    Raises:
        ConfigurationError: If nothing is left to train on.
    """
    test = folds.parts[held_out]
    others = [study for study in studies if study.key not in set(test)]
    rest = split_studies(others, val=val, test=0, seed=held_out)
    return Split(rest.train, rest.val, test)


def write_folds(folds: Folds, path: Path) -> None:
    """Write the table, in the order of the keys."""
    rows = [
        (key, folds.groups[key], number)
        for number, part in enumerate(folds.parts, start=1)
        for key in part
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FOLD_COLUMNS)
    writer.writerows(sorted(rows))
    write_text(path, text.getvalue())


def read_folds(path: Path) -> Folds:
    """Return the folds that a table fixes.

    Raises:
        TableError: If it is not such a table, a study stands in it twice, a patient in two folds,
            or a number is left out.
    """
    rows = read_rows(path, FOLD_COLUMNS)
    numbers = {row["study_id"]: whole_number_in(row, "fold", path) for row in rows}
    groups = {row["study_id"]: row["group"] or row["study_id"] for row in rows}
    count = max(numbers.values(), default=0)
    of_patient = {(groups[key], number) for key, number in numbers.items()}
    if len(numbers) < len(rows) or len(of_patient) > len(set(groups.values())):
        raise _bad(path, "a study or a patient stands in two folds")
    if set(numbers.values()) != set(range(1, count + 1)) or count < 2:
        raise _bad(path, "its folds are not numbered 1, 2 and so on without a gap")
    parts = (sorted(key for key, at in numbers.items() if at == n) for n in range(1, count + 1))
    return Folds(tuple(map(tuple, parts)), groups)


def _bad(path: Path, what: str) -> TableError:
    return TableError(
        f"not a table of folds: {what}",
        path=path,
        remedy=f"give a table with the columns {', '.join(FOLD_COLUMNS)}, as volspine cv writes it",
        code="VS-TAB-100",
    )

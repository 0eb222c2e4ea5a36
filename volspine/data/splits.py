"""From labelled studies to train, validation and test sets that share no patient.

Patients are ordered by how severe their studies are, shuffled inside short runs of that order and
dealt out, each to the set that is furthest behind its quota: every set gets its share of mild and
severe patients. The result depends on ids, grades and seed, not on the order of the studies, and
can be written to a file and fixed there.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from volspine.data.rsna import LabelledStudy
from volspine.errors import ConfigurationError, TableError
from volspine.jobs import write_text

__all__ = ["Split", "dealing_order", "read_split", "split_counts", "split_studies", "write_split"]

_RUN = 8  # Patients of similar severity that are shuffled among themselves.


@dataclass(frozen=True)
class Split:
    """Keys of the studies in each set, sorted."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        everyone = [*self.train, *self.val, *self.test]
        if len(set(everyone)) < len(everyone):
            raise ConfigurationError(
                "a study stands in two sets of the split",
                remedy="name every study once",
                code="VS-CFG-070",
            )


def split_counts(total: int, *, val: float, test: float) -> tuple[int, int, int]:
    """Return how many of `total` studies go to train, validation and test.

    Args:
        total: Number of studies.
        val: A fraction below 1, or a whole number of studies.
        test: A fraction below 1, or a whole number of studies.

    Raises:
        ConfigurationError: If nothing is left to train on, or a share is negative.

    Example:
        >>> split_counts(200, val=0.1, test=60)
        (120, 20, 60)
    """
    sizes = [round(total * share) if share < 1 else round(share) for share in (val, test)]
    if min(val, test) < 0 or sum(sizes) >= total:
        raise ConfigurationError(
            f"val={val:g} and test={test:g} leave nothing of {total} studies to train on",
            remedy="give fractions below 1 or smaller counts, or more studies",
            code="VS-CFG-071",
        )
    return total - sum(sizes), sizes[0], sizes[1]


def split_studies(
    studies: Sequence[LabelledStudy], *, val: float = 0.1, test: float = 0.3, seed: int = 0
) -> Split:
    """Return a split that keeps patients whole and severity balanced.

    Args:
        studies: Every study of the root.
        val: Fraction below 1 or count of studies for validation.
        test: Fraction below 1 or count of studies for testing.
        seed: Another seed gives another split.

    Returns:
        Sets of exactly the sizes of `split_counts` where every patient has one study; as near to
        them as whole patients allow elsewhere.
    """
    quotas = split_counts(len(studies), val=val, test=test)
    sets: tuple[list[str], ...] = ([], [], [])
    dealt = 0
    for members in dealing_order(studies, seed):
        behind = [
            q * (dealt + 1) / len(studies) - len(s) for q, s in zip(quotas, sets, strict=True)
        ]
        room = [len(s) < q for q, s in zip(quotas, sets, strict=True)]
        chosen = max(range(3), key=lambda i: (room[i], behind[i]))
        sets[chosen].extend(members)
        dealt += len(members)
    train, val_keys, test_keys = (tuple(sorted(keys)) for keys in sets)
    return Split(train, val_keys, test_keys)


def dealing_order(studies: Sequence[LabelledStudy], seed: int) -> list[list[str]]:
    """Return the keys of each patient's studies in the order in which patients are dealt out.

    Severe patients stand beside severe ones, shuffled among themselves, so that whoever deals in
    turn gives every set its share; patients with many studies come first.
    """
    patients: dict[str, list[LabelledStudy]] = {}
    for study in studies:
        patients.setdefault(study.group or study.key, []).append(study)
    order = sorted(patients, key=lambda g: (-_burden(patients[g]), _draw(seed, g)))
    runs = [order[i : i + _RUN] for i in range(0, len(order), _RUN)]
    mixed = [g for run in runs for g in sorted(run, key=lambda g: _draw(seed + 1, g))]
    # Patients with many studies first: they are the hardest to fit.
    mixed.sort(key=lambda g: -len(patients[g]))
    return [[study.key for study in patients[g]] for g in mixed]


def _burden(studies: Sequence[LabelledStudy]) -> float:
    grades = [max(grade, 0) for study in studies for grade in study.grades]
    return sum(grades) / len(studies)


def _draw(seed: int, text: str) -> bytes:
    # Python's own hash differs between processes.
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()


def write_split(split: Split, path: Path) -> None:
    """Write a split as JSON: `{"train": [...], "val": [...], "test": [...]}`."""
    table = {"train": split.train, "val": split.val, "test": split.test}
    write_text(path, json.dumps(table, indent=1) + "\n")


def read_split(path: Path, studies: Sequence[LabelledStudy]) -> Split:
    """Return the split that a JSON file fixes.

    Args:
        path: A file as `write_split` writes it; a set that is missing is empty.
        studies: The studies that it must name; studies it does not name are left out.

    Raises:
        TableError: If the file is not such a table or names a study that is not there.
        ConfigurationError: If a study or a patient stands in two sets.
    """
    sets = _read_sets(path)
    groups = {study.key: study.group or study.key for study in studies}
    unknown = [key for keys in sets.values() for key in keys if key not in groups]
    if unknown:
        raise TableError(
            f"{len(unknown)} studies of the split are not in the data, {unknown[0][:40]!r} first",
            path=path,
            remedy="use the split of this root",
            code="VS-TAB-037",
        )
    split = Split(*(tuple(sorted(sets.get(name, ()))) for name in ("train", "val", "test")))
    _refuse_shared_patients(split, groups)
    return split


def _read_sets(path: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: [str(key) for key in keys] for name, keys in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TableError(
            f"the split cannot be read ({type(error).__name__})",
            path=path,
            remedy='write {"train": [...], "val": [...], "test": [...]} with study ids',
            code="VS-TAB-038",
        ) from error


def _refuse_shared_patients(split: Split, groups: Mapping[str, str]) -> None:
    patients = [{groups[key] for key in keys} for keys in (split.train, split.val, split.test)]
    if sum(map(len, patients)) > len(set.union(*patients)):
        raise ConfigurationError(
            "a patient's studies stand in two sets of the split",
            remedy="keep all studies of a patient in one set",
            code="VS-CFG-072",
        )

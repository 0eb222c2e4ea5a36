"""Vocabulary: what a grader grades, and with which grades: the challenge's 25 targets or your own.

A network knows its targets only through a few facts: how many there are, which of them are of one
finding (they share what is learned), at which level each is, which becomes which when the patient
is mirrored, and how many ordered grades there are. `Vocabulary` holds these facts as plain data, so
that they fit in a recipe. `CHALLENGE` says them of `anatomy.TARGETS`; it is what every part assumes
unless it is told otherwise.

Left and right are the patient's, never the image's.

Shapes:
    T  targets    K  grades
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from volspine.anatomy import TARGETS, Grade, Side
from volspine.errors import ConfigurationError

__all__ = ["CHALLENGE", "NamedTarget", "Vocabulary", "vocabulary_from_dict"]

_FIELDS = ("name", "finding", "level", "side")


@dataclass(frozen=True)
class NamedTarget:
    """One thing that is graded.

    Attributes:
        name: Column of the table of labels.
        finding: Kind of thing, whatever its side and level: targets of one finding learn together.
        level: Where along the spine, in any words; empty for something of the whole study.
        side: The patient's side; None on the midline.
    """

    name: str
    finding: str
    level: str = ""
    side: Side | None = None

    @property
    def condition(self) -> tuple[str, Side | None]:
        """The finding together with its side."""
        return self.finding, self.side

    def to_dict(self) -> dict[str, str]:
        """Return plain data; what is empty is left out."""
        side = "" if self.side is None else self.side.value
        values = (self.name, self.finding, self.level, side)
        return {key: value for key, value in zip(_FIELDS, values, strict=True) if value}


@dataclass(frozen=True)
class Vocabulary:
    """Targets in a fixed order, and their grades.

    Attributes:
        targets: What is graded; arrays with a target axis are in this order.
        grades: Names of the grades, mildest first, the same for every target.
        weights: How much a row counts by its true grade, in scores; 1 each if empty.

    Raises:
        ConfigurationError: If a name stands twice, a side has no counterpart, or there are fewer
            than two grades.

    Example:
        >>> discs = [NamedTarget(f"dry_{level}", "dry", level) for level in ("t12_l1", "l1_l2")]
        >>> Vocabulary(tuple(discs), ("wet", "dry")).mirrored_index
        (0, 1)
    """

    targets: tuple[NamedTarget, ...]
    grades: tuple[str, ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.targets:
            raise _bad("there is no target", "list at least one")
        _once("target", [target.name for target in self.targets])
        _once("place", [f"{t.finding} {t.level} {t.side or ''}".strip() for t in self.targets])
        _once("grade", [grade.casefold() for grade in self.grades])  # Tables are read in any case.
        if len(self.grades) < 2:
            raise _bad(f"{len(self.grades)} grades cannot be told apart", "name two or more")
        if self.weights and len(self.weights) != len(self.grades):
            raise _bad("the weights do not fit the grades", "give one weight for each grade")
        if not all(w > 0 and math.isfinite(w) for w in self.weights):
            raise _bad("a weight of a grade is not positive", "give numbers above zero")
        for target in self.targets:
            self._partner(target)

    @property
    def num_grades(self) -> int:
        """How many grades K every target has."""
        return len(self.grades)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the table of labels, in order."""
        return tuple(target.name for target in self.targets)

    @cached_property
    def findings(self) -> tuple[str, ...]:
        """The findings, in the order in which they first appear."""
        return tuple(dict.fromkeys(target.finding for target in self.targets))

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """The levels, in the order in which they first appear."""
        return tuple(dict.fromkeys(target.level for target in self.targets))

    @cached_property
    def finding_index(self) -> tuple[int, ...]:
        """For each target, the position of its finding in `findings`."""
        return tuple(self.findings.index(target.finding) for target in self.targets)

    @cached_property
    def level_index(self) -> tuple[int, ...]:
        """For each target, the position of its level in `levels`."""
        return tuple(self.levels.index(target.level) for target in self.targets)

    @cached_property
    def mirrored_index(self) -> tuple[int, ...]:
        """Where each target goes when the patient is mirrored; its own inverse."""
        return tuple(self._partner(target) for target in self.targets)

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """For each finding, which targets are of it."""
        of = list(enumerate(self.finding_index))
        return tuple(tuple(t for t, f in of if f == n) for n in range(len(self.findings)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data from which `vocabulary_from_dict` makes the same."""
        plain: dict[str, Any] = {
            "grades": list(self.grades),
            "targets": [target.to_dict() for target in self.targets],
        }
        return {**plain, "weights": list(self.weights)} if self.weights else plain

    def _partner(self, target: NamedTarget) -> int:
        side = target.side and target.side.opposite
        for index, other in enumerate(self.targets):
            if (other.finding, other.level, other.side) == (target.finding, target.level, side):
                return index
        raise _bad(
            f"target {target.name[:60]!r} has no counterpart on the other side",
            "list the other side too, since mirrored studies need it, or leave out the side",
        )


def vocabulary_from_dict(data: Mapping[str, Any]) -> Vocabulary:
    """Return the vocabulary that plain data describe, as in a recipe or a file of targets.

    Args:
        data: `targets`, a list of `{name, finding, level, side}`, of which the last two may be
            left out; `grades`, their names, mildest first; `weights`, optional.

    Raises:
        ConfigurationError: If something is missing, unknown or contradicts itself.

    Example:
        >>> data = {"grades": ["no", "yes"], "targets": [{"name": "slip", "finding": "slip"}]}
        >>> vocabulary_from_dict(data).to_dict() == data
        True
    """
    if unknown := sorted({str(key) for key in data} - {"targets", "grades", "weights"}):
        raise _bad(f"{unknown[0][:40]!r} is not known", "write grades, targets and weights only")
    rows: Any = data.get("targets")
    grades: Any = data.get("grades")
    if not (_is_list(rows) and _is_list(grades)):
        raise _bad("targets or grades are not a list", "list both; see the page on own targets")
    try:
        weights = tuple(float(weight) for weight in data.get("weights") or ())
    except (TypeError, ValueError) as error:
        raise _bad("a weight is not a number", "give one number for each grade") from error
    if any(isinstance(grade, bool) for grade in grades):
        raise _bad("a grade is true or false", "quote words that YAML takes for these: 'no', 'yes'")
    targets = tuple(_target(row) for row in rows)
    return Vocabulary(targets, tuple(str(grade).strip() for grade in grades), weights)


def _target(row: Any) -> NamedTarget:
    if not isinstance(row, Mapping) or not {"name", "finding"} <= {str(key) for key in row}:
        raise _bad("a target has no name or no finding", "write {name: ..., finding: ...}")
    if unknown := sorted({str(key) for key in row} - set(_FIELDS)):
        raise _bad(f"a target's {unknown[0][:40]!r} is not known", f"use {', '.join(_FIELDS)}")
    name, finding, level, side = (str(row.get(field) or "").strip() for field in _FIELDS)
    if not name or not finding:
        raise _bad("a target's name or finding is empty", "give it some words")
    if side and side not in tuple(Side):
        raise _bad(f"{side[:20]!r} is not a side", "write left or right, the patient's")
    return NamedTarget(name, finding, level, Side(side) if side else None)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _once(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if not name or names.count(name) > 1:
            raise _bad(f"{kind} {name[:60]!r} is empty or stands twice", "name each once")


def _bad(message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"own targets: {message}", remedy=remedy, code="VS-CFG-160")


CHALLENGE = Vocabulary(
    targets=tuple(NamedTarget(t.name, t.finding.term, t.level.value, t.side) for t in TARGETS),
    grades=tuple(grade.label for grade in Grade),
    weights=(1.0, 2.0, 4.0),
)
"""The challenge's 25 targets, in the order of `anatomy.TARGETS`, and its grades and weights."""

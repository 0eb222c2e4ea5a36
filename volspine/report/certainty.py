"""How sure each grade is: probabilities and what the looks made of them -> words for a reader.

Two things are told beside a probability: the least and the greatest that any look gave it (each
network, at the study and at its mirror image), and whether the grade is *uncertain*:

    its probability is below one half, or
    some look may have preferred another grade: its greatest of another >= its least of this one.

A probability says how often such a grade was right where the model was calibrated. It says nothing
about patients that are unlike those.
"""

from collections.abc import Mapping
from typing import Any

from volspine.anatomy import TARGETS, Grade
from volspine.grades import StudyGrades

__all__ = ["HALF", "is_uncertain", "looks_at", "number_of_looks", "percent", "span"]

HALF = 0.5
"""Below this a grade is uncertain: all others together are more probable."""

_BLANK = "\u00a0"


def number_of_looks(grades: StudyGrades) -> int:
    """Return how many looks the probabilities are the mean of; 0 where that is not known."""
    return int(_recorded(grades).get("count", 0))


def looks_at(grades: StudyGrades, t: int) -> tuple[list[float], list[float]] | None:
    """Return the least and the greatest probability of each grade of target t.

    Returns:
        Two lists of three; None where that is not known, as of what was filled in.
    """
    recorded, name = _recorded(grades), TARGETS[t].name
    try:
        low, high = recorded["low"][name], recorded["high"][name]
    except KeyError:
        return None
    return [float(p) for p in low], [float(p) for p in high]


def is_uncertain(grades: StudyGrades, t: int) -> bool:
    """Return whether the grade of target t is uncertain; never where none was measured."""
    grade = grades.grades[t]
    if grade is None or grades.imputed[t]:
        return False
    if float(grades.confidence[t]) < HALF:
        return True
    looks = looks_at(grades, t)
    if looks is None:
        return False
    low, high = looks
    return any(high[other] >= low[grade] for other in Grade if other is not grade)


def percent(probability: float) -> str:
    """Return a probability in whole percent, never none or all; the blank does not break a line.

    Example:
        >>> [percent(p).replace(_BLANK, " ") for p in (0.424, 0.997, 0.002)]
        ['42 %', '>99 %', '<1 %']
    """
    whole = round(100 * probability)
    if whole > 99:
        return f">99{_BLANK}%"
    return f"<1{_BLANK}%" if whole < 1 else f"{whole}{_BLANK}%"


def span(low: float, high: float) -> str:
    """Return the percentages from the least to the greatest, once where they are the same.

    Example:
        >>> [span(*ends).replace(_BLANK, " ") for ends in ((0.36, 0.445), (0.361, 0.364))]
        ['36 to 44 %', '36 %']
    """
    first, last = percent(low), percent(high)
    return first if first == last else f"{first.removesuffix(f'{_BLANK}%')} to {last}"


def _recorded(grades: StudyGrades) -> Mapping[str, Any]:
    looks = grades.provenance.get("looks")
    return looks if isinstance(looks, Mapping) else {}

"""The grades of a study -> one sentence or two for each level, as a reader would dictate them.

What is moderate or severe is said first, the worse before the milder, both sides together where
they are alike. What is normal or mild but uncertain is named, the rest of it is summed up, and what
was not measured is never called normal.
"""

from collections.abc import Iterable, Sequence

from volspine.anatomy import LEVELS, TARGETS, Condition, Finding, Grade, Level, Side, Target
from volspine.grades import StudyGrades
from volspine.report.certainty import is_uncertain, percent

__all__ = ["level_sentence", "study_sentence"]

_WORDS = {
    Finding.CANAL: "spinal canal stenosis",
    Finding.FORAMEN: "neural foraminal narrowing",
    Finding.RECESS: "subarticular stenosis",
}
_PLACES = {Finding.CANAL: "canal", Finding.FORAMEN: "foramen", Finding.RECESS: "recess"}
_BOTH = {Finding.FORAMEN: "foramina", Finding.RECESS: "recesses"}
_IN_WORDS = {
    Grade.NORMAL_MILD: "normal or mild",
    Grade.MODERATE: "moderate",
    Grade.SEVERE: "severe",
}


def study_sentence(grades: StudyGrades) -> str:
    """Return one sentence about the whole study."""
    if grades.status == "refused":
        return f"Nothing was graded: {grades.reason}."
    measured = [t for t in range(len(TARGETS)) if not grades.imputed[t]]
    found = {grade: [t for t in measured if grades.grades[t] is grade] for grade in Grade}
    counted = ", ".join(
        f"{len(found[grade])} {_IN_WORDS[grade]}" for grade in reversed(Grade) if found[grade]
    )
    text = f"{len(measured)} of {len(TARGETS)} targets were measured: {counted}."
    unsure = sum(is_uncertain(grades, t) for t in measured)
    if unsure:
        text += f" {_counted(unsure, 'grade is', 'grades are')} uncertain."
    levels = [level.label for level in LEVELS if _is_severe(grades, level)]
    return f"{text} Severe at {_listed(levels)}." if levels else text


def level_sentence(grades: StudyGrades, level: Level) -> str:
    """Return what was found at one level."""
    if grades.status == "refused":
        return "Not graded."
    here = [Target(condition, level) for condition in Condition]
    measured = [target for target in here if not grades.imputed[target.index]]
    parts = [_raised(grades, measured), _unsure(grades, measured), _rest(grades, measured)]
    missing = [target for target in here if target not in measured]
    if missing:
        parts.append(f"Not measured: {_listed(_places(missing))}.")
    return " ".join(part for part in parts if part)


def _is_severe(grades: StudyGrades, level: Level) -> bool:
    here = [target.index for target in TARGETS if target.level is level]
    return any(grades.grades[t] is Grade.SEVERE and not grades.imputed[t] for t in here)


def _raised(grades: StudyGrades, targets: Sequence[Target]) -> str:
    """Return what is severe, then what is moderate."""
    phrases = []
    for grade in (Grade.SEVERE, Grade.MODERATE):
        for finding in Finding:
            ours = [t for t in targets if t.finding is finding and grades.grades[t.index] is grade]
            if ours:
                phrases.append(_phrase(grades, grade, ours))
    return _sentence(phrases)


def _phrase(grades: StudyGrades, grade: Grade, targets: Sequence[Target]) -> str:
    name, word = _WORDS[targets[0].finding], _IN_WORDS[grade]
    if len(targets) == 2:
        sides = [f"{t.side.value} {_how_sure(grades, t)}" for t in _right_first(targets) if t.side]
        return f"{word} {name} on both sides ({'; '.join(sides)})"
    (target,) = targets
    side = f"{target.side.value} " if target.side else ""
    return f"{word} {side}{name} ({_how_sure(grades, target)})"


def _how_sure(grades: StudyGrades, target: Target, word: str = "uncertain: ") -> str:
    """Return the probability of a grade, and of the next one if it is uncertain."""
    p = grades.probabilities[target.index]
    sure = percent(float(grades.confidence[target.index]))
    if not is_uncertain(grades, target.index):
        return sure
    runner_up = Grade(int(p.argsort(kind="stable")[-2]))
    return f"{sure}, {word}{_IN_WORDS[runner_up]} {percent(float(p[runner_up]))}"


def _unsure(grades: StudyGrades, targets: Sequence[Target]) -> str:
    """Return what is normal or mild, but not surely so."""
    found = [
        f"{_place(t)} ({_how_sure(grades, t, word='')})"
        for t in _right_first(targets)
        if grades.grades[t.index] is Grade.NORMAL_MILD and is_uncertain(grades, t.index)
    ]
    return f"Normal or mild, but uncertain: {_listed(found)}." if found else ""


def _rest(grades: StudyGrades, targets: Sequence[Target]) -> str:
    """Return what is normal or mild and no more is to be said of."""
    mild = [t for t in targets if grades.grades[t.index] is Grade.NORMAL_MILD]
    sure = [t for t in mild if not is_uncertain(grades, t.index)]
    if not sure:
        return ""
    if len(sure) == len(Condition):
        least = min(mild, key=lambda t: float(grades.confidence[t.index]))
        how = percent(float(grades.confidence[least.index]))
        return f"Normal or mild throughout (least sure: {_place(least)}, {how})."
    return f"Normal or mild: {_listed(_places(sure))}."


def _right_first(targets: Iterable[Target]) -> list[Target]:
    """Return targets as pictures show them: the finding's right side before its left."""
    order = tuple(Finding)
    return sorted(targets, key=lambda t: (order.index(t.finding), t.side is Side.LEFT))


def _places(targets: Sequence[Target]) -> list[str]:
    """Return the places of targets; both sides of a finding in one."""
    places = []
    for finding in Finding:
        ours = _right_first(t for t in targets if t.finding is finding)
        both = len(ours) == 2
        places.extend([f"both {_BOTH[finding]}"] if both else [_place(t) for t in ours])
    return places


def _place(target: Target) -> str:
    place = _PLACES[target.finding]
    return f"{target.side.value} {place}" if target.side else place


def _sentence(phrases: Sequence[str]) -> str:
    text = "; ".join(phrases)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _listed(items: Sequence[str]) -> str:
    """Return items as in a sentence: `a, b and c`."""
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"

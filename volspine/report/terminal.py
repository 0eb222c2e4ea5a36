"""Grades on a terminal: one row per target, beside the truth where it is known."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from volspine.anatomy import TARGETS, Grade
from volspine.grades import StudyGrades

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["count_agreeing", "grade_table"]

_STYLES = {Grade.NORMAL_MILD: "", Grade.MODERATE: "bold", Grade.SEVERE: "bold reverse"}


def grade_table(grades: StudyGrades, truth: Mapping[str, int] | None = None) -> "Table":
    """Return a table of 25 rows.

    Args:
        grades: What was concluded.
        truth: For each target's name, its true grade; adds a column, and a mark where they differ.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"Study {grades.name}",
        caption=_caption(grades, has_truth=bool(truth)),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    headings = ("target", *(["truth"] if truth else []), "grade", "probability")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for t, target in enumerate(TARGETS):
        true = [] if not truth else [Grade(truth[target.name])]
        table.add_row(
            target.label,
            *(grade.label for grade in true),
            _grade_cell(grades, t, true),
            " ".join(f"{p:.2f}".lstrip("0") for p in grades.probabilities[t]),
        )
    return table


def count_agreeing(grades: StudyGrades, truth: Mapping[str, int]) -> int:
    """Return how many of the 25 grades are the true ones."""
    pairs = zip(TARGETS, grades.grades, strict=True)
    return sum(grade == truth[target.name] for target, grade in pairs)


def _grade_cell(grades: StudyGrades, t: int, true: list[Grade]) -> str:
    grade = grades.grades[t]
    if grade is None:
        return "not graded"
    differs = "*" if true and true[0] is not grade else ""
    filled_in = "i" if grades.imputed[t] else ""
    text = " ".join([grade.label, *filter(None, [differs + filled_in])])
    return f"[{_STYLES[grade]}]{text}[/]" if _STYLES[grade] else text


def _caption(grades: StudyGrades, *, has_truth: bool) -> str:
    parts = [
        "probabilities: Normal/Mild, Moderate, Severe",
        *(["* not the true grade"] if has_truth else []),
        *(["i imputed"] if grades.imputed.any() else []),
    ]
    return "; ".join(parts)

"""The table on the terminal: 25 rows, the truth beside, what differs is marked, 80 columns do."""

import io

from rich.console import Console

from tests.report.made_up import make_grades, recesses
from volspine.anatomy import TARGETS
from volspine.grades import StudyGrades
from volspine.report.terminal import count_agreeing, grade_table


def shown(grades, truth=None):
    stream = io.StringIO()
    Console(file=stream, width=80).print(grade_table(grades, truth))
    return stream.getvalue()


def truth(**changes):
    return {**{target.name: 1 for target in TARGETS}, **changes}


def test_every_target_has_a_row_beside_its_truth():
    text = shown(make_grades(), truth(spinal_canal_stenosis_l1_l2=2))
    for target in TARGETS:
        assert sum(target.label in line for line in text.splitlines()) == 1
    (row,) = [line for line in text.splitlines() if "Spinal canal stenosis L1/L2" in line]
    assert row.split() == [
        "Spinal",
        "canal",
        "stenosis",
        "L1/L2",
        "Severe",
        "Moderate",
        "*",
        ".20",
        ".70",
        ".10",
    ]
    (row,) = [line for line in text.splitlines() if "Spinal canal stenosis L2/L3" in line]
    assert "*" not in row
    assert "…" not in text


def test_what_was_filled_in_is_marked():
    (row,) = [
        line
        for line in shown(make_grades(imputed=recesses())).splitlines()
        if "Right subarticular stenosis L4/L5" in line
    ]
    assert "Severe i" in row


def test_agreement_is_counted():
    # Everything is moderate but the right recess at L4/L5, which is severe.
    assert count_agreeing(make_grades(), truth()) == 24
    assert count_agreeing(make_grades(), truth(right_subarticular_stenosis_l4_l5=2)) == 25


def test_a_refused_study_is_not_graded():
    assert shown(StudyGrades.refused("x", "a knee")).count("not graded") == 25

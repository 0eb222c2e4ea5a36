"""A grade is uncertain where others outweigh it, or where a look may have preferred another."""

import numpy as np
import pytest

from volspine.anatomy import TARGETS
from volspine.grades import StudyGrades
from volspine.report.certainty import is_uncertain, looks_at, number_of_looks, percent, span


def graded(p, *, low=None, high=None, imputed=False):
    name = TARGETS[0].name
    looks = {} if low is None else {"looks": {"count": 2, "low": {name: low}, "high": {name: high}}}
    return StudyGrades(
        name="x",
        probabilities=np.tile(p, (25, 1)),
        imputed=np.full(25, imputed),
        reasons=("",) * 25,
        points_mm=np.full((25, 3), np.nan),
        status="graded",
        provenance=looks,
    )


@pytest.mark.parametrize(
    ("p", "low", "high", "expected"),
    [
        ([0.49, 0.3, 0.21], None, None, True),
        ([0.5, 0.3, 0.2], None, None, False),
        ([0.6, 0.3, 0.1], [0.5, 0.2, 0.1], [0.7, 0.4, 0.1], False),
        ([0.55, 0.4, 0.05], [0.45, 0.3, 0.05], [0.65, 0.5, 0.05], True),
    ],
    ids=["less than half", "half", "looks agree", "looks may not agree"],
)
def test_what_is_uncertain(p, low, high, expected):
    assert is_uncertain(graded(p, low=low, high=high), 0) is expected


def test_what_was_not_measured_or_refused_is_no_grade_to_be_uncertain():
    assert not is_uncertain(graded([0.4, 0.35, 0.25], imputed=True), 0)
    assert not is_uncertain(StudyGrades.refused("x", "a knee"), 0)


def test_looks_are_known_only_where_they_were_recorded():
    grades = graded([0.6, 0.3, 0.1], low=[0.5, 0.2, 0.1], high=[0.7, 0.4, 0.1])
    assert number_of_looks(grades) == 2
    assert looks_at(grades, 0) == ([0.5, 0.2, 0.1], [0.7, 0.4, 0.1])
    assert looks_at(grades, 1) is None
    assert number_of_looks(graded([1.0, 0.0, 0.0])) == 0


def test_nothing_is_told_as_certain():
    told = [percent(p).replace("\u00a0", " ") for p in (1.0, 0.996, 0.994, 0.006, 0.004, 0.0)]
    assert told == [">99 %", ">99 %", "99 %", "1 %", "<1 %", "<1 %"]
    assert span(0.2, 0.8).replace("\u00a0", " ") == "20 to 80 %"
    assert span(0.204, 0.196).replace("\u00a0", " ") == "20 %"

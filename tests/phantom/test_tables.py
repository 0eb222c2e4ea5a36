"""Tables: the true point of each graded target, and the few rows that real tables get wrong."""

from dataclasses import replace

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Condition, Protocol
from volspine.challenge import condition_title
from volspine.data.rsna import PLACEHOLDER_PIXELS
from volspine.errors import ConfigurationError
from volspine.phantom.filing import Marking, SeriesFiling
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import outline_study
from volspine.phantom.tables import mark, nearest_slice, study_rows, truth_record


@pytest.fixture(scope="module")
def made():
    return outline_study(Spec(seed=8, cohort=Cohort.PROBE, size=Size.SMALL))


def changed(made, labels=None, **filing):
    other = made if labels is None else replace(made, labels=labels)
    other = replace(other)
    vars(other)["filing"] = replace(made.filing, **filing)
    return other


def with_marking(made, target_index, marking):
    markings = list(made.filing.markings)
    markings[target_index] = marking
    return changed(made, markings=tuple(markings))


def row_of(made, target):
    title = condition_title(target.condition)
    found = [row for row in study_rows(made).coordinates if row[3:5] == (title, target.level.label)]
    return found[0] if found else None


CANAL, FORAMEN = TARGETS[3], TARGETS[8]


def test_a_plain_study_has_a_row_for_every_target_at_its_true_place(made):
    rows = study_rows(made).coordinates
    assert len(rows) == len(TARGETS)
    for target in TARGETS:
        series_id, number, x, y = mark(made, target.index)
        wanted = (series_id, str(number), f"{x:.4f}", f"{y:.4f}")
        row = row_of(made, target)
        assert (row[1], row[2], row[5], row[6]) == wanted


def test_a_mark_lies_on_the_slice_nearest_to_the_target(made):
    for target in TARGETS:
        found = nearest_slice(made, target.index)
        plan, point = made.plan.series[found.series], made.truth.landmarks_mm[target.index]
        gaps = []
        for index in range(len(plan.centres_mm)):
            normal = np.cross(*plan.axes(index))
            gaps.append(abs(float((point - plan.centres_mm[index]) @ normal)))
        assert found.gap_mm == pytest.approx(min(gaps), abs=1e-9)


def test_instance_numbers_in_the_table_are_those_of_the_files(made):
    series = tuple(SeriesFiling(tuple(range(9, 9 + 4 * len(s.numbers), 4)))
                   for s in made.filing.series)  # fmt: skip
    other = changed(made, series=series)
    for target in TARGETS:
        plain, shifted = mark(made, target.index), mark(other, target.index)
        assert shifted[1] == 9 + 4 * (plain[1] - 1)
        assert (shifted[0], *shifted[2:]) == (plain[0], *plain[2:])


def test_a_placeholder_stands_near_the_corner_and_the_truth_does_not(made):
    other = with_marking(made, CANAL.index, Marking.PLACEHOLDER)
    row = row_of(other, CANAL)
    assert 5.0 <= float(row[5]) < PLACEHOLDER_PIXELS
    assert 5.0 <= float(row[6]) < PLACEHOLDER_PIXELS
    assert truth_record(other) == truth_record(made)


def test_an_absent_mark_has_no_row_though_its_grade_is_there(made):
    other = with_marking(made, FORAMEN.index, Marking.ABSENT)
    assert row_of(other, FORAMEN) is None
    assert len(study_rows(other).coordinates) == len(TARGETS) - 1
    assert study_rows(other).labels == study_rows(made).labels


def test_a_canal_marked_elsewhere_is_on_t1_at_the_same_place(made):
    other = with_marking(made, CANAL.index, Marking.ELSEWHERE)
    names = {p.series_id: p for p in made.plan.series}
    assert names[row_of(made, CANAL)[1]].protocol is Protocol.SAGITTAL_T2
    assert names[row_of(other, CANAL)[1]].protocol is Protocol.SAGITTAL_T1


def test_a_missing_grade_has_a_row_only_where_it_was_marked_all_the_same(made):
    labels = made.labels.copy()
    labels[CANAL.index] = -1
    assert row_of(changed(made, labels), CANAL) is None
    marked = tuple(target is CANAL for target in TARGETS)
    other = changed(made, labels, blank_marked=marked)
    assert row_of(other, CANAL) == row_of(made, CANAL)


def test_a_study_without_the_series_of_a_condition_has_no_row_for_it(made):
    keep = [p.protocol is not Protocol.SAGITTAL_T1 for p in made.plan.series]
    series = tuple(p for p, kept in zip(made.plan.series, keep, strict=True) if kept)
    other = replace(made, plan=replace(made.plan, series=series))
    foramina = (Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
                Condition.RIGHT_NEURAL_FORAMINAL_NARROWING)  # fmt: skip
    titles = {row[3] for row in study_rows(other).coordinates}
    assert titles == {condition_title(c) for c in Condition} - set(map(condition_title, foramina))
    with pytest.raises(ConfigurationError, match="no series shows this target"):
        mark(other, FORAMEN.index)

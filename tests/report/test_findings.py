"""The map, the bars and the tables of a report: in order, on their side, plain without colour."""

import re

import numpy as np
import pytest

from tests.report import one_sided
from tests.report.made_up import axial_stack, make_grades
from volspine.anatomy import LEVELS, TARGETS, Condition, Grade, Side, Target
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.report.brightness import grey_window
from volspine.report.findings import MAP_COLUMNS, findings, map_cell, severity_map, target_rows
from volspine.report.html import render_report
from volspine.report.origin import held_out, making, model_card, places


def test_the_map_lies_as_one_faces_the_patient():
    sides = [condition.side for condition in MAP_COLUMNS]
    assert sides == [Side.RIGHT, Side.RIGHT, None, Side.LEFT, Side.LEFT]
    assert [c.mirrored for c in MAP_COLUMNS] == list(reversed(MAP_COLUMNS))
    assert set(MAP_COLUMNS) == set(Condition)
    for row, level in zip(severity_map(make_grades()), LEVELS, strict=True):
        expected = [Target(condition, level).label for condition in MAP_COLUMNS]
        assert [cell["label"] for cell in row["cells"]] == expected
        assert (row["bone"], row["level"]) == (level.label[:2], level.label)


def test_a_mirrored_patient_has_the_mirrored_map():
    grades = one_sided.grades(one_sided.study())
    rows, mirrored = severity_map(grades), severity_map(grades.mirrored())
    for row, other in zip(rows, mirrored, strict=True):
        shades = [cell["shade"] for cell in row["cells"]]
        assert [cell["shade"] for cell in other["cells"]] == shades[::-1]
    assert [cell["shade"] for cell in rows[2]["cells"]].index("severe") == 3  # The left recess.


def test_each_severity_has_a_shape_a_letter_and_a_pattern_of_its_own():
    probabilities = np.tile([0.9, 0.05, 0.05], (25, 1))
    probabilities[5] = [0.1, 0.8, 0.1]
    probabilities[6] = [0.1, 0.1, 0.8]
    imputed = np.arange(25) == 7
    grades = StudyGrades(
        name="x",
        probabilities=probabilities,
        imputed=imputed,
        reasons=tuple("no" if m else "" for m in imputed),
        points_mm=np.full((25, 3), np.nan),
        status="partial",
    )
    page = render_report(grades)
    cells = re.findall(r'<td class="cell (\w+)">.*?<svg[^>]*>(.*?)</svg><b[^>]*>(.)</b>', page)
    assert len(cells) == 25
    shapes = {shade: (shape, letter) for shade, shape, letter in cells}
    assert set(shapes) == {"mild", "moderate", "severe", "prior"}
    assert len({shape for shape, _ in shapes.values()}) == 4
    assert [shapes[s][1] for s in ("mild", "moderate", "severe", "prior")] == ["N", "M", "S", "–"]
    for kind in ("moderate", "severe", "prior"):
        assert f".map .{kind} a" in page


def test_bars_have_the_length_of_their_probability_and_follow_one_another():
    for t, row in enumerate(target_rows(make_grades())):
        widths = [bar["width"] for bar in row["bars"]]
        assert widths == pytest.approx([100 * p for p in make_grades().probabilities[t]])
        assert row["bars"][2]["x"] == pytest.approx(widths[0] + widths[1])
        assert [cell["is_grade"] for cell in row["cells"]].index(True) == make_grades().grades[t]


def test_probabilities_stand_beside_what_the_looks_said():
    row = target_rows(one_sided.grades(one_sided.study()))[0]
    spans = [cell["span"].replace("\u00a0", " ") for cell in row["cells"]]
    assert spans == ["10 to 20 %", "20 to 30 %", "60 to 70 %"]
    assert target_rows(make_grades())[0]["cells"][0]["span"] == ""


def test_what_was_not_measured_has_no_shade_of_a_grade_in_the_map():
    grades = make_grades(imputed=np.ones(25, dtype=bool))
    assert {map_cell(grades, target)["shade"] for target in TARGETS} == {"prior"}
    assert {found["worst"] for found in findings(grades)} == {"none"}
    assert {found["worst"] for found in findings(make_grades())} == {"moderate", "severe"}
    assert Grade.SEVERE in grades.grades


def test_places_tell_where_a_target_is_and_what_it_was_read_from():
    rows = {row["label"]: row for row in places(one_sided.grades(one_sided.study()))}
    assert len(rows) == 25
    left = rows["Left subarticular stenosis L3/L4"]
    assert left["mm"] == ["12.0", "0.0", "0.0"]
    assert left["seen"] == ["one_sided 2, stack 1, slices 18 to 20, 24 mm"]
    assert places(make_grades()) == []


def test_the_model_card_says_what_is_known_and_nothing_else():
    card = dict(model_card(make_grades()))
    assert card["Trained on"] == "120 phantoms"
    assert card["Valid for"] == "phantoms only"
    assert "Calibrated" not in card
    table = held_out(make_grades())
    name, value, interval, prior, floor = table["rows"][0]
    assert (value, interval, prior, floor) == ("0.610", "", "0.800", "")
    assert name.startswith("Weighted log loss")
    assert held_out(make_grades(provenance={})) == {}
    assert model_card(make_grades(provenance={})) == []


def test_settings_that_have_no_section_of_their_own_are_told():
    told = dict(making(make_grades(provenance={"device": "cpu", "seed": None, "crops": {"a": 1}})))
    assert told == {"device": "cpu", "seed": "not set"}


def test_one_window_serves_a_series_and_is_set_about_the_places():
    ground = np.full((60, 60, 4), 100, dtype=np.float32)
    ground[20:40, 20:40] += np.arange(20)[:, None, None]  # What is looked at: 100 to 119.
    ground[:, 55:] = 5000  # Fat below the skin, far behind.
    stack = axial_stack(ground)  # Columns from x = -10, rows from y = -20, 2 mm.
    at = stack.slice_origins_mm[1] + np.array([60.0, 40.0, 0.0])  # Voxel (30, 20).
    low, high = grey_window([stack], at[None])
    assert (low, high) == pytest.approx((100, 119), abs=3)
    assert grey_window([stack], np.full((25, 3), np.nan))[1] == 5000


def test_a_series_of_one_value_has_a_window():
    flat = Stack.from_array(np.full((5, 5, 2), 7, np.float32), np.eye(4))
    low, high = grey_window([flat], np.zeros((0, 3)))
    assert low == 7
    assert high > low

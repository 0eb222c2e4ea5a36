"""Findings as balls and labels."""

from volspine.viewer.findings import level_points, markers
from volspine.viewer.palette import GRADE_COLORS, UNKNOWN_COLOR


def test_markers_stand_at_the_targets_in_the_colour_of_their_grade(grades):
    drawn = markers(grades)
    assert len(drawn) == 24  # One target is not located.
    canal, left = drawn[0], drawn[5]
    assert canal.color == GRADE_COLORS[0]
    assert canal.label == "Spinal canal stenosis L1/L2: Normal/Mild"
    assert left.label == "Left neural foraminal narrowing L1/L2: Severe"
    assert left.point_mm.tolist() == [15.0, 5.0, 60.0]
    assert drawn[23].color == UNKNOWN_COLOR
    assert drawn[23].label.endswith("(imputed)")
    assert markers(None) == ()


def test_a_worse_grade_is_larger_so_that_it_reads_without_colour(grades):
    normal, severe, unknown = (markers(grades)[n].radius_mm for n in (0, 5, 23))
    assert normal == 3.2 * 0.8
    assert severe == 2.6 * 1.25
    assert unknown == 2.6


def test_a_level_is_in_the_middle_of_its_targets(grades):
    points = level_points(grades)
    assert list(points) == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
    assert points["L2/L3"].tolist() == [0.0, 5.0, 30.0]
    assert level_points(None) == {}

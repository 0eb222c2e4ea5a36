"""Landmarks for Slicer: right place in the right frame, right label, as its schema asks."""

import json

import jsonschema
import numpy as np
import pytest

from tests.report.made_up import make_grades
from volspine.anatomy import TARGETS
from volspine.grades import StudyGrades
from volspine.report.markups import MARKUPS_SCHEMA, markups, markups_text

THREE = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}
NINE = {"type": "array", "items": {"type": "number"}, "minItems": 9, "maxItems": 9}
COLOR = {**THREE, "items": {"type": "number", "minimum": 0, "maximum": 1}}
SIZE = {"type": "number", "minimum": 0}
FLAG, TEXT = {"type": "boolean"}, {"type": "string"}
# What Slicer's published schema 1.0.3 asks of the properties that are used, and no other property.
SLICER = {
    "type": "object",
    "required": ["@schema", "markups"],
    "properties": {"@schema": TEXT, "markups": {"type": "array", "items": {"$ref": "#/$defs/m"}}},
    "$defs": {
        "m": {
            "type": "object",
            "required": ["type"],
            "additionalProperties": False,
            "properties": {
                "type": {"enum": ["Fiducial", "Line", "Angle", "Curve", "Plane", "ROI"]},
                "coordinateSystem": {"enum": ["LPS", "RAS"]},
                "coordinateUnits": {"enum": ["mm", "um"]},
                **dict.fromkeys(("name", "description", "labelFormat"), TEXT),
                "locked": FLAG,
                "controlPoints": {"type": "array", "items": {"$ref": "#/$defs/point"}},
                "display": {"$ref": "#/$defs/display"},
            },
        },
        "point": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                **dict.fromkeys(("id", "label", "description", "associatedNodeID"), TEXT),
                "position": THREE,
                "orientation": NINE,
                **dict.fromkeys(("selected", "locked", "visibility"), FLAG),
                "positionStatus": {"enum": ["undefined", "preview", "defined"]},
            },
        },
        "display": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                **dict.fromkeys(
                    (
                        "visibility",
                        "propertiesLabelVisibility",
                        "pointLabelsVisibility",
                        "useGlyphScale",
                        "sliceProjection",
                    ),
                    FLAG,
                ),
                **dict.fromkeys(("color", "selectedColor"), COLOR),
                **dict.fromkeys(("textScale", "glyphSize"), SIZE),
                "glyphType": {"enum": ["Sphere3D", "Diamond3D", "Cross2D"]},
            },
        },
    },
}


@pytest.fixture
def grades():
    """All located but the last; the first is not measured."""
    points = np.arange(75.0).reshape(25, 3)
    points[24] = np.nan
    return make_grades(points=points, imputed=np.arange(25) == 0)


def points_of(plain):
    return {
        point["id"]: (each["name"], point)
        for each in plain["markups"]
        for point in each["controlPoints"]
    }


def test_it_is_what_slicers_schema_asks(grades):
    jsonschema.validate(json.loads(markups_text(grades)), SLICER)
    assert MARKUPS_SCHEMA.endswith("markups-schema-v1.0.3.json#")


def test_every_located_target_is_a_point_at_its_place_in_lps(grades):
    plain = markups(grades)
    found = points_of(plain)
    assert sorted(found, key=int) == [str(n) for n in range(1, 25)]
    for t in range(24):
        assert found[str(t + 1)][1]["position"] == grades.points_mm[t].tolist()
    assert {each["coordinateSystem"] for each in plain["markups"]} == {"LPS"}


def test_slicers_own_axes_are_the_orientation(grades):
    # In RAS, which Slicer has inside, the same axes are the unit matrix: x and y turn their sign.
    (_, point) = points_of(markups(grades))["5"]
    axes = np.reshape(point["orientation"], (3, 3))
    assert np.array_equal(np.diag([-1, -1, 1]) @ axes, np.eye(3))


def test_labels_have_level_side_condition_and_grade(grades):
    found = points_of(markups(grades))
    name, point = found[str(TARGETS[23].index + 1)]
    assert name == "Severe"
    assert point["label"] == "L4/L5 right subarticular stenosis: Severe 0.90"
    assert point["description"] == "Normal/Mild 0.050; Moderate 0.050; Severe 0.900"
    assert found["6"][1]["label"].startswith("L1/L2 left neural foraminal narrowing: Moderate")


def test_what_was_not_measured_says_so_in_a_list_of_its_own(grades):
    name, point = points_of(markups(grades))["1"]
    assert name == "Not measured"
    assert point["label"] == "L1/L2 spinal canal stenosis: not measured"
    assert point["description"].startswith("no axial T2 series; ")


def test_each_list_has_its_colour_and_what_every_output_says(grades):
    lists = markups(grades)["markups"]
    assert len({tuple(each["display"]["selectedColor"]) for each in lists}) == len(lists) == 3
    assert all("Research use only" in each["description"] for each in lists)


def test_the_mirrored_patient_has_mirrored_points(grades):
    there, back = points_of(markups(grades)), points_of(markups(grades.mirrored()))
    for t, target in enumerate(TARGETS[:24]):
        mirrored = str(target.mirrored.index + 1)
        if mirrored in back:
            x, y, z = there[str(t + 1)][1]["position"]
            assert back[mirrored][1]["position"] == [-x, y, z]


def test_nothing_is_written_where_nothing_was_located():
    assert markups_text(make_grades()) == ""
    assert markups_text(StudyGrades.refused("x", "a knee")) == ""

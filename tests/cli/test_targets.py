"""`volspine targets`: the vocabulary as text and as JSON."""

import json

from volspine.anatomy import TARGETS
from volspine.cli import main


def shown(capsys, *options):
    assert main(["targets", *options]) == 0
    return capsys.readouterr().out


def test_json_is_a_list_of_25_objects_in_canonical_order(capsys):
    listed = json.loads(shown(capsys, "--json"))
    assert [row["name"] for row in listed] == [target.name for target in TARGETS]
    assert [row["index"] for row in listed] == list(range(25))


def test_one_row_says_everything_about_its_target(capsys):
    assert json.loads(shown(capsys, "--json"))[8] == {
        "index": 8,
        "name": "left_neural_foraminal_narrowing_l4_l5",
        "condition": "left_neural_foraminal_narrowing",
        "level": "l4_l5",
        "side": "left",
        "label": "Left neural foraminal narrowing L4/L5",
        "mirrored": "right_neural_foraminal_narrowing_l4_l5",
        "grades": ["Normal/Mild", "Moderate", "Severe"],
    }


def test_the_midline_has_no_side_and_mirrors_to_itself(capsys):
    canal = json.loads(shown(capsys, "--json"))[0]
    assert canal["side"] is None
    assert canal["mirrored"] == canal["name"] == "spinal_canal_stenosis_l1_l2"


def test_text_has_one_line_for_each_target_and_says_whose_left_is_meant(capsys):
    lines = shown(capsys).splitlines()
    assert len(lines) == 26
    assert lines[24].split()[:2] == ["24", "right_subarticular_stenosis_l5_s1"]
    assert lines[25].endswith("Left and right are the patient's.")

"""`volspine demo` from end to end, with a tiny model in the place of the demo bundle."""

import json

import pytest

from tests.inference.made_up import tiny_card, tiny_grader
from volspine.cli import main
from volspine.inference import bundle as module
from volspine.inference.bundle import write_bundle


@pytest.fixture
def bundle(tmp_path):
    grader = tiny_grader()
    return str(
        write_bundle(
            tmp_path / "tiny", [grader.state_dict()], recipe=grader.recipe, card=tiny_card()
        )
    )


@pytest.mark.slow
def test_the_demo_grades_a_phantom_beside_its_truth(bundle, tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--model", bundle]) == 0
    said = capsys.readouterr().out
    assert said.count("L4/L5") == 5
    assert "of 25 grades are the true ones" in said
    assert "weighted log loss 0.900 on 3 held-out phantoms, beside 0.800 for the prior" in said
    assert "nothing about patients" in said
    assert "Research use only" in said
    for name in ("voxels.png", "points.png", "slices.png"):
        assert (out / name).stat().st_size > 50_000
    (result,) = out.glob("*/result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["status"] == "graded"
    # A second demo in the same folder finds its patient and writes the rest again.
    assert main(["demo", "--out", str(out), "--model", bundle, "--quiet"]) == 0


def test_without_a_demo_bundle_the_demo_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "demo_folder", lambda: tmp_path / "absent")
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 4
    assert "--model" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()

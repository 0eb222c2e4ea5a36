"""`volspine bundle`: checkpoints in, a model folder out, nothing in them executed."""

import json

import pytest
import torch

from tests.inference.made_up import SHAPE, SPACING, tiny_grader
from volspine import __version__
from volspine.cli import main
from volspine.data.cache import PREPROCESSING_VERSION
from volspine.inference.bundle import load_bundle


def save_checkpoint(path, seed=0, **changes):
    """What GradingTask leaves in a checkpoint, as far as a bundle needs it."""
    grader = tiny_grader(seed)
    state = {f"grader.{name}": tensor for name, tensor in grader.state_dict().items()}
    kept = {
        "version": __version__,
        "model": grader.recipe,
        "data": {
            "grid": {"spacing_mm": list(SPACING), "shape": list(SHAPE)},
            "preprocessing_version": PREPROCESSING_VERSION,
            "roots": ["phantoms"],
            "num_studies": {"train": 140, "val": 0, "test": 60},
        },
        "frequencies": [[0.6, 0.3, 0.1]] * 25,
    }
    content = {
        "state_dict": {**state, "loss.weight": torch.ones(3)},
        "volspine": {**kept, **changes},
    }
    torch.save(content, path)
    return str(path)


def test_a_checkpoint_becomes_a_bundle(tmp_path, capsys):
    metrics = tmp_path / "test_metrics.json"
    metrics.write_text(json.dumps({"score": 0.61, "prior": 0.8, "studies": 60}))
    checkpoint, out = save_checkpoint(tmp_path / "last.ckpt"), tmp_path / "model"
    assert main(["bundle", checkpoint, "--out", str(out), "--metrics", str(metrics)]) == 0
    loaded = load_bundle(out)
    assert loaded.card.name == "model"
    assert loaded.card.trained_on == "140 studies of phantoms"
    assert loaded.card.phantom_only
    assert loaded.card.held_out == {"score": 0.61, "prior": 0.8, "studies": 60}
    assert loaded.card.frequencies[0].tolist() == pytest.approx([0.6, 0.3, 0.1])
    state = loaded.graders[0].state_dict()
    assert all(torch.equal(state[k], v) for k, v in tiny_grader().state_dict().items())
    assert "1 member(s)" in capsys.readouterr().out


def test_several_checkpoints_become_an_ensemble(tmp_path):
    paths = [save_checkpoint(tmp_path / f"{seed}.ckpt", seed) for seed in (1, 2)]
    arguments = ["--trained-on", "200 real studies", "--patients", "--name", "two"]
    assert main(["bundle", *paths, "--out", str(tmp_path / "m"), *arguments]) == 0
    loaded = load_bundle(tmp_path / "m")
    assert len(loaded.graders) == 2
    assert (loaded.card.name, loaded.card.phantom_only) == ("two", False)


def test_checkpoints_of_different_models_are_no_ensemble(tmp_path, capsys):
    first = save_checkpoint(tmp_path / "1.ckpt")
    other = save_checkpoint(tmp_path / "2.ckpt", model={"grader": "StudyGrader"})
    assert main(["bundle", first, other, "--out", str(tmp_path / "m")]) == 2
    assert "different models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"grader": "os.system"}}, "'os.system' is no grader"),
        ({"frequencies": None}, "seen no training data"),
        ({"data": {}}, "malformed"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_says_why(tmp_path, capsys, changes, message):
    checkpoint = save_checkpoint(tmp_path / "x.ckpt", **changes)
    assert main(["bundle", checkpoint, "--out", str(tmp_path / "m")]) == 4
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m" / "card.json").exists()


def test_a_missing_or_foreign_checkpoint_says_so(tmp_path, capsys):
    assert main(["bundle", str(tmp_path / "gone.ckpt"), "--out", str(tmp_path / "m")]) == 4
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "text.ckpt").write_text("hello")
    assert main(["bundle", str(tmp_path / "text.ckpt"), "--out", str(tmp_path / "m")]) == 4
    assert "cannot be used" in capsys.readouterr().err


def test_metrics_of_another_kind_are_refused(tmp_path, capsys):
    (tmp_path / "m.json").write_text("{}")
    checkpoint = save_checkpoint(tmp_path / "x.ckpt")
    arguments = ["--out", str(tmp_path / "m"), "--metrics", str(tmp_path / "m.json")]
    assert main(["bundle", checkpoint, *arguments]) == 2
    assert "test_metrics.json" in capsys.readouterr().err


def test_a_temperature_from_a_file_takes_the_place_of_the_checkpoint_s(tmp_path):
    heat = [1.5] * 5 + [2.0] * 10 + [3.0] * 10  # As the targets lie: canal, foramina, recesses.
    file = tmp_path / "temperature.json"
    file.write_text(json.dumps({"temperature": heat, "fitted_on": "80 labels of a reader"}))
    checkpoint = save_checkpoint(tmp_path / "last.ckpt", temperature=[1.1] * 25)
    out = ["--out", str(tmp_path / "m")]
    assert main(["bundle", checkpoint, *out]) == 0
    assert load_bundle(tmp_path / "m").card.temperature.tolist() == pytest.approx([1.1] * 25)
    assert main(["bundle", "--temperature", str(file), *out, "--overwrite"]) == 0
    card = load_bundle(tmp_path / "m").card
    assert card.temperature.tolist() == heat
    assert card.calibrated_on == "80 labels of a reader"
    assert "80 labels of a reader" in (tmp_path / "m" / "card.md").read_text()


@pytest.mark.parametrize("heat", [[1.0] * 24, ["1"] * 25, [float("nan")] * 25, 1.0, None], ids=str)
def test_a_file_that_is_no_temperature_is_refused(tmp_path, capsys, heat):
    file = tmp_path / "temperature.json"
    file.write_text(json.dumps({"temperature": heat, "fitted_on": "x"}))
    checkpoint = save_checkpoint(tmp_path / "last.ckpt")
    arguments = ["--temperature", str(file), "--out", str(tmp_path / "m")]
    assert main(["bundle", checkpoint, *arguments]) == 2
    assert "not a temperature" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "heat", [{"canal": 1.2, "foramen": 2.1, "recess": 2.8}, [1.2, 2.1, 2.8]], ids=["named", "plain"]
)
def test_three_temperatures_become_those_of_the_targets_of_both_sides(tmp_path, heat):
    file = tmp_path / "temperature.json"
    file.write_text(json.dumps({"temperature": heat, "fitted_on": "out-of-fold predictions"}))
    out = ["--out", str(tmp_path / "m"), "--temperature", str(file)]
    assert main(["bundle", save_checkpoint(tmp_path / "last.ckpt"), *out]) == 0
    card = load_bundle(tmp_path / "m").card
    assert card.temperature.tolist() == [1.2] * 5 + [2.1] * 10 + [2.8] * 10
    told = "out-of-fold predictions: canal 1.20, foramen 2.10, recess 2.80"
    assert told in (tmp_path / "m" / "card.md").read_text()


@pytest.mark.parametrize(
    "heat",
    [{"canal": 1.2, "foramen": 2.1}, {"canal": 1, "foramen": 1, "disc": 1}, [1.0, 2.0, 0.0]],
    ids=["two", "other", "nought"],
)
def test_what_are_no_three_temperatures_is_refused(tmp_path, heat):
    file = tmp_path / "temperature.json"
    file.write_text(json.dumps({"temperature": heat, "fitted_on": "x"}))
    out = ["--out", str(tmp_path / "m"), "--temperature", str(file)]
    assert main(["bundle", save_checkpoint(tmp_path / "last.ckpt"), *out]) == 2
    assert not (tmp_path / "m").exists()


def test_a_temperature_of_nought_is_refused(tmp_path, capsys):
    file = tmp_path / "temperature.json"
    file.write_text(json.dumps({"temperature": [0.0] * 25, "fitted_on": "x"}))
    arguments = ["--temperature", str(file), "--out", str(tmp_path / "m")]
    assert main(["bundle", save_checkpoint(tmp_path / "last.ckpt"), *arguments]) != 0
    assert "positive" in capsys.readouterr().err

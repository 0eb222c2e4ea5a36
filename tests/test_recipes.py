"""Every recipe in `experiments/` says what it is, parses, and runs end to end at a tiny size."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.data import made_roots
from volspine.cli import main
from volspine.data import cache
from volspine.models.grader import build_grader

RECIPES = sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))
NAMES = [path.stem for path in RECIPES]

TINY = [
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=1",
    "--trainer.num_sanity_val_steps=0",
    "--data.grid.shape=[32,64,64]",
    "--data.grid.spacing_mm=[3,2,2]",
    "--data.split.val=2",
    "--data.split.test=2",
    "--data.loader.batch_size=2",
    "--data.loader.num_workers=0",
    "--quiet",
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "read_study", made_roots.read_fake_study)
    grades = np.random.default_rng(0).integers(-1, 3, (8, 25))
    return made_roots.write_root(tmp_path / "root", grades)


def test_the_recipes_are_there():
    assert {"phantom_quick", "study_efficientnet", "study_maxvit"} <= set(NAMES)


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_the_head_says_what_is_expected_in_which_time_by_which_command(path):
    lines = path.read_text().splitlines()
    head = "\n".join(lines[: lines.index("")])
    assert head.startswith(f"# {path.stem}: ")
    for word in ("What", "Expected", "Time", "Command"):
        assert f"\n# {word} " in head
    assert f"experiments/{path.name}" in head
    assert "nothing about patients" in head


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_every_key_and_value_is_known(path, capsys):
    assert main(["fit", "-c", str(path), "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["grader"]["class_path"] == "volspine.models.grader.StudyGrader"


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_the_network_is_built_at_full_size(path):
    recipe = yaml.safe_load(path.read_text())
    arguments = recipe["model"]["grader"]["init_args"]
    shape = recipe["data"]["grid"]["shape"]
    assert build_grader({"grader": "StudyGrader", "shape": shape, **arguments}).recipe


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_it_runs_from_fit_to_test_at_a_tiny_size(path, root, tmp_path, capsys):
    common = ["-c", str(path), f"--data.root={root}", *TINY]
    common += [f"--trainer.default_root_dir={tmp_path / 'run'}"]
    assert main(["fit", *common]) == 0, capsys.readouterr().err
    assert main(["test", *common, "--ckpt_path=best"]) == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "run" / "test_metrics.json").read_text())
    assert metrics["studies"] == 2
    assert 0 < metrics["score"] < 5

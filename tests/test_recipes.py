"""Every recipe in `experiments/` says what it is, parses, and runs end to end at a tiny size."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.data import made_roots
from tests.data.made_maps import made_map
from tests.tasks.made_levels import formula_person
from volspine.cli import main
from volspine.data import cache, crop_store
from volspine.inference.checkpoint import read_checkpoint
from volspine.models.grader import GRADERS as OFFERED
from volspine.models.grader import build_grader
from volspine.models.localizer import build_localizer
from volspine.phantom import tissue_map_store

RECIPES = sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))
NAMES = [path.stem for path in RECIPES]
LOCALIZERS = [path for path in RECIPES if "localizer" in yaml.safe_load(path.read_text())["model"]]
REFINERS = [path for path in RECIPES if "refiner" in yaml.safe_load(path.read_text())["model"]]
LEVEL_GRADERS = [path for path in RECIPES if "LevelGrader" in path.read_text()]
GRADERS = [path for path in RECIPES if path not in (*LOCALIZERS, *REFINERS, *LEVEL_GRADERS)]
GRADER_NAMES = [path.stem for path in GRADERS]
LOCALIZER_NAMES = [path.stem for path in LOCALIZERS]
LEVEL_GRADER_NAMES = [path.stem for path in LEVEL_GRADERS]

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

TINY_LOCALIZER = [
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.strategy=auto",
    "--trainer.max_steps=1",
    "--trainer.check_val_every_n_epoch=1",
    "--model.localizer.init_args.channels=[4,8,8,8]",
    "--data.people.train=3",
    "--data.people.val=2",
    "--data.people.test=2",
    "--data.people.workers=1",
    "--data.draws.batch_size=2",
    "--data.draws.steps=1",
    "--data.draws.num_workers=0",
    "--quiet",
]

TINY_LEVEL_GRADER = [
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.strategy=auto",
    "--trainer.max_steps=1",
    "--trainer.check_val_every_n_epoch=1",
    "--model.grader.init_args.trunk={name: efficientnet_lite0, stride: 2}",
    "--data.people.train={rsna_like: 3}",
    "--data.people.val={probe: 2}",
    "--data.people.test={probe: 2}",
    "--data.people.workers=1",
    "--data.draws.batch_size=2",
    "--data.draws.steps=1",
    "--data.draws.num_workers=0",
    "--data.draws.on_device=false",
    "--quiet",
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "read_study", made_roots.read_fake_study)
    grades = np.random.default_rng(0).integers(-1, 3, (8, 25))
    return made_roots.write_root(tmp_path / "root", grades)


def test_the_recipes_are_there():
    assert {"phantom_quick", "study_efficientnet", "study_maxvit"} <= set(GRADER_NAMES)
    assert {"level_localizer", "level_localizer_gpu"} == set(LOCALIZER_NAMES)
    assert {"level_grader", "level_grader_gpu", "level_root"} == set(LEVEL_GRADER_NAMES)


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_the_head_says_what_is_expected_in_which_time_by_which_command(path):
    lines = path.read_text().splitlines()
    head = "\n".join(lines[: lines.index("")])
    assert head.startswith(f"# {path.stem}: ")
    for word in ("What", "Expected", "Time", "Command"):
        assert f"\n# {word} " in head
    assert f"experiments/{path.name}" in head
    assert "nothing about patients" in head


@pytest.mark.parametrize("path", GRADERS, ids=GRADER_NAMES)
def test_every_key_and_value_is_known(path, capsys):
    assert main(["fit", "-c", str(path), "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["grader"]["class_path"].rpartition(".")[2] in OFFERED


@pytest.mark.parametrize("path", GRADERS, ids=GRADER_NAMES)
@pytest.mark.slow
def test_the_network_is_built_at_full_size(path):
    recipe = yaml.safe_load(path.read_text())
    name = recipe["model"]["grader"]["class_path"].rpartition(".")[2]
    arguments = recipe["model"]["grader"]["init_args"]
    shape = recipe["data"]["grid"]["shape"]
    assert build_grader({"grader": name, "shape": shape, **arguments}).recipe


@pytest.mark.parametrize("path", LOCALIZERS, ids=LOCALIZER_NAMES)
def test_every_key_and_value_of_a_localizer_is_known_and_its_network_is_built(path, capsys):
    assert main(["fit", "-c", str(path), "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    chosen = printed["model"]["localizer"]
    assert chosen["class_path"] == "volspine.models.localizer.Localizer"
    assert build_localizer({"localizer": "Localizer", **chosen["init_args"]}).recipe
    weights = printed["model"]["loss"]["init_args"]
    assert weights["sigma_mm"] == 4.0


@pytest.mark.parametrize("path", LEVEL_GRADERS, ids=LEVEL_GRADER_NAMES)
def test_every_key_and_value_of_a_level_grader_is_known_and_its_network_is_built(path, capsys):
    assert main(["fit", "-c", str(path), "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    chosen = printed["model"]["grader"]
    assert chosen["class_path"] == "volspine.models.level_grader.LevelGrader"
    assert build_grader({"grader": "LevelGrader", **chosen["init_args"]}).recipe
    assert printed["model"]["loss"]["init_args"]["views"] == 0.3


@pytest.mark.slow
@pytest.mark.parametrize("path", GRADERS, ids=GRADER_NAMES)
def test_it_runs_from_fit_to_test_at_a_tiny_size(path, root, tmp_path, capsys):
    common = ["-c", str(path), f"--data.root={root}", *TINY]
    common += [f"--trainer.default_root_dir={tmp_path / 'run'}"]
    assert main(["fit", *common]) == 0, capsys.readouterr().err
    assert main(["test", *common, "--ckpt_path=best"]) == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "run" / "test_metrics.json").read_text())
    assert metrics["studies"] == 2
    assert 0 < metrics["score"] < 5


def crafted(path):
    """Return options for the precision that the recipe does not use, and channels last."""
    used = yaml.safe_load(path.read_text())["trainer"]["precision"]
    other = "32-true" if used == "bf16-mixed" else "bf16-mixed"
    return [f"--trainer.precision={other}", "--model.craft.channels_last=true"]


@pytest.mark.slow
@pytest.mark.parametrize("path", GRADERS, ids=GRADER_NAMES)
def test_it_takes_a_step_in_the_other_precision_with_channels_last(path, root, tmp_path, capsys):
    common = ["-c", str(path), f"--data.root={root}", *TINY, *crafted(path)]
    common += [f"--trainer.default_root_dir={tmp_path / 'run'}"]
    assert main(["fit", *common]) == 0, capsys.readouterr().err
    kept = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert all(bool(weights.isfinite().all()) for weights in kept.state.values())


@pytest.mark.slow
@pytest.mark.parametrize("path", LOCALIZERS, ids=LOCALIZER_NAMES)
def test_a_localizer_runs_from_fit_to_test_at_a_tiny_size(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tissue_map_store, "tissue_map", made_map)
    common = ["-c", str(path), f"--data.maps={tmp_path / 'maps'}", *TINY_LOCALIZER]
    common += [f"--trainer.default_root_dir={tmp_path / 'run'}"]
    assert main(["fit", *common]) == 0, capsys.readouterr().err
    assert main(["test", *common, "--ckpt_path=best"]) == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "run" / "test_metrics.json").read_text())
    assert metrics["series"] == 2
    assert metrics["data"]["people"]["train"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("path", LEVEL_GRADERS, ids=LEVEL_GRADER_NAMES)
def test_a_level_grader_runs_from_fit_to_test_at_a_tiny_size(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(crop_store, "phantom_levels", formula_person)
    common = ["-c", str(path), f"--data.crops={tmp_path / 'crops'}", *TINY_LEVEL_GRADER]
    common += [f"--trainer.default_root_dir={tmp_path / 'run'}"]
    assert main(["fit", *common]) == 0, capsys.readouterr().err
    again = [*common, *crafted(path), "--ckpt_path=last", "--trainer.max_steps=2"]
    assert main(["fit", *again]) == 0, capsys.readouterr().err
    assert main(["test", *common, "--ckpt_path=best"]) == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "run" / "test_metrics.json").read_text())
    assert metrics["studies"] == 2
    assert metrics["data"]["people"]["train"] == {"rsna_like": 3}
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert checkpoint.grid is None
    assert checkpoint.temperature is not None
    assert build_grader(checkpoint.model).load_state_dict(checkpoint.state)

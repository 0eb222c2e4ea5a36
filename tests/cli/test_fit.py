"""`volspine fit | validate | test`, as a user types them, on studies made of arrays."""

import json
import os
import platform
import shutil
import sys

import numpy as np
import pytest
import torch

from tests.data import made_roots
from tests.tasks.made_graders import TinyGrader
from volspine.cli import main
from volspine.cli.fit import find_checkpoint
from volspine.data import cache
from volspine.errors import WeightsError
from volspine.tasks.grading import GradingTask

RECIPE = """
seed_everything: 0
trainer: {accelerator: cpu, max_epochs: 1}
model:
  grader: {class_path: tests.tasks.made_graders.TinyGrader}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.01}}
data:
  root: ROOT
  grid: {shape: [8, 20, 24], spacing_mm: [4, 4, 4]}
  split: {val: 3, test: 3}
  loader: {batch_size: 3}
  augment: {class_path: volspine.data.transforms.LightAugment}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a root of tiny studies, a recipe for them, and a finished run."""
    folder = tmp_path_factory.mktemp("home")
    grades = np.random.default_rng(0).integers(-1, 3, (12, 25))
    made_roots.write_root(folder / "root", grades)
    (folder / "recipe.yaml").write_text(RECIPE.replace("ROOT", str(folder / "root")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "read_study", made_roots.read_fake_study)
        yield folder


def type_in(home, command, *options, run="run"):
    """Run a command; return its exit code."""
    place = f"--trainer.default_root_dir={home / run}"
    return main([command, "-c", str(home / "recipe.yaml"), place, "--quiet", *options])


@pytest.fixture(scope="module")
def run(home):
    """The folder of a finished fit."""
    assert type_in(home, "fit") == 0
    return home / "run"


@pytest.fixture
def volspine(home, tmp_path):
    """Run a command in a run folder of its own."""
    return lambda command, *options: type_in(home, command, *options, run=tmp_path / "run")


def test_a_run_leaves_configuration_split_logs_and_checkpoints_in_its_folder(run):
    found = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "split.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "logs/version_0/metrics.csv",
    } <= found
    assert any("events.out.tfevents" in name for name in found)
    header = (run / "logs" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert {"val/score", "train/loss"} <= set(header.split(","))


def test_a_run_says_what_it_cost_and_what_it_was_made_with_but_not_where(run, home):
    record = json.loads((run / "run.json").read_text())
    assert record["recipes"] == ["recipe.yaml"]
    assert record["parameters"] == sum(p.numel() for p in TinyGrader().parameters())
    assert (record["epochs"], record["steps"], record["parts"]) == (1, 2, 1)
    assert (record["device"], record["devices"], record["precision"]) == ("cpu", 1, "32-true")
    assert 0 < record["seconds"]["wall"] < 600
    assert record["seconds"]["processor"] > 0
    assert str(home) not in json.dumps(record)
    assert platform.node() not in json.dumps(record)


def test_test_after_fit_prints_score_and_prior_and_keeps_the_fits_configuration(run, home, capsys):
    before = (run / "config.yaml").read_bytes()
    assert type_in(home, "test", "--ckpt_path=best") == 0
    printed = capsys.readouterr().out
    metrics = json.loads((run / "test_metrics.json").read_text())
    assert f"score {metrics['score']:.4f}" in printed
    assert f"prior {metrics['prior']:.4f}" in printed
    assert "90 % interval" in printed
    assert "Not a medical device" in printed
    assert (run / "config.yaml").read_bytes() == before
    assert len((run / "test_predictions.csv").read_text().splitlines()) == 1 + 3 * 25


def test_a_run_is_resumed_where_it_stopped(run, volspine, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    assert volspine("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    place = find_checkpoint("last", tmp_path / "run")
    steps = torch.load(place, weights_only=True)["global_step"]
    assert steps == 4  # Two epochs of two batches, of which the first was not done again.
    before, after = (json.loads((f / "run.json").read_text()) for f in (run, tmp_path / "run"))
    assert (after["epochs"], after["steps"], after["parts"]) == (2, 4, 2)
    assert after["seconds"]["processor"] > before["seconds"]["processor"] > 0
    (logs,) = sorted((tmp_path / "run" / "logs").iterdir())[-1:]
    lines = (logs / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("epoch")
    assert {line.split(",")[column] for line in lines[1:]} == {"", "1"}
    assert volspine("validate", "--ckpt_path=last") == 0


def test_without_a_validation_set_the_last_checkpoint_is_kept(volspine, tmp_path):
    assert volspine("fit", "--data.split.val=0") == 0
    found = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert found == ["last.ckpt"]


def test_the_saved_configuration_is_a_recipe_that_repeats_the_run(run, tmp_path):
    options = ["-c", str(run / "config.yaml"), f"--trainer.default_root_dir={tmp_path}"]
    assert main(["fit", *options, "--quiet"]) == 0
    one, two = (
        torch.load(r / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for r in (run, tmp_path)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_checkpoint_loads_as_plain_data_and_builds_its_task(run):
    path = run / "checkpoints" / "best.ckpt"
    kept = torch.load(path, weights_only=True)["volspine"]
    assert kept["model"]["grader"] == "TinyGrader"
    task = GradingTask.load_from_checkpoint(path, weights_only=True)
    assert task.known.shape == (25, 3)
    assert task.grader.shape == [8, 20, 24]


def test_the_grader_is_told_the_shape_of_the_grid(volspine, tmp_path):
    assert volspine("fit", "--data.grid.shape=[6,20,24]") == 0
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["volspine"]["model"]["shape"] == [6, 20, 24]


def test_print_config_prints_every_value_and_runs_nothing(volspine, tmp_path, capsys):
    assert volspine("fit", "--print_config") == 0
    printed = capsys.readouterr().out
    assert "shuffle_labels: false" in printed
    assert "average_mirrors: true" in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--data.rot=x", "data.rot"),
        ("--trainer.max_epochs=abc", "trainer.max_epochs"),
        ("--model.optimizer.init_args.lrr=3", "'lrr' is not accepted"),
        ("--model.grader.init_args.scall=1", "'scall' is not accepted"),
        ("--data.grid.shape=[8,20]", "data.grid.shape"),
        ("--data.loader.batch_size=0", "batch_size 0"),
        ("--data.split.test=0.95", "nothing of 12 studies to train on"),
        ("--data.root=nowhere", "the table is not there"),
        ("--config=nowhere.yaml", "File does not exist"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_code_2(volspine, capsys, option, message):
    assert volspine("fit", option) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("volspine: VS-")]
    assert message in line
    assert len(line) < 800


def test_an_unknown_key_in_a_recipe_is_one_line_and_exit_code_2(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {root: x, colour: blue}\n")
    assert main(["fit", "-c", str(recipe)]) == 2
    err = capsys.readouterr().err
    assert "colour" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["best", "last", "nowhere.ckpt"])
def test_a_checkpoint_that_is_not_there_says_where_it_was_looked_for(volspine, capsys, name):
    assert volspine("test", f"--ckpt_path={name}") == 4
    err = capsys.readouterr().err
    assert "there is no such checkpoint" in err
    assert name in err


def test_the_newest_checkpoint_of_a_name_is_found(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for age, name in enumerate(["best-v1", "best", "last"]):
        torch.save({}, folder / f"{name}.ckpt")
        os.utime(folder / f"{name}.ckpt", (1000 - age, 1000 - age))
    assert find_checkpoint("best", tmp_path).name == "best-v1.ckpt"


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return os.mkdir, (self.canary,)


def test_a_pickle_in_a_checkpoint_is_refused_and_does_not_run(volspine, tmp_path, capsys):
    torch.save({"state_dict": {}, "extra": Trap(tmp_path / "canary")}, tmp_path / "evil.ckpt")
    assert volspine("test", f"--ckpt_path={tmp_path / 'evil.ckpt'}") == 4
    assert volspine("fit", f"--ckpt_path={tmp_path / 'evil.ckpt'}") == 4
    assert not (tmp_path / "canary").exists()
    assert "holds more than tensors and plain data" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_refused(tmp_path, data):
    (tmp_path / "c.ckpt").write_bytes(data)
    with pytest.raises(WeightsError, match="is damaged"):
        find_checkpoint(tmp_path / "c.ckpt", tmp_path)


def test_a_class_named_by_a_checkpoint_is_never_imported(run, home, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "canary_module.py").write_text("raise SystemExit('the canary was imported')")
    path = run / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] = {
        "_class_path": "canary_module.Canary",
        "_instantiator": "canary_module.instantiate",
        "grader": {"class_path": "canary_module.Canary"},
    }
    torch.save(content, tmp_path / "crafted.ckpt")
    assert type_in(home, "test", f"--ckpt_path={tmp_path / 'crafted.ckpt'}") == 0
    assert "canary_module" not in sys.modules
    with pytest.raises(ValueError, match="not in the allowlist"):
        GradingTask.load_from_checkpoint(tmp_path / "crafted.ckpt", weights_only=True)
    assert "canary_module" not in sys.modules

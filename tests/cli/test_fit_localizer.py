"""`volspine fit | test` of a localizer, as a user types them, on maps that cost nothing."""

import json
import shutil

import pytest
import torch

from tests.data.made_maps import made_map
from volspine.cli import main
from volspine.cli.recipes import kind_of
from volspine.inference.checkpoint import read_localizer
from volspine.phantom import tissue_map_store

RECIPE = """
seed_everything: 0
trainer: {accelerator: cpu, max_epochs: 1, num_sanity_val_steps: 0}
model:
  localizer:
    class_path: volspine.models.localizer.Localizer
    init_args: {channels: [4, 4, 8], context: 1}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.01}}
data:
  maps: MAPS
  people: {train: 3, val: 1, test: 1}
  draws: {batch_size: 1, steps: 2}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a recipe and a finished run."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "recipe.yaml").write_text(RECIPE.replace("MAPS", str(folder / "maps")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tissue_map_store, "tissue_map", made_map)
        assert type_in(folder, "fit") == 0
        yield folder


def type_in(home, command, *options, run="run"):
    place = f"--trainer.default_root_dir={home / run}"
    return main([command, "-c", str(home / "recipe.yaml"), place, "--quiet", *options])


def test_a_run_leaves_maps_configuration_logs_and_checkpoints(home):
    assert len(list((home / "maps").glob("*.npz"))) == 4
    found = {path.relative_to(home / "run").as_posix() for path in (home / "run").rglob("*")}
    assert {"config.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= found
    header = (home / "run" / "logs" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert {"val/error", "val/canal_median", "train/where"} <= set(header.split(","))


def test_its_checkpoint_is_plain_data_and_makes_the_localizer_again(home):
    found = read_localizer(home / "run" / "checkpoints" / "best.ckpt")
    assert found.localizer.recipe["channels"] == [4, 4, 8]
    assert found.facts["people"] == {"train": 3, "val": 1, "test": 1}
    assert not found.localizer.training


def test_test_prints_the_errors_and_what_it_is_for(home, capsys):
    assert type_in(home, "test", "--ckpt_path=best") == 0
    printed = capsys.readouterr().out
    assert "1 series, one at a time; median (95 %) error in mm: canal" in printed
    assert "Not a medical device" in printed
    assert json.loads((home / "run" / "test_metrics.json").read_text())["series"] == 1


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped(home, tmp_path):
    shutil.copytree(home / "run", tmp_path / "run")
    options = ["--ckpt_path=last", "--trainer.max_epochs=2"]
    assert type_in(home, "fit", *options, run=tmp_path / "run") == 0
    newest = max((tmp_path / "run" / "checkpoints").glob("last*"), key=lambda p: p.stat().st_mtime)
    assert torch.load(newest, weights_only=True)["global_step"] == 4


@pytest.mark.slow
def test_a_limit_of_time_counts_each_part_of_a_run_by_itself(home, tmp_path):
    counts = []
    for part in ([], ["--ckpt_path=last"]):
        limits = ["--trainer.max_time=00:00:00:01", "--trainer.max_steps=9999"]
        options = [*part, *limits, "--trainer.max_epochs=-1", "--data.draws.steps=500"]
        assert type_in(home, "fit", *options, run=tmp_path / "run") == 0
        files = (tmp_path / "run" / "checkpoints").glob("last*")
        newest = max(files, key=lambda p: p.stat().st_mtime)
        counts.append(torch.load(newest, weights_only=True)["global_step"])
    assert 0 < counts[0] < counts[1]


def test_the_recipe_decides_what_is_trained(home, tmp_path):
    recipe = str(home / "recipe.yaml")
    for words in (["-c", recipe], [f"-c={recipe}"], ["--config", recipe], [f"--config={recipe}"]):
        assert kind_of(["fit", *words]).task.__name__ == "LocalizationTask"
    assert kind_of(["fit", "--model.localizer=x"]).data.__name__ == "PhantomMaps"
    (tmp_path / "grader.yaml").write_text("model: {grader: {class_path: localizer}}\n")
    (tmp_path / "bad.yaml").write_text("model: [unclosed\n")
    for name in ("grader.yaml", "bad.yaml", "absent.yaml"):
        assert kind_of(["fit", "-c", str(tmp_path / name)]).monitor == "val/score"
    assert kind_of(["fit"]).task.__name__ == "GradingTask"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model.localizer.class_path=os.system", "model.localizer"),
        ("--model.localizer.class_path=torch.nn.Linear", "model.localizer"),
        ("--model.localizer.init_args.channels=[4]", "not possible"),
        ("--model.grader.class_path=volspine.models.grader.StudyGrader", "model.grader"),
        ("--data.root=x", "data.root"),
        ("--data.people.train=0", "0, 1 and 1 people"),
        ("--data.draws.steps=0", "steps 0"),
    ],
    ids=["function", "class", "channels", "grader", "root", "people", "steps"],
)
def test_what_cannot_work_is_one_line_and_exit_code_2(home, tmp_path, capsys, option, message):
    assert type_in(home, "fit", option, run=tmp_path / "run") == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("volspine: VS-")]
    assert message in line

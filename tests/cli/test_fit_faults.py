"""`volspine fit` that is killed, stopped or out of space, as a machine does it: nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data import made_roots
from tests.tasks.made_levels import formula_person
from volspine.cli import main
from volspine.data import cache, crop_store

CHILD = """
import sys
from tests.data import made_roots
from tests.tasks.made_levels import formula_person
from volspine.data import cache, crop_store
cache.read_study, crop_store.phantom_levels = made_roots.read_fake_study, formula_person
from volspine.cli import main
sys.exit(main(sys.argv[1:]))
"""

HEAD = """
seed_everything: 0
keep: {steps: 1}
trainer:
  accelerator: cpu
  max_epochs: 3
  gradient_clip_val: 1.0
  logger: false
  callbacks:
    - {class_path: volspine.tasks.callbacks.AverageWeights, init_args: {decay: 0.9}}
    - {class_path: tests.tasks.made_trainer.Slowly, init_args: {seconds: SECONDS}}
"""

MODEL = """
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.05}}
  craft: {mixup: 0.4}
"""

STUDIES = """
model:
  grader: {class_path: tests.tasks.made_graders.TinyGrader}
MODEL
data:
  root: FOLDER/root
  grid: {shape: [8, 20, 24], spacing_mm: [4, 4, 4]}
  split: {val: 1, test: 0}
  loader: {batch_size: 2}
  augment: {class_path: volspine.data.device_transforms.DeviceAugment, init_args: {drop_view: 0.2}}
"""

LEVELS = """
model:
  grader: {class_path: tests.tasks.made_levels.TinyLevelGrader, init_args: {dropout: 0.3}}
MODEL
data:
  crops: FOLDER/crops
  people: {train: {rsna_like: 3, probe: 3}, val: {probe: 2}, test: {probe: 2}}
  draws: {batch_size: 2, steps: 6}
"""


@pytest.fixture(params=[STUDIES, LEVELS], ids=["study_mode", "level_mode"])
def home(request, tmp_path, monkeypatch):
    """A folder with a root, a recipe, and the same recipe in slow motion."""
    monkeypatch.setattr(cache, "read_study", made_roots.read_fake_study)
    monkeypatch.setattr(crop_store, "phantom_levels", formula_person)
    made_roots.write_root(tmp_path / "root", np.random.default_rng(0).integers(-1, 3, (12, 25)))
    body = request.param.replace("MODEL", MODEL.strip("\n")).replace("FOLDER", str(tmp_path))
    for name, seconds in (("recipe", "0"), ("slow", "0.1")):
        (tmp_path / f"{name}.yaml").write_text(HEAD.replace("SECONDS", seconds) + body)
    return tmp_path


def told(home, recipe, run, *options):
    place = f"--trainer.default_root_dir={home / run}"
    return ["fit", "-c", str(home / f"{recipe}.yaml"), place, "--quiet", *options]


def child(home, run):
    """A run in slow motion in a process of its own, once it has been kept."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *told(home, "slow", run)],
        cwd=root,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = home / run / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 300
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert last.exists(), process.communicate()[1]
    return process


def kept(home, run):
    return torch.load(home / run / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same(one, two):
    assert (one["epoch"], one["global_step"]) == (two["epoch"], two["global_step"])
    for name in ("state_dict", "current_model_state"):
        assert all(torch.equal(one[name][each], two[name][each]) for each in one[name])
    moments = [c["optimizer_states"][0]["state"] for c in (one, two)]
    for parameter, mine in moments[0].items():
        assert all(torch.equal(mine[n], moments[1][parameter][n]) for n in mine)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seconds", [0.03, 0.31, 0.74])
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(home, seconds):
    assert main(told(home, "recipe", "unbroken")) == 0
    process = child(home, "killed")
    time.sleep(seconds)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    step = kept(home, "killed")["global_step"]
    whole = kept(home, "unbroken")
    assert 1 <= step < whole["global_step"]
    assert main(told(home, "recipe", "killed", "--ckpt_path=last")) == 0
    assert_same(kept(home, "killed"), whole)
    names = [path.name for path in (home / "killed" / "checkpoints").iterdir()]
    assert sorted(names) == ["best.ckpt", "last.ckpt"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_told_to_stop_it_says_so_and_leaves_with_130(home, name):
    assert main(told(home, "recipe", "unbroken")) == 0
    process = child(home, "told")
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    step = kept(home, "told")["global_step"]
    (line,) = [line for line in said.splitlines() if line.startswith("volspine:")]
    assert line.startswith(f"volspine: stopped by {name} after step {step}; go on with --ckpt_path")
    assert main(told(home, "recipe", "told", "--ckpt_path=auto")) == 0
    assert_same(kept(home, "told"), kept(home, "unbroken"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_auto_begins_where_there_is_nothing_and_goes_on_where_there_is(home):
    one = told(home, "recipe", "run", "--ckpt_path=auto", "--trainer.max_epochs=1")
    assert main(one) == 0
    first = kept(home, "run")
    assert main([*one[:-1], "--trainer.max_epochs=2"]) == 0
    second = kept(home, "run")
    assert second["global_step"] == 2 * first["global_step"] > 0


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_plan_that_cannot_be_kept_is_one_line_and_exit_code_2(home, capsys):
    assert main(told(home, "recipe", "run", "--keep.steps=-1")) == 2
    assert "a run cannot be kept every -1 steps" in capsys.readouterr().err

"""Full sizes: every overlay in `experiments/full/` says what it is, builds, and takes a step."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.data import made_roots
from volspine.cli import main
from volspine.data import cache

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
OVERLAYS = sorted((EXPERIMENTS / "full").glob("*.yaml"))
NAMES = [path.stem for path in OVERLAYS]

ONE_STEP = [
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.strategy=auto",
    "--trainer.max_epochs=1",
    "--trainer.max_steps=1",
    "--trainer.limit_train_batches=1",
    "--trainer.limit_val_batches=0",
    "--trainer.accumulate_grad_batches=1",
    "--trainer.num_sanity_val_steps=0",
    "--data.split.val=1",
    "--data.split.test=1",
    "--data.loader.batch_size=1",
    "--data.loader.num_workers=0",
    "--quiet",
]


def leaves(tree, above=()):
    """Return every value of nested dicts by its path."""
    if not isinstance(tree, dict):
        return {above: tree}
    return {k: v for key, below in tree.items() for k, v in leaves(below, (*above, key)).items()}


@pytest.mark.parametrize("path", OVERLAYS, ids=NAMES)
def test_the_head_says_what_it_lies_on_and_how_it_is_run(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    head = "\n".join(lines[: lines.index("")])
    assert head.startswith(f"# {path.stem} at full size")
    for word in ("What", "Expected", "Time", "Command"):
        assert f"\n# {word} " in head
    order = [f"-c experiments/{path.name}", f"-c experiments/full/{path.name}"]
    assert 0 < head.index(order[0]) < head.index(order[1])
    assert "nothing about patients" in head
    assert (EXPERIMENTS / path.name).is_file()


@pytest.mark.parametrize("path", OVERLAYS, ids=NAMES)
def test_no_part_of_an_overlay_is_as_in_the_recipe_itself(path):
    """Parts are given whole, so a name may stand in both; a part that is all the same may not."""
    below = leaves(yaml.safe_load((EXPERIMENTS / path.name).read_text(encoding="utf-8")))
    above = leaves(yaml.safe_load(path.read_text(encoding="utf-8")))
    parts = {key[:-1] for key in above if key[-1] != "class_path"}
    differing = {key[:-1] for key, value in above.items() if below.get(key) != value}
    assert parts <= differing


@pytest.mark.slow
@pytest.mark.parametrize("path", OVERLAYS, ids=NAMES)
def test_it_is_built_and_takes_one_step(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache, "read_study", made_roots.read_fake_study)
    grades = np.random.default_rng(0).integers(0, 3, (4, 25))
    root = made_roots.write_root(tmp_path / "root", grades)
    files = ["-c", str(EXPERIMENTS / path.name), "-c", str(path)]
    place = [f"--data.root={root}", f"--trainer.default_root_dir={tmp_path / 'run'}"]
    assert main(["fit", *files, *place, *ONE_STEP]) == 0, capsys.readouterr().err
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 1
    overlay = yaml.safe_load(path.read_text(encoding="utf-8"))
    told = {name: kept["volspine"]["data"]["grid"][name] for name in ("shape", "spacing_mm")}
    assert told == {**told, **overlay.get("data", {}).get("grid", {})}

"""The page on own targets does what it says; its example goes from images to held-out scores."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from tests import pages
from volspine.anatomy import Protocol
from volspine.cli import main
from volspine.dicom.reading import read_study
from volspine.phantom.cohort import generate

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/how-to/own-targets.md"
BLOCKS = list(pages.blocks(ROOT, PAGE))
SMALL = [
    "--trainer.enable_progress_bar=false",
    "--trainer.num_sanity_val_steps=0",
    "--data.grid.shape=[12,40,72]",
    "--data.grid.spacing_mm=[5,3,3]",
    "--data.loader.recheck=0",
    "--quiet",
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
]


def labelled(folder: Path, studies: int) -> Path:
    """Make small phantoms and label their discs by the example's own script."""
    root = generate(folder / "discs", studies=studies, cohort="clean", seed=5, size="small")
    script = ROOT / "experiments/own_targets/label_discs.py"
    subprocess.run([sys.executable, str(script), str(root)], check=True, capture_output=True)
    return root


def trained(words: list[str], *more: str) -> int:
    """Run a command of the page, smaller."""
    named = [str(ROOT / w) if w.startswith("experiments/") else w for w in words]
    targets = f"--data.labels.targets={ROOT / 'experiments/own_targets/targets.yaml'}"
    return main([*named[1:], targets, *SMALL, *more])


def test_the_page_shows_the_beginning_of_the_examples_own_file():
    text = PAGE.read_text(encoding="utf-8")
    for line in (ROOT / "experiments/own_targets/targets.yaml").read_text().splitlines()[8:11]:
        assert line.split("#")[0].strip() in text


def test_parts_are_put_together_as_the_page_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(compile(BLOCKS[-1].text, str(BLOCKS[-1]), "exec"), names)
    assert names["log_probs"].shape == (2, 15, 4)
    assert names["head"].weight_in.grad.abs().sum() > 0


@pytest.mark.slow
def test_the_commands_of_the_page_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    labelled(tmp_path, 5)
    monkeypatch.chdir(tmp_path)
    told = [words for words in pages.commands(BLOCKS[0]) if words[1] != "phantom"]
    assert [words[1] for words in told] == ["fit", "test"]
    few = ["--data.split.val=1", "--data.split.test=1", "--data.loader.batch_size=3"]
    for words in told:
        assert trained(words, *few, "--trainer.max_epochs=1") == 0
    assert "quadratic kappa" in capsys.readouterr().out
    names: dict[str, object] = {}
    exec(compile(BLOCKS[1].text, str(BLOCKS[1]), "exec"), names)
    assert len(names["table"]) == 6
    assert capsys.readouterr().out.count("disc_t12_l1") == 3


@pytest.mark.slow
def test_the_example_does_better_than_its_prior_on_studies_it_was_not_trained_on(tmp_path):
    root = labelled(tmp_path, 56)
    words = shlex.split(
        f"volspine fit -c experiments/own_targets/discs.yaml --data.root {root}/train_images "
        f"--data.labels.table {root}/discs.csv --data.labels.marks {root}/disc_marks.csv "
        f"--trainer.default_root_dir {tmp_path / 'run'} --data.split.val 4 --data.split.test 16"
    )
    assert trained(words) == 0
    test = ["volspine", "test", *words[2:], "--ckpt_path", "best"]
    assert trained(test) == 0
    metrics = json.loads((tmp_path / "run" / "test_metrics.json").read_text())
    assert metrics["studies"] == 16
    # Of so few studies the interval includes 0; see the head of the recipe.
    assert metrics["prior_minus_score"] > 0
    assert metrics["kappa"] > 0.2


@pytest.mark.slow
def test_a_series_of_a_neck_is_set_aside_until_the_table_says_what_it_is(tmp_path):
    root = generate(tmp_path / "neck", studies=1, cohort="clean", seed=5, size="small")
    (study,) = (root / "train_images").iterdir()
    for path in study.rglob("*.dcm"):
        header = pydicom.dcmread(path)
        header.SeriesDescription, header.BodyPartExamined = "c-spine sag", "CSPINE"
        header.save_as(path)
    told = {series.protocol for series in read_study(study).series}
    assert told == {Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2, Protocol.AXIAL_T2}
    (root / "train_series_descriptions.csv").unlink()
    assert {series.protocol for series in read_study(study).series} == {Protocol.OTHER}

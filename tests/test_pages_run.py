"""Every page is followed to the letter: commands and Python, in order, in a reader's folder.

Numbers of studies and steps are made small first (`SMALLER`, `FEW_STEPS`), nothing else is changed.
`make` and `pip` are left out: they are what runs these tests. Nothing may ask the network.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pages
from volspine.inference.bundle import demo_folder
from volspine.phantom.cohort import generate

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = {
    "docs/how-to/cross-validate.md": "tests/test_cross_validate_page.py",
    "docs/how-to/own-targets.md": "tests/test_own_targets.py",
}
"""Pages that a test of their own follows."""

FRAGMENTS = {"docs/how-to/evaluate.md"}
"""Pages whose Python begins with arrays that the reader has."""

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCKS = {str(page.relative_to(ROOT)): list(pages.blocks(ROOT, page)) for page in PAGES}
RUN = [name for name, blocks in BLOCKS.items() if blocks and name not in ELSEWHERE]

SMALLER = {"200": "6", "40": "6", "64": "2", "3/16": "1/2", "1/20": "1/3", "BUNDLE": "other_model"}
A_STUDY = "4003253"
"""Stands for the name of any study."""
FEW_STEPS = {
    "phantom_quick": [
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=1",
        "--data.grid.shape=[32,64,64]",
        "--data.grid.spacing_mm=[3,2,2]",
        "--data.split={val: 2, test: 2, seed: 0}",
        "--data.loader={batch_size: 2, num_workers: 0}",
    ],
    "level_root": [
        "--trainer.max_steps=2",
        "--model.grader.init_args.trunk={name: efficientnet_lite0, stride: 4}",
        "--data.split={val: 2, test: 2, seed: 0}",
        "--data.draws={batch_size: 2, steps: 1, num_workers: 0}",
    ],
    "level_localizer": [
        "--trainer.max_steps=1",
        "--trainer.devices=1",
        "--trainer.strategy=auto",
        "--trainer.check_val_every_n_epoch=1",
        "--data.people={train: 2, val: 1, test: 1, workers: 1}",
        "--data.draws={batch_size: 2, steps: 1, num_workers: 0}",
    ],
    "point_refiner": [
        "--trainer.max_steps=1",
        "--trainer.check_val_every_n_epoch=1",
        "--data.people.train={rsna_like: 2}",
        "--data.people.val={rsna_like: 1}",
        "--data.people.test={rsna_like: 1}",
        "--data.people.workers=1",
        "--data.draws={batch_size: 2, steps: 1, num_workers: 0}",
    ],
}
"""Options that a recipe is followed with, once and quickly."""

OFFLINE = """
import socket

_connect = socket.socket.connect


def connect(self, address):
    if self.family != socket.AF_UNIX and str(address[0]) not in ("127.0.0.1", "::1", "localhost"):
        raise SystemExit(f"asked the network for {address}")
    return _connect(self, address)


socket.socket.connect = connect
"""


@pytest.fixture
def desk(tmp_path, monkeypatch, phantom_root, phantom_study) -> Path:
    """A reader's working folder, with what the pages take for granted."""
    desk = tmp_path / "desk"
    shutil.copytree(phantom_study, desk / "study_folder")
    shutil.copytree(phantom_root, desk / "challenge_root")
    shutil.make_archive(str(desk / "study"), "zip", phantom_study)
    shutil.copytree(demo_folder(), desk / "other_model")
    for name in "ab":
        (desk / name).write_text("a file")
    (desk / "experiments").symlink_to(ROOT / "experiments")
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline" / "sitecustomize.py").write_text(OFFLINE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'offline'}{os.pathsep}{ROOT}")
    monkeypatch.chdir(desk)
    return desk


def provide(name: str, desk: Path, phantom_root: Path) -> None:
    """Put what only some pages take for granted where they expect it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if "volume.nii.gz" in text:
        write_volume(desk / "volume.nii.gz", desk / "study_folder")
    if "studies --out" in text and "phantom studies" not in text:
        shutil.copytree(phantom_root / "train_images", desk / "studies")
    if "labelled" in text:
        generate(desk / "labelled", studies=6, noise="none", size="small")
    if f"store/{A_STUDY}" in text:
        root, name = desk / "challenge_root", min((phantom_root / "train_images").iterdir()).name
        run("prepare", str(root), "--out", "store")
        run("predict", str(root / "train_images" / name), "--out", "out", "--format", "csv,json")
    if "challenge/test_images" in text:
        shutil.copytree(phantom_root / "train_images", desk / "challenge" / "test_images")
        shutil.copytree(demo_folder(), desk / "model")


def write_volume(path: Path, study: Path) -> None:
    import nibabel
    import numpy as np

    from volspine.dicom.reading import read_study

    series = next(s for s in read_study(study).series if s.protocol.value == "sagittal_t2")
    stack = series.stacks[0]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ stack.affine_lps  # LPS to RAS, as NIfTI has it.
    nibabel.save(nibabel.Nifti1Image(stack.voxels, affine), path)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_a_page_can_be_followed_to_the_letter(name, desk, phantom_root):
    provide(name, desk, phantom_root)
    for block in BLOCKS[name]:
        if block.language == "python" and name not in FRAGMENTS:
            follow([sys.executable, "-c", block.text], str(block))
        for words in pages.commands(block) if block.language == "bash" else ():
            if words[0] == "volspine":
                run(*shortened(words[1:], phantom_root), where=str(block))


def run(*words: str, where: str = "") -> None:
    follow([sys.executable, "-m", "volspine", *words], where)


def follow(words: list[str], where: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{where}: {' '.join(words)}\n{done.stderr[-3000:]}"


def shortened(words: list[str], phantom_root: Path) -> list[str]:
    """Return a command that does the same with fewer studies and steps, and without a window."""
    name = min((phantom_root / "train_images").iterdir()).name
    words = [SMALLER.get(word, word).replace(A_STUDY, name) for word in words]
    if words[0] in pages.TRAINER:
        words += FEW_STEPS[Path(words[words.index("-c") + 1]).stem]
    if words[0] == "view" and "--save" not in words:
        words += ["--save", "instead_of_a_window.png"]
    return words


def test_every_page_with_code_is_followed_somewhere():
    assert {name for name, blocks in BLOCKS.items() if blocks} == {*RUN, *ELSEWHERE}
    for test in ELSEWHERE.values():
        assert (ROOT / test).is_file()


def test_a_page_that_asks_the_network_would_be_found(desk):
    ask = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    with pytest.raises(AssertionError, match="asked the network"):
        follow([sys.executable, "-c", ask], "here")

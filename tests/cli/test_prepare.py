"""`volspine prepare`: what it says, how it ends, and that the page on it runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import pages
from tests.data.made_stores import copied, everything, write_dicom_root
from volspine.cli import main
from volspine.data.store import Store

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/prepare.md"
SMALLER = {
    "200": "10",
    "experiments/phantom_quick.yaml": str(ROOT / "experiments/phantom_quick.yaml"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_dicom_root(tmp_path_factory.mktemp("made") / "root", studies=2)


def test_it_says_what_it_found_and_what_it_did(root, tmp_path, capsys):
    assert main(["prepare", str(root), "--out", str(tmp_path / "store")]) == 0
    said = capsys.readouterr()
    assert "2 studies in train.csv" in said.out
    assert "0 studies without images" in said.out
    assert f"2 prepared, 0 there already, 0 failed: {tmp_path / 'store'}" in said.out
    assert said.err == ""
    assert main(["prepare", str(root), "--out", str(tmp_path / "store"), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_failures_are_one_line_each_and_the_exit_code_says_how_many(root, tmp_path, capsys):
    broken = copied(root, tmp_path / "root")
    for file in (broken / "train_images" / "101").rglob("*.dcm"):
        file.write_bytes(b"")
    assert main(["prepare", str(broken), "--out", str(tmp_path / "store"), "--quiet"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("volspine: VS-")
    assert line.endswith("[train_images/101]")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nothing_here", "--out", "store"], 4),
        (["nothing_here"], 2),
        (["nothing_here", "--out", "store", "--workers", "0"], 2),
        (["nothing_here", "--out", "store", "--engine", "slurm"], 2),
    ],
)
def test_what_cannot_work_is_one_line(arguments, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", *arguments]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_entry_is_viewed_and_a_store_is_scanned_for_what_was_prepared(root, tmp_path, capsys):
    assert main(["prepare", str(root), "--out", str(tmp_path / "store"), "--quiet"]) == 0
    entry = tmp_path / "store" / "train_images" / "100"
    before = everything(tmp_path / "store")
    arguments = ["--mode", "slices", "--save", str(tmp_path / "view.png")]
    assert main(["view", str(entry), *arguments]) == 0
    assert (tmp_path / "view.png").stat().st_size > 10_000
    capsys.readouterr()
    assert main(["scan", str(tmp_path / "store")]) == 0
    assert "train_images/101" in capsys.readouterr().out
    assert everything(tmp_path / "store") == before


@pytest.mark.slow
def test_the_page_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ran = []
    for block in pages.blocks(ROOT, PAGE):
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), {"__name__": "page"})
            assert "10 " in capsys.readouterr().out
            continue
        for words in pages.commands(block):
            run(words[1:])
            ran.append(words[1])
    assert ran == ["phantom", "prepare", "fit", "test", "predict", "view"]


def run(words: list[str]) -> None:
    words = [SMALLER.get(word, word) for word in words]
    if words[0] in pages.TRAINER:
        words += ["--trainer.max_epochs", "1", "--data.grid.shape", "[16, 32, 48]"]
        words += ["--data.grid.spacing_mm", "[6, 4.5, 4.5]"]
    if words[0] == "view":
        words[1] = str(Store.open("store").path(Store.open("store").keys[0]))
    if words[0] == "predict":
        words[1] = str(Store.open("store").path(Store.open("store").keys[0]))
    command = [sys.executable, "-W", "ignore", "-m", "volspine", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

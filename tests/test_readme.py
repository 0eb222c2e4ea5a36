"""The code of the README and of the tutorials runs as it stands, from a reader's own folder.

Python runs unchanged. Of the shell commands, sizes are made small first (`SMALLER`), nothing else;
`make` is left out, since it is what runs these tests.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pages

ROOT = Path(__file__).resolve().parent.parent
RUN_PAGES = [
    ROOT / "README.md",
    ROOT / "docs/tutorials/first-five-minutes.md",
    ROOT / "docs/how-to/grade-studies.md",
]
SMALLER = {
    "200": "10",
    "experiments/phantom_quick.yaml": str(ROOT / "experiments/phantom_quick.yaml"),
}
SHORTER = ["--trainer.max_epochs", "1"]
BLOCKS = [block for page in RUN_PAGES for block in pages.blocks(ROOT, page)]


@pytest.fixture
def desk(tmp_path, monkeypatch, phantom_study) -> Path:
    """A reader's working folder, with a study in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(phantom_study, tmp_path / "study_folder")
    return tmp_path


def only(*languages):
    return [pytest.param(b, id=str(b)) for b in BLOCKS if b.language in languages]


@pytest.mark.slow
@pytest.mark.parametrize("block", only("python"))
def test_python_of_a_page_runs_as_it_stands(block, desk, capsys):
    exec(compile(block.text, str(block), "exec"), {"__name__": "page"})
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_PAGES[:2], ids=lambda page: page.name)
def test_commands_of_a_page_run_one_after_another(page, desk):
    ran = 0
    for block in pages.blocks(ROOT, page):
        for words in pages.commands(block) if block.language == "bash" else ():
            if words[0] == "volspine":
                run(words[1:])
                ran += 1
    assert ran >= 3


def run(words: list[str]) -> None:
    words = [SMALLER.get(word, word) for word in words]
    if words[0] == "fit":
        words += SHORTER
    done = subprocess.run(
        [sys.executable, "-m", "volspine", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr[-2000:]}"


def test_every_page_that_is_run_has_python_in_it():
    with_python = {block.page for block in BLOCKS if block.language == "python"}
    assert with_python == {str(page.relative_to(ROOT)) for page in RUN_PAGES}

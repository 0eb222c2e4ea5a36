"""The page on cross-validation runs from its first line to its last, with few studies and steps."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pages

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/how-to/cross-validate.md"
SMALLER = {
    "120": "6",
    "60": "2",
    "experiments/level_root.yaml": str(ROOT / "experiments/level_root.yaml"),
}
FEWER = [
    "--val",
    "1",
    "--trainer.max_steps",
    "2",
    "--data.draws.steps",
    "1",
    "--data.draws.batch_size",
    "2",
]


def lines():
    return [words for block in pages.blocks(ROOT, PAGE) for words in pages.commands(block)]


def typed(words, desk):
    """Run a line of the page in a folder and return what it printed."""
    assert words[0] == "volspine"
    words = [SMALLER.get(word, word) for word in words[1:]]
    if words[0] == "cv":
        words += FEWER
    done = subprocess.run(
        [sys.executable, "-m", "volspine", *words],
        capture_output=True, text=True, check=False, cwd=desk,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr[-2000:]}"
    return done.stdout


def test_the_page_goes_from_studies_to_a_score():
    named = [words[1] for words in lines()]
    assert named[:6] == ["phantom", "prepare", "cv", "phantom", "predict", "score"]


@pytest.mark.slow
def test_every_line_of_the_page_runs_one_after_another(tmp_path):
    said = [typed(words, tmp_path) for words in lines()]
    assert "Score" in said[5]
    with (tmp_path / "cv/oof.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 6 * 25
    card = json.loads((tmp_path / "cv/bundle/card.json").read_text())
    assert card["phantom_only"]
    assert (tmp_path / "score.html").stat().st_size > 1000
    with (tmp_path / "graded/submission.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 2 * 25

"""The learning-curve script runs from a phantom root to its table and picture."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from volspine.phantom.cohort import generate

SCRIPT = Path(__file__).parent.parent / "experiments" / "learning_curve.py"


def run(*options):
    command = [sys.executable, str(SCRIPT), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_root_gives_a_table_with_limits_and_a_picture(tmp_path):
    root, out = tmp_path / "root", tmp_path / "curve"
    generate(root, studies=8, size="small", seed=3)
    options = (root, "--out", out, "--sizes", 2, 4, "--steps", 1, "--test", 2, "--val", 2)
    done = run(*options)
    assert done.returncode == 0, done.stderr[-2000:]
    with (out / "learning_curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["studies"] for row in rows[::3]] == ["2", "4", "prior", "ceiling"]
    by_name = {(row["studies"], row["finding"]): float(row["accuracy"]) for row in rows}
    for finding in ("canal", "foramen", "recess"):
        assert 0 <= by_name["2", finding] <= 1
        assert by_name["prior", finding] < by_name["ceiling", finding] < 1
    assert (out / "learning_curve.png").stat().st_size > 5000


@pytest.mark.slow
def test_too_few_studies_are_refused(tmp_path):
    (tmp_path / "truth").mkdir()
    done = run(tmp_path, "--out", tmp_path / "curve")
    assert done.returncode != 0
    assert "holds 0 studies, 130 are needed" in done.stderr

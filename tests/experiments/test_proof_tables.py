"""Tables of measured rows: cells, and what is said of where they come from."""

import math
import subprocess
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(autouse=True)
def _experiments_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


def test_a_cell_shows_an_estimate_with_its_interval_and_a_dash_for_what_is_not_there():
    from proof.measures import Estimate
    from proof.tables import in_percent, table

    rows = [["a", Estimate(0.5, 0.41, 0.62), math.nan], ["b", 3, 0.25]]
    assert table(["what", "x", "y"], rows, digits=2).splitlines() == [
        "| what | x | y |",
        "|---|---|---|",
        "| a | 0.50 (0.41 to 0.62) | - |",
        "| b | 3 | 0.25 |",
    ]
    assert in_percent(Estimate(79.6, 70.2, 88.0)) == "80 (70 to 88)"


def test_a_table_says_command_day_hardware_seed_and_commit(monkeypatch, repository):
    from proof import tables

    tables.commit.cache_clear()
    monkeypatch.setattr("sys.argv", ["experiments/grader_scores.py", "demo", "--out", "two words"])
    line = tables.provenance(7, note="made up")
    assert "`python experiments/grader_scores.py demo --out 'two words'`" in line
    assert "seed 7; commit " in line
    assert "cores" in line
    assert line.endswith("made up.")
    said = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.returncode == 0:
        assert said.stdout.strip() in line

"""Batch files for SLURM: the shell takes them, and volspine takes the options in them."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests import pages

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "docs/how-to/slurm").glob("*.sbatch"))
RECIPE = "experiments/phantom_quick.yaml"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_shell_takes_a_batch_file(path):
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_volspine_takes_the_options_of_a_batch_file(path):
    found = [words for words in ours(path.read_text()) if words]
    assert len(found) == 1
    pages.check_command(found[0], ROOT)


def ours(text):
    """Yield the words of the lines that run volspine, with something for every variable."""
    for line in text.replace("\\\n", " ").splitlines():
        if not re.match(r"(srun )?volspine ", line):
            continue
        plain = re.sub(r"\$\{\d:\+[^}]*\}", "", line.partition("||")[0])
        plain = re.sub(r"\$\(\([^)]*\)\)", "4", plain)
        plain = plain.replace('-c "$1"', f"-c {RECIPE}").replace("$", "").replace("{", "")
        words = [re.sub(r"SLURM_\w+", "4", word.replace("}", "")) for word in shlex.split(plain)]
        yield words[words.index("volspine") :]


def test_a_batch_file_stops_at_the_first_error_and_says_how_it_is_called():
    for path in FILES:
        lines = path.read_text().splitlines()
        assert lines[0] == "#!/bin/bash"
        assert lines[1].startswith("# sbatch ")
        assert path.name in lines[1]
        assert "set -euo pipefail" in lines


def test_every_batch_file_is_on_the_page():
    page = (ROOT / "docs/how-to/slurm.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(slurm/([\w.]+)\)", page)) == {path.name for path in FILES}

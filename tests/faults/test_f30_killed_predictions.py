"""F30: a prediction that is killed and goes on.

Whatever dies, the results are those of an undisturbed run on one process, byte for byte apart from
how long things took, and each is there once.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from volspine.cli import main
from volspine.phantom.cohort import generate

STUDIES = 4
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed") / "root"
    return generate(folder, studies=STUDIES, noise="none", size="small")


@pytest.fixture(scope="module")
def undisturbed(root, tiny_bundle, tmp_path_factory):
    out = tmp_path_factory.mktemp("killed") / "undisturbed"
    assert main(grading(root, tiny_bundle, out)) == 0
    return contents(out)


def grading(root, bundle, out, *more):
    formats = ("--format", "csv,json", "--device", "cpu", "--quiet")
    return ["predict", str(root), "--model", str(bundle), "--out", str(out), *formats, *more]


def contents(out):
    """Return every file below a folder; of results and the summary, all but the times."""
    files = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for name, data in files.items():
        if name.endswith("result.json"):
            files[name] = {k: v for k, v in json.loads(data).items() if k != "timings_s"}
        elif name == "summary.csv":
            rows = csv.DictReader(data.decode().splitlines())
            files[name] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    return files


def test_a_prediction_that_is_killed_goes_on_and_doubles_nothing(
    root, tiny_bundle, undisturbed, tmp_path
):
    child = start(grading(root, tiny_bundle, tmp_path))
    with child:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("*/result.json")) and time.monotonic() < deadline:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")}
    assert finished
    assert main(grading(root, tiny_bundle, tmp_path, "--resume")) == 0
    assert contents(tmp_path) == undisturbed
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def start(command):
    return subprocess.Popen([sys.executable, "-m", "volspine", *command], env=os.environ)

"""F30: processes of a prediction that are killed, and predictions that share a folder.

Whatever dies, the results are those of an undisturbed run on one process, byte for byte apart from
how long things took, and each is there once.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.deadly import shoot_one
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


@pytest.fixture
def lone_machine(monkeypatch, repository):
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("PYTHONPATH", str(repository))


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


def test_a_ray_actor_that_is_shot_changes_nothing(
    root, tiny_bundle, undisturbed, lone_machine, tmp_path, capsys
):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    command = grading(root, tiny_bundle, tmp_path, "--engine", "ray")
    code, shot = shot_while(command, "_Holder.work", tmp_path)
    if "VS-RUN-003" in capsys.readouterr().err:
        pytest.skip("this machine is too busy for Ray, which gives its parts 15 s to start")
    assert (code, len(shot)) == (0, 1)
    assert contents(tmp_path) == undisturbed


def test_a_process_that_is_shot_changes_nothing(root, tiny_bundle, undisturbed, tmp_path):
    code, shot = shot_while(grading(root, tiny_bundle, tmp_path), "spawn_main", tmp_path)
    assert (code, len(shot)) == (0, 1)
    assert contents(tmp_path) == undisturbed


def shot_while(command, title, out):
    """Run a command with two workers, of which one is shot when studies are being graded."""
    shot = []

    def hunt():
        shot.append(shoot_one(title, when=lambda: any(out.glob(".*.claim"))))

    threading.Thread(target=hunt, daemon=True).start()
    return main([*command, "--workers", "2"]), shot


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


@pytest.mark.parametrize(
    "parts",
    [[("--shard", "1/3"), ("--shard", "2/3"), ("--shard", "3/3")], [("--resume",), ("--resume",)]],
    ids=["three shards", "two that resume"],
)
def test_predictions_into_one_folder_at_once_end_as_one(
    parts, root, tiny_bundle, undisturbed, tmp_path
):
    children = [start(grading(root, tiny_bundle, tmp_path, *part)) for part in parts]
    assert [child.wait() for child in children] == [0] * len(parts)
    assert contents(tmp_path) == undisturbed


def start(command):
    return subprocess.Popen([sys.executable, "-m", "volspine", *command], env=os.environ)

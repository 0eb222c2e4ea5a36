"""The window on a display without a screen (Xvfb): sides in its pixels, and what keys change."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = ("1", "2", "X", "N", "M", "F", "L", "V", "]")


@pytest.fixture(scope="module")
def seen():
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb on the PATH")
    pytest.importorskip("open3d")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as told:
            display = told.readline().strip()
        command = [sys.executable, "-m", "tests.viewer.window_check", *KEYS]
        env = {**os.environ, "DISPLAY": f":{display}", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300
        )
    finally:
        server.terminate()
        server.wait()
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_from_the_front_the_patients_right_is_on_the_left_and_the_ball_on_the_right(seen):
    assert seen["front"]["right"] < 0.45
    assert seen["front"]["ball"] > 0.5
    assert seen["back"]["right"] > 0.55
    assert seen["back"]["ball"] < 0.5


@pytest.mark.slow
def test_keys_change_what_is_drawn(seen):
    drawn_in = ["findings", "frames", "letters"]
    assert seen["front"]["drawn"] == [*drawn_in, "points sagittal_t2"]
    assert seen["1"]["drawn"] == [*drawn_in, "points sagittal_t1", "points sagittal_t2"]
    assert seen["2"]["drawn"] == [*drawn_in, "points sagittal_t1"]
    assert seen["X"]["said"][0].startswith(
        "sagittal T1; points, whole; threshold 0.00; sagittal plane"
    )
    assert [name for name in seen["N"]["drawn"] if "points" in name] == []
    assert "findings" not in seen["M"]["drawn"]
    assert "frames" not in seen["F"]["drawn"]
    assert seen["F"]["right"] is not None
    assert seen["L"]["right"] is None
    assert "voxels sagittal_t1" in seen["V"]["drawn"]
    assert "threshold 0.05" in seen["]"]["said"][0]

"""F8: a process killed in the middle of writing leaves the old file or none, and no half one."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.data.conftest import GRID
from volspine.data.cache import StudyCache
from volspine.data.rsna import read_root

PROGRAM = """
import sys, time
from pathlib import Path
from volspine.jobs import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary, temporary.open("wb") as stream:
    stream.write(bytes(1 << 20))
    stream.flush()
    print("half way", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("old", [b"old", None])
def test_kill_9_leaves_the_old_file_or_none(old, tmp_path):
    path = tmp_path / "cache.npz"
    if old is not None:
        path.write_bytes(old)
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE)
    with child:
        assert child.stdout.readline().strip() == b"half way"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert (path.read_bytes() if path.exists() else None) == old


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_cache_file_cut_anywhere_is_computed_again(part, made_root, tmp_path):
    study = read_root(made_root).studies[0]
    first = StudyCache(GRID, in_memory=False, folder=tmp_path / "cache").get(study)
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    again = StudyCache(GRID, in_memory=False, folder=tmp_path / "cache").get(study)
    np.testing.assert_array_equal(again.images, first.images)
    assert path.read_bytes() == whole


def test_what_a_killed_process_left_disturbs_nobody(made_root, tmp_path):
    study = read_root(made_root).studies[0]
    folder = tmp_path / "cache"
    StudyCache(GRID, in_memory=False, folder=folder).get(study)
    (path,) = folder.iterdir()
    (folder / f".{path.name}.abcdefgh.npz").write_bytes(b"half")
    started = time.monotonic()
    StudyCache(GRID, in_memory=False, folder=folder).get(study)
    assert time.monotonic() - started < 5

"""F10: several processes that write one cache file at once; all are content, the bytes are one."""

import subprocess
import sys
from pathlib import Path

import pytest

from volspine.jobs import write_bytes

WRITER = """
import sys
from pathlib import Path
from volspine.jobs import write_bytes
for _ in range(50):
    write_bytes(Path(sys.argv[1]), bytes([int(sys.argv[2])]) * 300_000)
"""

CACHE = """
import sys
from pathlib import Path
from volspine.data.cache import StudyCache
from volspine.data.rsna import read_root
from volspine.volume.grid import Grid
cache = StudyCache(Grid((8, 8, 8), (8, 16, 16)), folder=Path(sys.argv[2]))
for study in read_root(Path(sys.argv[1])).studies:
    cache.get(study)
"""


def together(program, *arguments):
    started = [
        subprocess.Popen([sys.executable, "-c", program, *map(str, some)]) for some in arguments
    ]
    return [child.wait() for child in started]


def test_a_reader_sees_one_writers_file_whole(tmp_path):
    path = tmp_path / "shared.npz"
    write_bytes(path, b"\0" * 300_000)
    children = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(n)]) for n in range(1, 5)]
    while any(child.poll() is None for child in children):
        seen = path.read_bytes()
        assert len(seen) == 300_000
        assert len(set(seen)) == 1
    assert [child.returncode for child in children] == [0] * 4
    assert [p.name for p in tmp_path.iterdir()] == ["shared.npz"]


@pytest.mark.slow
def test_four_processes_fill_one_cache_and_the_bytes_are_those_of_one(phantom_root, tmp_path):
    assert together(CACHE, *[(phantom_root, tmp_path / "four")] * 4) == [0] * 4
    assert together(CACHE, (phantom_root, tmp_path / "one")) == [0]
    four, one = (contents(tmp_path / name) for name in ("four", "one"))
    assert four == one
    assert len(one) == 2


def contents(folder: Path):
    return {path.name: path.read_bytes() for path in folder.iterdir()}

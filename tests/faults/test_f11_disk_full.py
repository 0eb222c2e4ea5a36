"""F11: a full disk or a folder that cannot be written: one error with the path, nothing partial."""

import subprocess
import sys
from pathlib import Path

import pytest

from volspine.errors import OutputError
from volspine.jobs import write_text

# A limit on the size of files fails in the middle of a write, as a full disk does.
FULL = """
import resource, signal, sys
sys.dont_write_bytecode = True  # Or modules are kept cut off, and nobody can import them again.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
from volspine.cli import main
sys.exit(main(sys.argv[1:]))
"""

WRITE = """
import resource, signal, sys
sys.dont_write_bytecode = True
from pathlib import Path
from volspine.errors import OutputError
from volspine.jobs import write_bytes
write_bytes(Path(sys.argv[1]), b"old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), bytes(5000))
except OutputError as error:
    print(error)
"""


def test_a_write_that_fails_half_way_leaves_the_old_file_and_names_the_path(tmp_path):
    path = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, "-c", WRITE, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("VS-OUT-001: cannot write")
    assert str(path) in done.stdout
    assert "free space" in done.stdout
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.slow
def test_predict_on_a_full_disk_names_the_file_and_leaves_no_half_result(
    phantom_study, tiny_bundle, tmp_path
):
    out = tmp_path / "out"
    command = ["predict", str(phantom_study), "--model", str(tiny_bundle), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "VS-OUT-001" in done.stderr + (out / "failures.csv").read_text()
    assert not list(out.rglob("result.json"))
    assert not [path for path in out.rglob(".*") if path.is_file()]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("folder", ["/proc/volspine", "/dev/null/volspine"])
def test_a_folder_that_cannot_be_made_is_one_error(folder):
    with pytest.raises(OutputError) as caught:
        write_text(Path(folder) / "a.txt", "x")
    assert folder in str(caught.value.path)
    assert caught.value.remedy

"""A claim: one at a time among processes, free again when its holder is killed, and no litter."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from volspine.errors import OutputError
from volspine.jobs import claimed

COUNT = """
import sys
from pathlib import Path
from volspine.jobs import claimed
folder = Path(sys.argv[1])
for _ in range(200):
    with claimed(folder / ".claim"):
        said = int((folder / "count").read_text())
        (folder / "count").write_text(str(said + 1))
"""

HOLD = """
import sys, time
from pathlib import Path
from volspine.jobs import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_is_claimed_is_one_processs_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    children = [subprocess.Popen([sys.executable, "-c", COUNT, tmp_path]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "600"
    assert [p.name for p in tmp_path.iterdir()] == ["count"]


def test_a_claim_whose_holder_is_killed_is_free(tmp_path: Path) -> None:
    path = tmp_path / ".claim"
    child = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        child.send_signal(signal.SIGKILL)
    assert path.exists()
    with claimed(path):
        pass
    assert not path.exists()


def test_a_claim_is_given_back_when_its_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claimed(tmp_path / "a" / ".claim"):
        raise ZeroDivisionError
    assert not list((tmp_path / "a").iterdir())


def test_where_nothing_can_be_written_nothing_is_claimed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"), claimed(tmp_path / "file" / ".claim"):
        pytest.fail("it was claimed")

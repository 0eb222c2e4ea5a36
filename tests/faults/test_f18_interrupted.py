"""F18: Ctrl-C in a batch: exit code 130, what is finished is valid, and --resume goes on."""

import json
import signal
import subprocess
import sys
import time

import pytest

from volspine.cli import main
from volspine.phantom.cohort import generate

STUDIES = 16
COMMAND = """
import signal, sys
from volspine.cli import main
# A shell starts what runs in its background deaf to Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


@pytest.mark.slow
def test_an_interrupted_batch_keeps_what_is_finished_and_resumes(tiny_bundle, tmp_path):
    root = generate(tmp_path / "root", studies=STUDIES, size="small", workers=2)
    out = tmp_path / "out"
    arguments = ["predict", str(root), "--model", str(tiny_bundle), "--out", str(out)]
    child = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], stderr=subprocess.PIPE, text=True
    )
    with child:
        deadline = time.monotonic() + 120
        while not list(out.glob("*/result.json")) and time.monotonic() < deadline:
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        said = child.stderr.read()
    assert child.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    finished = {path: path.read_bytes() for path in out.glob("*/result.json")}
    assert 1 <= len(finished) < STUDIES
    assert all(len(json.loads(data)["grades"]) == 25 for data in finished.values())
    assert main([*arguments, "--resume", "--quiet"]) == 0
    assert len(list(out.glob("*/result.json"))) == STUDIES
    assert {path: path.read_bytes() for path in finished} == finished

"""Processes of this machine that are killed, or whose parent is."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.deadly import survive
from tests.torch_threads import threads_and_process
from volspine.engines.threads import threads_here, use_threads
from volspine.jobs import run_many

PARENT = """
import sys
from tests.deadly import take_long
from volspine.jobs import run_many
if __name__ == "__main__":
    list(run_many(take_long, [sys.argv[1], sys.argv[1]], workers=2))
"""


@pytest.mark.slow
def test_a_killed_process_costs_one_more_try_and_no_other_item(tmp_path):
    wanted = ["a", "die", "b", "die once", "fail", "c"]
    items = [(what, tmp_path) for what in wanted]
    outcomes = {o.item[0]: o for o in run_many(survive, items, workers=2)}
    assert len(outcomes) == len(wanted)
    assert [outcomes[what].result for what in ("a", "b", "c", "die once")] == [
        "a",
        "b",
        "c",
        "die once",
    ]
    assert outcomes["die"].error.code == "VS-RUN-001"
    assert outcomes["fail"].error.code == "VS-INP-000"


@pytest.mark.slow
def test_a_bug_in_a_process_is_not_swallowed(tmp_path):
    with pytest.raises(ZeroDivisionError):
        list(run_many(survive, [("bug", tmp_path), ("a", tmp_path)], workers=2))


@pytest.mark.slow
def test_processes_use_as_many_threads_as_this_one_and_are_kept():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = [o.result for o in run_many(threads_and_process, range(4), workers=2)]
    finally:
        torch.set_num_threads(before)
    assert {(threads, said) for threads, said, _ in found} == {(3, "3")}
    processes = {process for _, _, process in found}
    assert len(processes) <= 2
    assert os.getpid() not in processes


@pytest.mark.slow
def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path, repository):
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    notes = tmp_path / "notes"
    notes.mkdir()
    parent = subprocess.Popen(
        [sys.executable, program, notes], env={**os.environ, "PYTHONPATH": str(repository)}
    )
    with parent:
        wait_until(lambda: len(list(notes.iterdir())) == 2)
        parent.send_signal(signal.SIGKILL)
    children = [int(note.name) for note in notes.iterdir()]
    wait_until(lambda: not any(is_alive(child) for child in children))


def wait_until(is_so, within_s=60.0):
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One whose parent is gone may wait to be buried by a machine's first process.
    with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
        return stream.read().rpartition(")")[2].split()[0] != "Z"


def test_the_number_of_threads_follows_torch_and_can_be_set(monkeypatch):
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    try:
        use_threads(2)
        assert threads_here() == torch.get_num_threads() == 2
        assert os.environ["OMP_NUM_THREADS"] == "2"
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("said", "count"), [("3", 3), ("4,2", 4)])
def test_without_torch_the_environment_decides(said, count, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert threads_here() == count


@pytest.mark.parametrize("said", ["", "0", "many"])
def test_without_either_it_is_the_processors_that_may_be_used(said, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert threads_here() == len(os.sched_getaffinity(0))

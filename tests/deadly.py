"""Functions that end the process they run in, and one that shoots such a process from outside.

They live in a module of their own, so that a worker can import them and little else.
"""

import os
import signal
import time
from pathlib import Path

from volspine.errors import InputError


def survive(item):
    """An item is (what to do, a folder for notes)."""
    what, folder = item
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "die once" and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "fail":
        raise InputError("it is empty")
    if what == "bug":
        raise ZeroDivisionError
    return what


def take_long(folder):
    """Leave a note of which process this is, and do nothing for a minute."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def children_of(pid):
    """Return the processes that a process has started, and those that these have, with titles."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            titles[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    known = {pid}
    while more := {child for child, parent in parents.items() if parent in known} - known:
        known |= more
    return {child: titles[child] for child in known - {pid} if child in titles}


def shoot_one(title, *, when=lambda: True, within_s=300.0):
    """Kill the first child of this process that has a title when it is time to; return which."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not when():
            time.sleep(0.005)
            continue
        for child, said in children_of(os.getpid()).items():
            if title in said:
                os.kill(child, signal.SIGKILL)
                return child
        time.sleep(0.01)
    return None

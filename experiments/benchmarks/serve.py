"""One way in a process of its own: it does its work once for every line that it is sent.

    python serve.py MODULE:FUNCTION JSON_OF_ARGUMENTS [--once]

FUNCTION returns what is called at every turn; it may itself take a `turn` and then begins and ends
turns as it likes, which a training loop that cannot be left needs. Each turn is answered by a line
of JSON: seconds by the clock and of the processor, the largest memory so far, and what the call
returned if that is a dict. Whatever the way prints goes nowhere.
"""

import contextlib
import importlib
import inspect
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any, TextIO

__all__ = ["Turn", "main", "peak_mb", "processor_s"]


def peak_mb() -> float:
    """Return the largest memory that this process has had, in MB of 10^6 bytes.

    The kernel's mark is of this program alone; what `getrusage` says includes the parent's.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def processor_s() -> float:
    """Return the processor's seconds of this process and of those it started, living ones too."""
    spent = sum(os.times()[2:4]) + time.process_time()
    tick = os.sysconf("SC_CLK_TCK")
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(OSError):
            after_name = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            spent += (int(after_name[11]) + int(after_name[12])) / tick
    return spent


class Turn:
    """Waits to be told, times what is done, and answers."""

    def __init__(self, answers: TextIO, *, once: bool) -> None:
        self._answers, self._left = answers, 1 if once else None
        self._began = (0.0, 0.0)

    def begin(self) -> bool:
        """Wait for a turn; return whether there is one."""
        if self._left is None:
            if not sys.stdin.readline():
                return False
        elif self._left == 0:
            return False
        else:
            self._left -= 1
        self._began = (time.perf_counter(), processor_s())
        return True

    def end(self, facts: object = None) -> None:
        """Answer."""
        wall, cpu = time.perf_counter() - self._began[0], processor_s() - self._began[1]
        told = facts if isinstance(facts, dict) else {}
        answer: dict[str, Any] = {"wall": wall, "cpu": cpu, "peak_mb": peak_mb(), **told}
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


def main() -> None:
    """Serve."""
    name, arguments, *rest = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(Path(__file__).parent))
    module, _, function = name.partition(":")
    make = getattr(importlib.import_module(module), function)
    turn = Turn(answers, once="--once" in rest)
    if "turn" in inspect.signature(make).parameters:
        make(turn=turn, **json.loads(arguments))
        return
    run = make(**json.loads(arguments))
    while turn.begin():
        turn.end(run())


if __name__ == "__main__":
    main()

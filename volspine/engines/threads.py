"""The number of threads of an operation: the same in every worker as in the process that asks.

Sums are split over threads, so their number decides the last bits of a network's answer. Workers
are told that of the process that started them: one process, several and a cluster then agree bit
for bit on the same kind of processor.
"""

import os
import sys

__all__ = ["threads_here", "use_threads"]


def threads_here() -> int:
    """Return how many threads an operation of this process uses."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdigit() and int(asked) else len(os.sched_getaffinity(0))


def use_threads(count: int) -> None:
    """Make operations of this process use so many threads, also where torch comes later."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)

"""Processes of this machine: started afresh (spawn), each with its own interpreter.

Each is a pool of one, so that one which dies breaks nothing but itself. They are deaf to Ctrl-C,
which a terminal sends to all of them: the process that started them decides, and what they are at
is finished. If that process is killed they end too.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any

from volspine.engines.crew import WorkerDiedError
from volspine.engines.outcome import Outcome, attempt
from volspine.engines.threads import threads_here, use_threads

__all__ = ["LocalCrew"]

_held: dict[str, Any] = {}


class LocalCrew:
    """Starts processes that hold a function.

    Args:
        function: Picklable.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._threads = threads_here()

    def hire(self) -> "_Process":
        """Start a process."""
        return _Process(self._function, self._threads)

    def wait(self, workers: Sequence["_Process"]) -> list["_Process"]:
        """Wait until one of them has something to say."""
        by_task = {worker.task: worker for worker in workers}
        return [by_task[task] for task in wait(by_task, return_when=FIRST_COMPLETED).done]


class _Process:
    def __init__(self, function: Callable[[Any], Any], threads: int) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self.task: Future[Any] = self._pool.submit(_hold, function, threads)

    def give(self, item: Any) -> None:
        try:
            self.task = self._pool.submit(_work, item)
        except BrokenProcessPool as error:  # It died while it had nothing to do.
            self.task = Future()
            self.task.set_exception(error)

    def take(self) -> Any:
        try:
            return self.task.result()
        except BrokenProcessPool as error:
            raise WorkerDiedError from error

    def dismiss(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _hold(function: Callable[[Any], Any], threads: int) -> None:
    """Keep the function in this process, so that what it loads is loaded once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _held.update(function=function, threads=threads)


def _work(item: Any) -> Outcome[Any, Any]:
    use_threads(_held["threads"])  # Before each: the one before may have been the first with torch.
    return attempt(_held["function"], item)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

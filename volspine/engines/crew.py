"""A crew: items -> outcomes, as each is finished, whatever happens to the workers.

Every worker holds one item at a time, so it is known which item a dead worker was at. That item is
given to another worker; an item whose workers died `ATTEMPTS` times is reported as failed, and the
rest go on. A worker that is still being started holds no item, so none waits for a machine that a
cluster does not have.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from volspine.engines.outcome import Outcome
from volspine.errors import WorkerError

__all__ = ["ATTEMPTS", "Crew", "Worker", "WorkerDiedError", "work_through"]

W = TypeVar("W", bound="Worker")

ATTEMPTS = 2
"""How often an item is tried whose worker dies."""


class WorkerDiedError(Exception):
    """A process ended before it gave an answer: killed, out of memory, or its machine is gone."""


@runtime_checkable
class Worker(Protocol):
    """One process that holds the function."""

    def give(self, item: Any) -> None:
        """Start the work on an item."""

    def take(self) -> Any:
        """Return the outcome of the item, or None if it has only been started till now.

        Raises:
            WorkerDiedError: If the process is gone.
        """

    def dismiss(self) -> None:
        """End the process after what it is at."""


@runtime_checkable
class Crew(Protocol[W]):
    """Where workers come from."""

    def hire(self) -> W:
        """Start a process; it is busy until it can take an item."""

    def wait(self, workers: Sequence[W]) -> list[W]:
        """Wait for those that are busy and return some that are not any more, or died."""


def work_through(crew: Crew[W], items: Sequence[Any], workers: int) -> Iterator[Outcome[Any, Any]]:
    """Yield one outcome an item in the order of completion.

    Args:
        crew: Starts the workers.
        items: What is worked on.
        workers: How many work at a time.

    Raises:
        WorkerError: If workers die before they have taken an item.
    """
    shift = _Shift(crew, items)
    try:
        for _ in range(min(workers, len(items))):
            shift.hire()
        while shift.is_on:
            for worker in shift.crew.wait(list(shift.busy)):
                outcome = shift.hear(worker)
                if outcome is not None:
                    yield outcome
    finally:
        for worker in [*shift.busy, *shift.idle]:
            worker.dismiss()


class _Shift:
    """Who is at what, and what is still to be done."""

    def __init__(self, crew: Crew[Any], items: Sequence[Any]) -> None:
        self.crew = crew
        self.waiting = deque((item, 0) for item in items)
        self.busy: dict[Any, tuple[Any, int] | None] = {}
        self.idle: list[Any] = []
        self.stillborn = 0

    @property
    def is_on(self) -> bool:
        return bool(self.waiting) or any(task is not None for task in self.busy.values())

    def hire(self) -> None:
        self.busy[self.crew.hire()] = None

    def hear(self, worker: Any) -> Outcome[Any, Any] | None:
        """Return what a worker has to say, after giving it the next item or replacing it."""
        task = self.busy.pop(worker)
        try:
            outcome: Outcome[Any, Any] | None = worker.take()
        except WorkerDiedError:
            worker.dismiss()
            outcome = self._after_death(task)
            self._replace()
            return outcome
        self.stillborn = 0
        self._give_next(worker)
        return outcome

    def _replace(self) -> None:
        if self.waiting and self.idle:
            self._give_next(self.idle.pop())
        elif self.waiting:
            self.hire()

    def _give_next(self, worker: Any) -> None:
        if not self.waiting:
            self.idle.append(worker)
            return
        task = self.waiting.popleft()
        worker.give(task[0])
        self.busy[worker] = task

    def _after_death(self, task: tuple[Any, int] | None) -> Outcome[Any, Any] | None:
        if task is None:
            self.stillborn += 1
            if self.stillborn > ATTEMPTS:
                raise _never_starts()
            return None
        item, deaths = task[0], task[1] + 1
        if deaths < ATTEMPTS:
            self.waiting.append((item, deaths))
            return None
        return Outcome(item, error=_died(deaths))


def _died(times: int) -> WorkerError:
    return WorkerError(
        f"the process that worked on it died {times} times",
        remedy="it may need more memory than there is: run it alone, or with fewer workers",
        code="VS-RUN-001",
    )


def _never_starts() -> WorkerError:
    return WorkerError(
        "workers die as they start",
        remedy="see that there is memory for them, and that volspine runs on every machine",
        code="VS-RUN-002",
    )

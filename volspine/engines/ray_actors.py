"""Actors of a Ray cluster: each holds the function, and so loads a model once.

A running cluster is joined where `RAY_ADDRESS` names one or `ray start` made one on this machine;
else one is started here, with as many processes as there are workers, and ends with the work. It
has no dashboard and reports to nobody. Only items and outcomes travel: what is read and written
must be on a file system that every machine sees under the same path.

Ray: Moritz et al., "Ray: A distributed framework for emerging AI applications", OSDI 2018.
"""

import contextlib
import logging
import os
import pickle
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from volspine._optional import require
from volspine.engines.crew import WorkerDiedError
from volspine.engines.outcome import Outcome, attempt
from volspine.engines.threads import threads_here, use_threads
from volspine.errors import ConfigurationError, WorkerError

__all__ = ["on_cluster"]

_PATIENCE_S = 60.0
_FAREWELL_S = 30.0
_ANSWER_S = 10.0
_STARTS = 3
_OBJECT_STORE_BYTES = 100 << 20
"""What actors send one another is small; Ray's own choice is a third of the memory."""

log = logging.getLogger("volspine")


@contextlib.contextmanager
def on_cluster(
    function: Callable[[Any], Any], *, workers: int, gpus: bool = False
) -> Iterator["_RayCrew"]:
    """Yield where actors that hold a function come from.

    Args:
        function: Picklable.
        workers: Number of processes of a cluster that is started here.
        gpus: Lend every actor a GPU, or its share of one.

    Raises:
        MissingExtraError: If Ray is not installed.
        ConfigurationError: If the cluster that is named does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, about its settings of tomorrow.
        ray = require("ray", extra="ray", purpose="the engine ray")
        threads = threads_here()
        is_ours = _connect(ray, processors=workers * threads)
        try:
            lent = _lent(ray, threads, workers=workers, gpus=gpus)
            yield _RayCrew(ray, function, threads=threads, lent=lent)
        finally:
            if is_ours:
                ray.shutdown()


def _connect(ray: Any, *, processors: int) -> bool:
    """Join a cluster or start one; return whether to leave it at the end."""
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    address = _running_cluster()
    if not address:
        _start(ray, num_cpus=processors, **quiet)
        return True
    try:
        _knock(address)
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"no Ray cluster answers at {address}",
            remedy="start one with `ray start`, or name another in RAY_ADDRESS (`local`: none)",
            code="VS-CFG-331",
        ) from error
    return True


def _start(ray: Any, **options: Any) -> None:
    """Start a cluster of this machine alone; Ray gives its parts 30 s, a busy machine needs more.

    Raises:
        WorkerError: If it does not start.
    """
    for attempts_left in reversed(range(_STARTS)):
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **options,
            )
        except Exception as error:  # Ray raises no other than this when its parts are late.
            ray.shutdown()
            if not attempts_left:
                raise WorkerError(
                    "Ray does not start on this machine",
                    remedy="see /tmp/ray/session_latest/logs, or use --engine local",
                    code="VS-RUN-003",
                ) from error
        else:
            return


def _knock(address: str) -> None:
    """See that something listens there: Ray itself would ask for many minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S):
        pass


def _running_cluster() -> str:
    """Return the address of the cluster to join; empty if there is none.

    Clusters that other programs started for themselves alone are not joined.
    """
    named = os.environ.get("RAY_ADDRESS", "")
    if named:
        return "" if named == "local" else named
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # noqa: S108
    return note.read_text().strip() if note.is_file() else ""


def _lent(ray: Any, threads: int, *, workers: int, gpus: bool) -> dict[str, float]:
    """Return what of a machine one actor takes: never more than the largest machine has."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = max((machine.get("CPU", 0.0) for machine in machines), default=0.0)
    lent = {"num_cpus": min(float(threads), most)}
    there = sum(machine.get("GPU", 0.0) for machine in machines)
    if gpus:
        if not there:
            raise ConfigurationError(
                "the Ray cluster has no GPU",
                remedy="use --device cpu, or start Ray where there is one",
                code="VS-CFG-332",
            )
        lent["num_gpus"] = 1.0 / max(1, -(-workers // int(there)))
    return lent


class _RayCrew:
    """Starts actors."""

    def __init__(
        self,
        ray: Any,
        function: Callable[[Any], Any],
        *,
        threads: int,
        lent: dict[str, float],
    ) -> None:
        self._ray, self._threads = ray, threads
        self._function = ray.cloudpickle.dumps(function)
        self._kind = ray.remote(**lent)(_Holder)
        self._started_s = time.monotonic()
        self._is_silent = True

    def hire(self) -> "_Actor":
        """Ask the cluster for an actor."""
        return _Actor(self._ray, self._kind, self._function, self._threads)

    def wait(self, workers: Sequence["_Actor"]) -> list["_Actor"]:
        """Wait until one of them has something to say."""
        by_task = {worker.task: worker for worker in workers}
        done: list[Any] = []
        while not done:
            done, _ = self._ray.wait(list(by_task), num_returns=1, timeout=_PATIENCE_S / 10)
            self._complain_once(heard=bool(done))
        return [by_task[task] for task in done]

    def _complain_once(self, *, heard: bool) -> None:
        if heard:
            self._is_silent = False
        elif self._is_silent and time.monotonic() - self._started_s > _PATIENCE_S:
            self._is_silent = False
            log.warning("the Ray cluster has started no worker yet; see `ray status`")


class _Actor:
    """An actor and the task that it is at."""

    def __init__(self, ray: Any, kind: Any, function: bytes, threads: int) -> None:
        self._ray = ray
        self._actor = kind.remote()
        self.task = self._actor.hold.remote(function, threads)

    def give(self, item: Any) -> None:
        self.task = self._actor.work.remote(item)

    def take(self) -> Any:
        gone = self._ray.exceptions
        try:
            return self._ray.get(self.task)
        except (gone.RayActorError, gone.OutOfMemoryError, gone.NodeDiedError) as error:
            raise WorkerDiedError from error

    def dismiss(self) -> None:
        # What it is at is finished first, as files are being written.
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.wait([self.task], timeout=_FAREWELL_S)
        self._ray.kill(self._actor)


class _Holder:
    """What lives in an actor's process."""

    def hold(self, function: bytes, threads: int) -> None:
        """Keep the function, so that what it loads is loaded once."""
        use_threads(threads)
        self._function = pickle.loads(function)  # noqa: S301  # It is this very program's.
        self._threads = threads

    def work(self, item: Any) -> Outcome[Any, Any]:
        """Return the outcome of an item."""
        use_threads(self._threads)
        return attempt(self._function, item)

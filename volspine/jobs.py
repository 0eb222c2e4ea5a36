"""Running many things, and writing each result whole or not at all.

Shared by the phantom generator, preparation and prediction: files appear atomically, work is
sharded by position, and one failure never stops the rest.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from volspine.engines.crew import work_through
from volspine.engines.outcome import Outcome, attempt
from volspine.errors import ConfigurationError, OutputError

__all__ = [
    "ENGINES",
    "Outcome",
    "Progress",
    "atomic_path",
    "claimed",
    "make_missing",
    "parse_shard",
    "run_many",
    "shard",
    "write_bytes",
    "write_text",
]

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]
"""Called with how many are there and how many are wanted."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends well.

    The temporary file is in the same folder, flushed to disk before the rename, and removed when
    the block raises: readers see the old file or the new one, never half of one.

    Args:
        path: Final path; its folder is created.

    Raises:
        OutputError: If the folder or file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix
        )
        os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        _commit(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _commit(temporary: Path, path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; results follow the umask.
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write: {error.strerror or type(error).__name__}",
        path=path,
        remedy="check free space and permissions, or choose another output folder",
        code="VS-OUT-001",
    )


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Do a block alone among all processes that claim the same path; wait for who is in it.

    The claim is a locked file, removed at the end. If its process is killed the system frees it,
    and the empty file that is left disturbs nobody. A file system that knows no locks is taken as
    if one process wrote to it.

    Args:
        path: Of the claim itself, beside what is claimed; its folder is created.

    Raises:
        OutputError: If nothing can be written there.
    """
    handle = _claim(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _claim(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            with contextlib.suppress(OSError):  # Only of the lock: there may be none to have.
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, path):
                return handle
            os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _is_at(handle: int, path: Path) -> bool:
    """Return whether a claim is still in its place: who held it before has removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically.

    Raises:
        OutputError: If it cannot be written; nothing partial is left behind.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically, with the line ends it was given."""
    write_bytes(path, text.encode("utf-8"))


def parse_shard(text: str) -> tuple[int, int]:
    """Return (index, count) of a shard written `I/N`, counted from 1.

    Raises:
        ConfigurationError: If it is not `I/N` with 1 <= I <= N.
    """
    head, _, tail = text.partition("/")
    if not (head.isdigit() and tail.isdigit() and 1 <= int(head) <= int(tail)):
        raise ConfigurationError(
            f"shard {text!r} is not I/N",
            remedy="write for example 1/4 for the first of four shards",
            code="VS-CFG-030",
        )
    return int(head), int(tail)


def shard(items: Sequence[T], text: str) -> Sequence[T]:
    """Return every N-th item, starting at the I-th, for a shard `I/N`.

    Example:
        >>> shard(["a", "b", "c", "d", "e"], "2/2")
        ['b', 'd']
    """
    index, count = parse_shard(text)
    return items[index - 1 :: count]


ENGINES = MappingProxyType(
    {"local": "processes of this machine", "ray": "actors of a Ray cluster, or of a local one"}
)
"""Where `run_many` can work."""


def run_many(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    workers: int = 1,
    engine: str = "local",
    gpus: bool = False,
) -> Iterator[Outcome[T, R]]:
    """Yield one outcome an item as each is finished.

    With one local worker, in order and in this process; else in processes that each hold the
    function, and in the order of completion. A `VolspineError` becomes that item's outcome; any
    other exception propagates. An item whose process dies is tried again in another; if that dies
    too, a `WorkerError` is its outcome. Workers use as many threads as this process, so results
    do not depend on the engine.

    Args:
        function: Picklable unless it runs here; what it loads once it loads once a worker.
        items: Picklable unless they are worked on here.
        workers: Number of processes.
        engine: One of `ENGINES`.
        gpus: Lend every Ray worker a GPU, or its share of one; local ones see them all anyway.

    Raises:
        ConfigurationError: If there is no such engine, or no cluster where one was named.
        MissingExtraError: If Ray is asked for and not installed.
        WorkerError: If workers die as they start.
    """
    if engine not in ENGINES:
        raise _no_engine(engine)
    if engine == "ray":
        from volspine.engines.ray_actors import on_cluster

        with on_cluster(function, workers=workers, gpus=gpus) as actors:
            yield from work_through(actors, items, workers)
    elif workers <= 1:
        for item in items:
            yield attempt(function, item)
    else:
        from volspine.engines.local import LocalCrew

        yield from work_through(LocalCrew(function), items, workers)


def _no_engine(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"there is no engine {name!r}",
        remedy=f"choose one of {', '.join(ENGINES)}",
        code="VS-CFG-330",
    )


def make_missing(
    make: Callable[[T], object],
    items: Sequence[T],
    *,
    file_of: Callable[[T], Path],
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Make the file of every item that has none yet, and return those of all, in order.

    A file that is there is finished, as files are written whole: what was interrupted goes on.

    Args:
        make: Writes an item's file; picklable when `workers` is above one.
        items: Picklable when `workers` is above one.
        file_of: The file of an item.
        workers: Number of processes.
        progress: Told of every file that is made.

    Raises:
        VolspineError: The first that `make` raises.
    """
    files = [file_of(item) for item in items]
    missing = [item for item, path in zip(items, files, strict=True) if not path.exists()]
    done = len(items) - len(missing)
    for outcome in run_many(make, missing, workers=workers):
        if outcome.error is not None:
            raise outcome.error
        done += 1
        if progress is not None:
            progress(done, len(items))
    return files

"""Running many things, and writing each result whole or not at all.

Shared by the phantom generator, preparation and prediction: files appear atomically, work is
sharded by position, and one failure never stops the rest.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, TypeVar

from volspine.errors import ConfigurationError, OutputError, VolspineError

__all__ = [
    "Outcome",
    "Progress",
    "atomic_path",
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


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What became of one item: a result, or the error that took its place."""

    item: T
    result: R | None = None
    error: VolspineError | None = None


def run_many(
    function: Callable[[T], R], items: Sequence[T], *, workers: int = 1
) -> Iterator[Outcome[T, R]]:
    """Yield one outcome an item as each is finished.

    With one worker, in order and in this process; with more, in spawned processes and in the order
    of completion. A `VolspineError` becomes that item's outcome; any other exception propagates.

    Args:
        function: Picklable when `workers` is above one.
        items: Picklable when `workers` is above one.
        workers: Number of processes.
    """
    if workers <= 1:
        for item in items:
            yield _attempt(function, item)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_attempt, function, item) for item in items}
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


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


def _attempt(function: Callable[[T], R], item: T) -> Outcome[T, R]:
    try:
        return Outcome(item, result=function(item))
    except VolspineError as error:
        return Outcome(item, error=error)

"""Writing into a folder that several processes write to at once: nothing is ever half there.

Each writer makes what it makes in a bench of its own, `STORE/.writing/<name>/`, flushes it to disk
and then gives it its place by one rename. The bench is locked as long as its writer lives: what a
killed writer left is known by the lock that is gone with it, and is swept away.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from volspine.errors import OutputError

__all__ = ["bench", "put", "put_bytes", "sweep", "writing"]

_BENCHES = ".writing"


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the system says when a disk is full or a folder closed into one clear error."""
    try:
        yield
    except OSError as error:
        # NumPy says how much was written, but not why it was not all.
        reason = error.strerror or "not all of a file could be written"
        raise OutputError(
            f"the store cannot be written: {reason}",
            path=place,
            remedy="check free space, limits and permissions; what was finished is kept, and the "
            "same command goes on from there",
            code="VS-OUT-090",
        ) from error


@contextlib.contextmanager
def bench(store: Path) -> Iterator[Path]:
    """Yield an empty folder on the store's own disk, which nobody else touches or sweeps away.

    Raises:
        OSError: If it cannot be made.
    """
    folder, lock = _locked(store / _BENCHES)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with contextlib.suppress(OSError):  # Another writer's bench is still there.
            (store / _BENCHES).rmdir()


def _locked(benches: Path) -> tuple[Path, int]:
    while True:
        benches.mkdir(parents=True, exist_ok=True)
        try:
            folder = Path(tempfile.mkdtemp(dir=benches))
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # Somebody swept, or left as the last, between the two lines.
            continue
        with contextlib.suppress(OSError):  # Not every network disk knows locks of folders.
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)


def sweep(store: Path) -> bool:
    """Remove what writers left that are no more; return whether others are at work."""
    benches = store / _BENCHES
    for folder in sorted(benches.iterdir()) if benches.is_dir() else ():
        with contextlib.suppress(OSError):
            _sweep(folder)
    with contextlib.suppress(OSError):
        benches.rmdir()
    return benches.is_dir()


def _sweep(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def put(made: Path, place: Path) -> None:
    """Give a finished folder its place, in exchange for what is there.

    Args:
        made: A folder in a bench of the same store.
        place: Where it goes.

    Raises:
        OSError: If it cannot be flushed or moved.
    """
    _flush(made)
    place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            made.rename(place)
            break
        except OSError:
            if not place.exists():
                raise
        # A folder cannot replace one that is not empty: the old one is moved out of the way.
        with contextlib.suppress(FileNotFoundError):
            place.rename(Path(tempfile.mkdtemp(dir=made.parent)) / "old")
    _flush_folder(place.parent)


def put_bytes(content: bytes, place: Path, *, store: Path) -> None:
    """Write a file of the store whole or not at all; a file that is the same stays as it is.

    Raises:
        OutputError: If it cannot be written.
    """
    with writing(place):
        if place.is_file() and place.read_bytes() == content:
            return
        with bench(store) as folder:
            made = folder / place.name
            made.write_bytes(content)
            _flush_file(made)
            made.replace(place)
            _flush_folder(store)


def _flush(made: Path) -> None:
    for file in made.iterdir():
        _flush_file(file)
    _flush_folder(made)


def _flush_file(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # Some disks do not flush folders.
            os.fsync(lock)
    finally:
        os.close(lock)

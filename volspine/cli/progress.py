"""Progress bars on stderr, for people only: silent when nobody watches or `--quiet` is given."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["counting", "track"]

T = TypeVar("T")


def track(
    items: Iterable[T], description: str, *, total: int | None = None, quiet: bool = False
) -> Iterator[T]:
    """Yield the items and show how many are done.

    Args:
        items: What is worked through.
        description: What is being done, such as "Grading".
        total: Number of items; taken from `items` where it has a length.
        quiet: Show nothing.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with counting(description, total=total, quiet=quiet) as advance:
        for item in items:
            yield item
            advance()


@contextlib.contextmanager
def counting(
    description: str, *, total: int | None = None, quiet: bool = False
) -> Iterator[Callable[..., None]]:
    """Yield a function that moves the bar one step, whatever it is called with.

    It is the callback that long work takes: `generate(..., on_study=advance)`.

    Args:
        description: What is being done.
        total: Number of steps; None shows a running count.
        quiet: Show nothing.
    """
    bar = None if quiet else _bar()
    if bar is None:
        yield lambda *_: None
        return
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda *_: bar.advance(task)


def _bar() -> "Progress | None":
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    return progress.Progress(*columns, console=console, transient=True)

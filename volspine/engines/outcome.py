"""What became of an item: a result, or the error that took its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from volspine.errors import VolspineError

__all__ = ["Outcome", "attempt"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What became of one item: a result, or the error that took its place."""

    item: T
    result: R | None = None
    error: VolspineError | None = None


def attempt(function: Callable[[T], R], item: T) -> Outcome[T, R]:
    """Return the outcome of one call; only a `VolspineError` is an outcome, a bug propagates."""
    try:
        return Outcome(item, result=function(item))
    except VolspineError as error:
        return Outcome(item, error=error)

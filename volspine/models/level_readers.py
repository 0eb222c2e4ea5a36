"""Readers: which tokens are read by the same numbers.

With shared sides a reader is a view, whatever the side; without, left and right have a reader each.
"""

from typing import NamedTuple

from volspine.anatomy import TARGETS, Side
from volspine.views import TOKEN_TARGET, TOKEN_VIEW, VIEWS

__all__ = ["Reader", "all_readers", "token_sides"]


class Reader(NamedTuple):
    """What is read alike.

    Attributes:
        view: Index in `VIEWS`.
        rows: Which of the view's patches.
        tokens: The same as indices in `TOKENS`.
    """

    view: int
    rows: slice
    tokens: tuple[int, ...]


def token_sides() -> tuple[Side | None, ...]:
    """Return the patient's side of each token; None on the midline."""
    return tuple(TARGETS[t].side for t in TOKEN_TARGET)


def all_readers(*, fusion: bool = True, share_sides: bool = True) -> tuple[Reader, ...]:
    """Return the readers in the order of their tokens.

    Args:
        fusion: Whether a finding is read in all its views, or in its first one only.
        share_sides: Whether one reader reads both sides.

    Example:
        >>> [len(reader.tokens) for reader in all_readers()]
        [5, 5, 10, 10, 10]
        >>> [reader.view for reader in all_readers(fusion=False, share_sides=False)]
        [0, 2, 2, 4, 4]
    """
    firsts = {view.finding: v for v, view in reversed(list(enumerate(VIEWS)))}
    sides = token_sides()
    groups: dict[tuple[int, Side | None], list[int]] = {}
    for n, v in enumerate(TOKEN_VIEW):
        if fusion or v in firsts.values():
            groups.setdefault((v, None if share_sides else sides[n]), []).append(n)
    return tuple(_reader(v, tokens) for (v, _), tokens in groups.items())


def _reader(view: int, tokens: list[int]) -> Reader:
    rows = [n - TOKEN_VIEW.index(view) for n in tokens]
    return Reader(view, slice(rows[0], rows[-1] + 1), tuple(tokens))

"""A CSV file or a data frame -> its columns by name, as text, or one clear error.

Cells of a file stay text, so that no study id turns into a number; either line end and a byte-order
mark are taken.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from volspine.challenge import parse_row_id
from volspine.errors import TableError
from volspine.types import FloatArray

__all__ = ["Frame", "Table"]


@runtime_checkable
class Frame(Protocol):
    """A pandas data frame, as far as it matters here."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return a column."""


class Table:
    """Columns by name, and how to complain about them.

    Args:
        source: Path or data frame.
        what: The table in words, for complaints.

    Raises:
        TableError: If a file cannot be read or its rows differ in length.
    """

    def __init__(self, source: str | Path | Frame, what: str) -> None:
        self.what = what
        self.path = Path(source) if isinstance(source, str | Path) else None
        if isinstance(source, str | Path):
            self.columns = self._read(Path(source))
        else:
            self.columns = {str(name): [_text(v) for v in source[name]] for name in source.columns}

    def _read(self, path: Path) -> dict[str, list[str]]:
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                header, *rows = [row for row in csv.reader(stream, strict=True) if row] or [[]]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self.error(
                f"cannot be read ({type(error).__name__})",
                remedy="give a comma-separated UTF-8 file",
                code="VS-TAB-051",
            ) from error
        names = [name.strip() for name in header]
        ragged = any(len(row) != len(names) for row in rows)
        if ragged or len(set(names)) < len(names):
            raise self.error(
                "has a row of another length" if ragged else "has a column twice",
                remedy="give every row one cell for each column",
                code="VS-TAB-051",
            )
        return {name: [row[c].strip() for row in rows] for c, name in enumerate(names)}

    def error(self, message: str, *, remedy: str, code: str) -> TableError:
        """Return a complaint about this table."""
        return TableError(f"the {self.what} {message}", path=self.path, remedy=remedy, code=code)

    def require(self, names: Sequence[str], *, may_have: Sequence[str] | None = None) -> None:
        """Refuse what lacks a column, or has one that it may not have; None allows any."""
        missing = [name for name in names if name not in self.columns]
        allowed = self.columns if may_have is None else (*names, *may_have)
        others = [name for name in self.columns if name not in allowed]
        if missing or others:
            found = (
                f"lacks column {missing[0]!r}" if missing else f"has a column {others[0][:40]!r}"
            )
            raise self.error(
                found, remedy=f"its columns must be {', '.join(names)}", code="VS-TAB-052"
            )

    def numbers(self, name: str) -> FloatArray:
        """Return a column of finite numbers of zero or more."""
        try:
            values = np.array([float(v) for v in self.columns[name]], dtype=np.float64)
        except ValueError as error:
            raise self._not_numbers(name, "a value that is not a number") from error
        if not np.isfinite(values).all():
            raise self._not_numbers(name, "a value that is empty, NaN or infinite")
        if (values < 0).any():
            raise self._not_numbers(name, "a negative value")
        return values

    def _not_numbers(self, name: str, what: str) -> TableError:
        return self.error(
            f"has {what} in column {name!r}",
            remedy="give finite numbers of zero or more",
            code="VS-TAB-053",
        )

    def places(self) -> dict[tuple[str, int], int]:
        """Return, for each (study, target index) of `row_id`, the row it stands in."""
        places: dict[tuple[str, int], int] = {}
        for row, text in enumerate(self.columns["row_id"]):
            study, target = parse_row_id(text)
            places[study, target.index] = row
        if len(places) < len(self.columns["row_id"]):
            raise self.error(
                "has a row_id twice",
                remedy="give each study, condition and level one row",
                code="VS-TAB-054",
            )
        return places


def _text(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124  NaN, the empty cell of a data frame
        return ""
    return str(value).strip()

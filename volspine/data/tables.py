"""From a CSV file of the challenge to rows of text, or one clear error.

The tables come with either line end, with or without a byte-order mark, and their columns in any
order; cells stay text, so that no study id ever turns into a number.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from volspine.errors import TableError

__all__ = ["Row", "number_in", "read_rows", "whole_number_in"]

Row = Mapping[str, str]
"""One row: column name to cell, stripped."""


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a CSV file that must have certain columns.

    Args:
        path: The file.
        columns: Columns that must be there; others are kept.

    Raises:
        TableError: If the file is missing, is not text, lacks a column or has a ragged row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(_rows(csv.reader(stream, strict=True), path, columns))
    except FileNotFoundError as error:
        raise TableError(
            "the table is not there",
            path=path,
            remedy="give the folder that holds train.csv and train_images",
            code="VS-TAB-030",
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(
            f"the table cannot be read ({type(error).__name__})",
            path=path,
            remedy="save it as comma-separated UTF-8 text",
            code="VS-TAB-031",
        ) from error


def _rows(reader: Iterator[list[str]], path: Path, columns: Sequence[str]) -> Iterator[Row]:
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in columns if name not in header]
    if missing or len(set(header)) < len(header):
        raise TableError(
            f"column {missing[0]!r} is missing" if missing else "a column name stands twice",
            path=path,
            remedy="use the challenge's header, each column once",
            code="VS-TAB-032",
        )
    for number, cells in enumerate(reader, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise TableError(
                f"row {number} has {len(cells)} cells where the header has {len(header)}",
                path=path,
                remedy="check for a stray comma or a truncated file",
                code="VS-TAB-033",
            )
        yield dict(zip(header, (cell.strip() for cell in cells), strict=True))


def number_in(row: Row, column: str, path: Path) -> float:
    """Return a finite number from a cell.

    Raises:
        TableError: If the cell holds anything else.
    """
    try:
        value = float(row[column])
    except ValueError:
        value = float("nan")
    if value - value != 0.0:  # NaN and infinities
        raise TableError(
            f"{row[column][:40]!r} in column {column!r} is not a number",
            path=path,
            remedy="write a plain decimal number",
            code="VS-TAB-034",
        )
    return value


def whole_number_in(row: Row, column: str, path: Path) -> int:
    """Return a whole number from a cell; `7` and `7.0` alike.

    Raises:
        TableError: If the cell holds anything else.
    """
    value = number_in(row, column, path)
    if value != int(value):
        raise TableError(
            f"{row[column][:40]!r} in column {column!r} is not a whole number",
            path=path,
            remedy="write the instance number without a fraction",
            code="VS-TAB-034",
        )
    return int(value)

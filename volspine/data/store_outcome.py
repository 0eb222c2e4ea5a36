"""Outcome: what came of preparing a root, as the files that a store tells it in.

STORE/failures.csv   what could not be prepared, and why
STORE/summary.json   what the tables and the entries hold, in numbers
STORE/store.json     the index, written last
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volspine.data.store import INDEX, Entry, index_bytes
from volspine.data.store_folder import put_bytes
from volspine.errors import OutputError, VolspineError

__all__ = ["FAILURE_COLUMNS", "Done", "Prepared"]

FAILURE_COLUMNS = ("study", "code", "error", "remedy")


@dataclass(frozen=True)
class Prepared:
    """What came of preparing a root.

    Attributes:
        store: Folder of the store.
        made: Number of studies that were decoded now.
        kept: Number of those that were there.
        failures: Place of each study that could not be prepared, below the root, and why.
        summary: What was found, as in `summary.json`.
        stopped: Why it went no further; None where it came to its end.
    """

    store: Path
    made: int
    kept: int
    failures: tuple[tuple[str, VolspineError], ...]
    summary: Mapping[str, Any]
    stopped: OutputError | None = None

    @property
    def exit_code(self) -> int:
        """0 all well, 3 some failed, 4 none succeeded."""
        done = self.made + self.kept
        if done and not self.failures and self.stopped is None:
            return 0
        return 3 if done else 4


class Done:
    """What came of the studies so far."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.failures: dict[str, VolspineError] = {}
        self.made: set[str] = set()

    def add(
        self, source: str, result: tuple[Entry, bool] | None, error: VolspineError | None
    ) -> None:
        """Note a study."""
        if error is not None or result is None:
            self.failures[source] = error or VolspineError("nothing came of it")
            return
        entry, is_made = result
        # Two copies of a study are one entry, under the first of their places.
        first = self.entries.get(entry.place)
        if first is None or entry.source < first.source:
            self.entries[entry.place] = entry
        if is_made:
            self.made.add(entry.place)

    def stopped(self, store: Path, error: OutputError) -> Prepared:
        """Return what was done before the store could not be written any more."""
        return self._prepared(store, {}, error)

    def finished(self, store: Path, summary: Mapping[str, Any]) -> Prepared:
        """Write the failures, the summary and, last of all, the index.

        Raises:
            OutputError: If one cannot be written.
        """
        whole = {**summary, "prepared": self._counts()}
        put_bytes(self._failure_table(), store / "failures.csv", store=store)
        text = json.dumps(whole, indent=1) + "\n"
        put_bytes(text.encode(), store / "summary.json", store=store)
        put_bytes(index_bytes(self.entries), store / INDEX, store=store)
        return self._prepared(store, whole, None)

    def _prepared(
        self, store: Path, summary: Mapping[str, Any], error: OutputError | None
    ) -> Prepared:
        made = len(self.made)
        kept = len(self.entries) - made
        return Prepared(store, made, kept, tuple(self._failed()), summary, error)

    def _failed(self) -> list[tuple[str, VolspineError]]:
        return sorted(self.failures.items(), key=lambda pair: pair[0])

    def _failure_table(self) -> bytes:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(FAILURE_COLUMNS)
        for source, error in self._failed():
            writer.writerow((source, error.code, error.message, error.remedy))
        return stream.getvalue().encode()

    def _counts(self) -> dict[str, Any]:
        series: Counter[str] = Counter()
        for entry in self.entries.values():
            series.update(entry.series)
        return {
            "studies": len(self.entries),
            "failures": len(self.failures),
            "bytes": sum(entry.num_bytes for entry in self.entries.values()),
            "series": dict(sorted(series.items())),
            "repairs": sum(entry.findings["repairs"] for entry in self.entries.values()),
            "faults": sum(entry.findings["faults"] for entry in self.entries.values()),
        }

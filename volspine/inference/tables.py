"""The tables over a folder of results: summary, submission and failures.

They are made from the `result.json` files that are there, so shards and resumed runs agree. What
failed in another shard or an earlier run stays listed until a result exists for it.
"""

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volspine.anatomy import Grade
from volspine.errors import TableError, VolspineError
from volspine.grades import StudyGrades
from volspine.inference.card import Card
from volspine.jobs import write_text
from volspine.report.manifest import read_manifest
from volspine.report.table import SUBMISSION_COLUMNS, csv_text, submission_rows
from volspine.types import FloatArray

__all__ = [
    "EXISTS",
    "FAILURE_COLUMNS",
    "SUMMARY_COLUMNS",
    "Failure",
    "name_from_path",
    "write_tables",
]

SUMMARY_COLUMNS = (
    "name",
    "status",
    "reason",
    "measured",
    "imputed",
    "moderate",
    "severe",
    "repairs",
    "faults",
    "warnings",
    "seconds",
)
log = logging.getLogger("volspine")

EXISTS = "VS-OUT-060"
"""Code of the failure to replace a result without being asked to."""

FAILURE_COLUMNS = ("name", "input", "code", "error", "remedy")


@dataclass(frozen=True)
class Failure:
    """A study that has no result, and why.

    Attributes:
        name: Its name in outputs where the path alone says it, under a `*_images/` root.
        path: As the user gave it.
    """

    name: str
    path: str
    code: str
    message: str
    remedy: str

    @classmethod
    def of(cls, path: Path, error: VolspineError) -> "Failure":
        """Return the failure of a path with an error."""
        return cls(name_from_path(path), str(path), error.code, error.message, error.remedy)

    @property
    def row(self) -> dict[str, str]:
        """Its record in `failures.csv`."""
        cells = (self.name, self.path, self.code, self.message, self.remedy)
        return dict(zip(FAILURE_COLUMNS, cells, strict=True))


def name_from_path(path: Path) -> str:
    """Return the name that a study has by its path alone; empty where its files must tell."""
    return path.name if path.parent.name.endswith("_images") else ""


def write_tables(
    out: Path, attempted: Sequence[Path], failures: Sequence[Failure], *, card: Card
) -> None:
    """Write `summary.csv`, `submission.csv` and `failures.csv` over the results in a folder.

    Only results of this very model are listed, so that two runs never mix. A submission holds the
    prior for refused and failed studies, since without a row for each it cannot be scored.

    Args:
        out: Folder of the results.
        attempted: Paths that this run has tried.
        failures: Those of them that failed.
        card: Of the model.

    Raises:
        OutputError: If a table cannot be written.
    """
    results = list(_results(out, card.weights_sha256))
    failed = _merged(out / "failures.csv", attempted, failures)
    done = {grades.name for grades in results}
    without = dict.fromkeys(row["name"] for row in failed if row["name"] not in {"", *done})
    submission = [row for grades in results for row in _submitted(grades, card.frequencies)]
    submission += [row for name in without for row in _prior(name, card.frequencies)]
    write_text(out / "summary.csv", csv_text(SUMMARY_COLUMNS, map(_summary, results)))
    write_text(out / "submission.csv", csv_text(SUBMISSION_COLUMNS, submission))
    write_text(out / "failures.csv", csv_text(FAILURE_COLUMNS, failed))


def _results(out: Path, weights_sha256: str) -> Iterator[StudyGrades]:
    for path in sorted(out.glob("*/result.json")):
        try:
            grades = read_manifest(path)
        except TableError as error:
            log.warning("%s is not listed: %s", path.parent.name, error.message)
            continue
        if grades.provenance.get("model", {}).get("weights_sha256") == weights_sha256:
            yield grades
        else:
            log.warning("%s is not listed: it was graded by another model", path.parent.name)


def _submitted(grades: StudyGrades, frequencies: FloatArray) -> list[dict[str, Any]]:
    if grades.status == "refused":
        return _prior(grades.name, frequencies)
    return submission_rows(grades.name, grades.probabilities)


def _prior(name: str, frequencies: FloatArray) -> list[dict[str, Any]]:
    return submission_rows(name, frequencies, is_prior=True)


def _summary(grades: StudyGrades) -> dict[str, Any]:
    refused = grades.status == "refused"
    imputed = int(grades.imputed.sum())
    pairs = zip(grades.grades, grades.imputed, strict=True)
    found = [] if refused else [grade for grade, is_imputed in pairs if not is_imputed]
    timings = grades.provenance.get("timings_s", {})
    return {
        "name": grades.name,
        "status": grades.status,
        "reason": grades.reason,
        "measured": len(found),
        "imputed": imputed,
        "moderate": found.count(Grade.MODERATE),
        "severe": found.count(Grade.SEVERE),
        "repairs": len(grades.provenance.get("repairs", [])),
        "faults": len(grades.provenance.get("faults", [])),
        "warnings": " ".join(grades.provenance.get("warnings", [])),
        "seconds": round(sum(timings.values()), 3),
    }


def _merged(
    path: Path, attempted: Sequence[Path], failures: Sequence[Failure]
) -> list[Mapping[str, str]]:
    """Return the failures of this run, and those of earlier ones that it did not try again."""
    tried = {str(tried) for tried in attempted}
    # A result that was there already is no lack of one, so it is only this run's business.
    earlier = [r for r in _earlier(path) if r["input"] not in tried and r["code"] != EXISTS]
    return sorted([*earlier, *(f.row for f in failures)], key=lambda row: row["input"])


def _earlier(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [
                {c: row.get(c) or "" for c in FAILURE_COLUMNS} for row in csv.DictReader(stream)
            ]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    return rows

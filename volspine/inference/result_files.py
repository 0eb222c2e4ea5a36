"""The files of one study: a grade's table, page and pictures, each whole or not there.

`result.json` is written last, so a folder that has one is complete.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from volspine.errors import ConfigurationError, OutputError
from volspine.inference.graded import GradedStudy
from volspine.jobs import write_bytes, write_text
from volspine.report.manifest import manifest_text
from volspine.report.markups import markups_text
from volspine.report.table import GRADE_COLUMNS, csv_text, grade_rows

__all__ = ["DEFAULT_FORMATS", "FORMATS", "RESULT", "write_result"]

DEFAULT_FORMATS = ("csv", "json", "html")
FORMATS = (*DEFAULT_FORMATS, "sr", "sc")
"""What can be written for each study; `result.json` always is, with `json` its landmarks too."""

RESULT = "result.json"
_MARKUPS = "landmarks.mrk.json"
_OURS = (RESULT, "grades.csv", "report.html", "key_*.png", _MARKUPS, "sr.dcm", "sc_*.dcm")

log = logging.getLogger("volspine")


def write_result(graded: GradedStudy, out: Path, formats: Sequence[str] = DEFAULT_FORMATS) -> Path:
    """Write one study's files into `out/<name>` and return that folder.

    What an earlier run left there is removed first, and `result.json` comes last.

    Raises:
        OutputError: If a file cannot be written.
    """
    folder = out / graded.name
    _remove_earlier(folder)
    if "csv" in formats:
        write_text(folder / "grades.csv", csv_text(GRADE_COLUMNS, grade_rows(graded.grades)))
    if "json" in formats and (text := markups_text(graded.grades)):
        write_text(folder / _MARKUPS, text)
    if "html" in formats:
        for image in graded.key_images:
            write_bytes(folder / image.file_name, image.png)
        write_text(folder / "report.html", graded.report_html())
    grades = graded.grades
    notes = [_dicom_note(graded, folder, name) for name in ("sr", "sc") if name in formats]
    if any(notes):
        provenance = {**grades.provenance, "notes": list(dict.fromkeys(filter(None, notes)))}
        grades = replace(grades, provenance=provenance)
    write_text(folder / RESULT, manifest_text(grades))
    return folder


def _dicom_note(graded: GradedStudy, folder: Path, name: str) -> str:
    """Write a DICOM output; return why there is none if the study does not allow it."""
    try:
        if name == "sr":
            graded.save_sr(folder)
        else:
            graded.save_sc(folder)
    except ConfigurationError as error:
        log.warning("%s: %s", graded.name, error.message)
        return error.message
    return ""


def _remove_earlier(folder: Path) -> None:
    """Remove the files of an earlier run, and what it had begun to write if it was killed."""
    try:
        for pattern in _OURS:
            for path in [*folder.glob(pattern), *folder.glob(f".{pattern}.*")]:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot replace an earlier result: {error.strerror}",
            path=folder,
            remedy="check permissions, or choose another output folder",
            code="VS-OUT-061",
        ) from error

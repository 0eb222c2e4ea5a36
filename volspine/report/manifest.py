"""The manifest of a result: StudyGrades to the plain data of `result.json`, and back.

    {"schema": 1, "volspine": ..., "name": ..., "status": ..., "reason": ...,
     "research_use": ..., "notices": [...], "model": {...}, "device": ..., "seed": ...,
     "series": [...], "faults": [...], "repairs": [...], "warnings": [...], "timings_s": {...},
     "settings": {...}, "doubt": {measure: {"value", "usual_below", "threshold"}},
     "landmarks_mm": {target: [x, y, z] or null}, "grades": [25 rows]}

JSON has no NaN, so null stands for it. Points are LPS millimetres.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volspine.anatomy import TARGETS
from volspine.errors import TableError
from volspine.grades import RESEARCH_USE, StudyGrades
from volspine.report.table import grade_rows, grades_from_rows

__all__ = [
    "SCHEMA",
    "grades_from_manifest",
    "manifest",
    "manifest_text",
    "model_notices",
    "notices",
    "read_manifest",
]

SCHEMA = 1
"""Version of the manifest's layout; grows when a key changes its meaning."""

_OWN_KEYS = (
    "schema",
    "name",
    "status",
    "reason",
    "research_use",
    "notices",
    "landmarks_mm",
    "grades",
)


def notices(grades: StudyGrades) -> tuple[str, ...]:
    """Return what every output must say: research use, warnings, and the model's limits."""
    research_use, *of_model = model_notices(grades.provenance.get("model", {}))
    return research_use, *grades.provenance.get("warnings", ()), *of_model


def model_notices(model: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the same for a model's part of the provenance."""
    lines = [RESEARCH_USE]
    if model.get("trained_on"):
        lines.append(f"Trained on: {model['trained_on']}.")
    if model.get("phantom_only"):
        lines.append(
            "The model has only ever seen synthetic phantoms: "
            "its grades of a real patient are not valid."
        )
    return tuple(lines)


def manifest(grades: StudyGrades) -> dict[str, Any]:
    """Return the result as plain data that JSON can hold."""
    points = {
        target.name: [float(x) for x in point]
        for target, point in zip(TARGETS, grades.points_mm, strict=True)
    }
    own = {
        "schema": SCHEMA,
        "name": grades.name,
        "status": grades.status,
        "reason": grades.reason,
        "research_use": RESEARCH_USE,
        "notices": list(notices(grades)),
    }
    found = {"landmarks_mm": points, "grades": grade_rows(grades)}
    plain: dict[str, Any] = _without_nan({**own, **grades.provenance, **found})
    for name, point in plain["landmarks_mm"].items():
        if None in point:
            plain["landmarks_mm"][name] = None
    return plain


def manifest_text(grades: StudyGrades) -> str:
    """Return the text of `result.json`."""
    return json.dumps(manifest(grades), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def grades_from_manifest(data: Mapping[str, Any]) -> StudyGrades:
    """Return the grades that a manifest holds.

    Raises:
        TableError: If it is not a manifest of this schema.
    """
    if data.get("schema") != SCHEMA or not isinstance(data.get("grades"), list):
        raise TableError(
            f"a result of schema {data.get('schema')!r}, not {SCHEMA}",
            remedy="grade the study again with this version",
            code="VS-TAB-041",
        )
    return grades_from_rows(
        data["grades"],
        name=str(data["name"]),
        status=data["status"],
        reason=str(data["reason"]),
        provenance={key: value for key, value in data.items() if key not in _OWN_KEYS},
    )


def read_manifest(path: Path) -> StudyGrades:
    """Read a `result.json`.

    Raises:
        TableError: If it cannot be read or is not a manifest of this schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(
            f"the result cannot be read: {type(error).__name__}",
            path=path,
            remedy="grade the study again",
            code="VS-TAB-042",
        ) from error
    if not isinstance(data, dict):
        raise TableError("the result is not a JSON object", path=path, code="VS-TAB-042")
    try:
        return grades_from_manifest(data)
    except (KeyError, TypeError, ValueError) as error:
        raise TableError("the result lacks a field", path=path, code="VS-TAB-042") from error


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

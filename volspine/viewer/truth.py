"""The truth of a phantom -> grades that a view can draw.

`truth/<study_id>.json` has grades without probabilities, which become certainties here. Its points
are LPS millimetres as everywhere.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS, Grade
from volspine.errors import TableError
from volspine.grades import StudyGrades

__all__ = ["is_truth", "read_truth"]


def is_truth(data: object) -> bool:
    """Return whether plain data looks like a phantom's truth rather than a graded result."""
    return isinstance(data, Mapping) and isinstance(data.get("grades"), Mapping)


def read_truth(path: Path) -> StudyGrades:
    """Return the true grades of a phantom study, each with certainty.

    Raises:
        TableError: If the file cannot be read, or lacks a grade or a place.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        grades = np.array([Grade(data["grades"][target.name]) for target in TARGETS])
        points = np.array([data["landmarks_mm"][t.name] for t in TARGETS], dtype=np.float64)
        return StudyGrades(
            name=path.stem,
            probabilities=np.eye(len(Grade))[grades],
            imputed=np.zeros(len(TARGETS), dtype=np.bool_),
            reasons=("",) * len(TARGETS),
            points_mm=points,
            status="graded",
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(
            f"the truth of a phantom cannot be read: {type(error).__name__}",
            path=path,
            remedy="give truth/<study_id>.json as volspine phantom wrote it",
            code="VS-TAB-043",
        ) from error

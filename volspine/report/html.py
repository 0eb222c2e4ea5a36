"""The report of one study: StudyGrades and key images to one HTML page.

The page needs no network and no other file: style and pictures are inside. It shows what was found
as a map of level by condition that reads without colour, then the probabilities, the key images
(with what each grade looked at, where that is known, to switch on and off),
what was repaired, what was filled in and why, and how the result came about. Every text is escaped.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from volspine.anatomy import LEVELS, TARGETS, Condition, Level, Target
from volspine.grades import StudyGrades
from volspine.report.keyimages import KeyImage
from volspine.report.manifest import notices
from volspine.report.table import grade_rows
from volspine.report.template import page_template

__all__ = ["render_report"]

_SHADES = ("mild", "moderate", "severe")
_SECTIONS = frozenset(
    {"model", "series", "repairs", "faults", "warnings", "landmarks", "crops", "doubt"}
)


def render_report(
    grades: StudyGrades, images: Sequence[KeyImage] = (), *, levels: bytes | None = None
) -> str:
    """Return the page.

    Args:
        grades: What was concluded.
        images: Key images; those of one condition are shown once where no level was located.
        levels: Picture of all levels, a PNG file.
    """
    return page_template("report").render(
        grades=grades,
        notices=notices(grades),
        conditions=[condition.label for condition in Condition],
        severity_map=[(level.label, _map_row(grades, level)) for level in LEVELS],
        rows=_table_rows(grades),
        filled_in=_filled_in(grades),
        levels=None if levels is None else _embedded(levels),
        located=_located(grades),
        doubts=_landmarks(grades).get("doubts", []),
        strangeness=_strangeness(grades),
        images=[_figure(image) for image in _distinct(images)],
        has_heat=any(image.heat for image in images),
        provenance=_provenance(grades),
        model=grades.provenance.get("model", {}),
    )


def _map_row(grades: StudyGrades, level: Level) -> list[dict[str, Any]]:
    return [_map_cell(grades, Target(condition, level).index) for condition in Condition]


def _map_cell(grades: StudyGrades, t: int) -> dict[str, Any]:
    grade = grades.grades[t]
    if grade is None:
        return {"shade": "none", "text": "not graded", "confidence": "", "is_imputed": False}
    return {
        "shade": _SHADES[grade],
        "text": grade.label,
        "confidence": f"{grades.confidence[t]:.2f}",
        "is_imputed": bool(grades.imputed[t]),
    }


def _table_rows(grades: StudyGrades) -> list[dict[str, Any]]:
    rows = grade_rows(grades)
    for row, target in zip(rows, TARGETS, strict=True):
        row["label"] = target.label
    return rows


def _filled_in(grades: StudyGrades) -> list[tuple[str, str]]:
    """Return each reason once, with the targets it holds for."""
    groups: dict[str, list[str]] = {}
    for target, imputed, reason in zip(TARGETS, grades.imputed, grades.reasons, strict=True):
        if imputed:
            groups.setdefault(reason, []).append(target.label)
    return [(reason, ", ".join(labels)) for reason, labels in groups.items()]


def _distinct(images: Sequence[KeyImage]) -> list[KeyImage]:
    first = {image.target.condition: image for image in reversed(images) if not image.is_located}
    return [image for image in images if image.is_located or first[image.target.condition] is image]


def _figure(image: KeyImage) -> dict[str, str]:
    heat = _embedded(image.heat) if image.heat else ""
    return {"source": _embedded(image.png), "caption": image.caption, "heat": heat}


def _embedded(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _landmarks(grades: StudyGrades) -> Mapping[str, Any]:
    """Return what was recorded about the places; empty for a model that locates nothing."""
    found = grades.provenance.get("landmarks")
    return found if isinstance(found, Mapping) else {}


def _located(grades: StudyGrades) -> list[tuple[str, str, str]]:
    """Return for each level its label, how sure its name is, and how sure its 5 places are."""
    recorded = _landmarks(grades)
    names, points = recorded.get("level_confidence", {}), recorded.get("points", {})
    if not names or not points:
        return []
    rows = []
    for level in LEVELS:
        targets = [target for target in TARGETS if target.level is level]
        spread = [points.get(target.name, {}).get("spread_mm") for target in targets]
        known = [float(each) for each in spread if each is not None]
        place = f"{len(known)} of {len(targets)} places"
        expected = f", expected error {max(known):.1f} mm at most" if known else ""
        rows.append((level.label, f"{names.get(level.value, 0.0):.2f}", place + expected))
    return rows


def _strangeness(grades: StudyGrades) -> list[dict[str, str]]:
    """Return for each measure of doubt its numbers, and whether it exceeds the threshold."""
    recorded = grades.provenance.get("doubt")
    if not isinstance(recorded, Mapping):
        return []
    return [
        {
            "measure": name,
            "value": f"{judged['value']:.3g}",
            "usual_below": f"{judged['usual_below']:.0%}",
            "threshold": f"{judged['threshold']:.3g}",
            "exceeded": "yes" if judged["value"] > judged["threshold"] else "",
        }
        for name, judged in recorded.items()
        if judged["value"] is not None and not math.isnan(judged["value"])
    ]


def _provenance(grades: StudyGrades) -> list[tuple[str, str]]:
    """Return settings and versions, one line each; what has a section of its own is left out."""
    return [
        (key.replace("_", " "), _in_words(value))
        for key, value in grades.provenance.items()
        if key not in _SECTIONS
    ]


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)

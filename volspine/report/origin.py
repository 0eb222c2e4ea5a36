"""Provenance -> the tables of a report about its model, its places, its doubts and its making.

Numbers are rounded as a reader needs them; the whole of them stands in `result.json`.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS
from volspine.grades import StudyGrades
from volspine.report.seen import seen_squares

__all__ = ["held_out", "making", "model_card", "places", "strangeness"]

_SECTIONS = frozenset(
    {"model", "series", "repairs", "faults", "warnings", "landmarks", "crops", "doubt", "looks"}
)
_TERMS = {
    "spinal": "canal",
    "foraminal": "foramen",
    "subarticular": "recess",
    "any_severe": "any severe",
}


def model_card(grades: StudyGrades) -> list[tuple[str, str]]:
    """Return what is known about the model, one line each, but how well it did."""
    model = _mapping(grades.provenance.get("model"))
    lines = [
        ("Name", str(model.get("name", ""))),
        ("Trained on", str(model.get("trained_on", ""))),
        ("Valid for", "phantoms only" if model.get("phantom_only") else _of_patients(model)),
        ("Looks at", _mode(model)),
        ("Networks", str(model.get("members", ""))),
        ("Calibrated", _calibrated(model)),
        ("Places levels with", _localizer(_mapping(model.get("localizer")))),
        ("Preprocessing", _version(model.get("preprocessing"))),
        ("Weights (sha256)", str(model.get("weights_sha256", ""))),
    ]
    return [(name, text) for name, text in lines if text]


def held_out(grades: StudyGrades) -> dict[str, Any]:
    """Return how well the model did on studies never trained on; empty where nobody says so.

    Returns:
        `studies`, and `rows` of a measure's name, value, 90 % interval, prior and floor.
    """
    facts = _mapping(_mapping(grades.provenance.get("model")).get("held_out"))
    if "score" not in facts:
        return {}
    prior, floor = _number(facts.get("prior")), _number(facts.get("floor"))
    score, interval = _number(facts["score"]), _interval(facts.get("score_interval_90"))
    rows = [("Weighted log loss (less is better)", score, interval, prior, floor)]
    within = _mapping(facts.get("terms_interval_90"))
    rows += [
        (f"its part {_TERMS.get(name, name)}", _number(value), _interval(within.get(name)), "", "")
        for name, value in _mapping(facts.get("terms")).items()
    ]
    within = _mapping(facts.get("kappa_interval_90"))
    rows += [
        (f"Quadratic kappa, {name}", _number(value), _interval(within.get(name)), "", "")
        for name, value in _mapping(facts.get("kappa")).items()
    ]
    return {"studies": str(facts.get("studies", "some")), "rows": rows}


def places(grades: StudyGrades) -> list[dict[str, Any]]:
    """Return for each target that was located its place, how sure it is, and what was looked at."""
    recorded = _mapping(grades.provenance.get("landmarks"))
    points, names = _mapping(recorded.get("points")), _mapping(recorded.get("level_confidence"))
    squares: dict[str, list[str]] = {}
    for square in seen_squares(grades):
        k = sorted(square.slices)
        slices = f"slices {k[0] + 1} to {k[-1] + 1}" if len(k) > 1 else f"slice {k[0] + 1}"
        text = f"{square.series}, stack {square.stack + 1}, {slices}, {square.side_mm:.0f} mm"
        squares.setdefault(square.target.name, []).append(text)
    rows = []
    for target, point in zip(TARGETS, grades.points_mm, strict=True):
        if np.isfinite(point).all():
            known = _mapping(points.get(target.name))
            row = {
                "label": target.label,
                "mm": [f"{x:.1f}" for x in point],
                "spread": _number(known.get("spread_mm"), digits=1),
                "confidence": _number(known.get("confidence"), digits=2),
                "level": _number(names.get(target.level.value), digits=2),
                "seen": squares.get(target.name, []),
            }
            rows.append(row)
    return rows


def strangeness(grades: StudyGrades) -> list[dict[str, str]]:
    """Return for each measure of doubt its numbers, and whether it exceeds the threshold."""
    return [
        {
            "measure": name,
            "value": f"{judged['value']:.3g}",
            "usual_below": f"{judged['usual_below']:.0%}",
            "threshold": f"{judged['threshold']:.3g}",
            "exceeded": "yes" if judged["value"] > judged["threshold"] else "",
        }
        for name, judged in _mapping(grades.provenance.get("doubt")).items()
        if judged["value"] is not None and not math.isnan(judged["value"])
    ]


def making(grades: StudyGrades) -> list[tuple[str, str]]:
    """Return settings and versions, one line each; what has a section of its own is left out."""
    return [
        (key.replace("_", " "), _in_words(value))
        for key, value in grades.provenance.items()
        if key not in _SECTIONS
    ]


def _of_patients(model: Mapping[str, Any]) -> str:
    return "not known beyond the studies it was tested on" if model else ""


def _mode(model: Mapping[str, Any]) -> str:
    modes = {
        "level": "native slices around each target, which its localizer finds",
        "study": "whole studies on one grid",
    }
    return modes.get(str(model.get("mode", "")), "")


def _calibrated(model: Mapping[str, Any]) -> str:
    heat = _mapping(model.get("temperature"))
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in heat.items())
    told = f"temperature {numbers}" if numbers else ""
    on = str(model.get("calibrated_on", ""))
    return "; ".join(part for part in (told, f"fitted on {on}" if on else "") if part)


def _localizer(facts: Mapping[str, Any]) -> str:
    people = _mapping(facts.get("people")).get("train")
    if people is None:
        return ""
    told = f"a localizer trained on phantoms of {people} people"
    measured = _mapping(facts.get("validation"))
    medians = [
        f"{name} {_number(measured.get(f'val/{name}_median'), digits=1)}"
        for name in ("canal", "foramen", "recess")
        if f"val/{name}_median" in measured
    ]
    return (
        f"{told}; median error in single series of others (mm): {', '.join(medians)}"
        if medians
        else told
    )


def _version(value: Any) -> str:
    return "" if value is None else f"version {value}"


def _interval(ends: Any) -> str:
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return ""
    return f"{_number(ends[0])} to {_number(ends[1])}"


def _number(value: Any, digits: int = 3) -> str:
    if value is None or not math.isfinite(float(value)):
        return ""
    return f"{float(value):.{digits}f}"


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_in_words(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return "not set" if value is None else str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""An evaluation -> text for a terminal, and the rows of text that the page shows as well."""

import math
from collections.abc import Mapping, Sequence

from volspine.anatomy import Finding, Grade
from volspine.metrics.cells import CELL_MEASURES, Cell
from volspine.metrics.headline import MEASURES
from volspine.metrics.intervals import Estimate
from volspine.metrics.reliability import Reliability
from volspine.report.evaluation import Comparison, Evaluation
from volspine.report.plain import number

__all__ = [
    "CELL_NAMES",
    "GROUP_NAMES",
    "MEASURE_NAMES",
    "SCORE_NAMES",
    "calibration_rows",
    "evaluation_text",
    "event_name",
    "finding_name",
    "score_rows",
    "told",
]

SCORE_NAMES = {
    "total": "Score (mean of four)",
    "spinal": "Spinal canal",
    "foraminal": "Neural foramina",
    "subarticular": "Subarticular",
    "any_severe": "Any severe canal",
}
"""The five numbers of the metric, as shown."""

GROUP_NAMES = {
    "all": "All targets",
    "canal": "Spinal canal",
    "foramen": "Neural foramina",
    "recess": "Subarticular",
}
"""Groups of targets, as shown."""

MEASURE_NAMES = {
    "kappa": "Quadratic kappa",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auroc_moderate": "AUROC, moderate or worse",
    "auroc_severe": "AUROC, severe",
    "likelihood_loss": "Likelihood loss",
    "brier": "Brier score",
    "calibration_error": "Calibration error (ECE)",
}
"""Measures, as shown."""

CELL_NAMES = {
    "score_part": "Score part",
    "kappa": "Kappa",
    "auroc_moderate": "AUROC moderate or worse",
    "auroc_severe": "AUROC severe",
    "balanced_accuracy": "Balanced accuracy",
    "calibration_error": "ECE",
}
"""Measures of a cell, as shown."""

_WIDTH = 22
_SHORT = {Finding.CANAL: "canal", Finding.FORAMEN: "foramen", Finding.RECESS: "subarticular"}


def evaluation_text(evaluation: Evaluation) -> str:
    """Return tables for a terminal.

    Args:
        evaluation: What is told.
    """
    parts = [
        f"{evaluation.num_studies} studies, {evaluation.num_rows} graded rows; lower is better",
        *_scores(evaluation),
        "",
        *_headline(evaluation),
        "",
        *_cells(evaluation.cells),
        "",
        *_calibration(evaluation),
        *_places(evaluation),
        *([] if evaluation.against is None else _comparison(evaluation.against)),
        " ".join(evaluation.notices),
    ]
    return "\n".join(parts)


def score_rows(evaluation: Evaluation) -> list[tuple[str, str, list[str]]]:
    """Return label, score and intervals of each of the five numbers, as text."""
    return [
        (
            SCORE_NAMES[name],
            number(value, 4),
            [
                f"{i.level:.0%} {number(i.low, 4)} to {number(i.high, 4)}"
                for i in evaluation.intervals.get(name, ())
            ],
        )
        for name, value in evaluation.score.to_dict().items()
    ]


def finding_name(finding: str) -> str:
    """Return the term of a finding as a page writes it: `Spinal canal stenosis`."""
    return finding.replace("_", " ").capitalize()


def event_name(event: str) -> str:
    """Return what was said, a grade's name or `confidence`, as a page writes it: `Normal/Mild`."""
    grades = {grade.name.lower(): grade.label for grade in Grade}
    return grades.get(event, event.capitalize())


def calibration_rows(evaluation: Evaluation) -> list[tuple[str, str, list[str]]]:
    """Return finding, event, and ECE, interval, by chance, Brier, slope, interval, as text."""
    return [
        (finding_name(finding), event_name(event), _calibration_numbers(judged))
        for finding, events in evaluation.calibration.items()
        for event, judged in events.items()
    ]


def told(estimate: Estimate, digits: int = 3, *, sign: str = "") -> str:
    """Return a number with its interval, as text.

    Example:
        >>> told(Estimate(0.5, 0.41, 0.6))
        '0.500 (0.410 to 0.600)'
    """
    value, low, high = (
        "n/a" if math.isnan(each) else f"{each:{sign}.{digits}f}" for each in estimate
    )
    return value if low == "n/a" else f"{value} ({low} to {high})"


def _scores(evaluation: Evaluation) -> list[str]:
    lines = [
        f"{label:<{_WIDTH}}{value:>8}  {'  '.join(intervals)}".rstrip()
        for label, value, intervals in score_rows(evaluation)
    ]
    prior = evaluation.facts.prior
    if prior is not None:
        lines.append(f"{'Prior':<{_WIDTH}}{prior.total:>8.4f}  {evaluation.facts.prior_name}")
    return lines


def _headline(evaluation: Evaluation) -> list[str]:
    wide = 24 if evaluation.resamples else 17
    head = "".join(f"{name:>{wide}}" for name in GROUP_NAMES.values())
    title = "95 % intervals" if evaluation.resamples else ""
    rows = [
        f"{MEASURE_NAMES[name]:<25}"
        + "".join(f"{told(evaluation.headline[group][name]):>{wide}}" for group in GROUP_NAMES)
        for name in MEASURES
    ]
    return ["of the probabilities before the metric's weights:", f"{title:<25}{head}", *rows]


def _cells(found: Sequence[Cell]) -> list[str]:
    names = ("n", "score", "kappa", "AUROC>=mod", "AUROC sev", "bal. acc.", "ECE")
    wide = (6, 8, 8, 12, 11, 11, 7)
    head = "".join(f"{name:>{w}}" for name, w in zip(names, wide, strict=True))
    lines = [f"{'condition, level, side':<24}{head}"]
    for cell in found:
        values = [str(cell.rows), *(_cell_number(cell, name) for name in CELL_MEASURES)]
        row = "".join(f"{value:>{w}}" for value, w in zip(values, wide, strict=True))
        reasons = "; ".join(dict.fromkeys(cell.reasons.values()))
        lines.append(f"{_cell_name(cell):<24}{row}{'  ' + reasons if reasons else ''}")
    return lines


def _cell_name(cell: Cell) -> str:
    side = "" if cell.target.side is None else f" {cell.target.side.value}"
    return f"{_SHORT[cell.target.finding]} {cell.target.level.label}{side}"


def _cell_number(cell: Cell, name: str) -> str:
    return "-" if name in cell.reasons else number(cell.measures[name], 3)


def _calibration(evaluation: Evaluation) -> list[str]:
    if not evaluation.calibration:
        return []
    head = f"{'said and seen':<42}{'ECE':>7}{'by chance':>11}{'slope':>8}"
    rows = [
        f"{finding:<28}{event:<14}{ece:>7}{chance:>11}{slope:>8}"
        for finding, event, (ece, _, chance, _, slope, _) in calibration_rows(evaluation)
    ]
    return [head, *rows, ""]


def _calibration_numbers(judged: Reliability) -> list[str]:
    low, high, _ = judged.ece_interval
    slope_low, slope_high, _ = judged.slope_interval
    return [
        number(judged.ece, 3),
        f"{number(low, 3)} to {number(high, 3)}",
        number(judged.chance, 3),
        number(judged.brier, 3),
        number(judged.slope, 2),
        f"{number(slope_low, 2)} to {number(slope_high, 2)}",
    ]


def _places(evaluation: Evaluation) -> list[str]:
    lines = [
        f"places of {name}: off by {_mm(each, 'median_mm')} mm (median), "
        f"{_mm(each, 'p95_mm')} mm (95 %)"
        for name, each in evaluation.facts.places.items()
    ]
    return [*lines, ""] if lines else []


def _mm(scores: Mapping[str, float | None], name: str) -> str:
    value = scores.get(name)
    return "n/a" if value is None else f"{value:.1f}"


def _comparison(other: Comparison) -> list[str]:
    head = f"less {other.name} (95 % paired; of the score, below zero is better)"
    scores = [
        f"{SCORE_NAMES[name]:<25}{told(each, 4, sign='+')}"
        for name, each in other.score_difference.items()
    ]
    measures = [
        f"{MEASURE_NAMES[name]:<25}{told(other.headline_difference['all'][name], 3, sign='+')}"
        for name in MEASURES
    ]
    return [head, *scores, *measures, ""]

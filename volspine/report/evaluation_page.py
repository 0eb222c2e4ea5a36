"""An evaluation -> one HTML page: no network, no script, no other file; every text is escaped.

Numbers are always printed; shades, bars and marks only help, so that the page reads without colour
vision and on paper. Of the 25 targets darker is worse; of grades given for a true one, more.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from volspine.anatomy import LEVELS, Condition, Grade, Target
from volspine.metrics.cells import Cell
from volspine.metrics.headline import LOWER_IS_BETTER, MEASURES
from volspine.metrics.intervals import Estimate
from volspine.report.bars import Chart, chart
from volspine.report.diagram import MARGIN, SIZE, panel
from volspine.report.evaluation import Evaluation
from volspine.report.evaluation_text import (
    CELL_NAMES,
    GROUP_NAMES,
    MEASURE_NAMES,
    SCORE_NAMES,
    calibration_rows,
    event_name,
    finding_name,
)
from volspine.report.plain import number
from volspine.report.template import page_template

__all__ = ["evaluation_page"]

SHADES = 6
"""From white, the best, to dark."""

_WORST_TO_BEST = {
    "kappa": (0.0, 1.0),
    "auroc_moderate": (0.5, 1.0),
    "auroc_severe": (0.5, 1.0),
    "balanced_accuracy": (1 / 3, 1.0),
}
"""What is shaded darkest and lightest; of other measures the greatest and the least there are."""


class HeatCell(NamedTuple):
    """One target of a heat table: number, shade from 0 to 5, and why there is no number."""

    text: str
    shade: int
    reason: str


class Heat(NamedTuple):
    """One measure of the 25 targets: a row for each level, a column for each condition."""

    title: str
    note: str
    rows: list[tuple[str, list[HeatCell]]]


class Confusion(NamedTuple):
    """Rows by true and given grade; of each cell the count, the share of its row and a shade."""

    title: str
    rows: list[tuple[str, list[tuple[int, str, int]]]]


def evaluation_page(evaluation: Evaluation) -> str:
    """Return the page.

    Args:
        evaluation: What is told.
    """
    return page_template("evaluation").render(
        evaluation=evaluation,
        facts=evaluation.facts,
        notices=evaluation.notices,
        score=_scores(evaluation),
        score_chart=_score_chart(evaluation),
        measure_charts=[_measure_chart(evaluation, name) for name in MEASURES],
        measures=_measure_rows(evaluation),
        groups=list(GROUP_NAMES.values()),
        conditions=[condition.label for condition in Condition],
        heats=_heats(evaluation.cells),
        cell_names=list(CELL_NAMES.values()),
        cells=[_cell_row(cell) for cell in evaluation.cells],
        grades=[grade.label for grade in Grade],
        confusions=[_confusion(GROUP_NAMES[n], c) for n, c in evaluation.confusions.items()],
        diagrams=[
            (
                finding_name(finding),
                [panel(event_name(event), judged) for event, judged in events.items()],
            )
            for finding, events in evaluation.calibration.items()
        ],
        calibration=calibration_rows(evaluation),
        size=SIZE,
        margin=MARGIN,
        against=_comparison(evaluation),
        places=_places(evaluation.facts.places),
        worst=_worst(evaluation),
    )


def _scores(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Return name, value and 95 % interval of the five numbers."""
    return [
        (SCORE_NAMES[name], number(estimate.value, 4), _interval(estimate))
        for name, estimate in _score_estimates(evaluation).items()
    ]


def _score_estimates(evaluation: Evaluation) -> dict[str, Estimate]:
    widest = {name: given[-1] for name, given in evaluation.intervals.items() if given}
    return {
        name: Estimate(value, widest[name].low, widest[name].high)
        if name in widest
        else Estimate(value, math.nan, math.nan)
        for name, value in evaluation.score.to_dict().items()
    }


def _score_chart(evaluation: Evaluation) -> Chart:
    other, prior = evaluation.against, evaluation.facts.prior
    compared = other.score if other is not None else prior
    rows = [
        (_brief(name), e, None if compared is None else compared.to_dict()[name])
        for name, e in _score_estimates(evaluation).items()
    ]
    return chart("Weighted log loss", rows, note="left is better", digits=4)


def _measure_chart(evaluation: Evaluation, name: str) -> Chart:
    other = evaluation.against
    rows = [
        (
            GROUP_NAMES[group],
            measures[name],
            None if other is None else other.headline[group][name].value,
        )
        for group, measures in evaluation.headline.items()
    ]
    note = "left is better" if name in LOWER_IS_BETTER else "right is better"
    return chart(MEASURE_NAMES[name], rows, note=note)


def _measure_rows(evaluation: Evaluation) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return for each measure its name, and value and interval of each group."""
    return [
        (
            MEASURE_NAMES[name],
            [
                (number(measures[name].value, 3), _interval(measures[name], 3))
                for measures in evaluation.headline.values()
            ],
        )
        for name in MEASURES
    ]


def _interval(estimate: Estimate, digits: int = 4) -> str:
    if math.isnan(estimate.low):
        return ""
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def _heats(found: Sequence[Cell]) -> list[Heat]:
    return [_heat(found, name) for name in CELL_NAMES] if found else []


def _heat(found: Sequence[Cell], name: str) -> Heat:
    values = [c.measures[name] for c in found if name not in c.reasons]
    worst, best = _WORST_TO_BEST.get(name, (max(values, default=1.0), min(values, default=0.0)))
    rows = []
    for level in LEVELS:
        cells = [found[Target(condition, level).index] for condition in Condition]
        rows.append((level.label, [_heat_cell(cell, name, worst, best) for cell in cells]))
    note = f"white is {best:.3g} or better, darkest {worst:.3g} or worse"
    return Heat(CELL_NAMES[name], note, rows)


def _heat_cell(cell: Cell, name: str, worst: float, best: float) -> HeatCell:
    if name in cell.reasons:
        return HeatCell("", 0, cell.reasons[name])
    value = cell.measures[name]
    badness = (value - best) / (worst - best) if worst != best else 0.0
    shade = min(SHADES - 1, max(0, int(badness * SHADES)))
    return HeatCell(f"{value:.3f}", shade, "")


def _cell_row(cell: Cell) -> dict[str, object]:
    side = cell.target.side
    return {
        "condition": finding_name(cell.target.finding.term),
        "level": cell.target.level.label,
        "side": "" if side is None else side.value,
        "rows": cell.rows,
        "labels": cell.labels,
        "values": [
            "" if name in cell.reasons else number(cell.measures[name], 3) for name in CELL_NAMES
        ],
        "reason": "; ".join(dict.fromkeys(cell.reasons.values())),
    }


def _confusion(title: str, counts: Sequence[Sequence[int]]) -> Confusion:
    rows = []
    for grade, row in zip(Grade, counts, strict=True):
        whole = sum(row)
        shares = [count / whole if whole else 0.0 for count in row]
        cells = [
            (count, f"{share:.0%}" if whole else "", min(SHADES - 1, int(share * SHADES)))
            for count, share in zip(row, shares, strict=True)
        ]
        rows.append((grade.label, cells))
    return Confusion(title, rows)


def _comparison(evaluation: Evaluation) -> dict[str, object] | None:
    other = evaluation.against
    if other is None:
        return None
    theirs = other.score.to_dict()
    mine = evaluation.score.to_dict()
    differences = {_brief(name): e for name, e in other.score_difference.items()}
    return {
        "name": other.name,
        "scores": [
            (SCORE_NAMES[n], number(mine[n], 4), number(theirs[n], 4), *_gap(e, 4))
            for n, e in other.score_difference.items()
        ],
        "measures": [
            (
                MEASURE_NAMES[n],
                *(
                    number(each["all"][n].value, 3)
                    for each in (evaluation.headline, other.headline)
                ),
                *_gap(other.headline_difference["all"][n], 3),
            )
            for n in MEASURES
        ],
        "chart": chart(
            "Difference of the score",
            [(name, e, None) for name, e in differences.items()],
            note="left of the line is better",
            digits=4,
            mark=0.0,
        ),
        "verdict": _verdict(other.score_difference["total"]),
    }


def _brief(name: str) -> str:
    return SCORE_NAMES[name].partition(" (")[0]


def _gap(difference: Estimate, digits: int) -> tuple[str, str]:
    """Return a difference and its interval, as text."""
    value, low, high = (f"{each:+.{digits}f}" for each in difference)
    return ("n/a", "") if math.isnan(difference.value) else (value, f"{low} to {high}")


def _verdict(difference: Estimate) -> str:
    if difference.high < 0:
        return "The whole interval lies below zero: the evaluated predictions are better."
    if difference.low > 0:
        return "The whole interval lies above zero: the other predictions are better."
    return "The interval holds zero: these studies do not tell which is better."


def _places(places: Mapping[str, Mapping[str, float | None]]) -> list[tuple[str, list[str]]]:
    return [
        (
            GROUP_NAMES.get(name, name),
            [
                f"{each['num_found']} of {each['num_true']}",
                _ranged(each, "median_mm", "median", unit=""),
                _number(each.get("p95_mm"), 1),
                _ranged(each, "detected_5mm", "detected_5mm", unit="%"),
                _percent(each.get("detected_10mm")),
                _percent(each.get("wrong_level")),
            ],
        )
        for name, each in places.items()
    ]


def _ranged(each: Mapping[str, float | None], name: str, stem: str, *, unit: str) -> str:
    show = _percent if unit else lambda value: _number(value, 1)
    ends = [show(each.get(f"{stem}_{end}")) for end in ("low", "high")]
    return show(each.get(name)) + (f" ({ends[0]} to {ends[1]})" if all(ends) else "")


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _worst(evaluation: Evaluation) -> list[tuple[str, str, str, str, str, str]]:
    return [
        (
            w.study,
            number(w.part, 4),
            f"{w.share:.1%}",
            w.target.label,
            w.truth.label,
            number(w.said, 3),
        )
        for w in evaluation.worst
    ]

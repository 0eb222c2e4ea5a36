"""Errors of places, row by row -> median and shares by finding, with patient-bootstrap intervals.

`test_places.csv` has how far off each target was looked for that has a true place. A study weighs
as much as it is drawn; the median of a draw is the least error at which half of the weight is
reached. A place that was not found counts as not detected and has no error.

Shapes:
    N  studies    T  targets, 25    R  resamples
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from volspine.anatomy import TARGETS
from volspine.errors import TableError
from volspine.metrics.headline import HEADLINE_LEVEL
from volspine.metrics.intervals import GROUPS, estimates, study_draws
from volspine.metrics.landmarks import FAR_MM, NEAR_MM
from volspine.metrics.rsna import ratio
from volspine.metrics.table_columns import Table
from volspine.types import BoolArray, FloatArray

__all__ = ["place_summary", "read_place_errors"]

_COLUMNS = ("row_id", "error_mm", "at_wrong_level")


def read_place_errors(
    path: Path, studies: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, float | None]]:
    """Return what `place_summary` says of the rows of a `test_places.csv`.

    Args:
        path: The table.
        studies: Those to tell of; rows of others are passed over.
        resamples: How often studies are drawn; 0 for no intervals.
        seed: Of the draws.

    Raises:
        TableError: If it is not such a table, or has no row of the studies.
    """
    table = Table(path, "table of places")
    table.require(_COLUMNS)
    index = {study: n for n, study in enumerate(studies)}
    shape = (len(index), len(TARGETS))
    errors, is_true, is_wrong = np.full(shape, np.nan), np.zeros(shape, bool), np.zeros(shape, bool)
    for (study, t), row in table.places().items():
        if study in index:
            at = index[study], t
            is_true[at], is_wrong[at] = True, table.columns["at_wrong_level"][row] == "1"
            errors[at] = _error(table, table.columns["error_mm"][row])
    if not is_true.any():
        raise table.error(
            "has no row of the studies that are scored",
            remedy="give test_places.csv of the same run",
            code="VS-TAB-110",
        )
    return place_summary(errors, is_true, is_wrong, resamples=resamples, seed=seed)


def place_summary(
    errors_mm: FloatArray,
    is_true: BoolArray,
    is_wrong: BoolArray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, float | None]]:
    """Return for each group of targets how far off they were looked for; None where not defined.

    Args:
        errors_mm: Shape (N, T); NaN where nothing was found.
        is_true: Where the true place is known, shape (N, T).
        is_wrong: Where what was found is another level's, shape (N, T).
        resamples: How often studies are drawn; 0 for no intervals.
        seed: Of the draws.

    Returns:
        By name of `GROUPS`: num_true, num_found, median_mm with median_low and median_high, p95_mm,
        detected_5mm with detected_5mm_low and detected_5mm_high, detected_10mm, wrong_level.
    """
    draws = study_draws(len(errors_mm), resamples=resamples, seed=seed)
    return {
        name: _summary(errors_mm[:, t], is_true[:, t], is_wrong[:, t], draws)
        for name, t in GROUPS.items()
    }


def _summary(
    errors: FloatArray, is_true: BoolArray, is_wrong: BoolArray, draws: FloatArray
) -> dict[str, float | None]:
    found = is_true & np.isfinite(errors)
    away = errors[found]
    near = (found & (np.nan_to_num(errors, nan=np.inf) <= NEAR_MM)).sum(axis=1)
    columns = np.stack(
        [_medians(errors, found, draws), ratio(draws @ near, draws @ is_true.sum(axis=1))], axis=1
    )
    median, detected = estimates(columns, level=HEADLINE_LEVEL)
    numbers = {
        "num_true": int(is_true.sum()),
        "num_found": len(away),
        "median_mm": median.value,
        "median_low": median.low,
        "median_high": median.high,
        "p95_mm": float(np.quantile(away, 0.95)) if len(away) else np.nan,
        "detected_5mm": detected.value,
        "detected_5mm_low": detected.low,
        "detected_5mm_high": detected.high,
        "detected_10mm": _share(away <= FAR_MM, int(is_true.sum())),
        "wrong_level": _share(is_wrong[found], len(away)),
    }
    return {name: None if np.isnan(value) else value for name, value in numbers.items()}


def _medians(errors: FloatArray, found: BoolArray, draws: FloatArray) -> FloatArray:
    """Return the weighted median error of each draw; NaN where nothing was found."""
    if not found.any():
        return np.full(len(draws), np.nan)
    away, study = errors[found], np.nonzero(found)[0]
    order = np.argsort(away, kind="stable")
    medians = np.empty(len(draws))
    for n, draw in enumerate(draws):
        weight = draw[study[order]].cumsum()
        half = np.searchsorted(weight, weight[-1] / 2)
        medians[n] = away[order[min(half, len(order) - 1)]] if weight[-1] else np.nan
    # With all studies once the usual median, which takes the mean of the two middle ones.
    medians[0] = np.median(away)
    return medians


def _share(flags: BoolArray, whole: int) -> float:
    return float(flags.sum()) / whole if whole else float("nan")


def _error(table: Table, text: str) -> float:
    try:
        value = float(text) if text else float("nan")
    except ValueError as error:
        raise _not_a_distance(table) from error
    if value < 0 or np.isinf(value):
        raise _not_a_distance(table)
    return value


def _not_a_distance(table: Table) -> TableError:
    return table.error(
        "has an error that is no distance in mm",
        remedy="give test_places.csv as volspine test wrote it",
        code="VS-TAB-111",
    )

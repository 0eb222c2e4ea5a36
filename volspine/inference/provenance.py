"""How a result came about, as plain data: model, images, repairs and times."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from volspine.anatomy import PROTOCOLS
from volspine.data.cache import PREPROCESSING_VERSION
from volspine.dicom.safe_names import safe_path_in
from volspine.dicom.study import Series, Study
from volspine.inference.bundle import Bundle
from volspine.inference.temperature_file import by_condition
from volspine.volume.grid import Grid

__all__ = ["Timings", "Use", "grid_facts", "model_facts", "study_facts"]


class Use(NamedTuple):
    """Whether a series was used, and why or why not."""

    is_used: bool
    reason: str


class Timings:
    """Seconds that each step took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Time a block under a name."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = round(time.perf_counter() - start, 4)


def model_facts(bundle: Bundle) -> dict[str, Any]:
    """Return what every result says about its model."""
    card = bundle.card
    return {
        "name": card.name,
        "mode": bundle.mode,
        "trained_on": card.trained_on,
        "phantom_only": card.phantom_only,
        "held_out": dict(card.held_out),
        "weights_sha256": card.weights_sha256,
        "members": len(bundle.graders),
        "preprocessing": PREPROCESSING_VERSION,
        "temperature": by_condition(card.temperature),
        **({"calibrated_on": card.calibrated_on} if card.calibrated_on else {}),
        **({"localizer": dict(card.localizer)} if card.localizer else {}),
    }


def study_facts(study: Study, uses: Mapping[str, Use] | None = None) -> dict[str, Any]:
    """Return which series were used and why, what was repaired, and what was set aside.

    Args:
        study: Its graded part decoded, so that repairs of pixels are known.
        uses: How each series was used, by its name; None if the study was refused before that.
    """
    return {
        "series": [_series_facts(series, uses) for series in study.series],
        "repairs": _repairs(study),
        "faults": [
            {
                "path": safe_path_in(study.path, fault.path),
                "code": fault.code,
                "reason": fault.reason,
            }
            for fault in study.faults
        ],
    }


def _series_facts(series: Series, uses: Mapping[str, Use] | None) -> dict[str, Any]:
    use = _use(series, uses)
    return {
        "name": series.name,
        "protocol": str(series.protocol.value),
        "reason": series.reason,
        "is_used": use.is_used,
        "use": f"{'yes' if use.is_used else 'no'}: {use.reason}",
        "stacks": [
            {
                "shape": [int(n) for n in stack.shape],
                "spacing_mm": [round(float(x), 4) for x in stack.spacing_mm],
            }
            for stack in series.stacks
        ],
    }


def _use(series: Series, uses: Mapping[str, Use] | None) -> Use:
    if series.protocol not in PROTOCOLS:
        return Use(False, "not a graded protocol")
    if uses is None:
        return Use(False, "the study was refused")
    return uses.get(series.name, Use(False, "not needed"))


def _repairs(study: Study) -> list[str]:
    """Return every repair once, in order, with the series it belongs to."""
    of_series = [
        f"{series.name}: {repair}"
        for series in study.series
        for repair in [*series.repairs, *(r for stack in series.stacks for r in stack.repairs)]
    ]
    return list(dict.fromkeys([*study.repairs, *of_series]))


def grid_facts(grid: Grid) -> dict[str, Any]:
    """Return on what grid a study was looked at."""
    return {
        "grid": {
            "spacing_mm": [float(x) for x in grid.spacing_mm],
            "shape": [int(n) for n in grid.shape],
            "center_mm": [round(float(x), 3) for x in grid.center_mm or ()],
        }
    }

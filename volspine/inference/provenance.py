"""How a result came about, as plain data: model, images, repairs and times."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from volspine.anatomy import PROTOCOLS
from volspine.dicom.study import Series, Study
from volspine.inference.bundle import Bundle
from volspine.volume.sample import Choice, SampledStudy

__all__ = ["Timings", "model_facts", "study_facts"]


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
        "trained_on": card.trained_on,
        "phantom_only": card.phantom_only,
        "held_out": dict(card.held_out),
        "weights_sha256": card.weights_sha256,
        "members": len(bundle.graders),
    }


def study_facts(study: Study, sampled: SampledStudy | None) -> dict[str, Any]:
    """Return which series were used and why, what was repaired, and what was set aside.

    Args:
        study: Its graded part decoded, so that repairs of pixels are known.
        sampled: Where the choices are recorded; None if nothing was sampled.
    """
    choices = {} if sampled is None else {choice.protocol: choice for choice in sampled.choices}
    return {
        "series": [_series_facts(series, choices.get(series.protocol)) for series in study.series],
        "repairs": _repairs(study),
        "faults": [
            {"path": fault.path, "code": fault.code, "reason": fault.reason}
            for fault in study.faults
        ],
        "grid": _grid_facts(sampled),
    }


def _series_facts(series: Series, choice: Choice | None) -> dict[str, Any]:
    is_used = choice is not None and series.name in choice.used
    return {
        "name": series.name,
        "protocol": str(series.protocol.value),
        "reason": series.reason,
        "is_used": is_used,
        "use": _use(series, choice),
        "stacks": [
            {
                "shape": [int(n) for n in stack.shape],
                "spacing_mm": [round(float(x), 4) for x in stack.spacing_mm],
            }
            for stack in series.stacks
        ],
    }


def _use(series: Series, choice: Choice | None) -> str:
    if series.protocol not in PROTOCOLS:
        return "no: not a graded protocol"
    if choice is None:
        return "no: the study was refused"
    return f"{'yes' if series.name in choice.used else 'no'}: {choice.reason}"


def _repairs(study: Study) -> list[str]:
    """Return every repair once, in order, with the series it belongs to."""
    of_series = [
        f"{series.name}: {repair}"
        for series in study.series
        for repair in [*series.repairs, *(r for stack in series.stacks for r in stack.repairs)]
    ]
    return list(dict.fromkeys([*study.repairs, *of_series]))


def _grid_facts(sampled: SampledStudy | None) -> dict[str, Any]:
    if sampled is None:
        return {}
    grid = sampled.grid
    return {
        "spacing_mm": [float(x) for x in grid.spacing_mm],
        "shape": [int(n) for n in grid.shape],
        "center_mm": [round(float(x), 3) for x in grid.center_mm or ()],
    }

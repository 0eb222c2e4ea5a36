"""A file of temperatures -> one for each target, and what they were fitted on.

    {"temperature": {"canal": 1.2, "foramen": 2.1, "recess": 2.8}, "fitted_on": "..."}

Three numbers, by name or in that order, are those of the conditions, both sides as one, such as
`metrics.calibration.condition_temperatures` returns; 25 numbers are those of the targets.

Shapes:
    T  targets, 25
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS, Finding
from volspine.errors import ConfigurationError
from volspine.inference.plain_numbers import plain_numbers
from volspine.metrics.calibration import for_targets
from volspine.types import FloatArray

__all__ = ["CONDITIONS", "by_condition", "read_temperature"]

CONDITIONS = tuple(finding.name.lower() for finding in Finding)
"""Names of the three conditions in files: canal, foramen, recess."""


def read_temperature(path: Path) -> tuple[FloatArray, str]:
    """Return the temperature of each target, shape (T,), and what they were fitted on, in words.

    Args:
        path: Of a JSON file.

    Raises:
        ConfigurationError: If it cannot be read, or holds no such numbers.
    """
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
        return _of_targets(found["temperature"]), str(found["fitted_on"])[:300]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            "not a temperature: there are neither 3 numbers nor 25, or not what they were fitted "
            "on",
            path=path,
            remedy="give calibration.json of volspine cv, or temperature.json of "
            "experiments/grader_scores.py",
            code="VS-CFG-190",
        ) from error


def by_condition(temperature: FloatArray) -> dict[str, float]:
    """Return the temperature of each condition by name; nothing where its targets differ.

    Args:
        temperature: Shape (T,).

    Example:
        >>> by_condition(for_targets([1.2, 2.1, 2.8]))
        {'canal': 1.2, 'foramen': 2.1, 'recess': 2.8}
    """
    of = {f: temperature[[t.index for t in TARGETS if t.finding is f]] for f in Finding}
    if any(np.ptp(values) > 1e-9 for values in of.values()):
        return {}
    return {name: float(of[f][0]) for name, f in zip(CONDITIONS, Finding, strict=True)}


def _of_targets(given: Any) -> FloatArray:
    if isinstance(given, Mapping):
        if set(given) != set(CONDITIONS):
            raise ValueError("other conditions")
        given = [given[name] for name in CONDITIONS]
    if isinstance(given, list) and len(given) == len(CONDITIONS):
        return for_targets(plain_numbers(given, (len(CONDITIONS),)))
    return plain_numbers(given, (len(TARGETS),))

"""Agreement: what each network says of each image of a study -> how far apart they are.

A report is the mean over looks: each network of an ensemble at the study and at its mirror image.
Where the looks differ the mean hides it, so their least and greatest probability are told beside
it. Looks that agree do not make a grade right: they share their training data.

Shapes:
    S  looks    T  targets, 25    K  grades, 3
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from volspine.anatomy import TARGETS
from volspine.types import Float, FloatArray

__all__ = ["look_facts"]

_DIGITS = 4


def look_facts(samples: Float[np.ndarray, "S T K"], reasons: Sequence[str]) -> dict[str, Any]:
    """Return how many looks there were and how far apart they are, as plain data.

    Args:
        samples: Calibrated probabilities, of each look.
        reasons: 25 texts; why a target is not graded, else empty. Those are left out.

    Returns:
        `count`, and for each graded target by name `low` and `high`: the least and the greatest
        probability of each grade.
    """
    low, high = samples.min(axis=0), samples.max(axis=0)
    graded = [target for target in TARGETS if not reasons[target.index]]
    return {
        "count": len(samples),
        "low": {target.name: _rounded(low[target.index]) for target in graded},
        "high": {target.name: _rounded(high[target.index]) for target in graded},
    }


def _rounded(values: FloatArray) -> list[float]:
    return [round(float(value), _DIGITS) for value in values]

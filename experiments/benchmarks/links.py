"""Row b: 25 ordinal heads, forward and backward: our link against spacecutter's in a loop."""

import link
from result import Plan, Result, paired

__all__ = ["rows"]

_LEAST = 20.0


def rows(plan: Plan) -> list[Result]:
    """Measure a step of the link and its loss."""
    clock = {"rounds": plan.times(21), "clock": plan.timer}
    return [line for row in link.rows(**clock) for line in paired("b", row, least=_LEAST)]

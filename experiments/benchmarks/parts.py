"""Row g: parts of the above by themselves: headers, decoding, sampling, phantoms without files."""

import direct
import reading
import sampling
from result import Plan, Result, paired

__all__ = ["rows"]


def rows(plan: Plan) -> list[Result]:
    """Measure each part against what would be used instead."""
    parts = (
        (reading.rows, sampling.rows) if plan.tiny else (reading.rows, sampling.rows, direct.rows)
    )
    return [line for part in parts for row in part() for line in paired("g", row)]

"""Numbers as they are told: NaN becomes None in data and a word in text."""

import math
from collections.abc import Mapping

__all__ = ["number", "plain"]


def plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers by name for JSON; None for NaN, which JSON does not have."""
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def number(value: float, digits: int) -> str:
    """Return a number in so many digits, `n/a` where it is not defined.

    Example:
        >>> number(0.12345, 3), number(float("nan"), 3)
        ('0.123', 'n/a')
    """
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"

"""Renaming levels: what a reader calls L5/S1 may be another's L4/L5.

With a transitional vertebra the count is a matter of convention. A shift of n gives every finding
the name of the level n below it; levels that nothing moves to were not examined.
"""

from dataclasses import dataclass

from volspine.anatomy import LEVELS, TARGETS, Target
from volspine.errors import ConfigurationError

__all__ = ["Shift", "level_shift"]


@dataclass(frozen=True)
class Shift:
    """Where each target's finding comes from.

    Attributes:
        source: 25 indices into `TARGETS`; None where nothing moves to.
        reason: What to say of those.
    """

    source: tuple[int | None, ...]
    reason: str


def level_shift(levels: int) -> Shift:
    """Return the shift by a number of levels.

    Args:
        levels: How many levels lower each finding is named; negative is higher.

    Raises:
        ConfigurationError: If nothing would be left.

    Example:
        >>> level_shift(1).source[:5]  # The canal: L1/L2 is empty, L2/L3 gets what was L1/L2.
        (None, 0, 1, 2, 3)
    """
    if abs(levels) >= len(LEVELS):
        raise ConfigurationError(
            f"a shift by {levels} levels leaves none of {len(LEVELS)}",
            remedy="use -4 to 4; 1 names each finding one level lower",
            code="VS-CFG-060",
        )
    reason = f"levels were renamed by {levels:+d}, so this one was not examined"
    return Shift(tuple(_source(target, levels) for target in TARGETS), reason)


def _source(target: Target, levels: int) -> int | None:
    position = LEVELS.index(target.level) - levels
    if not 0 <= position < len(LEVELS):
        return None
    return Target(target.condition, LEVELS[position]).index

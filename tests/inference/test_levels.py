"""Shifting levels renames findings and never changes sides."""

import pytest

from volspine.anatomy import TARGETS
from volspine.errors import ConfigurationError
from volspine.inference.levels import level_shift


@pytest.mark.parametrize("levels", range(-4, 5))
def test_a_finding_keeps_its_condition_and_moves_by_the_number(levels):
    shift = level_shift(levels)
    order = [target.level for target in TARGETS[:5]]
    for target, source in zip(TARGETS, shift.source, strict=True):
        if source is None:
            assert not 0 <= order.index(target.level) - levels < 5
        else:
            assert TARGETS[source].condition is target.condition
            moved = order.index(target.level) - order.index(TARGETS[source].level)
            assert moved == levels


@pytest.mark.parametrize("levels", [5, -5, 99])
def test_a_shift_that_leaves_nothing_is_refused(levels):
    with pytest.raises(ConfigurationError, match="leaves none of 5"):
        level_shift(levels)

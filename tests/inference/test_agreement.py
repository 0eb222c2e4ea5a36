"""How far apart the looks at one study are, told for each target that was graded."""

import numpy as np
import pytest

from volspine.anatomy import TARGETS
from volspine.inference.agreement import look_facts


def test_the_least_and_greatest_of_the_looks_stand_under_the_target_they_are_of():
    samples = np.tile([0.2, 0.3, 0.5], (2, 25, 1))
    samples[1, 23] = [0.4, 0.35, 0.25]
    facts = look_facts(samples, ("",) * 25)
    name = TARGETS[23].name  # The right recess at L4/L5.
    assert facts["count"] == 2
    assert facts["low"][name] == pytest.approx([0.2, 0.3, 0.25])
    assert facts["high"][name] == pytest.approx([0.4, 0.35, 0.5])
    other = TARGETS[18].name  # The left one.
    assert facts["low"][other] == facts["high"][other] == pytest.approx([0.2, 0.3, 0.5])


def test_nothing_is_told_of_what_was_not_graded():
    reasons = tuple("no axial T2 series" if t >= 15 else "" for t in range(25))
    facts = look_facts(np.full((4, 25, 3), 1 / 3), reasons)
    assert set(facts["low"]) == set(facts["high"]) == {target.name for target in TARGETS[:15]}

"""The localizer in the package finds the levels of people whom its teacher did not draw."""

from collections import Counter

import numpy as np
import pytest

from tests.second_phantom.case import Person
from tests.second_phantom.stress import ROWS, harder, judge
from volspine.inference.bundle import demo_folder, load_bundle
from volspine.inference.locate import locate

STUDIES, SEED = range(10), 2
"""People whom nobody looked at while the second phantom was made, nor while weights were chosen."""

LEAST_RIGHT = 0.95
"""Of 30 such people 98 % of levels were right when this was written."""


@pytest.fixture(scope="module")
def localizer():
    found = load_bundle(demo_folder()).localizer
    if found is None:
        pytest.skip("the bundle in the package has no localizer yet")
    return found


@pytest.mark.slow
def test_most_levels_are_named_right_on_people_of_another_making(localizer):
    outcomes = []
    for index in STUDIES:
        case = harder(Person(SEED, index), ROWS["baseline"])
        outcomes.append(judge(case, locate(case.study, localizer)))
    verdicts = Counter(v for outcome in outcomes for v in outcome["verdicts"])
    assert verdicts["right"] >= LEAST_RIGHT * 5 * len(STUDIES), verdicts
    canal = np.concatenate([outcome["canal_mm"] for outcome in outcomes])
    assert np.nanmedian(canal) < 5


@pytest.mark.slow
def test_the_mirrored_person_gets_the_mirrored_points(localizer):
    person = Person(0, 3)
    plain, turned = (harder(person, ROWS[row]) for row in ("baseline", "mirrored"))
    ahead, behind = (judge(case, locate(case.study, localizer)) for case in (plain, turned))
    assert ahead["verdicts"] == behind["verdicts"]
    left, right = slice(5, 10), slice(10, 15)
    flip = np.array([-1, 1, 1])
    away = behind["apart_mm"][left] - ahead["apart_mm"][right] * flip
    assert np.nanmax(np.abs(away)) < 0.1

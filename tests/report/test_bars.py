"""Intervals as bars: places by hand, ticks that enclose, and no bar of what is unknown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.metrics.intervals import Estimate
from volspine.report.bars import LEFT, RIGHT, WIDTH, chart

NAN = float("nan")


def test_hand_worked_places():
    drawn = chart("kappa", [("all", Estimate(0.5, 0.0, 1.0), 0.25)])
    (bar,) = drawn.bars
    room = WIDTH - LEFT - RIGHT
    assert (bar.left, bar.right) == (LEFT, LEFT + room)
    assert (bar.x, bar.other) == (LEFT + room / 2, pytest.approx(LEFT + room / 4, abs=0.1))
    assert bar.text == "0.500 (0.000 to 1.000); compared with 0.250"
    assert drawn.ticks[0] == (LEFT, "0")
    assert drawn.ticks[-1][1] == "1"


def test_what_is_not_defined_has_no_place():
    (bar,) = chart("x", [("all", Estimate(NAN, NAN, NAN), None)]).bars
    assert (bar.x, bar.left, bar.right, bar.other, bar.text) == (
        None,
        None,
        None,
        None,
        "not defined",
    )
    (bar,) = chart("x", [("all", Estimate(0.3, NAN, NAN), None)]).bars
    assert (bar.left, bar.text) == (None, "0.300")
    assert bar.x is not None


@given(st.floats(-2, 2), st.floats(0, 2), st.floats(0, 2))
def test_everything_lies_between_the_ends_of_the_axis(value, below, above):
    drawn = chart("x", [("a", Estimate(value, value - below, value + above), None)], mark=0.0)
    (bar,) = drawn.bars
    assert LEFT - 0.1 <= bar.left <= bar.x <= bar.right <= WIDTH - RIGHT + 0.1
    assert LEFT <= drawn.mark <= WIDTH - RIGHT + 0.1
    places = [place for place, _ in drawn.ticks]
    assert places == sorted(places)
    assert 2 <= len(places) <= 12
    assert all(math.isfinite(place) for place in places)

"""What the errors of foramina come to before and after they are refined."""

import numpy as np
import pytest

from experiments.refiner_scores import interval, summary


def outcome(before, after):
    ones = np.ones(len(before))
    return {
        "before": np.array(before, float),
        "after": np.array(after, float),
        "said": ones,
        "said_after": 2 * ones,
    }


def test_the_change_is_the_mean_over_studies_and_not_over_places():
    row = summary("x", [outcome([2.0, 4.0, 6.0], [1.0, 3.0, 5.0]), outcome([0.5], [2.5])])
    assert (row["studies"], row["places"]) == (2, 4)
    assert (row["median"], row["after"]) == (3.0, 2.75)
    assert row["change"] == pytest.approx((-1.0 + 2.0) / 2)
    assert (row["within 1"], row["its after "]) == (0.25, 0.25)


def test_a_study_of_which_nothing_is_right_does_not_count():
    empty = outcome([], [])
    row = summary("x", [empty, outcome([2.0], [1.0])])
    assert (row["studies"], row["change"], row["interval"]) == (1, -1.0, "-1.00 to -1.00")


def test_the_interval_holds_the_mean_and_narrows_with_studies():
    rng = np.random.default_rng(1)
    few, many = rng.normal(-0.5, 1.0, 8), rng.normal(-0.5, 1.0, 800)
    low, high = interval(few)
    assert low < few.mean() < high
    assert np.ptp(interval(many)) < 0.3 * np.ptp((low, high))

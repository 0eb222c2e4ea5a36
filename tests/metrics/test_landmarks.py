"""Errors of landmarks: by hand, in laws, and the same over batches as at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.anatomy import LEVELS, TARGETS, Finding
from volspine.errors import ConfigurationError
from volspine.metrics.landmarks import (
    expected_within,
    landmark_scores,
    landmark_scores_by_finding,
    point_errors,
    wrong_level,
)
from volspine.metrics.landmarks_streaming import LandmarkMetric


def places() -> np.ndarray:
    """One study: levels 36 mm apart, conditions 100 mm apart."""
    rows = [
        [100.0 * list(Finding).index(t.finding), (t.side == "left") * 50.0,
         -36.0 * LEVELS.index(t.level)]
        for t in TARGETS
    ]  # fmt: skip
    return np.array(rows)[None]


def test_a_step_of_3_and_4_mm_is_an_error_of_5() -> None:
    found = places()
    found[0, 7] += [3.0, 0.0, 4.0]
    errors = point_errors(found, places())
    assert errors[0, 7] == pytest.approx(5.0)
    assert np.delete(errors[0], 7).max() == 0.0


def test_median_quantile_and_detection_by_hand() -> None:
    found = places()
    found[0, :5, 0] += [1.0, 2.0, 3.0, 6.0, 12.0]
    canal = landmark_scores_by_finding(found, places())["spinal_canal_stenosis"]
    assert canal.median_mm == pytest.approx(3.0)
    assert canal.p95_mm == pytest.approx(6.0 + 0.8 * 6.0)
    assert canal.worst_mm == pytest.approx(12.0)
    assert canal.detected_5mm == pytest.approx(0.6)
    assert canal.detected_10mm == pytest.approx(0.8)
    assert canal.wrong_level == 0.0


def test_what_was_not_found_is_not_detected_but_has_no_error() -> None:
    found = places()
    found[0, 0] = np.nan
    scores = landmark_scores(found, places())
    assert (scores.num_true, scores.num_found) == (25, 24)
    assert scores.worst_mm == 0.0
    assert scores.detected_5mm == pytest.approx(24 / 25)


def test_what_is_not_there_but_found_is_invented() -> None:
    true = places()
    true[0, [0, 5]] = np.nan
    found = places()
    found[0, 0] = np.nan
    assert landmark_scores(found, true).invented == pytest.approx(0.5)


def test_a_chain_that_slipped_by_one_is_at_a_wrong_level_everywhere() -> None:
    """L1/L2, which slipped to where nothing graded is, counts too."""
    found = places() + np.array([0.0, 0.0, 36.0])
    assert wrong_level(found, places()).all()
    assert landmark_scores(found, places()).wrong_level == 1.0


def test_a_point_nearer_to_the_next_level_is_at_a_wrong_level() -> None:
    found = places()
    found[0, 3, 2] -= 17.0
    assert not wrong_level(found, places())[0, 3]
    found[0, 3, 2] -= 2.0
    assert wrong_level(found, places())[0, 3]


def test_a_left_foramen_on_the_right_is_an_error_not_another_level() -> None:
    found = places()
    left, right = 5, 10
    found[0, left] = places()[0, right] + [0.0, 40.0, 0.0]
    scores = landmark_scores(found, places())
    assert scores.worst_mm == pytest.approx(10.0)
    assert not wrong_level(found, places())[0, left]


def test_a_known_spread_holds_the_share_that_it_should() -> None:
    """Gaussian errors of 2 mm an axis have a root mean square of 2 sqrt(3) mm."""
    rng = np.random.default_rng(0)
    true = np.repeat(places(), 400, axis=0)
    found = true + rng.normal(0.0, 2.0, true.shape)
    scores = landmark_scores(found, true, np.full(true.shape[:2], 2.0 * np.sqrt(3.0)))
    assert scores.within_1 == pytest.approx(expected_within(1.0), abs=0.015)
    assert scores.within_2 == pytest.approx(expected_within(2.0), abs=0.005)


def test_without_spreads_nothing_is_said_of_them() -> None:
    assert np.isnan(landmark_scores(places(), places()).within_1)


def test_without_any_true_place_nothing_is_judged_but_what_was_invented() -> None:
    scores = landmark_scores(places(), np.full((1, 25, 3), np.nan))
    assert scores.invented == 1.0
    assert np.isnan([scores.median_mm, scores.p95_mm, scores.worst_mm, scores.detected_5mm]).all()


@settings(max_examples=10)
@given(seed=st.integers(0, 99), shift=st.tuples(*[st.floats(-50, 50)] * 3))
def test_moving_both_changes_nothing(seed, shift) -> None:
    rng = np.random.default_rng(seed)
    true = np.repeat(places(), 3, axis=0)
    found = true + rng.normal(0.0, 8.0, true.shape)
    moved = np.array(shift)
    here, there = landmark_scores(found, true), landmark_scores(found + moved, true + moved)
    assert list(here.to_dict().values()) == pytest.approx(
        list(there.to_dict().values()), nan_ok=True
    )


def test_over_batches_it_is_the_same_as_at_once() -> None:
    rng = np.random.default_rng(1)
    true = np.repeat(places(), 5, axis=0)
    found = true + rng.normal(0.0, 4.0, true.shape)
    found[2, 3] = np.nan
    spread = rng.uniform(1.0, 6.0, true.shape[:2])
    metric = LandmarkMetric()
    for part in (slice(0, 2), slice(2, 5)):
        metric.update(*(torch.from_numpy(values[part]) for values in (found, true, spread)))
    told = {name: float(value) for name, value in metric.compute().items()}
    whole = landmark_scores_by_finding(found, true, spread)
    assert told["median_mm"] == pytest.approx(whole["all"].median_mm)
    foramen = Finding.FORAMEN.term
    assert told[f"{foramen}/p95_mm"] == pytest.approx(whole[foramen].p95_mm)
    assert len(told) == 4 * len(whole["all"].to_dict())


def test_a_metric_that_was_reset_begins_anew() -> None:
    metric = LandmarkMetric()
    metric.update(torch.from_numpy(places() + 9.0), torch.from_numpy(places()))
    metric.reset()
    metric.update(torch.from_numpy(places()), torch.from_numpy(places()))
    assert float(metric.compute()["worst_mm"]) == 0.0


@pytest.mark.parametrize("shape", [(1, 24, 3), (1, 25, 2), (2, 25, 3)])
def test_places_of_another_shape_are_refused(shape) -> None:
    with pytest.raises(ConfigurationError, match="VS-CFG-110"):
        landmark_scores(np.zeros(shape), places())

import csv
import io
import json

import numpy as np
import pytest

from volspine.decide import frequencies, prior
from volspine.metrics.rsna import rsna_terms
from volspine.tasks.evaluation import Known, Places, evaluate, places_csv, predictions_csv


def drawn(studies=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.choice(3, p=[0.7, 0.2, 0.1], size=(studies, 25))


def said_of(grades, confidence):
    wrong = (1 - confidence) / 2
    return np.where(np.arange(3) == grades[..., None], confidence, wrong)


def test_the_prior_against_itself_gains_exactly_nothing():
    grades, known = drawn(), frequencies(drawn(seed=1))
    result = evaluate(np.broadcast_to(known, (40, 25, 3)).copy(), grades, known)
    assert result.score == result.prior
    assert result.gain == 0.0
    assert (result.interval.low, result.interval.high) == (0.0, 0.0)


def test_the_priors_score_is_that_of_the_decided_frequencies():
    grades, training = drawn(), drawn(seed=1)
    result = evaluate(said_of(grades, 0.9), grades, frequencies(training))
    constant = np.broadcast_to(prior(training), (40, 25, 3)).copy()
    assert result.prior == rsna_terms(grades, constant).score()


def test_a_model_that_knows_has_an_interval_above_zero_and_one_that_is_wrong_below():
    grades, known = drawn(), frequencies(drawn(seed=1))
    good = evaluate(said_of(grades, 0.9), grades, known)
    assert 0 < good.interval.low < good.gain < good.interval.high
    bad = evaluate(said_of(2 - grades, 0.9), grades, known)
    assert bad.interval.low < bad.gain < bad.interval.high < 0


def test_the_decision_layer_is_applied_before_scoring():
    # p = (1/2, 1/4, 1/4) is reported as (1/4, 1/4, 1/2): a severe grade then costs ln 2.
    grades = np.full((2, 25), 2)
    p = np.broadcast_to([0.5, 0.25, 0.25], (2, 25, 3)).copy()
    result = evaluate(p, grades, frequencies(grades))
    assert result.score.spinal == pytest.approx(np.log(2))


def test_the_metrics_say_whether_probabilities_are_right():
    """Nine tenths are said of every grade, and all are right: too careful by a tenth."""
    grades = drawn()
    result = evaluate(said_of(grades, 0.9), grades, frequencies(grades))
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    confidence = data["calibration"]["spinal_canal_stenosis"]["confidence"]
    assert confidence["rows"] == confidence["events"] == 200
    assert confidence["ece"] == pytest.approx(0.1)
    assert confidence["slope"] is None  # Nothing to fit a line through.


def test_missing_labels_are_not_scored():
    grades = drawn()
    partly = grades.copy()
    partly[:, 5:15] = -1
    partly[::2, 5] = grades[::2, 5]
    known = frequencies(grades)
    changed = said_of(grades, 0.8)
    changed[:, 6:15] = [0.2, 0.3, 0.5]
    results = [evaluate(p, partly, known).score for p in (said_of(grades, 0.8), changed)]
    assert results[0] == results[1]


def test_the_interval_is_paired_and_the_same_for_the_same_seed():
    grades, known = drawn(), frequencies(drawn(seed=1))
    p = said_of(grades, 0.6)
    one, two = (evaluate(p, grades, known, seed=3) for _ in range(2))
    assert one == two
    assert evaluate(p, grades, known, seed=4).interval != one.interval


def test_the_summary_says_score_prior_and_interval():
    grades, known = drawn(), frequencies(drawn(seed=1))
    result = evaluate(said_of(grades, 0.9), grades, known)
    assert f"score {result.score.total:.4f}" in str(result)
    assert f"prior {result.prior.total:.4f}" in str(result)
    assert "40 studies" in str(result)
    table = result.to_dict()
    assert table["prior"] - table["score"] == pytest.approx(table["prior_minus_score"])
    assert np.mean(list(table["terms"].values())) == pytest.approx(table["score"])
    assert table["prior_minus_score_interval_90"] == [result.interval.low, result.interval.high]


def test_predictions_are_25_rows_a_study_with_labels_where_there_are_some():
    grades = np.full((2, 25), -1)
    grades[1, 24] = 2
    text = predictions_csv(np.full((2, 25, 3), 1 / 3), grades, ["a", "b"])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 50
    assert rows[0]["row_id"] == "a_spinal_canal_stenosis_l1_l2"
    assert (rows[0]["grade"], rows[-1]["grade"]) == ("", "2")
    assert rows[-1]["row_id"] == "b_right_subarticular_stenosis_l5_s1"
    assert float(rows[3]["moderate"]) == pytest.approx(1 / 3, abs=1e-6)


def test_accuracy_is_told_three_times_each_by_its_name():
    """All held-out grades are right, half of the known ones; always saying 0 is right in part."""
    grades, training = drawn(), np.zeros((10, 25), dtype=int)
    half = said_of(np.where(np.arange(10) % 2, 1, training.T).T, 0.9)
    result = evaluate(
        said_of(grades, 0.9), grades, frequencies(training), known=Known(half, training)
    )
    told = result.to_dict()["accuracy"]
    assert told["held_out"]["all"]["value"] == 1.0
    assert told["majority_class_on_held_out"]["all"]["value"] == pytest.approx((grades == 0).mean())
    assert told["on_studies_trained_on"]["all"]["value"] == 0.5
    assert told["studies_trained_on_that_were_graded"] == 10
    assert "accuracy 100.0 % held out" in str(result)
    assert "50.0 % on 10 studies it was trained on" in str(result)
    alone = evaluate(said_of(grades, 0.9), grades, frequencies(training)).to_dict()
    assert alone["accuracy"]["on_studies_trained_on"] is None


def test_losses_stand_beside_the_priors_with_intervals_of_their_difference():
    grades, known = drawn(), frequencies(drawn(seed=1))
    result = evaluate(said_of(grades, 0.6), grades, known)
    told = result.to_dict()
    losses = told["losses"]
    three = np.mean([told["terms"][name] for name in ("spinal", "foraminal", "subarticular")])
    assert losses["score"]["three_terms"]["value"] == pytest.approx(three)
    for name, gain in losses["prior_minus_score"].items():
        difference = losses["prior"][name]["value"] - losses["score"][name]["value"]
        assert gain["value"] == pytest.approx(difference)
        assert gain["low"] <= gain["value"] <= gain["high"]
    assert losses["prior_minus_score"]["total"]["low"] == pytest.approx(result.interval.low)
    assert told["kappa"] == {"all": 1.0, "canal": 1.0, "foramen": 1.0, "recess": 1.0}


def test_places_are_told_in_mm_by_finding_and_row_by_row():
    grades = drawn(4)
    true = np.random.default_rng(0).uniform(0, 200, (4, 25, 3))
    found = true + np.array([4.0, 0.0, 0.0])
    found[:, 5:15] = true[:, 5:15] + np.array([0.0, 7.0, 0.0])
    found[0, 0] = np.nan
    true[1, 24] = np.nan
    places = Places(found, true)
    told = evaluate(said_of(grades, 0.9), grades, frequencies(grades), places=places).to_dict()
    where = told["localization"]
    assert (where["canal"]["median_mm"], where["foramen"]["median_mm"]) == pytest.approx((4, 7))
    assert where["canal"]["detected_5mm"] == 19 / 20
    assert (where["foramen"]["detected_5mm"], where["foramen"]["detected_10mm"]) == (0, 1)
    assert where["recess"]["num_true"] == 39
    rows = list(csv.DictReader(io.StringIO(places_csv(places, ["a", "b", "c", "d"]))))
    assert len(rows) == 99
    assert rows[0]["error_mm"] == ""
    assert rows[1]["error_mm"] == "4.00"
    blind = evaluate(said_of(grades, 0.9), grades, frequencies(grades)).to_dict()
    assert blind["localization"] is None

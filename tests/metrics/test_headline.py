"""Measures with intervals: as other libraries have them, paired, NaN where undefined."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, log_loss, roc_auc_score

from volspine._compat import import_torchvision
from volspine.anatomy import MIRRORED_INDEX
from volspine.errors import ConfigurationError
from volspine.metrics.calibration import condition_temperatures, recalibrated
from volspine.metrics.headline import (
    LOWER_IS_BETTER,
    MEASURES,
    calibration_change,
    headline,
    headline_columns,
    headline_difference,
)
from volspine.metrics.intervals import GROUPS
from volspine.metrics.reliability import reliability


def made(studies=40, seed=0, *, bold=1.0):
    """Return probabilities that are `bold` times too sure, and labels drawn from the right ones."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.standard_normal((studies, 25, 3)) + [1.0, 0.0, -0.5]
    p, q = (np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in (logits, bold * logits))
    labels = (rng.random((studies, 25, 1)) > p.cumsum(axis=-1)).sum(axis=-1).clip(max=2)
    labels[rng.random(labels.shape) < 0.05] = -1
    return q, labels


def test_the_measures_are_those_of_other_libraries():
    import_torchvision()
    from torchmetrics.functional.classification import multiclass_accuracy, multiclass_cohen_kappa

    p, labels = made()
    found = headline(p, labels, resamples=0)
    for group, t in GROUPS.items():
        truth, rows = labels[:, t][labels[:, t] >= 0], p[:, t][labels[:, t] >= 0]
        given_, mine = rows.argmax(axis=-1), {n: e.value for n, e in found[group].items()}
        assert mine["kappa"] == pytest.approx(cohen_kappa_score(truth, given_, weights="quadratic"))
        assert mine["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, given_))
        assert mine["auroc_moderate"] == pytest.approx(roc_auc_score(truth >= 1, 1 - rows[:, 0]))
        assert mine["auroc_severe"] == pytest.approx(roc_auc_score(truth == 2, rows[:, 2]))
        assert mine["likelihood_loss"] == pytest.approx(log_loss(truth, rows, labels=[0, 1, 2]))
        tensors = torch.from_numpy(given_), torch.from_numpy(truth)
        kappa = multiclass_cohen_kappa(*tensors, num_classes=3, weights="quadratic")
        assert mine["kappa"] == pytest.approx(float(kappa), abs=1e-5)
        accuracy = multiclass_accuracy(*tensors, num_classes=3, average="micro")
        assert mine["accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


def test_the_calibration_error_of_a_finding_is_that_of_its_diagram():
    p, labels = made()
    found, judged = headline(p, labels, resamples=0), reliability(p, labels, resamples=0)
    diagram = judged["neural_foraminal_narrowing"]["confidence"]
    assert found["foramen"]["calibration_error"].value == pytest.approx(diagram.ece)


def test_every_interval_is_of_studies_drawn_whole_and_holds_its_value():
    p, labels = made(60)
    columns = headline_columns(p, labels, resamples=300, seed=1)
    found = headline(p, labels, resamples=300, seed=1)
    for name in MEASURES:
        one = found["all"][name]
        assert one.low < one.high
        low, high = np.quantile(columns["all"][name][1:], [0.025, 0.975])
        assert (one.low, one.high) == pytest.approx((low, high))
    again = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), size=300)[7]
    drawn = np.repeat(np.arange(60), again)
    assert columns["canal"]["kappa"][8] == pytest.approx(
        headline(p[drawn], labels[drawn], resamples=0)["canal"]["kappa"].value
    )


def test_a_difference_is_paired_and_nothing_differs_from_itself():
    p, labels = made(50)
    worse = 0.9 * p + 0.1 * np.roll(p, 1, axis=0)
    same = headline_difference(p, p, labels, resamples=50)
    assert all(each == (0.0, 0.0, 0.0) for each in same["all"].values())
    gap = headline_difference(worse, p, labels, resamples=200)["all"]
    alone = headline(p, labels, resamples=200)["all"]
    assert gap["likelihood_loss"].high < 0 < gap["auroc_moderate"].low
    for name in ("likelihood_loss", "auroc_moderate", "brier"):
        assert gap[name].high - gap[name].low < (alone[name].high - alone[name].low) / 2
        assert (gap[name].value < 0) == (name in LOWER_IS_BETTER)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_the_mirror_image_of_everyone_changes_nothing_that_is_pooled(seed):
    p, labels = made(8, seed)
    index = list(MIRRORED_INDEX)
    one, other = (
        headline(p, labels, resamples=0),
        headline(p[:, index], labels[:, index], resamples=0),
    )
    for group in GROUPS:
        for name in MEASURES:
            assert one[group][name].value == pytest.approx(other[group][name].value, nan_ok=True)


def test_what_is_not_defined_is_nan_and_never_zero():
    p, labels = made(12)
    labels[:] = np.where(labels == 2, 0, labels)
    labels[:, GROUPS["canal"]] = -1
    found = headline(p, labels, resamples=20)
    assert np.isnan(found["all"]["auroc_severe"].value)
    assert all(np.isnan(each.value) for each in found["canal"].values())
    assert not np.isnan(found["all"]["auroc_moderate"].value)


def test_calibration_makes_a_bold_model_likelier_and_its_error_smaller_beyond_doubt():
    bold, labels = made(150, bold=2.0)
    after = recalibrated(bold, condition_temperatures(bold, labels))
    change = calibration_change(bold, after, labels, resamples=200)
    for group in GROUPS:
        for name in ("likelihood_loss", "calibration_error"):
            before, later, gap = change[group][name]
            assert gap.value == pytest.approx(later.value - before.value)
            assert gap.high < 0
    right, labels = made(150)
    change = calibration_change(right, right, labels, resamples=20)
    assert change["all"]["likelihood_loss"][2] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("which", ["shape", "range", "nobody"])
def test_what_cannot_be_judged_is_refused(which):
    p, labels = made(4)
    p, labels = {
        "shape": (p[:, :24], labels),
        "range": (p + 1.0, labels),
        "nobody": (p[:0], labels[:0]),
    }[which]
    with pytest.raises(ConfigurationError, match="VS-CFG-128"):
        headline(p, labels)

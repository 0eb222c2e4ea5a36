"""RsnaMetric: the pure function, whatever the batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.decide import decide
from volspine.metrics.rsna import rsna_terms
from volspine.metrics.streaming import RsnaMetric


def cohort(n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    p = torch.randn(n, 25, 3, dtype=torch.float64).softmax(-1)
    return p, torch.randint(-1, 3, (n, 25))


@given(st.integers(1, 11))
@settings(max_examples=10)
def test_batches_of_any_size_give_the_score_of_all_rows_at_once(size: int) -> None:
    p, grades = cohort()
    metric = RsnaMetric(decided=False)
    for start in range(0, len(p), size):
        metric.update(p[start : start + size], grades[start : start + size])
    expected = rsna_terms(grades.numpy(), p.numpy()).score().to_dict()
    assert {k: v.item() for k, v in metric.compute().items()} == pytest.approx(expected)


def test_probabilities_are_decided_as_a_submission_would_be() -> None:
    p, grades = cohort()
    metric = RsnaMetric()
    metric.update(p, grades)
    expected = rsna_terms(grades.numpy(), decide(p.numpy())).score().total
    assert metric.compute()["total"].item() == pytest.approx(expected)


def test_two_processes_add_up() -> None:
    p, grades = cohort()
    halves = [RsnaMetric(), RsnaMetric()]
    for metric, s in zip(halves, (slice(0, 4), slice(4, 12)), strict=True):
        metric.update(p[s], grades[s])
    whole = RsnaMetric()
    whole.update(p, grades)
    for name in ("numerators", "denominators"):
        torch.testing.assert_close(
            sum(getattr(metric, name) for metric in halves), getattr(whole, name)
        )
        assert whole._reductions[name] is not None


def test_reset_forgets() -> None:
    p, grades = cohort()
    metric = RsnaMetric()
    metric.update(p, grades)
    metric.reset()
    assert metric.denominators.sum() == 0


def test_a_batch_without_a_grade_changes_nothing_and_no_grade_at_all_is_nan() -> None:
    p, grades = cohort()
    metric = RsnaMetric()
    metric.update(p, torch.full_like(grades, -1))
    assert np.isnan(metric.compute()["total"].item())
    metric.update(p, grades)
    one = RsnaMetric()
    one.update(p, grades)
    metric._computed = one._computed = None
    assert metric.compute() == one.compute()


def test_single_precision_probabilities_are_scored() -> None:
    p, grades = cohort()
    exact, rough = RsnaMetric(), RsnaMetric()
    exact.update(p, grades)
    rough.update(p.float(), grades)
    assert rough.compute()["total"].item() == pytest.approx(
        exact.compute()["total"].item(), rel=1e-4
    )

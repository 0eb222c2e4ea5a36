import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.tasks.schedule import Schedule


def test_the_rate_climbs_to_full_height_and_falls_to_the_final_factor():
    schedule = Schedule(warmup=0.2, final=0.1)
    assert schedule.factor(0, 10) == 0.5
    assert schedule.factor(1, 10) == 1.0
    assert schedule.factor(6, 10) == pytest.approx(0.55)  # Half of the way down.
    assert schedule.factor(10, 10) == pytest.approx(0.1)
    assert schedule.factor(99, 10) == pytest.approx(0.1)


def test_without_a_warmup_it_starts_at_full_height_and_a_final_of_one_keeps_it():
    assert Schedule(warmup=0.0).factor(0, 10) == 1.0
    assert Schedule(warmup=0.0, final=1.0).factor(7, 10) == 1.0


@given(st.floats(0, 0.9), st.floats(0, 1), st.integers(1, 500))
def test_the_factor_stays_between_zero_and_one_and_has_one_peak(warmup, final, total):
    schedule = Schedule(warmup=warmup, final=final)
    factors = [schedule.factor(step, total) for step in range(total + 1)]
    assert all(0 <= f <= 1 for f in factors)
    peak = factors.index(max(factors))
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_the_scheduler_multiplies_the_optimizers_rate():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = Schedule(warmup=0.5, final=0.0).scheduler(optimizer, 4)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1.0, 2.0, 2.0, 1.0])


@given(st.floats(0.05, 0.9), st.floats(0, 1), st.floats(0.001, 0.9), st.integers(30, 200))
def test_one_cycle_is_that_of_torch(warmup, final, start, total):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=total,
        pct_start=warmup,
        div_factor=1 / start,
        final_div_factor=start / final if final else float("inf"),
        cycle_momentum=False,
    )
    ours = Schedule(warmup=warmup, final=final, start=start, shape="onecycle")
    for step in range(total):
        assert ours.factor(step, total) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        if step + 1 < total:
            theirs.step()


def test_one_cycle_without_a_climb_starts_at_full_height():
    schedule = Schedule(warmup=0.0, shape="onecycle")
    assert schedule.factor(0, 10) == pytest.approx(1.0, abs=0.05)
    assert schedule.factor(9, 10) == pytest.approx(0.01)


@pytest.mark.parametrize("start", [-0.1, 1.1])
def test_an_impossible_start_is_refused(start):
    with pytest.raises(ConfigurationError, match="is impossible"):
        Schedule(start=start)


@pytest.mark.parametrize(("warmup", "final"), [(1.0, 0.1), (-0.1, 0.1), (0.1, 1.1), (0.1, -0.1)])
def test_an_impossible_schedule_is_refused(warmup, final):
    with pytest.raises(ConfigurationError, match="is impossible"):
        Schedule(warmup=warmup, final=final)

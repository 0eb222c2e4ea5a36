"""Where a run begins: what its steps say was seen, and whose turn it is."""

from types import SimpleNamespace

import pytest

from volspine.data.lightning import pl
from volspine.data.resuming import SETS, EpochTurns, sets_of, training_order

DRAWS = SimpleNamespace(batch_size=3, steps=2, seed=0)


def of_run(trainer):
    data = pl.LightningDataModule()
    data.trainer = trainer
    return data


def after(steps, *, processes=1, mine=0, accumulated=1):
    trainer = SimpleNamespace(
        global_step=steps,
        world_size=processes,
        global_rank=mine,
        accumulate_grad_batches=accumulated,
    )
    return list(training_order(of_run(trainer), 7, draws=DRAWS))


def test_without_a_run_the_first_epoch_begins():
    first = list(training_order(of_run(None), 7, draws=DRAWS))
    assert first == after(0)
    assert len(first) == 6


def test_each_step_has_seen_as_many_as_a_batch_has():
    assert after(2)[:3] == after(1)[3:]


def test_a_step_of_several_batches_has_seen_them_all():
    assert after(1, accumulated=2) == after(2)


def test_processes_take_turns_and_leave_no_one_out():
    both = zip(after(0, processes=2), after(0, processes=2, mine=1), strict=True)
    assert [place for pair in both for place in pair] == [*after(0), *after(2)]


def test_no_number_of_steps_sees_everyone_once_but_for_a_broken_batch():
    draws = SimpleNamespace(batch_size=3, steps=0, seed=0)
    for size, seen in ((7, 6), (2, 3)):
        assert len(training_order(of_run(None), size, draws=draws)) == seen


@pytest.mark.parametrize(
    ("stage", "sets"), [("fit", ("train", "val")), ("test", ("test",)), (None, SETS)]
)
def test_a_stage_needs_its_sets_and_none_needs_all(stage, sets):
    assert sets_of(stage) == sets


def turns(*, size=7, processes=1, mine=0, done=0, epoch=0, batch_size=2):
    """What one process sees of an epoch of a run that goes on after some batches."""
    counts = SimpleNamespace(started=epoch + 1, ready=epoch + 1, processed=epoch)
    current = SimpleNamespace(processed=epoch)
    loop = SimpleNamespace(
        restarting=True,
        epoch_progress=SimpleNamespace(total=counts, current=current),
        epoch_loop=SimpleNamespace(
            batch_progress=SimpleNamespace(current=SimpleNamespace(ready=done))
        ),
    )
    run = SimpleNamespace(
        world_size=processes, global_rank=mine, state=SimpleNamespace(fn="fit"), fit_loop=loop
    )
    return list(EpochTurns(size, batch_size=batch_size, seed=0, data=of_run(run)))


def test_an_epoch_goes_on_after_the_batches_that_are_done():
    whole = turns(epoch=3)
    assert sorted(index for _, index in whole) == list(range(7))
    assert {epoch for epoch, _ in whole} == {3}
    assert turns(epoch=3, done=2) == whole[4:]
    assert turns(epoch=4) != whole


def test_two_processes_see_at_a_step_what_one_would_with_twice_the_batch():
    one = turns(size=8, batch_size=4)
    for done in (0, 1):
        both = [turns(size=8, processes=2, mine=mine, done=done) for mine in (0, 1)]
        step = {place for each in both for place in each[:2]}
        assert step == set(one[4 * done : 4 * done + 4])


def test_processes_see_as_many_each_where_studies_do_not_come_out_even():
    both = [turns(processes=2, mine=mine) for mine in (0, 1)]
    assert [len(each) for each in both] == [4, 4]
    assert {index for each in both for _, index in each} == set(range(7))

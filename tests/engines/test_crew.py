"""A crew whose workers die by plan: every item has one outcome, and none is tried too often."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.engines.crew import WorkerDiedError, work_through
from volspine.engines.outcome import Outcome
from volspine.errors import WorkerError


class Planned:
    """Hires workers that die `deaths[item]` times at an item and `stillborn` times before one."""

    def __init__(self, deaths, stillborn=0, slots=99):
        self.left, self.stillborn, self.slots = dict(deaths), stillborn, slots
        self.tried, self.alive, self.most = [], 0, 0

    def hire(self):
        self.alive += 1
        self.most = max(self.most, self.alive)
        return PlannedWorker(self)

    def wait(self, workers):
        ready = [worker for worker in workers if worker.item is not None or self.has_place()]
        assert ready, "nobody will ever have anything to say"
        return [ready[-1]]

    def has_place(self):
        self.slots -= 1
        return self.slots >= 0


class PlannedWorker:
    def __init__(self, crew):
        self.crew, self.item = crew, None

    def give(self, item):
        self.item = item
        self.crew.tried.append(item)

    def take(self):
        crew = self.crew
        if self.item is None:
            if crew.stillborn:
                crew.stillborn -= 1
                raise WorkerDiedError
            return None
        if crew.left[self.item]:
            crew.left[self.item] -= 1
            raise WorkerDiedError
        return Outcome(self.item, result=-self.item)

    def dismiss(self):
        self.crew.alive -= 1


@given(st.lists(st.integers(0, 3), max_size=6), st.integers(1, 4), st.integers(0, 2))
def test_every_item_has_one_outcome_and_two_deaths_are_its_failure(deaths, workers, stillborn):
    crew = Planned(dict(enumerate(deaths)), stillborn)
    outcomes = list(work_through(crew, range(len(deaths)), workers))
    assert sorted(o.item for o in outcomes) == list(range(len(deaths)))
    for outcome in outcomes:
        if deaths[outcome.item] < 2:
            assert (outcome.result, outcome.error) == (-outcome.item, None)
        else:
            assert outcome.error.code == "VS-RUN-001"
            assert "died 2 times" in outcome.error.message
    assert all(crew.tried.count(item) == min(n + 1, 2) for item, n in enumerate(deaths))
    assert crew.alive == 0
    assert crew.most <= workers


def test_an_item_whose_worker_died_is_tried_after_all_others():
    crew = Planned({0: 1, 1: 0, 2: 0})
    list(work_through(crew, [0, 1, 2], 1))
    assert crew.tried == [0, 1, 2, 0]


def test_workers_that_a_cluster_never_starts_hold_nothing_up():
    crew = Planned(dict.fromkeys(range(5), 0), slots=1)
    outcomes = list(work_through(crew, range(5), 4))
    assert [o.item for o in outcomes] == [0, 1, 2, 3, 4]


def test_workers_that_never_start_are_an_error_and_not_an_endless_wait():
    crew = Planned({0: 0}, stillborn=99)
    with pytest.raises(WorkerError, match="die as they start"):
        list(work_through(crew, [0], 1))
    assert crew.alive == 0


def test_workers_are_dismissed_when_nobody_listens_any_more():
    crew = Planned(dict.fromkeys(range(5), 0))
    outcomes = work_through(crew, range(5), 2)
    next(outcomes)
    outcomes.close()
    assert crew.alive == 0


def test_no_worker_is_hired_for_nothing():
    crew = Planned({})
    assert list(work_through(crew, deque(), 3)) == []
    assert crew.most == 0

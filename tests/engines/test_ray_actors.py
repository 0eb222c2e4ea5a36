"""Actors of a Ray cluster: the same outcomes, whoever dies; and how it is found or refused."""

import os
import sys

import pytest

from tests.deadly import survive
from tests.torch_threads import threads_and_process
from volspine.engines import ray_actors
from volspine.errors import ConfigurationError, MissingExtraError, WorkerError
from volspine.jobs import run_many


@pytest.fixture
def lone_machine(monkeypatch, repository):
    """No cluster to join, and workers that can import the tests."""
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("PYTHONPATH", str(repository))


@pytest.mark.slow
def test_actors_that_die_cost_one_more_try_and_a_bug_is_not_swallowed(lone_machine, tmp_path):
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    wanted = ["a", "die", "b", "die once", "fail", "c"]
    items = [(what, tmp_path) for what in wanted]
    with ray_actors.on_cluster(survive, workers=2):
        # Inside, a cluster is there already: it is used and outlives the work.
        outcomes = {o.item[0]: o for o in run_many(survive, items, workers=2, engine="ray")}
        threads = [o.result for o in run_many(threads_and_process, [1, 2], workers=2, engine="ray")]
        with pytest.raises(ZeroDivisionError):
            list(run_many(survive, [("bug", tmp_path)], workers=1, engine="ray"))
        assert ray.is_initialized()
    assert not ray.is_initialized()
    assert len(outcomes) == len(wanted)
    alive = ("a", "b", "c", "die once")
    assert [outcomes[what].result for what in alive] == list(alive)
    assert outcomes["die"].error.code == "VS-RUN-001"
    assert outcomes["fail"].error.code == "VS-INP-000"
    import torch

    own = torch.get_num_threads()
    assert {(used, said) for used, said, _ in threads} == {(own, str(own))}
    assert os.getpid() not in {process for _, _, process in threads}


class FakeRay:
    """A cluster of machines with so many processors and GPUs."""

    def __init__(self, *machines):
        self.machines = machines

    def is_initialized(self):
        return False

    def nodes(self):
        kinds = [{"CPU": float(cpus), "GPU": float(gpus)} for cpus, gpus in self.machines]
        return [{"Alive": True, "Resources": kind} for kind in kinds]


class LateRay(FakeRay):
    """One whose parts are late so many times."""

    def __init__(self, late):
        self.late, self.options = late, {}

    def init(self, **options):
        self.late -= 1
        if self.late >= 0:
            raise Exception("The current node timed out during startup.")  # noqa: TRY002
        self.options = options

    def shutdown(self):
        pass


def test_ray_is_started_again_where_it_was_late_and_talks_to_nobody(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "local")
    ray = LateRay(2)
    assert ray_actors._connect(ray, processors=3)
    assert (ray.options["num_cpus"], ray.options["include_dashboard"]) == (3, False)
    with pytest.raises(WorkerError, match="does not start") as caught:
        ray_actors._connect(LateRay(3), processors=3)
    assert caught.value.code == "VS-RUN-003"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "nonsense"])
def test_a_cluster_that_does_not_answer_is_refused_with_its_address(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigurationError, match="no Ray cluster answers") as caught:
        ray_actors._connect(FakeRay(), processors=1)
    assert address in caught.value.message


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="needs ray, which is not installed") as caught:
        list(run_many(len, ["a"], workers=2, engine="ray"))
    assert "volspine[ray]" in caught.value.remedy


def test_an_engine_that_is_not_there_is_refused():
    with pytest.raises(ConfigurationError, match="no engine 'dask'") as caught:
        list(run_many(len, ["a"], workers=1, engine="dask"))
    assert "local, ray" in caught.value.remedy


def test_a_cluster_is_joined_where_one_is_named_or_was_started_here(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_actors._running_cluster() == ""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.1:6379\n")
    assert ray_actors._running_cluster() == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert ray_actors._running_cluster() == "10.0.0.2:6379"
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert ray_actors._running_cluster() == ""


@pytest.mark.parametrize(
    ("machines", "workers", "share"),
    [([(8, 4)], 4, 1.0), ([(8, 1)], 2, 0.5), ([(8, 1), (8, 1)], 3, 0.5), ([(8, 2)], 1, 1.0)],
    ids=["one each", "two on one", "three on two", "one of two"],
)
def test_gpus_are_shared_out_in_whole_parts(machines, workers, share):
    lent = ray_actors._lent(FakeRay(*machines), 2, workers=workers, gpus=True)
    assert lent == {"num_cpus": 2.0, "num_gpus": share}


def test_an_actor_never_asks_for_more_than_the_largest_machine_has():
    assert ray_actors._lent(FakeRay((2, 0), (4, 0)), 64, workers=1, gpus=False) == {"num_cpus": 4}


def test_gpus_that_no_machine_has_are_refused():
    with pytest.raises(ConfigurationError, match="has no GPU"):
        ray_actors._lent(FakeRay((8, 0)), 1, workers=1, gpus=True)

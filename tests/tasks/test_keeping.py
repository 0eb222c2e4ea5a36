"""Runs that are stopped or killed at any step, and end as if they had not been."""

import os
import resource
import signal
import sys
from unittest.mock import Mock

import pytest
import torch

from tests.data.conftest import GRID
from tests.tasks.made_graders import TinyGrader
from tests.tasks.made_levels import TinyLevelGrader, formula_person
from tests.tasks.made_trainer import trainer
from volspine.data import crop_store
from volspine.data.datamodule import LoaderPlan, RsnaDataModule, SplitPlan
from volspine.data.device_transforms import DeviceAugment
from volspine.data.level_datamodule import LevelCrops
from volspine.data.level_people import CropDraws, CropPeople
from volspine.data.lightning import ModelCheckpoint, pl
from volspine.errors import ConfigurationError, OutputError
from volspine.tasks.averaging import RunningAverage
from volspine.tasks.callbacks import AverageWeights
from volspine.tasks.craft import Craft
from volspine.tasks.grading import GradingTask
from volspine.tasks.keeping import STOPPED, AtomicCheckpoints, KeepLast, KeepPlan, Requests, Stopped
from volspine.tasks.level_grading import LevelGradingTask
from volspine.tasks.schedule import Schedule

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]

EPOCHS = 2
PEOPLE = CropPeople(train={"rsna_like": 3, "probe": 3}, val={"probe": 2}, test={"probe": 2})


class Noisy(TinyGrader):
    """One whose training depends on chance."""

    def forward(self, volume):
        return super().forward(torch.nn.functional.dropout(volume, 0.3, self.training))


def in_study_mode(root, _, workers=0):
    data = RsnaDataModule(
        str(root),
        grid=GRID,
        split=SplitPlan(val=1, test=0),  # 11 to train: four batches, of which the last is broken.
        loader=LoaderPlan(batch_size=3, num_workers=workers),
        augment=DeviceAugment(drop_view=0.3),
    )
    return GradingTask, Noisy(), data, AverageWeights(0.9)


def in_level_mode(_, store):
    draws = CropDraws(batch_size=2, steps=4)
    data = LevelCrops(str(store), people=PEOPLE, draws=draws)
    return LevelGradingTask, TinyLevelGrader(dropout=0.3), data, RunningAverage(0.9)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("levels") / "store"


@pytest.fixture(
    params=[in_study_mode, pytest.param(in_level_mode, marks=pytest.mark.slow)],
    ids=["study_mode", "level_mode"],
)
def made(request, made_root, store, monkeypatch):
    """What a run is made of, anew for every call."""
    monkeypatch.setattr(crop_store, "phantom_levels", formula_person)
    return lambda: request.param(made_root, store)


class At(pl.Callback):
    """Do something after a step, as the world does."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            self.act()


def told_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def power_cut():
    raise InterruptedError


def fit(made, folder, *watch, resume=None, plan=None):
    torch.manual_seed(0 if resume is None else 99)
    kind, grader, data, average = made()
    task = kind(
        grader,
        optimizer=lambda p: torch.optim.AdamW(p, lr=0.05),
        schedule=Schedule(),
        craft=Craft(mixup=0.4),
    )
    keep = KeepLast(folder / "checkpoints", plan)
    run = trainer(
        folder,
        epochs=EPOCHS,
        callbacks=[average, *watch, keep],
        enable_checkpointing=True,
        plugins=[AtomicCheckpoints()],
        gradient_clip_val=1.0,
    )
    run.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    return run


def kept(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same(one, two):
    """Check weights, averages, moments and rates of two checkpoints, bit for bit."""
    for name in ("state_dict", "current_model_state"):
        assert one[name].keys() == two[name].keys()
        assert all(torch.equal(one[name][each], two[name][each]) for each in one[name])
    states = [c["optimizer_states"][0]["state"] for c in (one, two)]
    for parameter, moments in states[0].items():
        assert all(torch.equal(moments[n], states[1][parameter][n]) for n in moments)
    assert one["lr_schedulers"] == two["lr_schedulers"]
    assert (one["epoch"], one["global_step"]) == (two["epoch"], two["global_step"])


@pytest.fixture
def unbroken(made, tmp_path):
    fit(made, tmp_path / "unbroken")
    return kept(tmp_path / "unbroken")


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_run_that_was_told_to_stop_ends_as_an_unbroken_one(made, unbroken, tmp_path, step):
    folder = tmp_path / "told"
    with pytest.raises(Stopped, match="130") as stop:
        fit(made, folder, At(step, told_to_stop))
    assert stop.value.code == STOPPED
    assert f"stopped by SIGTERM after step {step}; go on" in stop.value.message
    assert kept(folder)["global_step"] == step
    fit(made, folder, resume=folder / "checkpoints" / "last.ckpt")
    assert unbroken["global_step"] == 8
    assert_same(kept(folder), unbroken)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 4, 6])
def test_a_run_whose_loader_has_processes_of_its_own_goes_on_too(made_root, tmp_path, step):
    def made():
        return in_study_mode(made_root, None, workers=1)

    def alone():
        return in_study_mode(made_root, None)

    with pytest.raises(Stopped):
        fit(made, tmp_path / "told", At(step, told_to_stop))
    fit(made, tmp_path / "told", resume=tmp_path / "told" / "checkpoints" / "last.ckpt")
    fit(alone, tmp_path / "alone")
    assert_same(kept(tmp_path / "told"), kept(tmp_path / "alone"))


def test_a_run_that_died_goes_on_from_where_it_was_kept(made, unbroken, tmp_path):
    folder = tmp_path / "died"
    with pytest.raises(InterruptedError):
        fit(made, folder, At(7, power_cut), plan=KeepPlan(steps=3))
    assert kept(folder)["global_step"] == 6
    fit(made, folder, resume=folder / "checkpoints" / "last.ckpt", plan=KeepPlan(steps=3))
    assert_same(kept(folder), unbroken)


def test_a_file_that_is_not_whole_is_never_there(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"weights": torch.ones(9)}, path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot write"):
            AtomicCheckpoints().save_checkpoint({"weights": torch.ones(90_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert torch.equal(torch.load(path, weights_only=True)["weights"], torch.ones(9))
    assert list(tmp_path.iterdir()) == [path]


def test_its_state_is_kept_under_the_key_that_lightning_has_for_it(tmp_path):
    theirs = ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=True)
    assert KeepLast(tmp_path).state_key == theirs.state_key


@pytest.mark.parametrize("wrong", [{"steps": -1}, {"minutes": -0.5}, {"minutes": float("inf")}])
def test_an_impossible_plan_is_refused(wrong):
    with pytest.raises(ConfigurationError) as caught:
        KeepPlan(**wrong)
    assert caught.value.code == "VS-CFG-400"


@pytest.fixture
def keeping(tmp_path):
    """What keeps a run, its trainer, and the module."""

    def begun(resumed, **plan):
        run = Mock(spec=pl.Trainer, ckpt_path=resumed, is_global_zero=True, global_step=0)
        run.max_steps, run.is_last_batch, run.strategy = -1, False, Mock()
        run.strategy.reduce_boolean_decision = lambda told, **_: told
        run.strategy.broadcast = bool
        keep, module = KeepLast(tmp_path, KeepPlan(**plan)), Mock(spec=pl.LightningModule)
        keep.on_fit_start(run, module)
        keep._step = 0
        return keep, run, module

    return begun


def saved(run):
    return [call.args[0].name for call in run.save_checkpoint.call_args_list]


def test_a_new_run_spares_the_last_of_an_older_one(keeping, tmp_path):
    for taken in ("last.ckpt", "last-v1.ckpt", ".last.ckpt.half.ckpt"):
        (tmp_path / taken).touch()
    for resumed, name in ((None, "last-v2"), ("last-v1.ckpt", "last-v1"), ("best.ckpt", "last")):
        path = None if resumed is None else str(tmp_path / resumed)
        keep, run, module = keeping(path)
        keep.on_train_epoch_end(run, module)
        assert saved(run) == [f"{name}.ckpt"]
    assert not (tmp_path / ".last.ckpt.half.ckpt").exists()


def test_minutes_are_counted_from_when_it_was_last_kept(keeping, monkeypatch):
    keep, run, module = keeping(None, minutes=2)
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    keep._kept_at = 0.0
    times = []
    for step, now in enumerate((60.0, 119.0, 121.0, 200.0, 242.0), start=1):  # noqa: B007
        run.global_step = step
        keep.on_train_batch_end(run, module)
        times.append(len(saved(run)))
    assert times == [0, 0, 1, 1, 2]


def test_the_last_step_of_an_epoch_is_kept_with_the_epoch(keeping):
    keep, run, module = keeping(None, steps=1)
    run.global_step, run.is_last_batch = 1, True
    keep.on_train_batch_end(run, module)
    assert saved(run) == []
    keep.on_train_epoch_end(run, module)
    assert saved(run) == ["last.ckpt"]


def test_gradients_that_are_being_gathered_are_no_step(keeping):
    keep, run, module = keeping(None, steps=1)
    keep.on_train_batch_end(run, module)
    assert saved(run) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"])
def test_each_signal_is_heard_once_and_given_back(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    requests = Requests()
    requests.listen()
    os.kill(os.getpid(), number)
    assert requests.received == name
    requests.leave()
    assert signal.getsignal(number) is before


def test_a_second_interrupt_does_not_wait():
    requests = Requests()
    requests.listen()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        requests.leave()


def test_a_run_told_before_its_first_step_says_that_nothing_is_lost(keeping):
    keep, run, module = keeping(None)
    keep.requests.received = "SIGTERM"
    with pytest.raises(Stopped) as stop:
        keep.on_train_epoch_start(run, module)
    assert "before the first step" in stop.value.message

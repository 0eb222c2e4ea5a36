"""Runs that are stopped or killed at any step, and end as if they had not been."""

import os
import signal

import pytest
import torch

from tests.data.conftest import GRID
from tests.tasks.made_graders import TinyGrader
from tests.tasks.made_levels import TinyLevelGrader, formula_person
from tests.tasks.made_trainer import trainer
from volspine.data import crop_store
from volspine.data.datamodule import LoaderPlan, RsnaDataModule, SplitPlan
from volspine.data.level_datamodule import LevelCrops
from volspine.data.level_people import CropDraws, CropPeople
from volspine.data.lightning import pl
from volspine.data.transforms import LightAugment
from volspine.tasks.averaging import RunningAverage
from volspine.tasks.callbacks import AverageWeights
from volspine.tasks.grading import GradingTask
from volspine.tasks.keeping import STOPPED, AtomicCheckpoints, KeepLast, KeepPlan, Stopped
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


def in_study_mode(root, _):
    data = RsnaDataModule(
        str(root),
        grid=GRID,
        split=SplitPlan(val=1, test=0),  # 11 to train: four batches, of which the last is broken.
        loader=LoaderPlan(batch_size=3),
        augment=LightAugment(drop_view=0.3),
    )
    return GradingTask, Noisy(), data, AverageWeights(0.9)


def in_level_mode(_, store):
    draws = CropDraws(batch_size=2, steps=4)
    data = LevelCrops(str(store), people=PEOPLE, draws=draws)
    return LevelGradingTask, TinyLevelGrader(dropout=0.3), data, RunningAverage(0.9)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("levels") / "store"


@pytest.fixture(params=[in_study_mode, in_level_mode], ids=["study_mode", "level_mode"])
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
    task = kind(grader, optimizer=lambda p: torch.optim.AdamW(p, lr=0.05), schedule=Schedule())
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


def test_a_run_that_died_goes_on_from_where_it_was_kept(made, unbroken, tmp_path):
    folder = tmp_path / "died"
    with pytest.raises(InterruptedError):
        fit(made, folder, At(7, power_cut), plan=KeepPlan(steps=3))
    assert kept(folder)["global_step"] == 6
    fit(made, folder, resume=folder / "checkpoints" / "last.ckpt", plan=KeepPlan(steps=3))
    assert_same(kept(folder), unbroken)

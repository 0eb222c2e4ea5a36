"""LevelGradingTask and RunningAverage: sides, temperatures, and a run that goes on where it was."""

import json

import numpy as np
import pytest
import torch

from tests.tasks.made_levels import TinyLevelGrader, formula_person
from tests.tasks.made_trainer import trainer
from volspine.anatomy import MIRRORED_INDEX
from volspine.cli.fit import find_checkpoint
from volspine.cli.recipes import kind_of
from volspine.data import crop_store
from volspine.data.datamodule import RsnaDataModule
from volspine.data.level_datamodule import LevelCrops
from volspine.data.level_people import CropDraws, CropPeople
from volspine.data.lightning import ModelCheckpoint, pl
from volspine.errors import ConfigurationError, VolspineError
from volspine.metrics.calibration import BOUNDS, fit_temperature
from volspine.models.level_loss import LevelLoss
from volspine.models.mirror import mirror_patches, mirror_targets
from volspine.tasks.averaging import RunningAverage
from volspine.tasks.callbacks import ema_step
from volspine.tasks.craft import Craft
from volspine.tasks.grading import GradingTask
from volspine.tasks.level_grading import LevelGradingTask
from volspine.tasks.schedule import Schedule

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]

PEOPLE = CropPeople(train={"rsna_like": 3, "probe": 3}, val={"probe": 3}, test={"probe": 2})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(tmp_path_factory.mktemp("levels") / "store")


@pytest.fixture
def data(store, monkeypatch):
    monkeypatch.setattr(crop_store, "phantom_levels", formula_person)
    return LevelCrops(store, people=PEOPLE, draws=CropDraws(batch_size=3))


def task(**options) -> LevelGradingTask:
    torch.manual_seed(0)
    grader = options.pop("grader", TinyLevelGrader)()
    return LevelGradingTask(
        grader, optimizer=lambda p: torch.optim.AdamW(p, lr=0.1), schedule=Schedule(), **options
    )


def held_out(module, data):
    """Return probabilities and labels of the validation set, nothing tempered."""
    module.eval()
    with torch.no_grad():
        rows = [(module(b["patches"]).double(), b["grades"]) for b in data.val_dataloader()]
    return tuple(torch.cat(each) for each in zip(*rows, strict=True))


def test_a_run_learns_and_writes_down_who_was_in_it(data, tmp_path):
    module, run = task(), trainer(tmp_path, epochs=1)
    run.fit(module, datamodule=data)
    first = float(run.callback_metrics["train/loss"])
    longer = trainer(tmp_path, epochs=6)
    longer.fit(module, datamodule=data)
    assert float(longer.callback_metrics["train/loss"]) < first - 0.02
    split = json.loads((tmp_path / "split.json").read_text())
    assert {name: len(keys) for name, keys in split.items()} == {"train": 6, "val": 3, "test": 2}


def test_a_study_and_its_mirror_image_get_mirrored_grades(data):
    data.setup()
    patches = next(iter(data.test_dataloader()))["patches"]
    module, alone = task().eval(), task(average_mirrors=False).eval()
    with torch.no_grad():
        for each in (module, alone):
            each.grader.bright.copy_(torch.linspace(-2, 2, 15).view(3, 5))
        there, back = module(patches), module(mirror_patches(patches))
        torch.testing.assert_close(back, mirror_targets(there))
        assert not torch.allclose(back, there, atol=1e-3)
        tilted = alone(mirror_patches(patches))
        assert not torch.allclose(tilted, mirror_targets(alone(patches)), atol=1e-4)


def test_temperatures_are_fitted_on_what_was_held_out_and_kept_as_plain_data(data, tmp_path):
    module, run = task(), trainer(tmp_path)
    np.testing.assert_array_equal(module.temperature, 1)
    run.fit(module, datamodule=data)
    probabilities, grades = held_out(module, data)
    expected = fit_temperature(probabilities.log(), grades)
    np.testing.assert_allclose(module.temperature, expected, rtol=1e-4)
    assert (module.temperature != 1).any()
    assert BOUNDS[0] <= module.temperature.min() <= module.temperature.max() <= BOUNDS[1]
    np.testing.assert_array_equal(module.temperature, module.temperature[list(MIRRORED_INDEX)])
    run.save_checkpoint(tmp_path / "c.ckpt")
    kept = torch.load(tmp_path / "c.ckpt", weights_only=True)["volspine"]
    assert kept["temperature"] == module.temperature.tolist()
    assert json.loads(json.dumps(kept)) == kept
    assert kept["data"]["people"]["train"] == {"rsna_like": 3, "probe": 3}
    assert kept["validation"]["score"] > 0


def test_a_test_reports_after_the_temperature_of_the_checkpoint(data, tmp_path):
    module, run = task(), trainer(tmp_path)
    run.fit(module, datamodule=data)
    module.temperature = np.full(25, 2.0)
    run.save_checkpoint(tmp_path / "c.ckpt")
    fresh = task()
    trainer(tmp_path).test(
        fresh, datamodule=data, ckpt_path=tmp_path / "c.ckpt", weights_only=True, verbose=False
    )
    batch = next(iter(data.test_dataloader()))
    with torch.no_grad():
        raw = fresh(batch["patches"])
    root = raw.sqrt()
    expected = (root / root.sum(-1, keepdim=True))[0].flatten()
    lines = (tmp_path / "test_predictions.csv").read_text().splitlines()[1:26]
    told = [float(p) for line in lines for p in line.split(",")[1:4]]
    np.testing.assert_allclose(told, expected.numpy(), atol=1e-5)
    metrics = json.loads((tmp_path / "test_metrics.json").read_text())
    assert metrics["studies"] == 2
    assert metrics["studies_seen_in_training"] == 0
    assert metrics["prior"] > 0
    assert metrics["accuracy"]["studies_trained_on_that_were_graded"] == 6
    assert metrics["localization"] is None


def test_mirror_images_are_graded_in_training_only_where_that_is_asked_for(data, tmp_path):
    for weight in (0.0, 0.5):
        run = trainer(tmp_path, epochs=1)
        run.fit(task(loss=LevelLoss(mirror=weight)), datamodule=data)
        assert ("train/mirror" in run.callback_metrics) == (weight > 0)


def test_a_task_without_its_data_module_says_so(tmp_path):
    module = task()
    module.trainer = trainer(tmp_path)
    with pytest.raises(ConfigurationError, match="was given no LevelCrops"):
        module.on_fit_start()


def test_resuming_gives_weights_and_average_of_an_unbroken_run_bit_for_bit(data, tmp_path):
    def parts(folder):
        keep = ModelCheckpoint(folder / "checkpoints", "last", save_on_train_epoch_end=True)
        return {"callbacks": [RunningAverage(0.9), keep], "enable_checkpointing": True}

    def grader():
        return TinyLevelGrader(dropout=0.3)

    class PowerCut(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                raise InterruptedError

    unbroken = task(grader=grader)
    trainer(tmp_path / "a", epochs=3, **parts(tmp_path / "a")).fit(unbroken, datamodule=data)
    cut = parts(tmp_path / "b")
    cut["callbacks"].append(PowerCut())
    with pytest.raises(InterruptedError):
        trainer(tmp_path / "b", epochs=3, **cut).fit(task(grader=grader), datamodule=data)
    torch.manual_seed(99)
    resumed = task(grader=grader)
    last = tmp_path / "b" / "checkpoints" / "last.ckpt"
    rest = trainer(tmp_path / "b", epochs=3, **parts(tmp_path / "b"))
    rest.fit(resumed, datamodule=data, ckpt_path=last, weights_only=True)
    for one, two in zip(unbroken.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)
    kept = [torch.load(find_checkpoint("last", tmp_path / n), weights_only=True) for n in "ab"]
    for name, average in kept[0]["state_dict"].items():
        assert torch.equal(average, kept[1]["state_dict"][name])
    assert kept[0]["volspine"]["temperature"] == kept[1]["volspine"]["temperature"]


def test_validation_sees_the_average_and_training_goes_on_from_the_weights(data, tmp_path):
    seen, weights, steps = [], [], []

    class Watch(pl.Callback):
        def on_validation_batch_start(self, trainer, pl_module, *_):
            seen.append(pl_module.grader.base.detach().clone())

        def on_train_batch_end(self, trainer, pl_module, *_):
            weights.append(pl_module.grader.base.detach().clone())
            steps.append(trainer.global_step)

    average = torch.zeros(3, 5)
    run = trainer(tmp_path, epochs=2, callbacks=[RunningAverage(0.5), Watch()])
    module = task()
    run.fit(module, datamodule=data)
    assert steps == [1, 2, 3, 4]
    for n, each in enumerate(weights):
        average = torch.lerp(average, each, 1 - ema_step(n, 0.5))
    torch.testing.assert_close(seen[-1], average)
    assert torch.equal(module.grader.base, weights[-1])
    run.save_checkpoint(tmp_path / "c.ckpt")
    content = torch.load(tmp_path / "c.ckpt", weights_only=True)
    assert torch.equal(content["state_dict"]["grader.base"], seen[-1])
    assert torch.equal(content["current_model_state"]["grader.base"], weights[-1])


def test_an_average_of_nothing_new_is_refused():
    with pytest.raises(ConfigurationError, match="keeps 1 of itself") as e:
        RunningAverage(1.0)
    assert e.value.code == "VS-CFG-152"


def test_a_recipe_or_an_option_that_names_a_level_grader_is_of_level_mode(tmp_path):
    path = tmp_path / "r.yaml"
    name = "volspine.models.level_grader.LevelGrader"
    for text in (f"model: {{grader: {{class_path: {name}}}}}", f"model: {{grader: {name}}}"):
        path.write_text(text)
        kind = kind_of(["fit", "-c", str(path)])
        assert (kind.task, kind.data, kind.monitor) == (LevelGradingTask, LevelCrops, "val/score")
    assert kind_of(["fit", f"--model.grader={name}"]).task is LevelGradingTask
    assert kind_of(["fit", "--model.grader.class_path", name]).task is LevelGradingTask
    path.write_text("model: {grader: {class_path: volspine.models.grader.StudyGrader}}")
    kind = kind_of(["fit", "--config", str(path)])
    assert (kind.task, kind.data) == (GradingTask, RsnaDataModule)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_loss_that_is_no_number_stops_with_step_and_studies_also_where_they_are_mixed(
    data, tmp_path, mixup
):
    class Poisoned(TinyLevelGrader):
        calls = 0

        def forward(self, patches):
            self.calls += self.training
            graded = super().forward(patches)
            return graded._replace(log_probs=graded.log_probs / (self.calls < 2))

    module = task(grader=Poisoned, craft=Craft(mixup=mixup))
    with pytest.raises(VolspineError, match=r"is -?(nan|inf) at step 1, in") as caught:
        trainer(tmp_path).fit(module, datamodule=data)
    assert caught.value.code == "VS-TRN-001"
    named = str(caught.value).partition("in studies ")[2].partition(";")[0].split(",")
    assert len(named) == 3
    assert all(("rsna_like" in name or "probe" in name) for name in named)
    assert all(torch.isfinite(p).all() for p in module.parameters())

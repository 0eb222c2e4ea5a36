import json

import numpy as np
import pytest
import torch

from tests.data.conftest import GRID
from tests.tasks.made_graders import TinyGrader
from tests.tasks.made_trainer import trainer
from volspine.data.datamodule import LoaderPlan, RsnaDataModule, SplitPlan
from volspine.data.lightning import ModelCheckpoint, pl
from volspine.data.transforms import LightAugment
from volspine.decide import decide, frequencies
from volspine.errors import ConfigurationError, VolspineError
from volspine.metrics.rsna import rsna_terms
from volspine.models.mirror import mirror_targets, mirror_volume
from volspine.tasks.callbacks import AverageWeights
from volspine.tasks.grading import GradingTask
from volspine.tasks.schedule import Schedule

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]


@pytest.fixture
def data(made_root):
    return RsnaDataModule(
        str(made_root),
        grid=GRID,
        split=SplitPlan(val=3, test=3),
        loader=LoaderPlan(batch_size=3),
        augment=LightAugment(),
    )


def task(**options) -> GradingTask:
    torch.manual_seed(0)
    kind = options.pop("grader", TinyGrader)
    return GradingTask(
        kind(), optimizer=lambda p: torch.optim.AdamW(p, lr=0.05), schedule=Schedule(), **options
    )


def test_training_lowers_the_loss(data, tmp_path):
    module, run = task(), trainer(tmp_path, epochs=1)
    run.fit(module, datamodule=data)
    first = float(run.callback_metrics["train/loss"])
    again = trainer(tmp_path, epochs=8)
    again.fit(module, datamodule=data)
    assert float(again.callback_metrics["train/loss"]) < first - 0.02


def test_the_validation_score_is_the_challenges_after_the_decision_layer(data, tmp_path):
    module, run = task(), trainer(tmp_path)
    run.fit(module, datamodule=data)
    module.eval()
    p, grades = [], []
    with torch.no_grad():
        for batch in data.val_dataloader():
            p.append(module(batch["volume"]).double().numpy())
            grades.append(batch["grades"].numpy())
    expected = rsna_terms(np.concatenate(grades), decide(np.concatenate(p))).score().total
    (found,) = trainer(tmp_path).validate(module, datamodule=data, verbose=False)
    assert found["val/score"] == pytest.approx(expected, abs=1e-6)


def test_a_study_and_its_mirror_image_get_mirrored_grades():
    module, volume = task().eval(), torch.rand(2, 6, 8, 20, 24)
    torch.testing.assert_close(module(mirror_volume(volume)), mirror_targets(module(volume)))
    alone = task(average_mirrors=False).eval()
    assert not torch.allclose(alone(mirror_volume(volume)), mirror_targets(alone(volume)))
    torch.testing.assert_close(alone(volume), alone.grader(volume).log_probs.exp())


def test_testing_writes_metrics_and_predictions_beside_the_prior(data, tmp_path):
    module, run = task(), trainer(tmp_path)
    run.fit(module, datamodule=data)
    run.test(module, datamodule=data, verbose=False)
    metrics = json.loads((tmp_path / "test_metrics.json").read_text())
    assert metrics["studies"] == 3
    assert metrics["studies_seen_in_training"] == 0
    assert metrics["prior"] == pytest.approx(module.evaluation.prior.total)
    assert metrics["data"]["num_studies"] == {"train": 6, "val": 3, "test": 3}
    assert [len(metrics["cells"]), metrics["phantoms"]] == [25, False]
    page = (tmp_path / "evaluation.html").read_text()
    assert f"{metrics['score']:.4f}" in page
    assert "Research use only" in page
    lines = (tmp_path / "test_predictions.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 25
    split = json.loads((tmp_path / "split.json").read_text())
    assert {line.split("_")[0] for line in lines[1:]} == set(split["test"])


class Pointing(TinyGrader):
    """Says that every target is in voxel (1, 2, 3)."""

    def forward(self, volume):
        place = torch.tensor([1.0, 2.0, 3.0]).expand(len(volume), 25, 3)
        return super().forward(volume)._replace(points=place)


def test_what_a_grader_says_of_places_is_compared_with_the_marks_in_mm(data, tmp_path):
    module, run = task(grader=Pointing), trainer(tmp_path)
    run.fit(module, datamodule=data)
    run.test(module, datamodule=data, verbose=False)
    away = [
        4.0 * float(torch.linalg.vector_norm(place - torch.tensor([1.0, 2.0, 3.0])))
        for batch in data.test_dataloader()
        for place in batch["points"][batch["has_point"]]
    ]
    where = json.loads((tmp_path / "test_metrics.json").read_text())["localization"]["all"]
    assert where["num_true"] == len(away) > 0
    assert where["median_mm"] == pytest.approx(np.median(away), rel=1e-4)
    assert len((tmp_path / "test_places.csv").read_text().splitlines()) == 1 + len(away)


def test_studies_that_were_trained_on_are_graded_beside_those_held_out(data, made_root, tmp_path):
    module, run = task(), trainer(tmp_path)
    run.fit(module, datamodule=data)
    run.test(module, datamodule=data, verbose=False)
    right, known = 0, 0
    with torch.no_grad():
        for batch in data.training_sample():
            grades = batch["grades"]
            said = module(batch["volume"]).argmax(dim=-1)
            right += int(((said == grades) & (grades >= 0)).sum())
            known += int((grades >= 0).sum())
    metrics = json.loads((tmp_path / "test_metrics.json").read_text())
    told = metrics["accuracy"]
    assert told["on_studies_trained_on"]["all"]["value"] == pytest.approx(right / known)
    assert told["studies_trained_on_that_were_graded"] == 6
    np.testing.assert_allclose(metrics["frequencies_of_training"], module.known)
    assert not (tmp_path / "test_places.csv").exists()
    none = RsnaDataModule(
        str(made_root), grid=GRID, split=data.plan, loader=LoaderPlan(batch_size=3, recheck=0)
    )
    trainer(tmp_path).test(module, datamodule=none, verbose=False)
    told = json.loads((tmp_path / "test_metrics.json").read_text())["accuracy"]
    assert told["on_studies_trained_on"] is None


def test_the_prior_comes_from_the_studies_that_training_could_see(data, tmp_path):
    module = task()
    trainer(tmp_path, epochs=1).fit(module, datamodule=data)
    np.testing.assert_allclose(module.known, frequencies(data.known_grades()))


def test_an_untrained_grader_starts_from_the_frequencies_and_a_resumed_one_does_not(data, tmp_path):
    module = task()
    trainer(tmp_path, epochs=0).fit(module, datamodule=data)
    zero = module.grader.link(torch.zeros(1, 25, 1)).exp()[0].detach().numpy()
    canal = module.known[:5].mean(axis=0)
    np.testing.assert_allclose(zero[:5], np.tile(canal, (5, 1)), atol=1e-4)
    run = trainer(tmp_path, epochs=1)
    run.fit(module, datamodule=data)
    run.save_checkpoint(tmp_path / "c.ckpt")
    trained = module.grader.link.first.clone()
    again = trainer(tmp_path, epochs=1)
    again.fit(module, datamodule=data, ckpt_path=tmp_path / "c.ckpt", weights_only=True)
    assert torch.equal(module.grader.link.first, trained)


def test_a_checkpoint_is_plain_data_and_carries_its_recipe(data, tmp_path):
    module, run = task(), trainer(tmp_path, epochs=1)
    run.fit(module, datamodule=data)
    run.save_checkpoint(tmp_path / "c.ckpt")
    kept = torch.load(tmp_path / "c.ckpt", weights_only=True)["volspine"]
    assert kept["model"] == {"grader": "TinyGrader", "scale": 1.0, "shape": [8, 20, 24]}
    assert kept["data"]["grid"] == {"spacing_mm": [4.0, 4.0, 4.0], "shape": [8, 20, 24]}
    assert np.shape(kept["frequencies"]) == (25, 3)
    assert kept["validation"]["score"] > 0
    assert json.loads(json.dumps(kept)) == kept
    assert str(tmp_path) not in json.dumps(kept)


def test_a_checkpoint_brings_its_own_prior_and_warns_of_studies_it_has_seen(
    data, tmp_path, made_root
):
    module, run = task(), trainer(tmp_path, epochs=1)
    run.fit(module, datamodule=data)
    run.save_checkpoint(tmp_path / "c.ckpt")
    other = RsnaDataModule(str(made_root), grid=GRID, split=SplitPlan(val=0, test=11))
    fresh = task()
    trainer(tmp_path).test(
        fresh, datamodule=other, ckpt_path=tmp_path / "c.ckpt", weights_only=True, verbose=False
    )
    np.testing.assert_allclose(fresh.known, module.known)
    metrics = json.loads((tmp_path / "test_metrics.json").read_text())
    assert metrics["studies_seen_in_training"] >= 8


def test_a_checkpoint_of_another_grader_is_refused(data, tmp_path):
    run = trainer(tmp_path, epochs=1)
    run.fit(task(), datamodule=data)
    run.save_checkpoint(tmp_path / "c.ckpt")
    with pytest.raises(ConfigurationError, match="of another grader: scale differ"):
        trainer(tmp_path).test(
            task(grader=lambda: TinyGrader(scale=2.0)),
            datamodule=data,
            ckpt_path=tmp_path / "c.ckpt",
            weights_only=True,
        )


def test_resuming_gives_the_weights_of_an_unbroken_run_bit_for_bit(data, tmp_path):
    class WithDropout(TinyGrader):
        def forward(self, volume):
            return super().forward(torch.nn.functional.dropout(volume, 0.3, self.training))

    unbroken = task(grader=WithDropout)
    trainer(tmp_path / "a", epochs=4).fit(unbroken, datamodule=data)
    keeps = [ModelCheckpoint(tmp_path / "k", "last", save_on_train_epoch_end=True) for _ in "ab"]
    broken = task(grader=WithDropout)

    class PowerCut(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                raise InterruptedError

    halves = {"callbacks": [keeps[0], PowerCut()], "enable_checkpointing": True}
    with pytest.raises(InterruptedError):
        trainer(tmp_path / "b", epochs=4, **halves).fit(broken, datamodule=data)
    torch.manual_seed(99)
    resumed = task(grader=WithDropout)
    rest = {"callbacks": [keeps[1]], "enable_checkpointing": True}
    trainer(tmp_path / "b", epochs=4, **rest).fit(
        resumed, datamodule=data, ckpt_path=tmp_path / "k" / "last.ckpt", weights_only=True
    )
    assert not torch.equal(resumed.grader.linear.weight, broken.grader.linear.weight)
    for one, two in zip(unbroken.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)


def test_only_weights_decay(data, tmp_path):
    module = task()
    trainer(tmp_path, epochs=1).fit(module, datamodule=data)
    decayed, free = module.optimizers(use_pl_optimizer=False).param_groups
    assert decayed["weight_decay"] > 0
    assert free["weight_decay"] == 0
    assert [p.shape for p in decayed["params"]] == [(25, 12)]
    total = sum(p.numel() for group in (decayed, free) for p in group["params"])
    assert total == sum(p.numel() for p in module.grader.parameters())


def test_averaged_weights_are_what_a_checkpoint_holds_and_plain_data(data, tmp_path):
    module, average = task(), AverageWeights(decay=0.9)
    keep = ModelCheckpoint(tmp_path / "k", "last", save_on_train_epoch_end=True)
    run = trainer(tmp_path, epochs=2, callbacks=[average, keep], enable_checkpointing=True)
    run.fit(module, datamodule=data)
    content = torch.load(tmp_path / "k" / "last.ckpt", weights_only=True)
    kept = content["state_dict"]["grader.linear.weight"]
    last = content["current_model_state"]["grader.linear.weight"]
    assert set(content["state_dict"]) == set(module.state_dict())
    assert not torch.equal(kept, last)


def test_a_loss_that_is_no_number_stops_with_step_and_studies_and_spares_the_weights(
    data, tmp_path
):
    class Poisoned(TinyGrader):
        calls = 0

        def forward(self, volume):
            self.calls += self.training
            graded = super().forward(volume)
            return graded._replace(
                log_probs=graded.log_probs * (1 if self.calls < 2 else torch.nan)
            )

    module = task(grader=Poisoned)
    with pytest.raises(VolspineError, match=r"the loss is nan at step 1, in studies 1\d\d, 1") as e:
        trainer(tmp_path).fit(module, datamodule=data)
    assert e.value.code == "VS-TRN-001"
    assert all(torch.isfinite(p).all() for p in module.parameters())


def test_a_task_without_its_data_module_says_so(tmp_path):
    module = task()
    module.trainer = trainer(tmp_path)
    with pytest.raises(ConfigurationError, match="was given no RsnaDataModule"):
        module.on_fit_start()

"""Own targets from fit to test, in a file and back, and asked about a study."""

import csv
import json

import numpy as np
import pytest
import torch

from tests.data import made_roots
from tests.data.conftest import GRID
from tests.tasks.made_own import GRADES, NAMES, targets, write_own
from tests.tasks.made_trainer import trainer
from volspine.cli.recipes import kind_of
from volspine.data import cache
from volspine.data.datamodule import LoaderPlan, SplitPlan
from volspine.data.own_datamodule import OwnDataModule
from volspine.data.transforms import LightAugment
from volspine.errors import ConfigurationError, WeightsError
from volspine.inference.checkpoint import read_checkpoint, same_kind
from volspine.inference.own import OwnPredictor
from volspine.metrics.ordinal import ordinal_scores
from volspine.metrics.own_scores import OwnMetric, own_losses, own_terms
from volspine.metrics.rsna import rsna_terms
from volspine.models.grader import StudyGrader
from volspine.models.losses import GradingLoss
from volspine.models.mirror import mirror_targets, mirror_volume
from volspine.tasks.own_evaluation import evaluate_own
from volspine.tasks.own_grading import OwnGradingTask
from volspine.vocabulary import CHALLENGE, vocabulary_from_dict

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]
KNOWN = vocabulary_from_dict(targets())


def small_grader() -> StudyGrader:
    torch.manual_seed(0)
    return StudyGrader(
        backbone={"name": "efficientnet_lite0", "stride": 2},
        head={"name": "shared", "hidden": 4},
        pooling={"name": "attention", "width": 8, "num_frequencies": 2},
        shape=GRID.shape,
        targets=KNOWN.to_dict(),
    )


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "read_study", made_roots.read_fake_study)
    grades = np.random.default_rng(0).integers(-1, 3, (8, 25))
    root, tables = write_own(tmp_path / "own", grades)
    return OwnDataModule(
        str(root),
        labels=tables,
        grid=GRID,
        split=SplitPlan(val=2, test=3),
        loader=LoaderPlan(batch_size=3, recheck=0),
        augment=LightAugment(),
    )


def test_own_targets_are_fitted_tested_saved_and_asked_about_a_study(data, tmp_path):
    module, run = OwnGradingTask(small_grader(), loss=GradingLoss(guidance=1.0)), trainer(tmp_path)
    run.fit(module, datamodule=data)
    assert module.known.shape == (6, 4)
    assert np.isfinite(float(run.callback_metrics["val/score"]))
    run.test(module, datamodule=data, verbose=False)
    metrics = json.loads((tmp_path / "test_metrics.json").read_text())
    told = (tmp_path / "test_predictions.csv").read_text()
    rows = list(csv.DictReader(told.splitlines()))
    assert metrics["studies"] == 3
    assert set(metrics["findings"]) == {"tight", "root"}
    assert len(rows) == 3 * 6
    p = np.array([[float(row[grade]) for grade in GRADES] for row in rows])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert "commonest grades" in str(module.evaluation)

    run.save_checkpoint(tmp_path / "own.ckpt")
    predictor = OwnPredictor(tmp_path / "own.ckpt", device="cpu")
    tested = data.studies("test")[0]
    graded = predictor.predict(made_roots.read_fake_study(tested.folder))
    written = p[[row["study_id"] == tested.key for row in rows]]
    np.testing.assert_allclose(graded.probabilities, written, atol=1e-3)
    frame = graded.to_frame()
    assert list(frame.columns) == ["target", *GRADES, "grade"]
    assert list(frame["target"]) == list(NAMES)
    with pytest.raises(ConfigurationError, match="a model folder is of the challenge's targets"):
        same_kind([read_checkpoint(tmp_path / "own.ckpt")])


def test_a_study_and_its_mirror_image_get_mirrored_own_grades():
    module, volume = OwnGradingTask(small_grader()).eval(), torch.rand(1, 6, *GRID.shape)
    torch.nn.init.normal_(module.grader.head.weight_out)
    said, image = module(volume), module(mirror_volume(volume))
    order = [0, 1, 3, 2, 5, 4]
    torch.testing.assert_close(image, said[:, order])
    assert not torch.allclose(image, said, atol=1e-4)
    alone = OwnGradingTask(module.grader, average_mirrors=False).eval()
    reflected = mirror_targets(alone(mirror_volume(volume)), order=order)
    torch.testing.assert_close(said, (alone(volume) + reflected) / 2)


def test_losses_of_the_challenges_findings_are_the_terms_of_its_score():
    rng = np.random.default_rng(0)
    grades, p = rng.integers(-1, 3, (9, 25)), rng.dirichlet(np.ones(3), (9, 25))
    weighed = np.array([1.0, 2.0, 4.0]) * p
    said = weighed / weighed.sum(-1, keepdims=True)
    theirs = rsna_terms(grades, said).score()
    ours = own_losses(own_terms(grades, p, CHALLENGE))
    np.testing.assert_allclose(ours, [theirs.spinal, theirs.foraminal, theirs.subarticular])


def test_the_metric_over_batches_is_that_of_all_rows_at_once():
    rng = np.random.default_rng(1)
    grades, p = rng.integers(-1, 4, (7, 6)), rng.dirichlet(np.ones(4), (7, 6))
    metric = OwnMetric(KNOWN)
    for part in (slice(0, 3), slice(3, 7)):
        metric.update(torch.from_numpy(p[part]), torch.from_numpy(grades[part]))
    found = metric.compute()
    losses = own_losses(own_terms(grades, p, KNOWN))
    assert float(found["total"]) == pytest.approx(losses.mean())
    assert float(found["tight"]) == pytest.approx(losses[0])
    known = grades >= 0
    by_hand = -np.log(np.take_along_axis(p, grades.clip(0)[..., None], -1)[..., 0])
    assert float(found["root"]) == pytest.approx(by_hand[:, 2:][known[:, 2:]].mean())


def test_what_knows_the_answer_beats_the_prior_and_the_prior_does_not_beat_itself():
    rng = np.random.default_rng(2)
    grades = rng.integers(0, 4, (30, 6))
    even = np.full((6, 4), 0.25)
    sure = np.where(np.arange(4) == grades[..., None], 0.97, 0.01)
    good = evaluate_own(sure, grades, even, vocabulary=KNOWN, resamples=100)
    assert good.interval.low > 1
    assert good.everything.kappa == 1
    assert good.everything.accuracy == 1
    assert good.everything.prior == pytest.approx(np.log(4))
    scores = ordinal_scores(np.minimum(grades, 2), np.zeros_like(grades))
    none = evaluate_own(np.tile(even, (30, 1, 1)), grades, even, vocabulary=KNOWN, resamples=100)
    assert none.gain == 0 == none.interval.low == none.interval.high
    assert none.everything.accuracy == none.everything.majority == scores.accuracy


def test_what_cannot_grade_own_targets_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="Linear does not take own targets"):
        OwnGradingTask(torch.nn.Linear(2, 2))
    with pytest.raises(ConfigurationError, match="which is no own target"):
        OwnGradingTask(small_grader(), loss=GradingLoss(any_severe=1.0))
    with pytest.raises(ConfigurationError, match="3 grade_weights do not fit 4 grades"):
        OwnGradingTask(small_grader(), loss=GradingLoss(grade_weights=[1, 2, 4]))
    with pytest.raises(WeightsError, match="no such file"):
        OwnPredictor(tmp_path / "none.ckpt", device="cpu")


def test_a_recipe_or_option_with_labels_is_of_own_targets(tmp_path):
    (tmp_path / "own.yaml").write_text("data: {labels: {table: x.csv}}\n")
    (tmp_path / "theirs.yaml").write_text("data: {root: x}\n")
    assert kind_of(["fit", "-c", str(tmp_path / "own.yaml")]).task is OwnGradingTask
    assert kind_of(["fit", "--data.labels.table=x.csv"]).data is OwnDataModule
    plain = kind_of(["fit", "-c", str(tmp_path / "theirs.yaml")])
    assert plain.task.__name__ == "GradingTask"

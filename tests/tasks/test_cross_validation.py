"""Cross-validation: which commands are run, what is gone on with, what is refused."""

import json

import numpy as np
import pytest
import torch

from tests.data.test_splits import studies
from tests.metrics.test_likelihood import reports
from volspine.anatomy import Finding
from volspine.errors import ConfigurationError, VolspineError, WeightsError
from volspine.tasks.cross_validation import CrossValidation, Plan
from volspine.tasks.cv_summary import checkpoint_temperature, summarise
from volspine.tasks.evaluation import predictions_csv
from volspine.tasks.out_of_fold import read_oof

RECIPE = {"model": {"lr": 1}, "trainer": {"max_epochs": 2, "default_root_dir": "a"}}
WHEN = ("before", "after", "change")
EVERYONE = studies([n % 26 for n in range(12)])


def begin(folder, recipe=RECIPE, everyone=EVERYONE, **plan):
    told = ["-c", "r.yaml"]
    return CrossValidation.begin(
        folder, told, recipe=recipe, studies=everyone, plan=Plan(**{"folds": 3, **plan})
    )


class Volspine:
    """Notes what it is told, and writes what the commands would."""

    def __init__(self, codes=()):
        self.told, self.codes = [], list(codes)

    def __call__(self, words):
        self.told.append(list(words))
        code = self.codes.pop(0) if self.codes else 0
        run = self._after("--trainer.default_root_dir")
        if words[0] == "fit":
            (run / "checkpoints").mkdir(parents=True, exist_ok=True)
            torch.save({"volspine": {}}, run / "checkpoints" / "last.ckpt")
        elif code == 0:
            held_out = json.loads(self._after("--data.split.file").read_text())["test"]
            p, grades = reports(0)
            place = [int(key) for key in held_out]
            text = predictions_csv(p[place], grades[place], held_out)
            (run / "test_predictions.csv").write_text(text)
            (run / "test_metrics.json").write_text(json.dumps({"score": 0.5}))
        return code

    def _after(self, option):
        from pathlib import Path

        words = self.told[-1]
        return Path(words[words.index(option) + 1])


def test_a_fold_is_fitted_on_its_split_in_its_folder_and_then_tested(tmp_path):
    validation, volspine = begin(tmp_path), Volspine()
    validation.fit_fold(2, command=volspine)
    fit, test = volspine.told
    run = tmp_path / "fold_2"
    told = ["-c", "r.yaml", "--data.split.file", str(run / "fold_split.json")]
    told += ["--trainer.default_root_dir", str(run)]
    assert fit == ["fit", *told]
    assert test == ["test", *told, "--ckpt_path", "last"]
    split = json.loads((run / "fold_split.json").read_text())
    assert tuple(split["test"]) == validation.folds.parts[1]
    assert validation.is_finished(2)
    assert not validation.is_finished(1)


def test_the_best_checkpoint_is_tested_where_one_was_chosen(tmp_path):
    validation, volspine = begin(tmp_path), Volspine()
    (tmp_path / "fold_1" / "checkpoints").mkdir(parents=True)
    torch.save({"volspine": {}}, tmp_path / "fold_1" / "checkpoints" / "best.ckpt")
    validation.fit_fold(1, command=volspine)
    assert volspine.told[1][-1] == "best"
    assert validation.checkpoint(1).name == "best.ckpt"


def test_a_fold_that_stopped_goes_on_and_a_finished_one_is_left_alone(tmp_path):
    validation, broken = begin(tmp_path), Volspine(codes=[1])
    with pytest.raises(VolspineError, match="fit of a fold ended with 1"):
        validation.fit_fold(1, command=broken)
    again = Volspine()
    begin(tmp_path).fit_fold(1, command=again)
    assert again.told[0][-2:] == ["--ckpt_path", "last"]
    more = Volspine()
    begin(tmp_path).fit_fold(1, command=more)
    assert more.told == []


def test_an_interruption_is_passed_on_and_leaves_the_fold_unfinished(tmp_path):
    validation = begin(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        validation.fit_fold(1, command=Volspine(codes=[0, 130]))
    assert not validation.is_finished(1)


def test_the_folds_stay_wherever_runs_lie_and_however_often_they_are_kept(tmp_path):
    first = begin(tmp_path).folds
    moved = {**RECIPE, "trainer": {"max_epochs": 2, "default_root_dir": "b"}, "keep": {"steps": 5}}
    assert begin(tmp_path, moved).folds == first


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"recipe": {**RECIPE, "model": {"lr": 2}}}, "recipe differ"),
        ({"everyone": EVERYONE[1:]}, "studies differ"),
        ({"folds": 4}, "folds differ"),
        ({"seed": 1}, "seed differ"),
        ({"val": 0}, "val differ"),
    ],
)
def test_another_recipe_other_studies_or_other_folds_are_refused(tmp_path, change, what):
    begin(tmp_path)
    with pytest.raises(ConfigurationError, match=what):
        begin(tmp_path, **change)


def test_a_summary_holds_every_study_once_and_says_what_calibration_is_worth(tmp_path):
    validation, volspine = begin(tmp_path), Volspine()
    for number in (1, 2, 3):
        validation.fit_fold(number, command=volspine)
    summary = summarise(validation)
    summary.write(tmp_path)
    said = read_oof(tmp_path / "oof.csv")
    assert sorted(said.keys) == sorted(study.key for study in EVERYONE)
    p, _ = reports(0)
    np.testing.assert_allclose(said.probabilities[0], p[int(said.keys[0])], atol=2e-6)
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    assert len(calibration["temperature"]) == 25
    effect = calibration["effect_out_of_fold"]
    assert set(effect) == {"all", *(finding.name.lower() for finding in Finding)}
    for name in ("likelihood_loss", "brier", "calibration_error"):
        before, after, change = (effect["all"][name][when] for when in WHEN)
        assert change[0] == pytest.approx(after[0] - before[0], abs=2e-6)
        assert change[1] <= change[0] <= change[2]
    assert "12 studies in 3 folds" in calibration["fitted_on"]
    assert summary.fold_scores == (0.5, 0.5, 0.5)
    assert json.loads((tmp_path / "metrics.json").read_text())["studies"] == 12
    rows = (tmp_path / "label_noise.csv").read_text().splitlines()
    assert len(rows) == 1 + len(summary.noise)
    for words in ("out of fold", "- ln p of a label", "calibration error"):
        assert words in str(summary)


def test_a_damaged_checkpoint_of_a_fold_is_refused(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="missing or damaged"):
        checkpoint_temperature(tmp_path / "last.ckpt")


def test_the_temperature_of_a_checkpoint_is_read_and_1_where_there_is_none(tmp_path):
    torch.save({"volspine": {"temperature": [2.0] * 25}}, tmp_path / "hot.ckpt")
    torch.save({"volspine": {}}, tmp_path / "none.ckpt")
    assert checkpoint_temperature(tmp_path / "hot.ckpt").tolist() == [2.0] * 25
    assert checkpoint_temperature(tmp_path / "none.ckpt").tolist() == [1.0] * 25

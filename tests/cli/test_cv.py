"""`volspine cv`, as a user types it: what is refused, and a small one from end to end."""

import csv
import json

import pytest

from volspine.cli import cv, main
from volspine.inference.bundle import load_bundle
from volspine.phantom.cohort import generate
from volspine.tasks import cross_validation

SMALL = """
trainer: {accelerator: cpu, max_epochs: 1, enable_progress_bar: false}
model:
  grader:
    class_path: volspine.models.grader.StudyGrader
    init_args: {backbone: {name: resnet10t, stride: 8}}
data:
  root: ROOT
  grid: {shape: [16, 24, 32], spacing_mm: [6, 6, 6]}
  loader: {batch_size: 2}
"""


@pytest.mark.parametrize(
    "option", ["--trainer.default_root_dir=x", "--data.split.test=3", "--ckpt_path=last"]
)
def test_what_the_cross_validation_says_itself_is_refused(tmp_path, capsys, option):
    assert main(["cv", "-c", "r.yaml", "--out", str(tmp_path), option]) == 2
    assert "is the cross-validation's to say" in capsys.readouterr().err


def test_groups_of_patients_may_be_told():
    words = ["--data.split.groups", "groups.csv"]
    assert cv._told(words, quiet=False) == words


def test_an_ensemble_of_levels_without_a_localizer_is_refused_before_any_work(
    tmp_path, capsys, repository
):
    recipe = str(repository / "experiments/level_grader.yaml")
    assert main(["cv", "-c", recipe, "--out", str(tmp_path)]) == 2
    assert "--localizer" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_fold_that_there_is_not_is_refused():
    assert cv._wanted(None, 3) == range(1, 4)
    assert cv._wanted(2, 3) == (2,)
    for number in (0, 4):
        with pytest.raises(cv_error(), match="there is no fold"):
            cv._wanted(number, 3)


def cv_error():
    from volspine.errors import ConfigurationError

    return ConfigurationError


@pytest.mark.slow
def test_a_recipe_that_cannot_be_read_is_one_line(tmp_path, capsys):
    told = ["cv", "-c", str(tmp_path / "no.yaml"), "--out", str(tmp_path / "out")]
    assert main(told) == 2
    assert "the recipe cannot be used" in capsys.readouterr().err


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A root of six small phantoms, a recipe, and its cross-validation in two folds."""
    folder = tmp_path_factory.mktemp("cv")
    generate(folder / "root", studies=6, noise="none", size="small", seed=5)
    (folder / "recipe.yaml").write_text(SMALL.replace("ROOT", str(folder / "root")))
    assert type_in(folder, "--fold", "2") == 0
    assert not (folder / "out" / "oof.csv").exists()
    with pytest.MonkeyPatch.context() as patch:
        # One process for all, as a user's second call would be: what is under test is the command.
        patch.setattr(cross_validation, "_in_a_process", lambda words: main(list(words)))
        assert type_in(folder) == 0
    return folder


def type_in(home, *options):
    told = ["-c", str(home / "recipe.yaml"), "--out", str(home / "out"), "--folds", "2"]
    return main(["cv", *told, "--val", "1", "--weights", "out-of-fold", "--quiet", *options])


@pytest.mark.slow
def test_every_study_is_graded_once_by_a_model_that_never_saw_it(home):
    with (home / "out" / "oof.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 * 25 == len({row["row_id"] for row in rows})
    with (home / "out" / "folds.csv").open() as stream:
        held_out = {row["study_id"]: row["fold"] for row in csv.DictReader(stream)}
    for row in rows:
        key = row["row_id"].split("_")[0]
        split = json.loads((home / "out" / f"fold_{row['fold']}" / "split.json").read_text())
        assert held_out[key] == row["fold"]
        assert key in split["test"]
        assert key not in {*split["train"], *split["val"]}


@pytest.mark.slow
def test_the_ensemble_has_a_member_a_fold_with_temperatures_and_weights(home):
    bundle = load_bundle(home / "out" / "bundle")
    assert len(bundle.graders) == 2
    told = json.loads((home / "out" / "calibration.json").read_text())
    assert bundle.card.temperature.tolist() == pytest.approx(told["temperature"])
    weights = json.loads((home / "out" / "member_weights.json").read_text())["member_weights"]
    assert bundle.card.member_weights.tolist() == [pytest.approx(row) for row in weights]
    assert "6 studies of root" in bundle.card.trained_on
    assert bundle.card.held_out["studies"] == 6
    assert bundle.card.phantom_only


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_writes_the_same(home, monkeypatch):
    before = {p: p.read_bytes() for p in sorted((home / "out").glob("*.*"))}
    monkeypatch.setattr(cross_validation, "_in_a_process", lambda words: pytest.fail(str(words)))
    assert type_in(home) == 0
    assert {p: p.read_bytes() for p in sorted((home / "out").glob("*.*"))} == before


@pytest.mark.slow
def test_another_recipe_in_the_same_folder_is_refused(home, capsys):
    assert type_in(home, "--trainer.max_epochs", "2") == 2
    assert "holds another cross-validation: recipe differ" in capsys.readouterr().err

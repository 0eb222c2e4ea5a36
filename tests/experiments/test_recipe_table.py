"""The table of recipes: whose numbers stand in which row, what is refused, and what is marked."""

import json
from pathlib import Path

import numpy as np
import pytest

from volspine.anatomy import TARGETS
from volspine.decide import frequencies
from volspine.phantom.spec import Cohort, Noise, Spec
from volspine.phantom.study import outline_study
from volspine.tasks.evaluation import Places, places_csv, predictions_csv

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
KEYS = [f"s{n:02d}" for n in range(12)]
GRADES = np.random.default_rng(0).integers(0, 3, (12, 25))
PRIOR = frequencies(GRADES[:6])
CANAL, FORAMEN, RECESS = slice(0, 5), slice(5, 15), slice(15, 25)


@pytest.fixture(autouse=True)
def _experiments_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


def sure(confidence=0.9):
    wrong = (1 - confidence) / 2
    return np.where(np.arange(3) == GRADES[..., None], confidence, wrong)


def ignorant():
    return np.broadcast_to(PRIOR, (12, 25, 3)).copy()


def made_run(folder, said, *, keys=KEYS, off_mm=None, trained=0.75, million=1.0):
    """Write the files of a tested run."""
    folder.mkdir(parents=True)
    told = {name: {"value": trained} for name in ("all", "canal", "foramen", "recess")}
    metrics = {
        "accuracy": {"on_studies_trained_on": told},
        "frequencies_of_training": PRIOR.tolist(),
        "data": {"grid": {}},
    }
    record = {
        "parameters": int(million * 1e6),
        "seconds": {"wall": 600.0, "processor": 540.0},
        "threads": 1,
        "hardware": "a processor, 2 cores, no GPU",
        "precision": "32-true",
    }
    (folder / "test_metrics.json").write_text(json.dumps(metrics))
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "test_predictions.csv").write_text(predictions_csv(said, GRADES, keys))
    if off_mm is not None:
        true = np.random.default_rng(1).uniform(0, 300, (12, 25, 3))
        found = true + np.asarray(off_mm)[:, None] * np.array([1.0, 0.0, 0.0])
        (folder / "test_places.csv").write_text(places_csv(Places(found, true), keys))
    return folder


def made_log(folder, version, rows):
    place = folder / "logs" / f"version_{version}" / "metrics.csv"
    place.parent.mkdir(parents=True)
    lines = ["epoch,step,train/loss,val/score", *rows]
    place.write_text("\n".join(lines) + "\n")


def test_three_runs_of_one_finding_each_become_one_row_that_takes_each_from_its_own(tmp_path):
    from compared.runs import read_runs

    for name, columns, off in (("canal", CANAL, 1), ("foramen", FORAMEN, 2), ("recess", RECESS, 3)):
        said = sure(0.4)
        said[:, columns] = sure(0.9)[:, columns]
        made_run(tmp_path / f"detect_vgg19_{name}", said, off_mm=np.full(25, off), million=off)
    (run,) = read_runs(sorted(tmp_path.iterdir()))
    assert run.name == "detect_vgg19"
    np.testing.assert_allclose(run.probabilities, sure(0.9), atol=1e-6)
    np.testing.assert_allclose(run.away_mm[0], np.repeat([1, 2, 3], [5, 10, 10]))
    assert run.facts["parameters"] == 6_000_000
    assert run.facts["seconds"] == {"wall": 1800.0, "processor": 1620.0}
    assert run.training["all"] == pytest.approx(0.75)


def test_two_of_three_findings_stay_rows_of_their_own(tmp_path):
    from compared.runs import read_runs

    for name in ("canal", "recess"):
        made_run(tmp_path / f"detect_vgg19_{name}", sure())
    found = read_runs(sorted(tmp_path.iterdir()))
    assert [run.name for run in found] == ["detect_vgg19_canal", "detect_vgg19_recess"]


def test_runs_of_different_test_studies_are_refused(tmp_path):
    from compared.runs import read_runs

    folders = [made_run(tmp_path / "a", sure())]
    folders.append(made_run(tmp_path / "b", sure(), keys=[*KEYS[:-1], "other"]))
    with pytest.raises(SystemExit, match=r"b was tested on other studies than a \(2 differ\)"):
        read_runs(folders)


def test_runs_of_different_labels_are_refused(tmp_path):
    from compared.runs import read_runs

    one, two = made_run(tmp_path / "a", sure()), made_run(tmp_path / "b", sure())
    (two / "test_predictions.csv").write_text(predictions_csv(sure(), 2 - GRADES, KEYS))
    with pytest.raises(SystemExit, match="other labels"):
        read_runs([one, two])


def test_a_folder_without_a_tests_files_is_refused_by_name(tmp_path):
    from compared.runs import read_run

    folder = made_run(tmp_path / "halved", sure())
    text = (folder / "test_predictions.csv").read_text().splitlines()
    (folder / "test_predictions.csv").write_text("\n".join(text[:40]))
    with pytest.raises(SystemExit, match="halved is not the folder of a tested run"):
        read_run(folder)


def test_studies_may_stand_in_any_order(tmp_path):
    from compared.runs import check_same, read_run

    order = np.random.default_rng(2).permutation(12)
    one = read_run(made_run(tmp_path / "a", sure(), off_mm=np.arange(25)))
    folder = made_run(tmp_path / "b", sure())
    text = predictions_csv(sure()[order], GRADES[order], [KEYS[n] for n in order])
    (folder / "test_predictions.csv").write_text(text)
    two = read_run(folder)
    check_same([one, two])
    np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_who_says_the_prior_is_untrained_and_who_knows_is_not(tmp_path):
    from compared.runs import read_runs
    from compared.scores import HEAD, UNTRAINED, rows, scored

    partly = ignorant()
    partly[:, CANAL], partly[:, RECESS] = sure()[:, CANAL], sure()[:, RECESS]
    for name, said in (("knows", sure()), ("nothing", ignorant()), ("partly", partly)):
        made_run(tmp_path / name, said)
    found = [scored(run) for run in read_runs(sorted(tmp_path.iterdir()))]
    table = [dict(zip(HEAD, row, strict=True)) for row in rows(found, None)]
    assert [row["recipe"] for row in table] == ["knows", "nothing (untrained)", "partly", "prior"]
    knows, nothing, part, prior = table
    assert knows["prior - three terms"].low > 0
    assert nothing["prior - three terms"].value == pytest.approx(0, abs=1e-5)
    assert nothing["three terms"].value == pytest.approx(prior["three terms"].value, abs=1e-5)
    assert str(part["foramen"]).endswith(UNTRAINED)
    assert not str(part["canal"]).endswith(UNTRAINED)
    assert prior["majority class, %"] == knows["majority class, %"]
    assert knows["held-out accuracy, %"].startswith("100 ")
    assert knows["accuracy on studies trained on, %"] == "75"


def test_what_paid_is_above_zero_and_bold(tmp_path):
    from compared.runs import read_runs
    from compared.scores import PAIR_HEAD, pair_rows, scored

    better = sure(0.5)
    better[:, FORAMEN] = sure(0.9)[:, FORAMEN]
    made_run(tmp_path / "vit", sure(0.5))
    made_run(tmp_path / "vit_hybrid", better)
    found = [scored(run) for run in read_runs(sorted(tmp_path.iterdir()))]
    (row,) = [dict(zip(PAIR_HEAD, row, strict=True)) for row in pair_rows(found)]
    assert (row["from"], row["to"]) == ("vit", "vit_hybrid")
    assert row["foramen"].startswith("**+")
    assert row["canal"].startswith("+0.000")


def test_places_have_medians_and_shares_and_what_was_not_found_counts_as_far(tmp_path):
    from compared.scores import place_estimates

    away = np.full((10, 25), 4.0)
    away[:, FORAMEN] = 8.0
    away[:5, 0] = np.inf
    away[:, 24] = np.nan
    found = place_estimates(away)
    assert found["recess"][0].value == 4.0
    assert found["foramen"][1].value == 0.0
    assert found["foramen"][2].value == 1.0
    assert found["canal"][1].value == pytest.approx(0.9)


def test_the_floor_is_nothing_without_a_reader_and_something_with_one(tmp_path):
    from compared.floor import known_truth
    from compared.runs import read_run
    from compared.scores import losses_of_report

    for noise in (Noise.NONE, Noise.SINGLE_READER):
        root = tmp_path / noise.value
        (root / "truth").mkdir(parents=True)
        specs = [Spec(seed=5, index=n, cohort=Cohort.PROBE, noise=noise) for n in range(3)]
        labels, said = [], np.full((3, 25, 3), 1 / 3)
        for spec in specs:
            made = outline_study(spec)
            labels.append(made.labels)
            truth = {t.name: int(g) for t, g in zip(TARGETS, made.truth.grades, strict=True)}
            told = {name: getattr(spec, name) for name in ("seed", "index", "cohort", "noise")}
            told |= {"header": spec.header, "size": spec.size}
            text = json.dumps({"grades": truth, "spec": told})
            (root / "truth" / f"{spec.study_id}.json").write_text(text)
        folder = made_run(tmp_path / f"run_{noise.value}", sure())
        text = predictions_csv(said, np.array(labels), [spec.study_id for spec in specs])
        (folder / "test_predictions.csv").write_text(text)
        run = read_run(folder)
        chances, line = known_truth(run, [root])
        floor = losses_of_report(run.labels, chances)[0, 0]
        flat = losses_of_report(run.labels, run.probabilities)[0, 0]
        if noise is Noise.NONE:
            assert "without a reader" in line
            assert floor == pytest.approx(0, abs=1e-12)
        else:
            assert "a reader gave the labels" in line
            assert 0.05 < floor < flat
    with pytest.raises(SystemExit, match="no root tells the truth"):
        known_truth(run, [tmp_path])


def test_a_name_that_stands_in_several_roots_has_the_truth_of_its_own(tmp_path):
    from compared.floor import known_truth
    from compared.runs import read_run

    grades = {"mild": 0, "bad": 2}
    for root, grade in grades.items():
        (tmp_path / root / "truth").mkdir(parents=True)
        told = json.dumps({"grades": {t.name: grade for t in TARGETS}})
        (tmp_path / root / "truth" / "7.json").write_text(told)
    folder = made_run(tmp_path / "run", sure())
    keys = ["0-mild-7", "1-bad-7"]
    labels = np.repeat([[0], [2]], 25, axis=1)
    flat = np.full((2, 25, 3), 1 / 3)
    (folder / "test_predictions.csv").write_text(predictions_csv(flat, labels, keys))
    chances, line = known_truth(read_run(folder), [tmp_path / root for root in grades])
    assert "labels are the truth" in line
    assert chances.argmax(axis=-1).tolist() == labels.tolist()
    with pytest.raises(SystemExit, match="in the order in which"):
        known_truth(read_run(folder), [tmp_path / root for root in reversed(grades)])


def test_the_logs_of_a_resumed_run_are_joined(tmp_path):
    from compared.curves import read_curve

    made_log(tmp_path, 0, ["0,9,,0.9", "0,9,2.0,", "1,19,,0.8"])
    made_log(tmp_path, 1, ["1,19,1.5,", "1,19,,0.7", "2,29,1.0,0.6"])
    curve = read_curve(tmp_path)
    assert curve.score.tolist() == [[9, 0.9], [19, 0.7], [29, 0.6]]
    assert curve.loss.tolist() == [[9, 2.0], [19, 1.5], [29, 1.0]]
    with pytest.raises(SystemExit, match="no logs"):
        read_curve(tmp_path / "logs")


def test_one_command_prints_and_writes_the_table_and_draws_the_curves(
    tmp_path, monkeypatch, capsys
):
    import recipe_table

    for name, said in (("study_phantom", sure(0.6)), ("level_grader", sure(0.9))):
        folder = made_run(tmp_path / "runs" / name, said, off_mm=np.full(25, 2.0))
        made_log(folder, 0, ["0,9,2.0,0.9", "1,19,1.5,0.8"])
    picture = tmp_path / "pictures" / "curves.png"
    options = [str(tmp_path / "runs"), "--out", str(tmp_path / "out"), "--curves", str(picture)]
    monkeypatch.setattr("sys.argv", ["experiments/recipe_table.py", *options])
    recipe_table.main()
    text = (tmp_path / "out" / "recipes.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert text.startswith("| recipe | mode | parameters, M |")
    assert "| level mode rather than study mode | study_phantom | level_grader | **+" in text
    assert "12 test studies; the floor is not told" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("sys.argv", ["experiments/recipe_table.py", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="no tested run"):
        recipe_table.main()

"""What a test run says of itself is what scoring its predictions says."""

import json

import numpy as np
import pytest

from volspine.anatomy import Grade
from volspine.challenge import LABEL_COLUMNS, MISSING
from volspine.decide import frequencies
from volspine.report.evaluation import judge
from volspine.report.evaluation_page import evaluation_page
from volspine.report.scored import read_scored
from volspine.tasks.evaluation import Places, evaluate, places_csv, predictions_csv
from volspine.tasks.evaluation_page import are_phantoms, judged_test, numbers_of_test
from volspine.tasks.hearing import Said


@pytest.fixture
def said():
    """Eight studies, some labels missing, places a few millimetres off."""
    rng = np.random.default_rng(0)
    p, labels = rng.dirichlet(np.ones(3), (8, 25)).round(6), rng.integers(-1, 3, (8, 25))
    p[..., 2] = 1 - p[..., 0] - p[..., 1]
    true = rng.normal(0, 100, (8, 25, 3))
    places = Places(true + rng.normal(0, 2, true.shape), true)
    return Said(p, labels, [str(n) for n in range(8)], places)


@pytest.fixture
def judged(said):
    result = evaluate(said.probabilities, said.grades, frequencies(said.grades))
    return judged_test(said, result, is_phantom=True)


def test_scoring_the_predictions_of_a_run_gives_the_numbers_of_its_test(said, judged, tmp_path):
    rows = [",".join(["study_id", *LABEL_COLUMNS])]
    for key, labels in zip(said.keys, said.grades.tolist(), strict=True):
        rows.append(",".join([key, *("" if g == MISSING else Grade(g).label for g in labels)]))
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    table = tmp_path / "test_predictions.csv"
    table.write_text(predictions_csv(*said[:3]))
    (scored,) = read_scored(tmp_path / "train.csv", table, is_calibrated=True)
    again = judge(scored)
    assert again.score.to_dict() == pytest.approx(judged.score.to_dict(), abs=1e-5)
    for name, estimate in judged.headline["all"].items():
        assert again.headline["all"][name] == pytest.approx(estimate, abs=1e-4)
    for one, other in zip(again.cells, judged.cells, strict=True):
        assert one.measures == pytest.approx(other.measures, abs=1e-4, nan_ok=True)


def test_the_page_has_the_prior_the_places_and_the_warning(judged):
    html = evaluation_page(judged)
    assert "How far off targets were looked for" in html
    assert "frequencies of the training split" in html
    assert "These studies are synthetic (phantoms)" in html


def test_the_numbers_are_plain_and_hold_all_25_cells(said, judged):
    numbers = json.loads(json.dumps(numbers_of_test(judged), allow_nan=False))
    assert len(numbers["cells"]) == 25
    low, high = numbers["score_interval_95"]["total"]
    assert low <= judged.score.total <= high
    places = numbers["localization_95"]["canal"]
    rows = places_csv(said.places, said.keys).splitlines()[1:]
    canal = [float(row.split(",")[1]) for row in rows if "spinal_canal" in row]
    assert places["median_mm"] == pytest.approx(np.median(canal), abs=0.01)


def test_made_up_people_and_roots_with_their_truth_are_phantoms(tmp_path):
    class Data:
        """As far as it matters here."""

        def __init__(self, *roots):
            self.places = type("Places", (), {"roots": roots})

    (tmp_path / "a" / "truth").mkdir(parents=True)
    (tmp_path / "a" / "truth" / "1.json").write_text("{}")
    assert are_phantoms(Data())
    assert are_phantoms(Data(tmp_path / "a"))
    assert not are_phantoms(Data(tmp_path / "a", tmp_path))

"""The evaluation of a submission as data, text and page."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest

from volspine.anatomy import TARGETS, Condition
from volspine.challenge import LABEL_COLUMNS, PROBABILITY_COLUMNS, row_id
from volspine.metrics.rsna import rsna_score
from volspine.report.evaluation import Evaluation, evaluate
from volspine.report.evaluation_page import evaluation_page
from volspine.report.evaluation_text import evaluation_text
from volspine.report.scored import read_scored
from volspine.report.worst import study_parts, worst_studies

TRUTH = pd.DataFrame({"study_id": ["1", "2"], **dict.fromkeys(LABEL_COLUMNS, "Normal/Mild")})
SAID = pd.DataFrame(
    [(row_id(s, t), 0.5, 0.3, 0.2) for s in (1, 2) for t in TARGETS],
    columns=["row_id", *PROBABILITY_COLUMNS],
)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(TRUTH, SAID, resamples=10)


def test_it_holds_the_score_and_intervals_around_it(evaluation: Evaluation) -> None:
    assert evaluation.score == rsna_score(TRUTH, SAID)
    assert evaluation.score.spinal == pytest.approx(np.log(2))
    assert set(evaluation.intervals) == set(evaluation.score.to_dict())
    assert evaluation.intervals["total"][0].low == pytest.approx(evaluation.score.total)
    assert (evaluation.num_studies, evaluation.num_rows) == (2, 50)
    assert evaluation.confusion == ((50, 0, 0), (0, 0, 0), (0, 0, 0))


def test_what_is_not_defined_is_null_in_data_and_n_a_in_text(evaluation: Evaluation) -> None:
    """One grade throughout leaves kappa without a meaning."""
    data = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert data["agreement"]["all"]["kappa"] is None
    assert data["agreement"]["all"]["accuracy"] == 1.0
    assert "n/a" in evaluation_text(evaluation)


def test_without_intervals_the_page_has_no_empty_cells(evaluation: Evaluation) -> None:
    plain = dataclasses.replace(evaluation, intervals={}, resamples=0)
    html = evaluation_page(plain)
    assert "bootstrap" not in html
    assert "95 % interval" not in html.partition("Did what was said")[0]
    assert "bootstrap" in evaluation_page(evaluation)


def test_what_the_studies_add_to_the_score_adds_up_to_it() -> None:
    (scored,) = read_scored(TRUTH, SAID)
    uneven = dataclasses.replace(scored, submitted=scored.submitted.copy())
    uneven.submitted[0, 7] = [0.01, 0.01, 0.98]
    parts = study_parts(uneven.terms)
    assert parts.sum() == pytest.approx(uneven.terms.score().total)
    first, second = worst_studies(uneven, uneven.terms)
    assert (first.study, second.study) == ("1", "2")
    assert first.target == TARGETS[7]
    assert first.part + second.part == pytest.approx(uneven.terms.score().total)
    assert first.share + second.share == pytest.approx(1.0)


def test_left_and_right_are_not_swapped_in_the_tables(evaluation: Evaluation) -> None:
    """Left foramina are said to be severe: the left columns alone are dark and cost much."""
    said = SAID.copy()
    said["row_id"] = said["row_id"].astype(str)
    left = said["row_id"].str.contains("left_neural")
    said.loc[left, list(PROBABILITY_COLUMNS)] = [0.05, 0.05, 0.9]
    found = evaluate(TRUTH, said, resamples=0)
    parts = {c.target: c.measures["score_part"] for c in found.cells}
    for target, part in parts.items():
        is_left = target.condition is Condition.LEFT_NEURAL_FORAMINAL_NARROWING
        assert (part > 2) == is_left
    html = evaluation_page(found)
    heat = html[html.index("<h3>Score part</h3>") :]
    row = heat[heat.index('<th scope="row">L4/L5</th>') :].partition("</tr>")[0]
    assert re.findall(r'class="s(\d)"', row) == ["0", "5", "0", "0", "0"]
    columns = re.findall(r'<th scope="col">([^<]+)</th>', heat.partition("</thead>")[0])
    assert columns[2].startswith("Left neural")

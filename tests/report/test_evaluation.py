"""The evaluation of a submission as data, text and page."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from volspine.anatomy import TARGETS
from volspine.challenge import LABEL_COLUMNS, PROBABILITY_COLUMNS, row_id
from volspine.metrics.rsna import rsna_score
from volspine.report.evaluation import Evaluation, evaluate
from volspine.report.evaluation_page import evaluation_page
from volspine.report.evaluation_text import evaluation_text

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

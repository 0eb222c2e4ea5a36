"""Reliability in the evaluation: marks at the right places, weights undone, one whole page."""

import re

import numpy as np
import pandas as pd
import pytest

from volspine.anatomy import TARGETS, Grade
from volspine.challenge import LABEL_COLUMNS, PROBABILITY_COLUMNS, row_id
from volspine.decide import decide
from volspine.metrics.bootstrap import Interval
from volspine.metrics.reliability import Bin, Reliability, reliability
from volspine.report.diagram import MARGIN, SIZE, panel
from volspine.report.evaluation import evaluate
from volspine.report.evaluation_page import evaluation_page
from volspine.report.evaluation_text import evaluation_text

NOTHING = Interval(float("nan"), float("nan"), 0.95)


def judged(*bins: Bin) -> Reliability:
    events = round(sum(b.rows * b.seen for b in bins))
    rows = sum(b.rows for b in bins)
    return Reliability(rows, events, bins, 0.1, NOTHING, 0.05, 0.2, 1.0, NOTHING)


def test_a_mark_is_right_of_what_was_said_and_as_high_as_what_was_seen():
    never = Bin(10, 0.0, 0.0, Interval(0.0, 0.3, 0.95))
    often = Bin(40, 0.5, 1.0, Interval(0.8, 1.0, 0.95))
    shown = panel("severe", judged(never, often))
    left, right = shown.marks
    assert (left.x, left.y) == (MARGIN, SIZE + MARGIN / 2)
    assert (right.x, right.y) == (MARGIN + SIZE / 2, MARGIN / 2)
    assert left.top < left.bottom == left.y
    assert right.radius == 2 * left.radius, "the area is as the rows"
    assert right.text == "40 rows: said 0.500, seen 1.000 (0.800 to 1.000)"
    assert shown.caption == "came true in 40 of 50 rows"


def test_an_event_without_rows_has_an_empty_square():
    shown = panel("severe", judged())
    assert shown.marks == ()
    assert shown.caption == "no row has a label"


@pytest.fixture(scope="module")
def made():
    """Forty studies with calibrated probabilities, and the submission made from them."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet([2, 1, 1], size=(40, 25))
    labels = (rng.random((40, 25, 1)) > p.cumsum(-1)[..., :-1]).sum(-1)
    truth = pd.DataFrame([[Grade(g).label for g in row] for row in labels], columns=LABEL_COLUMNS)
    truth.insert(0, "study_id", [str(n) for n in range(40)])
    given = pd.DataFrame(
        [(row_id(n, t), *decide(p[n, t.index])) for n in range(40) for t in TARGETS],
        columns=["row_id", *PROBABILITY_COLUMNS],
    )
    return p, labels, evaluate(truth, given, resamples=20)


def test_the_metrics_weights_are_undone_before_calibration_is_judged(made):
    p, labels, evaluation = made
    expected = reliability(p, labels, resamples=20)
    for finding, events in evaluation.calibration.items():
        for event, found in events.items():
            assert found.ece == pytest.approx(expected[finding][event].ece)
            assert found.slope == pytest.approx(expected[finding][event].slope)


def test_data_and_text_hold_the_calibration(made):
    *_, evaluation = made
    severe = evaluation.to_dict()["calibration"]["spinal_canal_stenosis"]["severe"]
    assert severe["rows"] == 200
    assert severe["ece_low"] <= severe["ece_high"]
    line = next(x for x in evaluation_text(evaluation).splitlines() if "Confidence" in x)
    assert re.fullmatch(r"Spinal canal stenosis +Confidence +0\.\d{3} +0\.\d{3} +\d\.\d{2}", line)


def test_the_page_draws_every_bin_and_needs_nothing_else(made):
    *_, evaluation = made
    html = evaluation_page(evaluation)
    assert html.count("<svg") == 12 + 1 + 8
    bins = sum(len(e.bins) for f in evaluation.calibration.values() for e in f.values())
    assert html.count("<circle") == bins + html.count('class="point"') > 50
    assert "nan" not in html.lower()
    assert not re.search(r"(src|href)=|https?://", html)

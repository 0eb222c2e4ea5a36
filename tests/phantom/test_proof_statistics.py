"""Proof of the labels: 20,000 draws against the published counts and the matrix of the file."""

import csv
from importlib.resources import files

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Finding
from volspine.phantom.labels import draw_severity, grades_of
from volspine.phantom.prevalence import cutpoints
from volspine.phantom.spec import Spec, Stage
from volspine.phantom.truth import build_truth

COUNTS = {
    "spinal_canal_stenosis": "1886/67/21 1770/151/53 1622/230/122 1482/237/255 1904/51/19",
    "left_neural_foraminal_narrowing": "1908/63/2 1791/171/11 1522/411/40 1204/629/140 "
    "1247/520/206",
    "right_neural_foraminal_narrowing": "1891/63/13 1793/168/6 1512/414/41 1208/629/130 "
    "1281/496/190",
    "left_subarticular_stenosis": "1690/93/28 1555/255/83 1324/454/194 887/624/461 1408/409/147",
    "right_subarticular_stenosis": "1680/110/24 1577/243/73 1322/454/197 891/622/460 1399/396/173",
}
"""Normal or mild, moderate and severe, L1/L2 to L5/S1, of 1,975 studies of the RSNA challenge."""

DRAWS = 20_000


@pytest.fixture(scope="module")
def severity():
    return draw_severity(np.random.default_rng(20), DRAWS)


def published():
    rows = [
        [int(n) for n in group.split("/")] for text in COUNTS.values() for group in text.split()
    ]
    counts = np.array(rows, dtype=float)
    return counts / counts.sum(axis=1, keepdims=True)


def test_the_prevalence_is_the_published_one_up_to_chance(severity):
    grades = grades_of(severity, cutpoints())
    drawn = np.stack([(grades == g).mean(axis=0) for g in range(3)], axis=1)
    wanted = published()
    # .006, or three standard errors of 20,000 draws where those are more: .0106 at one half.
    chance = 3 * np.sqrt(wanted * (1 - wanted) / DRAWS)
    assert (np.abs(drawn - wanted) <= np.maximum(0.006, chance)).all()
    assert np.abs(drawn - wanted).mean() < 0.003


def test_the_severities_correlate_as_the_file_says(severity):
    source = files("volspine.phantom") / "data" / "latent_correlation.csv"
    rows = list(csv.reader(source.read_text(encoding="utf-8").splitlines()))
    wanted = np.array(rows[1:], dtype=float)
    assert wanted == pytest.approx(wanted.T)
    error = np.corrcoef(severity.T) - wanted
    assert np.sqrt((error**2).mean()) <= 0.015


def test_facts_that_were_never_aimed_at_come_near(severity):
    grades = grades_of(severity, cutpoints())
    canal = [t.index for t in TARGETS if t.finding is Finding.CANAL]
    assert (grades == 2).any(axis=1).mean() == pytest.approx(0.496, abs=0.05)
    assert (grades == 0).all(axis=1).mean() == pytest.approx(0.129, abs=0.04)
    assert (grades[:, canal] == 2).any(axis=1).mean() == pytest.approx(0.185, abs=0.02)
    assert (grades == 2).sum(axis=1).mean() == pytest.approx(1.56, abs=0.15)


@pytest.mark.parametrize(
    "count", [pytest.param(4, id="few"), pytest.param(80, id="many", marks=pytest.mark.slow)]
)
def test_the_measured_geometry_keeps_the_grades_that_were_drawn(count):
    agree = []
    for index in range(count):
        spec = Spec(seed=2, index=index)
        drawn = draw_severity(spec.stream(Stage.SEVERITY), 1)[0]
        agree.append(build_truth(spec).grades == grades_of(drawn, cutpoints()))
    assert np.mean(agree) > 0.98

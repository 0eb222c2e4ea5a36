"""The page stands alone, says what it must, and escapes what it was given."""

import re
from html.parser import HTMLParser

import numpy as np

from tests.report.made_up import PHANTOM, make_grades, make_study, recesses, sagittal_stack
from volspine.anatomy import Condition
from volspine.grades import RESEARCH_USE, StudyGrades
from volspine.report.html import render_report
from volspine.report.keyimages import key_images


class Cells(HTMLParser):
    """The cells of the severity map, row by row."""

    def __init__(self):
        super().__init__()
        self.rows, self.text, self.inside = [], None, False

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.inside = ("class", "map") in attributes
        if self.inside and tag == "tr":
            self.rows.append([])
        if self.inside and tag in {"td", "th"}:
            self.text = ""

    def handle_data(self, data):
        if self.text is not None:
            self.text += data + " "

    def handle_endtag(self, tag):
        if tag in {"td", "th"} and self.text is not None:
            self.rows[-1].append(" ".join(self.text.split()))
            self.text = None


def severity_map(page):
    parser = Cells()
    parser.feed(page)
    return [row for row in parser.rows if row]


def test_the_map_reads_without_colour_and_keeps_the_sides():
    head, *levels = severity_map(render_report(make_grades()))
    assert head == ["Level", *(condition.label for condition in Condition)]
    assert [row[0] for row in levels] == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
    assert levels[3][head.index("Right subarticular stenosis")] == "Severe 0.90"
    assert levels[3][head.index("Left subarticular stenosis")] == "Moderate 0.70"


def test_what_was_filled_in_is_marked_and_explained():
    page = render_report(make_grades(imputed=recesses()))
    assert severity_map(page)[4][5] == "Severe 0.90 imputed"
    assert "no axial T2 series: Left subarticular stenosis L1/L2" in page


def test_every_page_says_what_it_must():
    page = render_report(make_grades())
    for text in (
        RESEARCH_USE,
        "Trained on: 120 phantoms.",
        "real patient are not valid",
        "score: 0.61; prior: 0.8",
        "s1: one slice is missing",
        "ab" * 32,
        "read 0.5, grade 1.25",
    ):
        assert text in page, text


def test_the_page_asks_nothing_of_the_network():
    study = make_study(sagittal_t2=sagittal_stack(np.random.default_rng(0).random((21, 31, 6))))
    grades = make_grades(imputed=np.arange(25) >= 5)
    page = render_report(grades, key_images(study, grades))
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page


def test_a_view_of_no_located_level_is_shown_once_a_condition():
    study = make_study(sagittal_t2=sagittal_stack(np.random.default_rng(0).random((21, 31, 6))))
    grades = make_grades(imputed=np.arange(25) >= 5)
    assert render_report(grades, key_images(study, grades)).count("<figure>") == 1


def test_markup_in_a_series_name_stays_text():
    series = [{"name": "<script>alert(1)</script>", "protocol": "p", "reason": "r", "use": "no"}]
    faults = [{"path": "<img src=x>", "code": "VS-X", "reason": "<b>"}]
    provenance = {**PHANTOM, "series": series, "faults": faults, "repairs": ["<i>x</i>"]}
    page = render_report(make_grades(provenance=provenance, name="<u>name"))
    for markup in ("<script", "<img src=x", "<b>", "<i>", "<u>"):
        assert markup not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_refused_study_has_a_page_with_its_reason():
    page = render_report(StudyGrades.refused("x", "a knee", PHANTOM))
    assert "a knee" in page
    assert "refused" in page
    assert "Probabilities" not in page
    assert severity_map(page)[1][1] == "not graded"

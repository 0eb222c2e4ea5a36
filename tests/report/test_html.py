"""The page stands alone, says what it must, and escapes what it was given."""

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import numpy as np

from tests.dicom.series_factory import save, series
from tests.report.made_up import PHANTOM, make_grades, make_study, recesses, sagittal_stack
from volspine.dicom.reading import read_study
from volspine.grades import RESEARCH_USE, StudyGrades
from volspine.inference.provenance import study_facts
from volspine.report.html import PAGE_BYTES, render_report, study_series
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


HEAD = ["R foramen", "R recess", "canal", "L recess", "L foramen"]


def severity_map(page):
    parser = Cells()
    parser.feed(page)
    return [row for row in parser.rows if row]


def test_the_map_reads_without_colour_and_keeps_the_sides():
    rows = severity_map(render_report(make_grades()))
    head = next(row for row in rows if row[0] == "Level")
    assert [cell.split("stenosis")[-1].split("narrowing")[-1].strip() for cell in head[1:]] == HEAD
    assert "Right subarticular stenosis" in head[2]
    levels = [row for row in rows if "/" in row[0]]
    assert [row[0] for row in levels] == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
    assert levels[3][HEAD.index("R recess") + 1] == "S Severe 90 %"
    assert levels[3][HEAD.index("L recess") + 1] == "M Moderate 70 %"


def test_what_was_filled_in_is_marked_and_explained():
    page = render_report(make_grades(imputed=recesses()))
    row = next(row for row in severity_map(page) if row[0] == "L4/L5")
    assert row[HEAD.index("R recess") + 1] == "– not measured"
    assert "no axial T2 series: Left subarticular stenosis L1/L2" in page
    assert "Not measured: both recesses." in page


def test_every_page_says_what_it_must():
    page = render_report(make_grades())
    for text in (
        RESEARCH_USE,
        "Trained on: 120 phantoms.",
        "real patient are not valid",
        "0.610",
        "0.800",
        "s1: one slice is missing",
        "ab" * 32,
        "read 0.5, grade 1.25",
    ):
        assert text in page, text


def small_study():
    return make_study(sagittal_t2=sagittal_stack(np.random.default_rng(0).random((21, 31, 6))))


def whole_page(grades, study):
    images = key_images(study, grades)
    return render_report(grades, images, series=study_series(study, grades, images))


def test_the_page_asks_nothing_of_the_network():
    page = whole_page(make_grades(imputed=np.arange(25) >= 5), small_study())
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert sources
    assert all(source.startswith(("data:image/jpeg;base64,", "#")) for source in sources)
    for address in ("https://", "url(", "@import", "fetch(", "XMLHttp"):
        assert address not in page
    assert page.replace("http://www.w3.org/2000/svg", "").count("http://") == 0
    assert len(page) < PAGE_BYTES


def test_the_policy_names_the_very_style_and_script_and_nothing_else():
    page = whole_page(make_grades(imputed=np.arange(25) >= 5), small_study())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    parts = dict(part.strip().split(" ", 1) for part in html.unescape(policy).split(";"))
    assert parts.pop("default-src") == parts.pop("base-uri") == parts.pop("form-action") == "'none'"
    assert parts.pop("img-src") == "data:"
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert parts.pop(name) == f"'sha256-{digest}'"
    assert parts == {}
    assert " style=" not in page
    quiet = re.sub("<script>.*</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"<[^>]* on[a-z]+=", quiet)


def test_a_view_of_no_located_level_is_shown_once_a_condition():
    grades = make_grades(imputed=np.arange(25) >= 5)
    page = render_report(grades, key_images(small_study(), grades))
    assert page.count('<figure class="key-image') == 1
    assert "<h3>All levels</h3>" in page


def test_markup_in_a_series_name_stays_text():
    series = [{"name": "<script>alert(1)</script>", "protocol": "p", "reason": "r", "use": "no"}]
    faults = [{"path": "<img src=x>", "code": "VS-X", "reason": "<b>"}]
    provenance = {**PHANTOM, "series": series, "faults": faults, "repairs": ["<i>x</i>"]}
    page = render_report(make_grades(provenance=provenance, name="<u>name"))
    for markup in ("<script>alert", "<img src=x", "<i>", "<u>"):
        assert markup not in page
    assert "<b>" not in page.split('id="gaps"')[1]
    assert "&lt;script&gt;alert(1)" in page


MARKUP = '<svg onload=alert(1)>"><img src=x onerror=alert(2)>'


def test_markup_in_dicom_headers_and_folder_names_does_not_reach_the_page(tmp_path):
    folder = tmp_path / MARKUP.replace("/", "") / "series <b>one"
    slices = series(spacing_mm=4.0)
    for number, each in enumerate(slices):
        each.SeriesDescription = each.ProtocolName = f"T2 {MARKUP}"
        each.StudyDescription = MARKUP
        save(each, folder / f"{number}<i>.dcm")
    (folder / "no<u>t.dcm").write_bytes(b"nothing")
    study = read_study(folder.parent)
    grades = make_grades(provenance={**PHANTOM, **study_facts(study)})
    page = whole_page(grades, study)
    assert page.count('class="slice"') == 15
    for markup in ("<svg onload", "<img src=x", "<b>one", "<i>", "<u>"):
        assert markup not in page


def test_a_refused_study_has_a_page_with_its_reason():
    page = render_report(StudyGrades.refused("x", "a knee", PHANTOM))
    assert "a knee" in page
    assert "refused" in page
    assert "Probabilities" not in page
    row = next(row for row in severity_map(page) if row[0] == "L1/L2")
    assert row[1] == "– not graded"

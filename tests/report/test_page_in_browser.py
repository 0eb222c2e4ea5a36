"""The report in a real browser: it asks for nothing, complains of nothing, and does what it says.

One small page is opened once, at the width of a desk and then of a telephone; every test drives it
as a reader would, with keys and the mouse.
"""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.report import one_sided
from tests.report.chromium import browser
from volspine.report.html import render_report, study_series
from volspine.report.keyimages import key_images

HOSTILE = (
    '<script>window.hacked = 1</script>"><img src=x onerror="window.hacked = 2">'
    "</script></title></style>'{{ 7 * 7 }}javascript:window.hacked=3"
)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    study = one_sided.study(name=HOSTILE)
    for series in study.series:
        series.reason = HOSTILE
    grades = one_sided.grades(study)
    told = {"repairs": [HOSTILE], "faults": [{"path": HOSTILE, "code": HOSTILE, "reason": HOSTILE}]}
    grades.provenance.update(told)
    images = key_images(study, grades)
    page = render_report(grades, images, series=study_series(study, grades, images))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(page_file, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.open(page_file)
        yield opened


@pytest.fixture(autouse=True)
def nothing_is_asked_for_or_complained_of(page, page_file):
    """After every test: not one request but for the page itself, no error, no warning."""
    yield
    assert set(page.requests()) <= {page_file.as_uri()}
    assert page.complaints() == []
    assert page.ask("window.hacked") is None


def in_panel(number, selector):
    return f"document.querySelector('#series-{number} {selector}')"


def words(page, number):
    """What is said below the picture, and what belongs to the slice that is seen."""
    told = page.ask(in_panel(number, ".where") + ".textContent")
    seen = page.ask(
        f"[...document.querySelectorAll('#series-{number} .slice')]"
        ".filter(slice => slice.offsetParent !== null).map(slice => slice.dataset.words)"
    )
    assert seen == [told]
    assert (
        page.ask(in_panel(number, "input[type=range]") + ".getAttribute('aria-valuetext')") == told
    )
    return told


def rect(page, selector):
    """Where an element is in the window; of a text of several lines, the first."""
    element = f"document.querySelector({json.dumps(selector)})"
    return json.loads(page.ask(f"JSON.stringify({element}.getClientRects()[0])"))


def middle(page, selector):
    where = "{block: 'center', behavior: 'instant'}"
    page.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({where})")
    box = rect(page, selector)
    return box["left"] + box["width"] / 2, box["top"] + box["height"] / 2


def seen(page):
    data = base64.b64decode(page.screenshot())
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)


def focus_on(page, number):
    page.ask(in_panel(number, ".stage") + ".focus()")


def test_hostile_names_are_text_and_nothing_else(page):
    text = page.ask("document.body.innerText")
    assert text.count(HOSTILE) >= 5
    assert page.ask("document.querySelectorAll('script, style').length") == 2
    sources = page.ask("[...document.images].every(i => i.src.startsWith('data:image/'))")
    assert sources
    assert page.ask("document.images.length") > 60


def test_the_policy_stops_a_script_that_was_not_in_the_page(page):
    page.ask(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 4';"
        " document.body.append(s); s.remove(); })()"
    )
    page.ask("new Promise(done => setTimeout(done, 50))")
    assert page.ask("window.hacked") is None
    (said,) = page.complaints()
    assert "Content Security Policy" in said
    page.events.clear()


def test_arrow_keys_change_the_slice_up_to_the_last(page):
    focus_on(page, 2)
    page.press("Home")
    first = words(page, 2)
    page.press("ArrowDown")
    second = words(page, 2)
    page.press("ArrowUp")
    page.press("ArrowUp")  # No further than the first.
    assert words(page, 2) == first
    page.press("End")
    last = words(page, 2)
    page.press("ArrowRight")
    assert words(page, 2) == last
    assert [w.split(",")[0] for w in (first, second, last)] == [
        "slice 1 of 36",
        "slice 2 of 36",
        "slice 36 of 36",
    ]
    assert "above the middle of L1/L2" in first  # From head to foot.
    assert "below the middle of L5/S1" in last


def test_the_slider_and_its_own_keys_change_the_slice(page):
    page.ask(in_panel(1, "input[type=range]") + ".focus()")
    page.press("Home")
    assert words(page, 1) == "slice 16 of 16, 30 mm to the patient's right of the midline"
    page.press("ArrowRight")
    assert words(page, 1) == "slice 15 of 16, 26 mm to the patient's right of the midline"


def test_the_wheel_changes_the_slice_where_the_page_does_not_scroll(page):
    x, y = middle(page, "#series-2 .stage")
    focus_on(page, 2)
    page.press("Home")
    page.ask("new Promise(done => setTimeout(done, 400))")
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=120)
    page.ask("new Promise(done => setTimeout(done, 50))")
    assert words(page, 2).startswith("slice 2 of 36")


def test_the_ball_is_seen_on_the_side_of_the_l(page):
    middle(page, "#series-2 .stage")
    focus_on(page, 2)
    page.press("Home")
    while not words(page, 2).startswith("slice 19 of 36"):  # z = 0.
        page.press("ArrowDown")
    page.ask("document.getElementById('show-places').click()")
    picture = seen(page)
    page.ask("document.getElementById('show-places').click()")
    box = rect(page, "#series-2 .slice:not([hidden]) img")
    edge = {
        letter: rect(page, f"#series-2 .slice:not([hidden]) text[data-edge={side}]")["left"]
        for letter, side in (("R", "left"), ("L", "right"))
    }
    said = page.ask(
        "[...document.querySelectorAll('#series-2 .slice:not([hidden]) text[data-edge]')]"
        ".map(t => t.textContent).join('')"
    )
    assert said == "RLAP"
    top, left = round(box["top"]), round(box["left"])
    inner = picture[top : round(box["bottom"]), left : round(box["right"])]
    height, width = inner.shape
    part = inner[height // 8 : -height // 8, width // 8 : -width // 8] > 200
    assert part.sum() > 100
    ball = left + width // 8 + np.nonzero(part)[1].mean()
    assert edge["R"] < left + width / 2 < ball < edge["L"]


def test_a_click_finds_the_same_place_in_every_series(page):
    focus_on(page, 1)
    page.press("Home")
    _, y = middle(page, "#series-2 .stage")
    box = rect(page, "#series-2 .slice:not([hidden]) .zoomed")
    # 20 mm to the patient's left of the midline, which is 59.25 mm from the picture's left edge.
    page.click(box["left"] + box["width"] * 79.25 / 120, y)
    assert "20 mm" in words(page, 1) or "18 mm" in words(page, 1) or "22 mm" in words(page, 1)
    assert "to the patient's left" in words(page, 1)
    assert words(page, 0) == words(page, 1)


def test_other_slices_are_drawn_where_they_cut(page):
    count = "document.querySelectorAll('#series-1 .slice:not([hidden]) .lines line').length"
    assert page.ask(count) == 1  # The axial one; the other sagittal one is parallel.
    ends = page.ask(
        "['y1', 'y2'].map(n => document.querySelector("
        "'#series-1 .slice:not([hidden]) .lines line').getAttribute(n))"
    )
    assert ends[0] == ends[1]
    focus_on(page, 2)
    page.press("ArrowDown")
    lower = page.ask(
        "document.querySelector('#series-1 .slice:not([hidden]) .lines line').getAttribute('y1')"
    )
    assert float(lower) - float(ends[0]) == pytest.approx(4.0, abs=0.02)


def test_zoom_keeps_the_letters_in_sight_and_lengthens_the_bar(page):
    page.ask("document.getElementById('as-it-was').click()")
    letters = "#series-2 .slice:not([hidden]) text[data-edge=left]"
    bar = "#series-2 .slice:not([hidden]) .scale path"
    before = rect(page, letters), rect(page, bar)["width"]
    page.ask(
        "(() => { const z = document.getElementById('zoom'); z.value = 200;"
        " z.dispatchEvent(new Event('input')); })()"
    )
    after = rect(page, letters), rect(page, bar)["width"]
    wide = rect(page, "#series-2 .slice:not([hidden]) img")["width"]
    page.ask("document.getElementById('as-it-was').click()")
    assert after[0]["left"] == before[0]["left"]
    assert after[1] == pytest.approx(2 * before[1], rel=0.05)
    assert wide == pytest.approx(2 * rect(page, "#series-2 .slice:not([hidden]) img")["width"])


def test_a_key_image_leads_to_its_slice(page):
    link = "#key-l3_l4-left_subarticular_stenosis a"
    page.ask(f"document.querySelector('{link}').focus()")
    page.press("Enter")
    assert words(page, 2).startswith("slice 19 of 36")
    assert page.ask("location.hash") == "#series-2"


def test_enter_enlarges_a_key_image_arrow_keys_go_on_and_escape_closes_it(page):
    caption = "document.querySelector('dialog .caption').textContent"
    page.ask("document.querySelector('#key-l3_l4-left_subarticular_stenosis .shown').focus()")
    page.press("Enter")
    assert page.ask("document.querySelector('dialog').open")
    assert page.ask(caption).startswith("Left subarticular stenosis L3/L4: Severe")
    shape = "[e => e.width / e.height, e => e.naturalWidth / e.naturalHeight]"
    drawn = page.ask(f"{shape}.map(f => f(document.querySelector('dialog img')))")
    assert drawn[0] == pytest.approx(drawn[1], rel=0.01)
    page.press("ArrowRight")
    assert page.ask(caption).startswith("Left neural foraminal narrowing L3/L4")
    page.press("Escape")
    page.ask("new Promise(done => setTimeout(done, 50))")
    assert not page.ask("document.querySelector('dialog').open")
    focused = "document.activeElement.closest('figure').id"
    assert page.ask(focused) == "key-l3_l4-left_neural_foraminal_narrowing"


def test_everything_that_can_be_operated_has_a_name_and_every_picture_a_text(page):
    nameless = page.ask(
        "[...document.querySelectorAll('input, button, a, [tabindex]')].filter(e => !("
        "e.textContent.trim() || e.labels?.length || e.ariaLabel || e.querySelector('img[alt]')"
        ")).map(e => e.outerHTML)"
    )
    assert nameless == []
    without = "[...document.images].filter(i => !i.hasAttribute('alt')).length"
    assert page.ask(without) == 0
    ids = "[...document.querySelectorAll('[id]')].map(e => e.id)"
    found = page.ask(ids)
    assert len(found) == len(set(found))
    lost = (
        "[...document.querySelectorAll('a[href^=\"#\"]')]"
        ".filter(a => !document.getElementById(a.getAttribute('href').slice(1))).length"
    )
    assert page.ask(lost) == 0


def test_paper_gets_every_finding_and_none_of_the_controls(page):
    page.send("Emulation.setEmulatedMedia", media="print")
    shown = (
        "[...document.querySelectorAll('.tools, .scroller, nav, dialog')]"
        ".filter(e => e.offsetParent).length"
    )
    assert page.ask(shown) == 0
    assert page.ask("document.querySelectorAll('.levels dd').length") == 5
    printed = base64.b64decode(page.send("Page.printToPDF", printBackground=True)["data"])
    page.send("Emulation.setEmulatedMedia", media="")
    pages = printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ")
    assert 3 <= pages <= 14


def test_a_telephone_shows_it_without_scrolling_sideways(page):
    page.send(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=800,
        deviceScaleFactor=1,
        mobile=False,
    )
    assert page.ask("document.documentElement.scrollWidth") <= 390
    box = rect(page, "#key-l3_l4-right_subarticular_stenosis")
    other = rect(page, "#key-l3_l4-left_subarticular_stenosis")
    assert box["top"] == other["top"]
    assert box["left"] < other["left"]  # As in the map: the patient's right is on the left.

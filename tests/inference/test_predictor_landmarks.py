"""What the places of the levels do to a result."""

import dataclasses

import numpy as np
import pytest

from volspine.anatomy import LEVELS, TARGETS, Side
from volspine.inference import placed
from volspine.inference import predictor as module
from volspine.inference.predictor import Predictor
from volspine.landmarks import CHAIN, Landmarks
from volspine.models.localizer import Localizer
from volspine.report.table import grade_rows

ABSENT = TARGETS[4].index  # The canal at L5/S1.


def landmarks(doubts=()):
    """A straight spine, left at +x, without the canal at L5/S1."""
    beside = {Side.LEFT: 15.0, Side.RIGHT: -15.0, None: 0.0}
    points = np.array([(beside[t.side], 2.0, -30.0 * LEVELS.index(t.level)) for t in TARGETS])
    there = np.arange(len(TARGETS)) != ABSENT
    points[~there] = np.nan
    return Landmarks(
        points_mm=points,
        spread_mm=np.where(there, 2.5, np.nan),
        confidence=np.where(there, 0.9, 0.0),
        reasons=tuple("" if t else "L5/S1 lies below the field of view" for t in there),
        chain_mm=np.full((len(CHAIN), 3), np.nan),
        level_confidence=np.full(len(LEVELS), 0.8),
        doubts=tuple(doubts),
    )


@pytest.fixture
def locating(tiny_bundle, monkeypatch):
    """A predictor whose localizer finds what it is told to find, and the calls it got."""
    made = Predictor(tiny_bundle, device="cpu")
    found = {"answer": landmarks(), "calls": []}

    def locate(study, localizer, *, device, shift_levels):
        found["calls"].append((study, localizer, device, shift_levels))
        return found["answer"]

    monkeypatch.setattr(placed, "locate", locate)
    made.bundle = dataclasses.replace(made.bundle, localizer=Localizer())
    return made, found


def test_every_target_gets_its_place_and_one_without_gets_a_reason(locating, study):
    predictor, _ = locating
    rows = grade_rows(predictor.predict(study).grades)
    left = TARGETS.index(next(t for t in TARGETS if t.side is Side.LEFT))
    assert (rows[left]["x_mm"], rows[left]["y_mm"], rows[left]["z_mm"]) == (15.0, 2.0, 0.0)
    assert rows[left]["reason"] == ""
    assert not rows[ABSENT]["imputed"]
    assert np.isnan(rows[ABSENT]["x_mm"])
    assert rows[ABSENT]["reason"] == "L5/S1 lies below the field of view"


def test_the_result_holds_the_landmarks_with_spread_and_confidence(locating, study):
    predictor, _ = locating
    data = predictor.predict(study).to_dict()
    assert data["landmarks_mm"]["spinal_canal_stenosis_l2_l3"] == [0.0, 2.0, -30.0]
    assert data["landmarks_mm"]["spinal_canal_stenosis_l5_s1"] is None
    point = data["landmarks"]["points"]["spinal_canal_stenosis_l2_l3"]
    assert (point["spread_mm"], point["confidence"]) == (2.5, 0.9)
    assert data["landmarks"]["level_confidence"]["l3_l4"] == 0.8
    assert "locate" in data["timings_s"]


def test_a_doubtful_numbering_is_said_in_every_output(locating, study, tmp_path):
    predictor, found = locating
    found["answer"] = landmarks(["no sacrum is in view"])
    graded = predictor.predict(study)
    text = "the numbering of the levels is doubtful: no sacrum is in view"
    assert text in graded.to_dict()["warnings"]
    assert text in graded.to_dict()["notices"]
    assert "no sacrum is in view" in graded.save_html(tmp_path / "r.html").read_text()


def test_the_shift_of_levels_goes_to_the_localizer_once(locating, study):
    predictor, found = locating
    predictor.predict(study, module.Options(shift_levels=-1))
    assert [call[3] for call in found["calls"]] == [-1]


def test_the_report_shows_the_levels_and_how_sure_their_names_are(locating, study, tmp_path):
    predictor, _ = locating
    page = predictor.predict(study).save_html(tmp_path / "r.html").read_text()
    places = page.partition("<h2>Places</h2>")[2].partition("</section>")[0]
    expected = landmarks()
    assert places.count('<th scope="row">') == int(expected.found.sum()) == 24
    for target, point in zip(TARGETS, expected.points_mm, strict=True):
        numbers = "".join(f'<td class="number">{x:.1f}</td>' for x in point)
        row = f'<th scope="row">{target.label}</th>{numbers}'
        assert (row in places) == bool(np.isfinite(point).all()), target.name


def test_without_a_localizer_nothing_has_a_place_and_the_reason_is_given(tiny_bundle, study):
    graded = Predictor(tiny_bundle, device="cpu").predict(study)
    assert np.isnan(graded.grades.points_mm).all()
    assert set(graded.grades.reasons) == {module.NOT_LOCATED}
    assert "landmarks" not in graded.to_dict()


def test_sides_that_the_axial_picture_contradicts_are_said(locating, study):
    predictor, found = locating
    crossed = landmarks()
    points = crossed.points_mm.copy()
    left, right = [n for n, t in enumerate(TARGETS) if t.level is LEVELS[1] and t.side][:2]
    points[left], points[right] = points[right].copy(), points[left].copy()
    found["answer"] = dataclasses.replace(crossed, points_mm=points)
    (warning,) = predictor.predict(study).to_dict()["warnings"]
    assert "of L2/L3 lies right of the right one" in warning

"""Findings that decide no grade: they are seen, on their side, and no measure follows them."""

from dataclasses import fields, replace

import numpy as np
import pytest

from tests.phantom import proofs
from volspine.anatomy import TARGETS, Finding, Protocol
from volspine.phantom.anatomy import Lesion, Lesions, mirrored, sideways
from volspine.phantom.frame import FIRST_SEGMENT, VERTEBRAE
from volspine.phantom.lesions import RATES, draw_lesions
from volspine.phantom.measure import measure, sac_areas
from volspine.phantom.render import render_labels, render_series
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.tissues import Sequence, Tissue
from volspine.phantom.truth import build_truth

SPEC = Spec(seed=4, cohort=Cohort.CLEAN, size=Size.SMALL, distractors=False)
L3_L4 = FIRST_SEGMENT + 2
ONE_OF_EACH = [
    # kind, segment, anchor, left, height, share of the half depth, radii, tissue in the middle
    (Lesion.MODIC_1, L3_L4, -1, 4.0, -3.5, -0.2, (12, 6, 10), Tissue.ENDPLATE_CHANGE),
    (Lesion.MODIC_2, L3_L4, 1, -5.0, -3.5, 0.0, (12, 6, 10), Tissue.FATTY_CHANGE),
    (Lesion.SCHMORL, L3_L4, -1, 5.0, -2.0, 0.0, (5, 4, 5), Tissue.ANNULUS),
    (Lesion.HAEMANGIOMA, L3_L4, 1, 6.0, -7.0, 0.1, (6, 5, 6), Tissue.HAEMANGIOMA),
    (Lesion.FISSURE, L3_L4, 0, -3.0, 0.0, 0.86, (3, 1.4, 1.2), Tissue.JOINT),
    (Lesion.OSTEOPHYTE, L3_L4, -1, 3.0, -2.0, -1.14, (12, 3.5, 5), Tissue.MARROW),
    (Lesion.CYST, VERTEBRAE.index("S2"), 0, 8.0, 0.0, 1.3, (6, 7, 5), Tissue.CSF),
]


@pytest.fixture(scope="module")
def plain():
    return build_truth(SPEC).anatomy


def with_lesion(anatomy, row):
    kind, segment, anchor, left, height, share, radii, _ = row
    depth = share * (anatomy.subject.depths[segment] + anatomy.subject.depths[segment + 1]) / 4
    table = Lesions(
        *(np.array([n], dtype=np.int64) for n in (kind, segment, anchor)),
        centre=np.array([[left, height, depth]]),
        radii=np.array([radii], dtype=np.float64),
    )
    return replace(anatomy, lesions=table)


def place_of(anatomy, row):
    """The lesion's middle in the body frame, found by walking along the spine."""
    _, segment, anchor, left, height, *_ = row
    depth = with_lesion(anatomy, row).lesions.centre[0, 2]
    subject = anatomy.subject
    upper, lower = subject.heights[segment] / 2, subject.heights[segment + 1] / 2
    tilt = np.tan(subject.wedges[segment : segment + 2] / 2) * depth
    best, point = 99.0, None
    for t in np.linspace(0.02, 0.98, 120):
        y, z = anatomy.frame.locate(segment, t, depth)
        placed = anatomy.frame.place(np.array([y]), np.array([z]))
        under = placed.below[0] - upper + tilt[0]
        over = placed.above[0] - lower + tilt[1]
        here = {-1: under, 1: over, 0: (under - over) / 2}[anchor]
        if abs(here - height) < best:
            best, point = abs(here - height), (y, z)
    return np.array([left, *point])


def sagittal(anatomy, point, pixels=61, pixel_mm=0.5):
    x = point[0] + midline(anatomy, point)
    return proofs.single_slice(Protocol.SAGITTAL_T2, [x, *point[1:]], 0.0, pixel_mm, pixels)


def midline(anatomy, point):
    placed = anatomy.frame.place(point[1:2], point[2:])
    return float(sideways(anatomy.subject, placed.arc, placed.depth)[0])


@pytest.mark.parametrize("row", ONE_OF_EACH, ids=lambda row: row[0].name.lower())
def test_a_lesion_is_seen_at_its_place_and_not_on_the_other_side(plain, row):
    marked = with_lesion(plain, row)
    point = place_of(plain, row)
    labels = render_labels(marked, sagittal(plain, point))[0]
    assert Tissue(int(labels[30, 30])) is row[-1]
    opposite = sagittal(plain, point * np.array([-1.0, 1.0, 1.0]))
    changed = render_labels(marked, opposite)[0] != render_labels(plain, opposite)[0]
    reach = row[6][0] + 3.0
    assert changed.any() == (2 * abs(row[3]) < reach)


@pytest.mark.parametrize("row", ONE_OF_EACH, ids=lambda row: row[0].name.lower())
def test_a_lesion_mirrors_bit_for_bit(plain, row):
    marked = with_lesion(plain, row)
    plan = sagittal(plain, place_of(plain, row), pixels=40, pixel_mm=1.0)
    opposite = replace(plan, centres_mm=plan.centres_mm * np.array([-1.0, 1.0, 1.0]))
    image = render_series(marked, [plan])[0, 0]
    assert (render_series(mirrored(marked), [opposite])[0, 0] == image).all()
    assert not (render_series(plain, [plan])[0, 0] == image).all()


def test_fatty_change_is_bright_and_oedema_dark_on_t1_and_both_bright_on_t2(plain):
    signals = {}
    for row in ONE_OF_EACH[:2]:
        middle = sagittal(plain, place_of(plain, row), 21)
        for name, times in (("T1", (500.0, 10.0)), ("T2", (3500.0, 100.0))):
            plan = replace(middle, sequence=Sequence(name, *times))
            both = (with_lesion(plain, row), plain)
            pair = [render_series(a, [plan])[0, 0, 10, 10] for a in both]
            signals[row[0], name] = pair[0] / pair[1]
    assert signals[Lesion.MODIC_1, "T1"] < 0.85
    assert signals[Lesion.MODIC_1, "T2"] > 1.2
    assert signals[Lesion.MODIC_2, "T1"] > 1.2
    assert signals[Lesion.MODIC_2, "T2"] > 1.1


def test_the_rulers_find_the_same_canal_recess_and_foramen_with_all_lesions_of_a_level(plain):
    rows = [with_lesion(plain, row).lesions for row in ONE_OF_EACH]
    joined = Lesions(
        **{f.name: np.concatenate([getattr(r, f.name) for r in rows]) for f in fields(Lesions)}
    )
    truth, marked = build_truth(SPEC), replace(plain, lesions=joined)
    centre = truth.landmarks_mm[2]
    before, after = (proofs.disc_map(a, centre, 2)[0] for a in (plain, marked))
    assert proofs.sac_area(before) == proofs.sac_area(after)
    for target in (t for t in TARGETS if t.level is TARGETS[2].level and t.side):
        if target.finding is Finding.FORAMEN:
            point = truth.landmarks_mm[target.index]
            plan = proofs.single_slice(Protocol.SAGITTAL_T1, point, 0.0, 0.2, 81)
            assert (render_labels(plain, plan) == render_labels(marked, plan)).all()
    assert (measure(marked, sac_areas(marked)) == truth.measures).all()


def test_lesions_are_as_frequent_as_stated():
    subject = replace(build_truth(SPEC).anatomy.subject, age=57.0)
    drawn = [draw_lesions(subject, np.random.default_rng(n)) for n in range(600)]
    for kind, rates in RATES.items():
        found = np.zeros((len(drawn), 5), dtype=bool)
        for row, table in zip(found, drawn, strict=True):
            segment = table.segment[table.kind == kind]
            row[4 if kind is Lesion.CYST else segment - FIRST_SEGMENT] = segment.size > 0
        expected = np.array(rates)
        error = 3.5 * np.sqrt(expected * (1 - expected) / len(drawn)) + 1e-9
        assert (np.abs(found.mean(axis=0) - expected) <= error).all()


def test_most_people_have_some_finding_and_some_have_none():
    subject = build_truth(SPEC).anatomy.subject
    tables = [draw_lesions(subject, np.random.default_rng(n)) for n in range(200)]
    share = np.mean([table.kind.size > 0 for table in tables])
    assert 0.5 < share < 0.98

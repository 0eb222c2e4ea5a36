"""Distractors of the person: the grades stay while slips, fat, joints and discs change."""

from dataclasses import replace

import numpy as np
import pytest

from tests.phantom import proofs
from volspine.phantom.anatomy import assemble, mirrored
from volspine.phantom.distractors import distract
from volspine.phantom.frame import FIRST_SEGMENT, build_frame
from volspine.phantom.measure import measure, sac_areas
from volspine.phantom.narrowing import narrow
from volspine.phantom.render import render_series
from volspine.phantom.spec import Cohort, Spec, Stage
from volspine.phantom.subject import draw_subject
from volspine.phantom.targets import grade_measures, wanted
from volspine.phantom.truth import build_truth, landmarks

SPEC = Spec(seed=6, cohort=Cohort.PROBE, distractors=False)
LAST = FIRST_SEGMENT + 4


@pytest.fixture(scope="module")
def plain():
    return build_truth(SPEC)


def people(count):
    rng = np.random.default_rng(8)
    return [draw_subject(rng, 0.3) for _ in range(count)]


def changed(truth, **fields):
    """The same wanted measures in a changed person, measured."""
    subject = replace(truth.anatomy.subject, **fields)
    shapes = narrow(subject, wanted(truth.measures), SPEC.stream(Stage.LABELS))
    anatomy = assemble(subject, shapes)
    return anatomy, measure(anatomy, sac_areas(anatomy))


def slipped(level, size):
    slips = np.zeros(14)
    slips[FIRST_SEGMENT + level] = size
    return slips


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"slips": slipped(3, 5.0)}, id="slip"),
        pytest.param({"slips": slipped(4, -2.0)}, id="backward slip"),
        pytest.param({"joints": np.full((14, 2), 3.0)}, id="effusion"),
        pytest.param({"facet_angles": np.tile([0.3, 0.9], (14, 1))}, id="tropism"),
        pytest.param({"discs": np.full(14, 5.0)}, id="low discs"),
        pytest.param({"sac_areas": np.full(15, 100.0)}, id="lipomatosis"),
    ],
)
def test_grades_and_measures_stay(plain, fields):
    _, measures = changed(plain, **fields)
    assert (grade_measures(measures) == plain.grades).all()
    assert measures[5:] == pytest.approx(plain.measures[5:], abs=1e-9)
    assert measures[:5] == pytest.approx(plain.measures[:5], rel=0.01)


@pytest.mark.parametrize("index", [0, 1])
def test_a_study_has_the_measures_that_it_has_without_any_distractor(index):
    spec = Spec(seed=12, index=index)
    full, bare = build_truth(spec), build_truth(replace(spec, distractors=False))
    assert bare.anatomy.lesions.kind.size == 0
    assert (bare.anatomy.subject.slips == 0).all()
    assert full.measures[5:] == pytest.approx(bare.measures[5:], abs=1e-9)
    assert full.measures[:5] == pytest.approx(bare.measures[:5], rel=0.005)
    assert full.anatomy.subject.size == bare.anatomy.subject.size


def test_a_slip_moves_what_lies_above_forwards_by_its_size():
    straight = build_frame(np.full(15, 26.0), np.full(14, 10.0), np.zeros(14), 0.0)
    slid = build_frame(
        np.full(15, 26.0), np.full(14, 10.0), np.zeros(14), 0.0, slips_mm=slipped(3, 5.0)
    )
    relative = (slid.centres_mm - straight.centres_mm)[:, 0]
    # L4 and all above stay with L3, the origin; L5 and the sacrum lie 5 mm further back.
    assert relative[: FIRST_SEGMENT + 4] == pytest.approx(0.0)
    assert relative[FIRST_SEGMENT + 4 :] == pytest.approx(5.0)


@pytest.mark.parametrize("size", [5.0, -3.0])
def test_landmarks_and_rulers_follow_a_slip(plain, size):
    anatomy, _ = changed(plain, slips=slipped(3, size))
    straight, _ = changed(plain, slips=np.zeros(14))
    points, before = landmarks(anatomy), landmarks(straight)
    moved = np.linalg.norm(points[:5, 1:] - before[:5, 1:], axis=1)
    # The disc lies within the step, near its middle; all below it moves by the whole of it.
    assert moved[[0, 1, 2, 4]] == pytest.approx([0.0, 0.0, 0.0, abs(size)], abs=0.05)
    assert moved[3] == pytest.approx(abs(size) / 2, rel=0.3)
    assert np.sign(points[4, 1] - before[4, 1]) == np.sign(size)
    labels, _ = proofs.disc_map(anatomy, points[3], 3)
    counted = proofs.sac_area(labels)
    assert counted == pytest.approx(sac_areas(anatomy)[3], rel=0.03)


def test_a_slipped_uneven_swollen_spine_mirrors_bit_for_bit(plain):
    anatomy, _ = changed(
        plain,
        slips=slipped(3, 4.0),
        joints=np.tile([1.0, 3.0], (14, 1)),
        facet_angles=np.tile([0.5, 0.9], (14, 1)),
    )
    plan = proofs.single_slice(proofs.Protocol.AXIAL_T2, landmarks(anatomy)[3], -0.2, 1.2, 90)
    plan = replace(plan, centres_mm=plan.centres_mm * np.array([0.0, 1.0, 1.0]))
    image = render_series(anatomy, [plan])[0, 0]
    assert (render_series(mirrored(anatomy), [plan])[0, 0] == image[:, ::-1]).all()
    assert not (image == image[:, ::-1]).all()


def test_an_effusion_is_bright_in_the_joint_of_its_side(plain):
    swollen, _ = changed(plain, joints=np.tile([3.0, 1.0], (14, 1)))
    calm, _ = changed(plain, joints=np.full((14, 2), 1.0))
    centre = landmarks(calm)[3] * np.array([0.0, 1.0, 1.0])
    plan = proofs.single_slice(proofs.Protocol.AXIAL_T2, centre, proofs.disc_tilt(calm, 3), 0.8, 90)
    change = (render_series(swollen, [plan]) - render_series(calm, [plan]))[0, 0]
    assert change[:, 46:].sum() > 1.0  # the left of the patient is on the right of the image
    assert np.abs(change[:, :40]).sum() == pytest.approx(0.0, abs=1e-3)


def test_distractors_are_as_frequent_as_stated():
    subjects = people(400)
    rng = np.random.default_rng(3)
    drawn = [distract(subject, rng) for subject in subjects]
    pairs = list(zip(subjects, drawn, strict=True))
    slips = np.array([after.slips for _, after in pairs])
    assert 0.04 < (slips >= 2.0).any(axis=1).mean() < 0.13
    assert 0.02 < (slips < 0).any(axis=1).mean() < 0.10
    low = np.array([after.discs / before.discs for before, after in pairs])[:, FIRST_SEGMENT:10]
    assert (low < 0.9).mean() == pytest.approx(0.15, abs=0.03)
    turn = np.array([after.facet_angles - before.facet_angles for before, after in pairs])
    assert (np.abs(turn[..., 0]) > 0.01).mean() == pytest.approx(0.20, abs=0.02)
    # Neither side is preferred.
    assert (turn[..., 0] > 0.01).mean() == pytest.approx((turn[..., 1] > 0.01).mean(), abs=0.025)
    fat = np.array([after.sac_areas[9] / before.sac_areas[9] for before, after in pairs])
    assert (fat < 0.9).mean() == pytest.approx(0.06, abs=0.036)
    wide = np.array([after.joints - before.joints for before, after in pairs]) > 0
    assert wide.mean(axis=(0, 1)) == pytest.approx([0.12, 0.12], abs=0.015)
    assert np.abs(slips).max() <= 6.0


def test_women_slip_more_often_than_men():
    rng = np.random.default_rng(5)
    older = [replace(subject, age=60.0) for subject in people(30)]
    found = {
        sex: np.mean([
            (distract(replace(s, female=sex), rng).slips >= 2.0).any()
            for s in older for _ in range(25)
        ])
        for sex in (True, False)
    }  # fmt: skip
    assert found[True] > found[False]


def test_a_transitional_vertebra_changes_the_last_discs():
    kinds = []
    for seed, person in enumerate(people(40)):
        odd, usual = (
            distract(person, np.random.default_rng(seed), transitional=on) for on in (True, False)
        )
        kinds.append(odd.transition)
        assert usual.transition == 0
        assert odd.discs[:LAST] == pytest.approx(usual.discs[:LAST])
        if odd.transition > 0:
            assert odd.discs[LAST + 1] >= 6.5
            assert odd.hydration[LAST + 1] > usual.hydration[LAST + 1]
        else:
            assert odd.discs[LAST] == pytest.approx(0.45 * usual.discs[LAST])
    assert 0.25 < np.mean(np.array(kinds) > 0) < 0.75


def test_a_transitional_vertebra_changes_no_grade():
    spec = replace(SPEC, distractors=True)
    odd, usual = build_truth(replace(spec, transitional=True)), build_truth(spec)
    assert odd.anatomy.subject.transition != 0
    assert odd.measures[5:] == pytest.approx(usual.measures[5:])
    assert odd.measures[:5] == pytest.approx(usual.measures[:5], rel=0.005)

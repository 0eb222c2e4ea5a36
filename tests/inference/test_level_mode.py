"""Level mode: what is graded and why not, sides, levels, and what is written down."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.inference.made_up import make_study
from tests.inference.made_up_levels import (
    BrightnessGrader,
    landmarks,
    level_bundle,
    level_predictor,
)
from tests.inference.test_predictor import CANAL, LEFT, broken, mirrored
from volspine.anatomy import LEVELS, MIRRORED_INDEX, TARGETS, Finding
from volspine.errors import ConfigurationError, WeightsError
from volspine.inference import level_mode
from volspine.inference.level_mode import measured_targets
from volspine.inference.predictor import Options, Predictor
from volspine.volume.level_study import study_crops_of
from volspine.volume.study_crops import mirrored_crops

FINDING = np.array([t.finding.name for t in TARGETS])
FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture
def predictor(monkeypatch):
    return level_predictor(monkeypatch, landmarks())


def reflected(found):
    """Landmarks of the mirrored patient."""
    index = list(MIRRORED_INDEX)
    return dataclasses.replace(
        found,
        points_mm=found.points_mm[index] * FLIP,
        chain_mm=found.chain_mm * FLIP,
        reasons=tuple(found.reasons[i] for i in index),
    )


def test_a_whole_study_is_graded_everywhere_and_has_its_places(predictor, study):
    graded = predictor.predict(study)
    assert graded.status == "graded"
    assert not graded.grades.imputed.any()
    assert set(graded.grades.reasons) == {""}
    assert np.array_equal(graded.grades.points_mm, landmarks().points_mm)
    assert np.ptp(graded.grades.probabilities[:, 0]) > 0.05  # It read the study.


def test_a_bright_left_side_raises_the_left_grades(predictor):
    p = predictor.predict(make_study()).grades.probabilities
    left, right = p[LEFT, 2], p[np.array(MIRRORED_INDEX)[LEFT], 2]
    assert (left > right).all()  # The study grows brighter to the patient's left.


def test_mirroring_the_patient_swaps_left_and_right(monkeypatch):
    study, found = make_study(1), landmarks()
    as_is = level_predictor(monkeypatch, found).predict(study)
    p = as_is.grades.probabilities
    assert np.abs(p[LEFT] - p[np.array(MIRRORED_INDEX)[LEFT]]).max() > 1e-2  # A swap would show.
    other = level_predictor(monkeypatch, reflected(found)).predict(mirrored(study))
    assert other.grades.probabilities == pytest.approx(
        as_is.grades.mirrored().probabilities, abs=1e-5
    )


def test_without_averaging_the_mirror_the_grader_is_not_symmetric(study):
    # Or the test above would pass for the canal whatever the predictor does.
    crops, _ = study_crops_of(study, landmarks())
    both = level_mode.both_images(crops, torch.device("cpu"))
    p, q = BrightnessGrader()(both).log_probs.exp()
    assert (p[CANAL] - q[CANAL]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("protocols", "graded"),
    [
        (("sagittal_t1",), {Finding.FORAMEN}),
        (("sagittal_t2",), {Finding.CANAL}),
        (("sagittal_t1", "sagittal_t2"), {Finding.CANAL, Finding.FORAMEN}),
        (("sagittal_t2", "axial_t2"), {Finding.CANAL, Finding.RECESS}),
        (("sagittal_t1", "axial_t2"), set(Finding)),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_a_study_without_a_series_grades_what_its_views_cover(predictor, protocols, graded):
    found = predictor.predict(make_study(protocols=protocols)).grades
    for t, target in enumerate(TARGETS):
        assert found.imputed[t] == (target.finding not in graded), target.name
        assert np.isfinite(found.points_mm[t]).all()  # Located, imputed or not.
        if found.imputed[t]:
            assert found.probabilities[t].tolist() == pytest.approx([0.7, 0.2, 0.1])
            assert "the study has no" in found.reasons[t]
    assert found.status == ("graded" if graded == set(Finding) else "partial")


def test_levels_outside_of_the_images_are_filled_in_with_a_reason(monkeypatch, study):
    # The study reaches from z = -70 to 71 mm, its axial slices from -40 to 40.
    found = level_predictor(monkeypatch, landmarks(top_mm=18.0)).predict(study).grades
    inside = np.array([LEVELS.index(t.level) < 4 for t in TARGETS])
    recess = FINDING == "RECESS"
    assert not found.imputed[inside].any()
    low = [t for t in range(25) if recess[t] and not inside[t]]
    assert found.imputed[low].all()
    assert all("axial T2" in found.reasons[t] for t in low)
    assert not found.imputed[4]  # The canal at z = -54 mm: seen by sagittal T2, which is enough.
    below = level_predictor(monkeypatch, landmarks(top_mm=-32.0)).predict(study).grades
    assert below.imputed[[3, 4]].all()  # At z = -86 and -104 mm.
    assert "L4/L5" in below.reasons[3]
    assert np.isfinite(below.points_mm).all()


def test_a_level_that_was_not_located_is_filled_in(monkeypatch, study):
    absent = [t for t, target in enumerate(TARGETS) if target.level is LEVELS[4]]
    found = level_predictor(monkeypatch, landmarks(absent=absent)).predict(study).grades
    assert found.imputed.tolist() == [t in absent for t in range(25)]
    assert {found.reasons[t] for t in absent} == {"not found"}
    assert np.isnan(found.points_mm[absent]).all()


def test_a_study_in_which_nothing_is_located_is_refused(monkeypatch, study):
    graded = level_predictor(monkeypatch, landmarks(absent=range(25))).predict(study)
    assert graded.status == "refused"
    assert graded.reason.endswith("not found")
    assert graded.saliencies() == {}


def test_a_series_that_cannot_be_decoded_costs_only_itself(predictor):
    graded = predictor.predict(broken(make_study(), index=0))  # Sagittal T1.
    foramen = FINDING == "FORAMEN"
    assert (graded.grades.imputed == foramen).all()
    assert "VS-PIX-001" in graded.grades.reasons[5]


def test_shifted_levels_are_cropped_where_they_are_named(monkeypatch, study):
    made = level_predictor(monkeypatch, landmarks())
    plain = made.predict(study).grades
    moved = made.predict(study, Options(shift_levels=1)).grades
    assert moved.imputed.tolist() == [True, False, False, False, False] * 5
    assert moved.probabilities[1:5] == pytest.approx(plain.probabilities[0:4], abs=1e-6)
    assert moved.probabilities[24] == pytest.approx(plain.probabilities[23], abs=1e-6)
    assert "renamed by +1" in moved.reasons[0]


def test_a_place_is_measured_where_its_crop_was(study):
    crops, _ = study_crops_of(study, landmarks())
    assert measured_targets(crops).all()
    gone = crops._replace(axial_mask=torch.zeros_like(crops.axial_mask))
    assert measured_targets(gone)[:, :2].all()
    assert not measured_targets(gone)[:, 2].any()
    half = crops.sagittal_mask.clone()
    half[:, 0, :7] = False  # T1 of the right half; the middle slice is the seventh.
    seen = measured_targets(crops._replace(sagittal_mask=half))[:, 0]
    index = list(MIRRORED_INDEX)
    assert seen[5:10].all()  # Left foramina.
    assert not seen[10:15].any()
    other = measured_targets(mirrored_crops(crops._replace(sagittal_mask=half)))[:, 0]
    assert np.array_equal(other[5:25], seen[index][5:25])


def test_the_result_says_what_each_target_was_shown(predictor, study):
    data = predictor.predict(study).to_dict()
    assert data["model"]["mode"] == "level"
    assert set(data["timings_s"]) == {"read", "screen", "locate", "crop", "grade"}
    crop = data["crops"]["l3_l4"]["sagittal_t1"]
    assert (crop["series"], crop["stack"]) == ("sagittal_t1", 0)
    # Slice k lies at x = 5 k - 37.5 mm; the foramina at 17 and -17 mm.
    assert crop["slices"]["left_neural_foraminal_narrowing"] == [9, 10, 11, 12, 13]
    assert crop["slices"]["right_neural_foraminal_narrowing"] == [2, 3, 4, 5, 6]
    assert [s["is_used"] for s in data["series"]] == [True, True, True]
    assert data["series"][0]["use"].startswith("yes: shows L1/L2, L2/L3")
    assert "grid" not in data


def test_an_ensemble_reports_the_mean(monkeypatch, study):
    graders = [BrightnessGrader(2.0), BrightnessGrader(4.0)]
    each = [level_predictor(monkeypatch, landmarks(), g).predict(study) for g in graders]
    both = level_predictor(monkeypatch, landmarks(), *graders).predict(study)
    mean = sum(g.grades.probabilities for g in each) / 2
    assert both.grades.probabilities == pytest.approx(mean, abs=1e-6)


def test_members_count_as_the_card_says_target_by_target(monkeypatch, study):
    graders = [BrightnessGrader(2.0), BrightnessGrader(4.0)]
    each = [level_predictor(monkeypatch, landmarks(), g).predict(study) for g in graders]
    one, other = (g.grades.probabilities for g in each)
    weights = np.full((2, 25), 0.5)
    weights[:, :5] = [[1.0], [0.0]]
    made = level_predictor(monkeypatch, landmarks(), *graders, member_weights=weights)
    both = made.predict(study).grades.probabilities
    assert both[:5] == pytest.approx(one[:5], abs=1e-6)
    assert both[5:] == pytest.approx((one[5:] + other[5:]) / 2, abs=1e-6)


def test_weights_of_another_number_of_members_are_refused(monkeypatch):
    with pytest.raises(WeightsError, match="weights of 2 members for an ensemble of 1"):
        level_predictor(monkeypatch, landmarks(), member_weights=np.full((2, 25), 0.5))


def test_temperature_flattens_as_the_formula_says(monkeypatch, study):
    p = level_predictor(monkeypatch, landmarks()).predict(study).grades.probabilities
    made = level_predictor(monkeypatch, landmarks(), temperature=np.full(25, 2.0))
    q = made.predict(study).grades.probabilities
    assert q == pytest.approx(np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True), abs=1e-6)


def test_memory_that_runs_out_is_met_with_one_image_at_a_time(monkeypatch, study):
    class Greedy(BrightnessGrader):
        def forward(self, patches):
            if len(patches.images[0]) > 1:
                raise torch.OutOfMemoryError("too much")
            return super().forward(patches)

    whole = level_predictor(monkeypatch, landmarks()).predict(study)
    parts = level_predictor(monkeypatch, landmarks(), Greedy()).predict(study)
    assert parts.grades.probabilities == pytest.approx(whole.grades.probabilities, abs=1e-6)


def test_a_model_of_levels_without_a_localizer_says_so():
    bundle = dataclasses.replace(level_bundle(), localizer=None)
    with pytest.raises(ConfigurationError, match="no localizer to find them") as caught:
        Predictor(bundle, device="cpu")
    assert "--localizer" in caught.value.remedy

"""The predictor: what is graded and why not, sides, invariance, refusals."""

import copy

import numpy as np
import pytest
import torch

from tests.inference.made_up import axial_stack, make_study, tiny_card, tiny_grader
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding, Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import InputError, NoUsableSeriesError, VolspineError, WeightsError
from volspine.geometry.stack import Stack
from volspine.grades import RESEARCH_USE
from volspine.inference.bundle import Bundle, load_bundle
from volspine.inference.graded import GradedStudy
from volspine.inference.predictor import NOT_LOCATED, Options, Predictor, predict

LEFT = np.array([i for i, j in enumerate(MIRRORED_INDEX) if i < j])
CANAL = np.array([target.finding is Finding.CANAL for target in TARGETS])


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, device="cpu")


def mirrored(study):
    """The same study of the mirrored patient: every x is negated."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    series = [
        Series(
            s.uid,
            s.name,
            s.protocol,
            s.reason,
            [Stack.from_array(stack.voxels, flip @ stack.affine_lps) for stack in s.stacks],
        )
        for s in study.series
    ]
    return Study(name=study.name, series=series)


def test_a_whole_study_is_graded_everywhere(predictor, study):
    graded = predictor.predict(study)
    assert isinstance(graded, GradedStudy)
    assert graded.status == "graded"
    assert graded.reason == ""
    assert not graded.grades.imputed.any()
    assert np.isnan(graded.grades.points_mm).all()
    assert set(graded.grades.reasons) == {NOT_LOCATED}
    assert np.allclose(graded.grades.probabilities.sum(axis=1), 1)


def test_mirroring_the_patient_swaps_left_and_right(predictor):
    study = make_study(1)
    as_is, reflected = predictor.predict(study), predictor.predict(mirrored(study))
    p = as_is.grades.probabilities
    assert np.abs(p[LEFT] - p[np.array(MIRRORED_INDEX)[LEFT]]).max() > 1e-3  # A swap would show.
    assert reflected.grades.probabilities == pytest.approx(
        as_is.grades.mirrored().probabilities, abs=1e-5
    )


def test_without_averaging_the_mirror_the_network_is_not_symmetric(predictor):
    # Or the test above would pass whatever the predictor does.
    volume = torch.rand(1, 6, 16, 32, 32)
    (grader,) = predictor.bundle.graders
    with torch.no_grad():
        p, q = grader(volume).log_probs.exp(), grader(volume.flip(2)).log_probs.exp()
    assert (p - q[:, list(MIRRORED_INDEX)]).abs().max() > 1e-3


def test_mirroring_swaps_what_is_filled_in_as_well(tiny_bundle):
    loaded = load_bundle(tiny_bundle)
    frequencies = np.random.default_rng(0).dirichlet([3, 2, 1], 25)
    predictor = Predictor(Bundle(tiny_card(frequencies=frequencies), loaded.recipe, loaded.graders))
    study = make_study(protocols=("sagittal_t2",))
    as_is, reflected = predictor.predict(study), predictor.predict(mirrored(study))
    assert as_is.grades.imputed.sum() == 20
    assert reflected.grades.probabilities == pytest.approx(
        as_is.grades.mirrored().probabilities, abs=1e-5
    )


@pytest.mark.parametrize(
    ("protocols", "graded"),
    [
        (("sagittal_t1",), {Finding.FORAMEN}),
        (("sagittal_t2",), {Finding.CANAL}),
        (("axial_t2",), {Finding.CANAL, Finding.RECESS}),
        (("sagittal_t1", "axial_t2"), set(Finding)),
    ],
)
def test_what_no_primary_view_covers_is_filled_in_with_a_reason(predictor, protocols, graded):
    found = predictor.predict(make_study(protocols=protocols)).grades
    for t, target in enumerate(TARGETS):
        assert found.imputed[t] == (target.finding not in graded)
        if found.imputed[t]:
            assert found.probabilities[t].tolist() == pytest.approx([0.7, 0.2, 0.1])
            assert "series" in found.reasons[t]
    assert found.status == ("graded" if graded == set(Finding) else "partial")
    assert found.reason.count("axial T2") == ("axial_t2" not in protocols)  # Said once.


def test_a_view_that_is_too_short_does_not_count(predictor):
    study = make_study(protocols=("sagittal_t2",))
    long = make_study(protocols=("axial_t2",)).series[0].stacks[0]
    short = axial_stack(np.ascontiguousarray(long.voxels[:, :, :3]))
    study.series.append(Series("a", "a", Protocol.AXIAL_T2, "made up", [short]))
    grades = predictor.predict(study).grades
    recess = next(t for t, target in enumerate(TARGETS) if target.finding is Finding.RECESS)
    assert grades.imputed[recess]
    assert "reaches only" in grades.reasons[recess]
    assert "from foot to head" in grades.reasons[recess]


def test_a_constant_image_is_refused_with_its_reason(predictor):
    study = make_study(protocols=("sagittal_t2",))
    stack = study.series[0].stacks[0]
    flat = np.full(stack.shape, 7, dtype=np.float32)
    study.series[0].stacks[0] = Stack.from_array(flat, stack.affine_lps)
    graded = predictor.predict(study)
    assert graded.status == "refused"
    assert "constant image" in graded.reason
    assert np.isnan(graded.grades.probabilities).all()
    with pytest.raises(NoUsableSeriesError, match="constant image"):
        predictor.predict(study, Options(strict=True))


def test_a_constant_series_beside_a_good_one_is_set_aside(predictor):
    study = make_study(protocols=("sagittal_t2", "axial_t2"))
    stack = study.series[1].stacks[0]
    flat = np.full(stack.shape, 7, dtype=np.float32)
    study.series[1].stacks[0] = Stack.from_array(flat, stack.affine_lps)
    graded = predictor.predict(study)
    assert graded.status == "partial"
    assert graded.to_dict()["faults"][0]["reason"] == "constant image"


def test_a_constant_part_of_a_series_takes_no_other_part_with_it(predictor):
    study = make_study(protocols=("sagittal_t2", "axial_t2"))
    for series in study.series:
        series.uid = "1.2.3"  # One SeriesInstanceUID whose slices lay in two planes.
    stack = study.series[1].stacks[0]
    flat = np.full(stack.shape, 7, dtype=np.float32)
    study.series[1].stacks[0] = Stack.from_array(flat, stack.affine_lps)
    graded = predictor.predict(study)
    assert [series.protocol for series in graded.study.series] == [Protocol.SAGITTAL_T2]
    assert not graded.grades.imputed[CANAL].any()


def test_a_study_without_a_graded_protocol_is_refused(predictor):
    study = make_study(protocols=("other",))
    graded = predictor.predict(study)
    assert graded.status == "refused"
    assert "none of its series" in graded.reason
    assert len(graded.to_frame()) == 25
    # A submission needs numbers: the prior, 0.7 0.4 0.4 over 1.5.
    assert graded.to_submission()["normal_mild"].tolist() == pytest.approx([0.7 / 1.5] * 25)


def broken(study, index=0):
    def decode():
        raise VolspineError("pixels cannot be decoded", code="VS-PIX-001")

    stack = study.series[index].stacks[0]
    study.series[index].stacks[0] = Stack(
        stack.affine_lps, stack.slice_origins_mm, stack.shape[:2], decode
    )
    return study


def test_a_series_that_cannot_be_decoded_costs_only_itself(predictor):
    graded = predictor.predict(broken(make_study(protocols=("sagittal_t1", "sagittal_t2"))))
    assert graded.status == "partial"
    assert (~graded.grades.imputed == CANAL).all()
    assert "VS-PIX-001" in graded.reason
    with pytest.raises(VolspineError, match="cannot be decoded"):
        predictor.predict(broken(make_study()), Options(strict=True))


def test_a_study_of_which_nothing_can_be_decoded_is_an_error(predictor):
    with pytest.raises(VolspineError, match="cannot be decoded"):
        predictor.predict(broken(make_study(protocols=("sagittal_t1",))))


def test_temperature_sharpens_or_flattens_as_the_formula_says(tiny_bundle, study):
    loaded = load_bundle(tiny_bundle)
    p = Predictor(loaded).predict(study).grades.probabilities
    card = tiny_card(temperature=np.full(25, 2.0))
    q = Predictor(Bundle(card, loaded.recipe, loaded.graders)).predict(study).grades.probabilities
    expected = np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True)
    assert q == pytest.approx(expected, abs=1e-6)


def test_an_ensemble_reports_the_mean(tiny_bundle, study):
    recipe, graders = load_bundle(tiny_bundle).recipe, [tiny_grader(1), tiny_grader(2)]
    one = [Predictor(Bundle(tiny_card(), recipe, (g,))) for g in graders]
    both = Predictor(Bundle(tiny_card(), recipe, tuple(graders)))
    mean = sum(p.predict(study).grades.probabilities for p in one) / 2
    assert both.predict(study).grades.probabilities == pytest.approx(mean, abs=1e-6)


def test_predicting_twice_gives_the_same_bits(predictor, study):
    first, second = predictor.predict(study), predictor.predict(copy.deepcopy(study))
    assert np.array_equal(first.grades.probabilities, second.grades.probabilities)


def test_shifting_levels_renames_findings(predictor, study):
    plain = predictor.predict(study).grades
    moved = predictor.predict(study, Options(shift_levels=1)).grades
    assert moved.imputed.tolist() == [True, False, False, False, False] * 5
    assert moved.probabilities[1] == pytest.approx(plain.probabilities[0])
    assert moved.probabilities[24] == pytest.approx(plain.probabilities[23])
    assert moved.reasons[0] == "levels were renamed by +1, so this one was not examined"
    assert moved.status == "partial"


def test_a_failing_study_yields_its_error_and_the_rest_go_on(predictor, tmp_path):
    items = list(predictor.predict_many([make_study(), tmp_path / "absent", make_study(2)]))
    assert [type(item) for item in items] == [GradedStudy, InputError, GradedStudy]


def test_the_provenance_says_what_was_used_and_why(predictor, study):
    study.series[0].repairs.append("one slice is missing")
    data = predictor.predict(study).to_dict()
    assert data["research_use"] == RESEARCH_USE
    assert data["model"]["trained_on"] == "nothing at all"
    assert len(data["model"]["weights_sha256"]) == 64
    assert data["device"] == "cpu"
    assert [s["is_used"] for s in data["series"]] == [True, True, True]
    assert data["repairs"] == ["sagittal_t1: one slice is missing"]
    assert set(data["timings_s"]) == {"read", "screen", "sample", "grade"}
    assert data["grid"]["shape"] == [16, 32, 32]
    assert len(data["grades"]) == 25


def test_predict_takes_a_study_and_a_model(tiny_bundle, study):
    assert predict(study, tiny_bundle, device="cpu").status == "graded"


def test_predict_without_a_model_there_says_so(tmp_path, study):
    with pytest.raises(WeightsError, match=r"no card\.json"):
        predict(study, tmp_path)

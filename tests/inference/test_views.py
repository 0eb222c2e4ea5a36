"""A model of one orientation: it grades what that orientation shows, and says what it does not."""

import numpy as np
import pytest
import torch

from tests.cli.test_bundle import save_checkpoint
from tests.inference.made_up import SHAPE, make_study, tiny_card
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding, Protocol
from volspine.cli import main
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.inference.bundle import Bundle
from volspine.inference.predictor import Predictor
from volspine.inference.shown import why_unseen
from volspine.models.views_grader import ViewsGrader

AXIAL = ("axial_t2",)
SAGITTAL = ("sagittal_t1", "sagittal_t2")


def grader_of(streams):
    torch.manual_seed(0)
    backbone = {"name": "efficientnet_lite0", "stride": 4}
    grader = ViewsGrader(streams=streams, backbone=backbone, shape=SHAPE)
    with torch.no_grad():
        for parameter in grader.head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return grader.eval()


@pytest.fixture(scope="module")
def predictors():
    made = {}
    for streams in ("axial", "sagittal", "both"):
        grader = grader_of(streams)
        bundle = Bundle(tiny_card(), {"model": grader.recipe}, (grader,))
        made[streams] = Predictor(bundle, device="cpu")
    return made


def reasons_of(graded, finding):
    rows = [target.index for target in TARGETS if target.finding is finding]
    return {graded.grades.reasons[row] for row in rows if graded.grades.imputed[row]}


@pytest.mark.parametrize(
    ("streams", "lost", "label"),
    [("axial", Finding.FORAMEN, "sagittal T1"), ("sagittal", Finding.RECESS, "axial T2")],
)
def test_what_it_does_not_look_at_it_does_not_grade(predictors, streams, lost, label):
    graded = predictors[streams].predict(make_study())
    rows = np.array([target.finding is lost for target in TARGETS])
    assert np.array_equal(graded.grades.imputed, rows)
    assert reasons_of(graded, lost) == {f"the model does not look at {label} images"}


def test_the_model_of_both_grades_everything(predictors):
    assert not predictors["both"].predict(make_study()).grades.imputed.any()


@pytest.mark.parametrize(("streams", "there"), [("axial", SAGITTAL), ("sagittal", AXIAL)])
def test_a_study_without_its_orientation_is_refused(predictors, streams, there):
    graded = predictors[streams].predict(make_study(protocols=there))
    assert graded.status == "refused"
    assert "the model does not look at" in graded.reason


def test_a_series_it_does_not_look_at_is_not_said_to_be_used(predictors):
    graded = predictors["axial"].predict(make_study())
    said = {series["name"]: series for series in graded.to_dict()["series"]}
    assert said["axial_t2"]["is_used"]
    for name in SAGITTAL:
        assert not said[name]["is_used"]
        assert "does not look at sagittal" in said[name]["use"]


def test_of_a_level_without_slices_only_what_is_looked_at_is_named():
    canal = TARGETS[0]
    assert why_unseen(canal, "view") == "no sagittal T2 or axial T2 slice covers L1/L2"
    axial_only = why_unseen(canal, "view", {Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2})
    assert axial_only == "no axial T2 slice covers L1/L2"


def test_other_images_change_nothing(predictors):
    whole, part = make_study(), make_study()
    part = Study(name=part.name, series=[s for s in part.series if s.protocol != "sagittal_t1"])
    p, q = (predictors["axial"].predict(study).grades.probabilities for study in (whole, part))
    canal = [target.index for target in TARGETS if target.finding is Finding.CANAL]
    assert p[canal] == pytest.approx(q[canal], abs=1e-6)


@pytest.mark.parametrize("streams", ["axial", "both"])
def test_mirroring_the_patient_swaps_left_and_right(predictors, streams):
    study = make_study(1)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    turned = [
        Series(s.uid, s.name, s.protocol, s.reason,
               [Stack.from_array(k.voxels, flip @ k.affine_lps) for k in s.stacks])
        for s in study.series
    ]  # fmt: skip
    as_is = predictors[streams].predict(study).grades
    reflected = predictors[streams].predict(Study(name=study.name, series=turned)).grades
    p = as_is.probabilities
    recess = [t.index for t in TARGETS if t.finding is Finding.RECESS]
    assert np.abs(p[recess] - p[np.array(MIRRORED_INDEX)[recess]]).max() > 1e-3
    assert reflected.probabilities == pytest.approx(as_is.mirrored().probabilities, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["axial", "both"])
def test_a_checkpoint_becomes_a_bundle_that_predicts_the_same(tmp_path, predictors, streams):
    grader = grader_of(streams)
    state = {f"grader.{name}": tensor for name, tensor in grader.state_dict().items()}
    path = save_checkpoint(tmp_path / "last.ckpt", model=grader.recipe)
    kept = torch.load(path, weights_only=True)
    torch.save({**kept, "state_dict": state}, path)
    assert main(["bundle", path, "--out", str(tmp_path / "model")]) == 0
    loaded = Predictor(tmp_path / "model", device="cpu").predict(make_study()).grades
    expected = predictors[streams].predict(make_study()).grades
    graded = ~expected.imputed
    assert np.array_equal(loaded.imputed, expected.imputed)
    assert loaded.probabilities[graded] == pytest.approx(expected.probabilities[graded], abs=1e-6)

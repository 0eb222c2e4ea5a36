"""F23: what is no lumbar MR study is refused with a reason; never 25 confident numbers."""

import numpy as np
import pytest

from tests.inference.made_up import make_study
from tests.inference.test_screen import head, sagittal, series_of, white_noise
from volspine.dicom.study import Study
from volspine.errors import NoUsableSeriesError
from volspine.geometry.stack import Stack
from volspine.inference.predictor import Options, Predictor


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, device="cpu")


def like_ct():
    stack = sagittal(head, noise=30.0)
    return Stack.from_array(stack.voxels * 2 - 1000, stack.affine_lps)


def like_a_head():
    return sagittal(head)


def like_noise():
    return Stack.from_array(white_noise(), sagittal(head).affine_lps)


@pytest.mark.parametrize(
    ("made", "why"),
    [(like_ct, "as in CT"), (like_a_head, "no lumbar spine is seen"), (like_noise, "noise")],
    ids=["ct", "head", "noise"],
)
def test_another_picture_is_refused_with_its_reason_and_without_grades(made, why, predictor):
    study = Study("study", [series_of(made(), series.protocol) for series in SAGITTAL_ONLY])
    graded = predictor.predict(study)
    assert graded.status == "refused"
    assert why in graded.reason
    probabilities = graded.grades.probabilities
    assert np.isnan(probabilities).all()  # A submission alone has numbers, and they are the prior.
    submission = graded.to_submission()[["normal_mild", "moderate", "severe"]].to_numpy()
    assert np.allclose(submission, submission[0])
    with pytest.raises(NoUsableSeriesError):
        predictor.predict(study, Options(strict=True))


SAGITTAL_ONLY = make_study().series[:2]

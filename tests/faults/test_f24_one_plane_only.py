"""F24: with one plane only, what can be graded is graded and the rest says that it is imputed."""

import numpy as np
import pytest

from tests.inference.made_up import make_study
from volspine.inference.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, device="cpu")


@pytest.mark.parametrize(
    ("protocol", "graded"),
    [
        ("sagittal_t1", ["neural_foraminal_narrowing"]),
        ("sagittal_t2", ["spinal_canal_stenosis"]),
        ("axial_t2", ["spinal_canal_stenosis", "subarticular_stenosis"]),
    ],
)
def test_targets_without_their_view_get_the_prior_and_a_reason(protocol, graded, predictor):
    result = predictor.predict(make_study(protocols=(protocol,)))
    frame = result.to_frame()
    measured = frame["condition"].str.contains("|".join(graded))
    assert not frame[measured]["imputed"].any()
    assert frame[~measured]["imputed"].all()
    assert frame[~measured]["reason"].str.len().gt(0).all()
    prior = frame[~measured][["normal_mild", "moderate", "severe"]].to_numpy()
    assert np.allclose(prior, prior[0])  # The tiny model's prior is the same everywhere.
    assert result.grades.status == "partial"


def test_a_submission_has_numbers_everywhere(predictor):
    submission = predictor.predict(make_study(protocols=("sagittal_t2",))).to_submission()
    numbers = submission[["normal_mild", "moderate", "severe"]].to_numpy()
    assert np.allclose(numbers.sum(axis=1), 1.0)
    assert np.isfinite(numbers).all()

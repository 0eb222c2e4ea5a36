"""The whole predictor of levels on a phantom's files, and on those of its mirror image."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.inference.made_up import tiny_card
from tests.inference.test_bundle_level import SMALL
from tests.inference.test_predictor import LEFT, mirrored
from volspine.anatomy import MIRRORED_INDEX
from volspine.dicom.reading import read_study
from volspine.inference.bundle import demo_folder, load_bundle, write_bundle
from volspine.inference.predictor import Predictor
from volspine.models.level_grader import LevelGrader
from volspine.phantom.cohort import generate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A random grader of levels with the localizer of the package."""
    torch.manual_seed(0)
    grader = LevelGrader(**SMALL).eval()
    with torch.no_grad():
        for parameter in grader.head.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    place = write_bundle(
        tmp_path_factory.mktemp("bundles") / "b",
        [grader.state_dict()],
        recipe=grader.recipe,
        card=tiny_card(grid=None),
        localizer=load_bundle(demo_folder()).localizer,
    )
    return Predictor(place, device="cpu")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = generate(tmp_path_factory.mktemp("p") / "root", studies=1, cohort="probe", seed=5)
    (folder,) = (root / "train_images").iterdir()
    return read_study(folder)


def test_a_mirrored_phantom_has_the_mirrored_places_and_grades(predictor, study):
    as_is, other = predictor.predict(study), predictor.predict(mirrored(study))
    assert as_is.status == "graded"
    expected = as_is.grades.mirrored()
    assert other.grades.points_mm == pytest.approx(expected.points_mm, abs=1e-4)
    assert np.abs(other.grades.probabilities - expected.probabilities).max() < 1e-5
    p = as_is.grades.probabilities
    assert np.abs(p[LEFT] - p[np.array(MIRRORED_INDEX)[LEFT]]).max() > 1e-3  # A swap would show.


def test_without_its_axial_series_the_recesses_are_filled_in(predictor, study):
    kept = [s for s in study.series if s.protocol.value != "axial_t2"]
    found = predictor.predict(dataclasses.replace(study, series=kept)).grades
    assert found.imputed.tolist() == [t >= 15 for t in range(25)]
    assert set(found.reasons[15:]) == {"the study has no axial T2 series"}
    assert np.isfinite(found.points_mm).all()

"""A bundle of a VitGrader is loaded again, grades a study, and swaps sides with the patient's."""

import numpy as np
import pytest
import torch

from tests.inference.made_up import SHAPE, make_study, tiny_card
from tests.inference.test_predictor import mirrored
from volspine.anatomy import MIRRORED_INDEX
from volspine.inference.bundle import load_bundle, write_bundle
from volspine.inference.bundle_mode import mode_of
from volspine.inference.predictor import Predictor
from volspine.models.vit_grader import VitGrader

TOKENS = {"patch": [4, 8, 8], "width": 16, "layers": 1, "heads": 2}
CLOSER = {**TOKENS, "region": [4, 8, 8], "patch": [2, 4, 4]}
LEFT = [i for i, j in enumerate(MIRRORED_INDEX) if i < j]


@pytest.fixture(scope="module")
def grader():
    torch.manual_seed(0)
    made = VitGrader(tokens=TOKENS, closer=CLOSER, shape=SHAPE)
    # An untrained head says the same of everything; spread it, so that a swap of sides shows.
    with torch.no_grad():
        for parameter in made.head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


@pytest.fixture(scope="module")
def bundle(grader, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit") / "bundle"
    return write_bundle(folder, [grader.state_dict()], recipe=grader.recipe, card=tiny_card())


@torch.no_grad()
def test_the_bundle_holds_the_same_network(grader, bundle):
    (again,) = load_bundle(bundle).graders
    assert mode_of(again.recipe) == "study"
    volume = torch.rand(1, 6, *SHAPE)
    torch.testing.assert_close(again(volume).log_probs, grader(volume).log_probs)


def test_a_study_is_graded_and_its_mirror_image_has_the_mirrored_grades(bundle):
    predictor, study = Predictor(bundle, device="cpu"), make_study(1)
    as_is, reflected = predictor.predict(study), predictor.predict(mirrored(study))
    p = as_is.grades.probabilities
    assert as_is.status == "graded"
    assert np.isfinite(p).all()
    assert np.abs(p[LEFT] - p[np.array(MIRRORED_INDEX)[LEFT]]).max() > 1e-3  # A swap would show.
    assert reflected.grades.probabilities == pytest.approx(
        as_is.grades.mirrored().probabilities, abs=1e-4
    )

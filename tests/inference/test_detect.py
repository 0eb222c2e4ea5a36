"""A model of one condition, from its checkpoint to a report: the rest is not graded."""

import numpy as np
import pytest
import torch

from tests.cli.test_bundle import save_checkpoint
from tests.inference.made_up import SHAPE, SPACING, make_study, tiny_card
from volspine.anatomy import TARGETS, Finding
from volspine.cli import main
from volspine.inference.bundle import Bundle
from volspine.inference.predictor import Predictor
from volspine.models.detect_grader import DetectGrader

WHY = "the model does not grade this condition"


def grader_of(condition, trunk="efficientnet_lite0", stride=2):
    torch.manual_seed(0)
    grader = DetectGrader(
        condition=condition,
        detector={"channels": [8, 8, 8], "shrink": [1, 1, 1]},
        box_mm={name: [48, 36, 36] for name in ("canal", "foramen", "recess")},
        voxel_mm=SPACING,
        spacing_mm=SPACING,
        trunk={"name": trunk, "stride": stride},
        width=16,
        shape=SHAPE,
    )
    with torch.no_grad():
        grader.head.weight_out.normal_()
    return grader.eval()


@pytest.mark.parametrize("finding", [Finding.CANAL, Finding.RECESS], ids=lambda f: f.name)
def test_a_model_of_one_condition_grades_that_one_and_says_so(finding):
    grader = grader_of(finding.name.lower())
    bundle = Bundle(tiny_card(), {"model": grader.recipe}, (grader,))
    grades = Predictor(bundle, device="cpu").predict(make_study()).grades
    other = np.array([target.finding is not finding for target in TARGETS])
    assert np.array_equal(grades.imputed, other)
    assert {grades.reasons[t] for t in np.flatnonzero(other)} == {WHY}
    frequent = np.tile([0.7, 0.2, 0.1], (other.sum(), 1))
    np.testing.assert_allclose(grades.probabilities[other], frequent, atol=1e-6)


@pytest.mark.slow
def test_a_bundle_of_it_grades_as_its_checkpoint(tmp_path):
    grader = grader_of("recess", trunk="vgg19_bn", stride=4)
    path = save_checkpoint(tmp_path / "best.ckpt", model=grader.recipe)
    state = {f"grader.{name}": tensor for name, tensor in grader.state_dict().items()}
    torch.save({**torch.load(path, weights_only=True), "state_dict": state}, path)
    assert main(["bundle", path, "--out", str(tmp_path / "model")]) == 0
    told = Predictor(tmp_path / "model", device="cpu").predict(make_study()).grades
    bundle = Bundle(tiny_card(), {"model": grader.recipe}, (grader,))
    direct = Predictor(bundle, device="cpu").predict(make_study()).grades
    asked = grader.asked.numpy()
    assert np.array_equal(told.imputed, ~asked)
    np.testing.assert_allclose(told.probabilities[asked], direct.probabilities[asked], atol=1e-6)

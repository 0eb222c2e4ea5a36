"""Test-time augmentation: exact mirrors, fixed moves, nothing changed without it, and refusals."""

import numpy as np
import pytest
import torch

from tests.inference.made_up import make_study
from tests.inference.made_up_levels import landmarks, level_predictor
from tests.inference.test_level_mode import reflected
from tests.inference.test_predictor import mirrored
from volspine.anatomy import MIRRORED_INDEX
from volspine.errors import ConfigurationError
from volspine.inference.look import both_images
from volspine.inference.members import Members
from volspine.inference.predictor import Options, Predictor
from volspine.inference.variants import MOST, check_variants, grid_shifts, place_moves
from volspine.models.mirror import mirror_targets
from volspine.models.parts import Graded
from volspine.volume.level_study import study_crops_of
from volspine.volume.study_crops import mirrored_crops


def test_moves_are_the_same_every_time_and_the_first_do_not_depend_on_how_many():
    assert np.array_equal(place_moves(3)[:2], place_moves(2))
    assert place_moves(0).shape == (0, 25, 3)
    assert 0.1 < np.abs(place_moves(8)).mean() < 5.0
    assert not grid_shifts(5)[:, 0].any()
    assert grid_shifts(5)[:, 1:].all()


def test_a_moved_study_in_the_mirror_is_the_moved_mirror_image():
    """Both images of a mirrored patient are those of the patient in the other order."""
    crops, _ = study_crops_of(make_study(1), landmarks())
    move = place_moves(1)[0]
    here = both_images(crops, torch.device("cpu"), move_mm=move)
    there = both_images(mirrored_crops(crops), torch.device("cpu"), move_mm=move)
    still = both_images(crops, torch.device("cpu"))
    for one, other, unmoved in zip(here.images, there.images, still.images, strict=True):
        torch.testing.assert_close(one.flip(0), other, atol=1e-3, rtol=0)
        assert not torch.equal(one, unmoved)


@pytest.mark.parametrize("tta", [1, 2])
def test_a_mirrored_patient_gets_the_mirrored_report_of_all_variants(monkeypatch, tta):
    study, found, how = make_study(1), landmarks(), Options(tta=tta)
    p = level_predictor(monkeypatch, found).predict(study, how).grades
    q = level_predictor(monkeypatch, reflected(found)).predict(mirrored(study), how).grades
    assert q.probabilities == pytest.approx(p.mirrored().probabilities, abs=1e-5)
    plain = level_predictor(monkeypatch, found).predict(study).grades
    assert np.abs(plain.probabilities - p.probabilities).max() > 1e-4
    left = [t for t in range(25) if MIRRORED_INDEX[t] != t]
    assert np.abs(p.probabilities[left] - p.mirrored().probabilities[left]).max() > 1e-2


def test_in_study_mode_too_a_mirrored_patient_gets_the_mirrored_report(tiny_bundle):
    """The variants are moved along the body and from back to front, never across it."""
    predictor, study, how = Predictor(tiny_bundle), make_study(1), Options(tta=2)
    p = predictor.predict(study, how).grades
    q = predictor.predict(mirrored(study), how).grades
    assert q.probabilities == pytest.approx(p.mirrored().probabilities, abs=1e-5)
    plain = predictor.predict(study).grades
    assert np.abs(plain.probabilities - p.probabilities).max() > 1e-4
    assert np.array_equal(predictor.predict(study, how).grades.probabilities, p.probabilities)


def test_the_same_study_gets_the_same_report_twice_and_says_how_it_was_made(monkeypatch):
    predictor = level_predictor(monkeypatch, landmarks())
    one, two = (predictor.predict(make_study(), Options(tta=2)) for _ in range(2))
    assert np.array_equal(one.grades.probabilities, two.grades.probabilities)
    assert one.to_dict()["settings"]["tta"] == 2
    assert "tta" not in predictor.predict(make_study()).to_dict()["settings"]


class Told(torch.nn.Module):
    """Says what it is shown."""

    def forward(self, batch):
        return Graded(batch.log(), batch[..., 0], batch[:, 0])


@pytest.mark.parametrize("size", [1, 2])
def test_the_report_is_the_mean_over_all_looks_and_samples_are_those_of_the_first(size):
    p = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(3), (6, 25)))
    members = Members((Told().eval(),), torch.device("cpu"), np.ones(25))
    said = members.ask(lambda _: list(torch.split(p, size)))
    upright = torch.stack([p[0], mirror_targets(p[1], dim=0), p[2], mirror_targets(p[3], dim=0),
                           p[4], mirror_targets(p[5], dim=0)])  # fmt: skip
    assert said.probabilities == pytest.approx(upright.mean(dim=0).numpy())
    assert said.samples == pytest.approx(upright[:2].numpy())
    assert sum(len(part) for part in said.looks[0]) == 2


@pytest.mark.parametrize("number", [-1, MOST + 1])
def test_impossible_numbers_of_variants_are_refused(number):
    with pytest.raises(ConfigurationError, match="VS-CFG-192"):
        check_variants(number)

"""Whose places training is told: of which localizer, told apart by its weights."""

import pickle

import numpy as np
import pytest
import torch

from tests.inference.made_up import make_study
from tests.inference.made_up_levels import landmarks
from volspine.errors import ConfigurationError, WeightsError
from volspine.inference import located_by
from volspine.inference.located_by import LocatedBy, localizer_of
from volspine.models.localizer import Localizer


def tiny(seed=0):
    torch.manual_seed(seed)
    return Localizer(channels=(4, 8, 8, 8)).eval()


def test_the_places_are_those_that_prediction_would_use(monkeypatch):
    asked = []

    def place(study, localizer, *, device):
        asked.append((study, localizer, str(device)))
        return landmarks(), ("doubtful",)

    monkeypatch.setattr(located_by, "place_levels", place)
    study, found = make_study(), LocatedBy(tiny())
    np.testing.assert_array_equal(found(study).points_mm, landmarks().points_mm)
    assert asked == [(study, found.localizer, "cpu")]


def test_other_weights_have_another_digest_and_the_same_the_same():
    assert LocatedBy(tiny()).digest == LocatedBy(tiny()).digest
    assert LocatedBy(tiny()).digest != LocatedBy(tiny(1)).digest
    assert pickle.loads(pickle.dumps(LocatedBy(tiny()))).digest == LocatedBy(tiny()).digest


def test_the_model_of_the_package_has_a_localizer_with_a_refiner():
    found = localizer_of("demo")
    assert isinstance(found.localizer, Localizer)
    assert found.localizer.refiner is not None


def test_a_model_folder_without_a_localizer_is_refused(tiny_bundle):
    with pytest.raises(ConfigurationError, match="the bundle has no localizer"):
        localizer_of(tiny_bundle)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError):
        localizer_of(tmp_path / "x.ckpt")

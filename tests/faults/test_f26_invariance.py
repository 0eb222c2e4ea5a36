"""F26: file names, instance numbers, threads and batch size do not change the answer."""

import random
import shutil

import numpy as np
import pydicom
import pytest
import torch

from tests.inference.made_up import make_study
from volspine.inference.members import Members
from volspine.inference.predictor import Predictor
from volspine.models.mirror import mirror_volume
from volspine.phantom.cohort import generate


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("phantoms") / "root", studies=1, size="small")


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, device="cpu")


def study_of(root):
    (folder,) = (root / "train_images").iterdir()
    return folder


def scrambled(root, copy, seed):
    """The same study with other file names and other instance numbers."""
    shutil.copytree(root, copy)
    rng = random.Random(seed)
    for series in study_of(copy).iterdir():
        files = sorted(series.iterdir())
        numbers = rng.sample(range(1, 10 * len(files)), len(files))
        for number, path in zip(numbers, files, strict=True):
            dataset = pydicom.dcmread(path)
            dataset.InstanceNumber = number
            path.unlink()
            dataset.save_as(series / f"{rng.getrandbits(32):08x}.dcm")
    return copy


def test_file_names_and_instance_numbers_change_nothing(root, predictor, tmp_path):
    expected = predictor.predict(study_of(root))
    for seed in (1, 2):
        found = predictor.predict(study_of(scrambled(root, tmp_path / str(seed), seed)))
        assert np.array_equal(found.grades.probabilities, expected.grades.probabilities)
        assert found.name == expected.name
        assert found.grades.reasons == expected.grades.reasons
        changing = {"timings_s"}
        first, second = expected.to_dict(), found.to_dict()
        assert all(first[key] == second[key] for key in first if key not in changing)


def test_the_order_of_series_changes_nothing(predictor):
    study = make_study()
    expected = predictor.predict(study).grades.probabilities
    study.series.reverse()
    assert np.array_equal(predictor.predict(study).grades.probabilities, expected)


def test_the_number_of_threads_changes_nothing_to_speak_of(predictor):
    before = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(predictor.predict(make_study()).grades)
    finally:
        torch.set_num_threads(before)
    for grades in found[1:]:
        assert grades.probabilities == pytest.approx(found[0].probabilities, abs=1e-5)
        assert grades.grades == found[0].grades


@pytest.mark.slow
def test_the_batch_size_changes_nothing_to_speak_of(predictor):
    volume = torch.rand(6, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    both = torch.stack([volume, mirror_volume(volume)])
    members = Members(predictor.bundle.graders, torch.device("cpu"), np.ones(25))
    one, two = (members.ask(lambda _, n=n: torch.split(both, n)).probabilities for n in (1, 2))
    assert one == pytest.approx(two, abs=1e-5)
    assert np.ptp(one[:, 0]) > 1e-4


def test_predicting_leaves_the_random_state_alone(predictor):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002  The old global state is what must not move.
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    predictor.predict(make_study())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002

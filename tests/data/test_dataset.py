import numpy as np
import pytest
import torch

from tests.data.conftest import GRID
from volspine.data.cache import StudyCache
from volspine.data.dataset import EpochSampler, StudyDataset, collate, rng_for
from volspine.data.rsna import read_root
from volspine.data.transforms import LightAugment


@pytest.fixture
def studies(made_root):
    return read_root(made_root).studies


def test_a_batch_has_the_agreed_names_types_and_shapes(studies):
    dataset = StudyDataset(studies, StudyCache(GRID))
    batch = collate([dataset[0], dataset[2]])
    shapes = {k: (v.dtype, tuple(v.shape)) for k, v in batch.items() if k != "study_id"}
    assert shapes == {
        "volume": (torch.float32, (2, 6, 8, 20, 24)),
        "grades": (torch.int64, (2, 25)),
        "points": (torch.float32, (2, 25, 3)),
        "has_point": (torch.bool, (2, 25)),
    }
    assert batch["study_id"] == ["100", "102"]
    assert batch["grades"][1].tolist() == list(studies[2].grades)


def test_what_happens_to_a_study_depends_on_seed_epoch_and_study_alone(studies):
    def volume(order, place, seed=0):
        dataset = StudyDataset(order, StudyCache(GRID), augment=LightAugment(), seed=seed)
        return dataset[place][0].volume

    first = volume(studies, (3, 1))
    assert torch.equal(first, volume(studies, (3, 1)))
    assert torch.equal(first, volume(studies[1:], (3, 0)))
    for other in (volume(studies, (4, 1)), volume(studies, (3, 1), seed=1)):
        assert not torch.equal(first, other)


def test_without_augmentation_the_epoch_makes_no_difference(studies):
    dataset = StudyDataset(studies, StudyCache(GRID))
    assert torch.equal(dataset[(0, 1)][0].volume, dataset[(7, 1)][0].volume)
    assert torch.equal(dataset[1][0].volume, dataset[(7, 1)][0].volume)


def test_the_generator_is_the_same_in_every_process():
    assert rng_for(0, 0, "100").integers(10**6) == 894024
    draws = {
        rng_for(*key).integers(10**9)
        for key in [(0, 0, "1"), (1, 0, "1"), (0, 1, "1"), (0, 0, "2")]
    }
    assert len(draws) == 4


def test_the_sampler_deals_every_index_once_in_an_order_of_the_epoch():
    sampler = EpochSampler(10, shuffle=True, seed=1)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(index for _, index in first) == list(range(10))
    sampler.set_epoch(5)
    second = list(sampler)
    assert {epoch for epoch, _ in second} == {5}
    assert [i for _, i in first] != [i for _, i in second]
    assert len(sampler) == 10
    assert list(EpochSampler(3, shuffle=False)) == [(0, 0), (0, 1), (0, 2)]


def test_examples_are_not_shared_between_epochs(studies):
    dataset = StudyDataset(studies, StudyCache(GRID))
    dataset[0][0].volume.zero_()
    assert np.asarray(dataset[0][0].volume).any()

"""People who never were: rendered once, seen anew at every step, the same ones after a break."""

import pytest
import torch

from tests.data.made_maps import made_map
from volspine.data import map_looks, phantom_maps
from volspine.data.phantom_maps import Draws, People, PhantomMaps
from volspine.data.resuming import StepSampler
from volspine.errors import ConfigurationError
from volspine.phantom import tissue_map_store
from volspine.phantom.appearance import Sample, sample_generator, sample_map
from volspine.phantom.tissue_map import TissueMap

FEW = People(train=5, val=2, test=2)


@pytest.fixture
def maps(tmp_path, monkeypatch):
    """A data module of people and pictures that cost nothing."""
    monkeypatch.setattr(tissue_map_store, "tissue_map", made_map)
    for place in (map_looks, phantom_maps):  # Where workers draw, and where the device does.
        monkeypatch.setattr(place, "sample_map", cheap_sample)

    def make(**draws) -> PhantomMaps:
        module = PhantomMaps(str(tmp_path / "store"), people=FEW, draws=Draws(**draws))
        module.setup()
        return module

    return make


def sampler(start=0, length=12, size=5, seed=0, step=1) -> StepSampler:
    return StepSampler(size, length=length, seed=seed, start=lambda: (start, step))


def cheap_sample(made: TissueMap, generator: torch.Generator) -> Sample:
    """What `sample_map` returns, of the same stream, without a picture worth the name."""
    picture = torch.rand(1, 2, 2, 2, generator=generator)
    points = torch.from_numpy(made.points_mm).float()
    return Sample(picture, picture > 0.5, points, torch.ones(27, dtype=torch.bool))


def test_everyone_is_seen_once_a_round_in_another_order():
    seen = list(sampler(length=10))
    first, second = seen[:5], seen[5:]
    assert [turn for turn, _ in seen] == [0] * 5 + [1] * 5
    assert (
        sorted(place for _, place in first) == sorted(place for _, place in second) == [*range(5)]
    )
    assert [place for _, place in first] != [place for _, place in second]
    assert list(sampler(length=10, seed=1)) != seen


def test_a_sampler_that_begins_later_goes_on_where_an_earlier_one_was():
    whole = list(sampler(length=20))
    for start in (1, 4, 5, 13):
        assert list(sampler(start, length=20 - start)) == whole[start:]


def test_processes_take_turns():
    whole = list(sampler(length=12))
    parts = [list(sampler(rank, length=6, step=2)) for rank in range(2)]
    assert [place for both in zip(*parts, strict=True) for place in both] == whole


def test_a_batch_is_what_the_maps_look_like_at_that_step(maps, monkeypatch):
    monkeypatch.setattr(map_looks, "sample_map", sample_map)
    module = maps(batch_size=1, steps=2, seed=4)
    batches = list(module.train_dataloader())
    assert len(batches) == 2
    (turn, who), *_ = StepSampler(5, length=2, seed=4, start=lambda: (0, 1))
    made = made_map(FEW.specs("train")[who])
    expected = sample_map(made, sample_generator(12, turn, who))
    for name in expected._fields:
        assert torch.equal(batches[0][name][0], getattr(expected, name))
    assert batches[0]["study_id"][0] == module.studies("train")[who]
    assert batches[0]["image"].shape == (1, 1, 24, 96, 128)
    assert batches[0]["visible"].dtype == torch.bool


def test_two_loaders_of_one_step_agree_and_two_rounds_do_not(maps):
    module = maps(batch_size=5, steps=2)
    one, two = (list(module.train_dataloader()) for _ in range(2))
    assert torch.equal(one[1]["image"], two[1]["image"])
    assert not torch.equal(one[0]["image"].sum(), one[1]["image"].sum())
    other = maps(batch_size=5, seed=1)
    fixed = [next(iter(each.val_dataloader()))["image"] for each in (module, other)]
    assert torch.equal(*fixed)


def test_a_loader_begins_where_the_run_stands(maps):
    module = maps(batch_size=2, steps=4)
    whole = [batch["study_id"] for batch in module.train_dataloader()]

    class Trainer:
        global_step, world_size, global_rank, accumulate_grad_batches = 3, 1, 0, 1

    module.trainer = Trainer()
    assert next(iter(module.train_dataloader()))["study_id"] == whole[3]
    assert len(module.train_dataloader()) == 4


def test_no_one_is_in_two_sets_and_no_two_sets_are_seen_in_one_way(maps):
    module = maps()
    names = [set(module.studies(name)) for name in ("train", "val", "test")]
    assert [len(each) for each in names] == [5, 2, 2]
    assert len(set.union(*names)) == 9
    val, test = (
        next(iter(loader)) for loader in (module.val_dataloader(), module.test_dataloader())
    )
    assert not torch.equal(val["mask"], test["mask"])


def test_drawing_on_the_device_gives_the_same_pictures(maps):
    here = next(iter(maps(seed=2).train_dataloader()))
    module = maps(seed=2, on_device=True)
    raw = next(iter(module.train_dataloader()))
    assert set(raw) == {"maps", "draws", "study_id"}
    there = module.transfer_batch_to_device(raw, torch.device("cpu"), 0)
    assert all(torch.equal(here[name], there[name]) for name in ("image", "mask", "points_index"))
    assert here["study_id"] == there["study_id"]
    assert module.transfer_batch_to_device(there, torch.device("cpu"), 0).keys() == there.keys()


def test_maps_that_are_missing_are_rendered_and_counted(maps, tmp_path, monkeypatch):
    maps()
    files = sorted((tmp_path / "store").glob("*.npz"))
    assert len(files) == 9
    files[0].unlink()
    ages = [path.stat().st_mtime_ns for path in files[1:]]
    rendered, told = [], []

    def watched(spec):
        rendered.append(spec)
        return made_map(spec)

    monkeypatch.setattr(tissue_map_store, "tissue_map", watched)
    module = PhantomMaps(str(tmp_path / "store"), people=FEW)
    module.progress = lambda done, wanted: told.append((done, wanted))
    module.setup()
    assert len(rendered) == len(told) == 1
    assert [path.stat().st_mtime_ns for path in files[1:]] == ages


def test_a_stage_needs_only_its_own_people(tmp_path, monkeypatch):
    monkeypatch.setattr(tissue_map_store, "tissue_map", made_map)
    module = PhantomMaps(str(tmp_path / "store"), people=FEW)
    module.setup("test")
    assert len(list((tmp_path / "store").glob("*.npz"))) == 2
    assert len(module.test_dataloader()) == 1


def test_the_recipe_is_plain_data_without_a_path(maps, tmp_path):
    recipe = maps().recipe()
    assert recipe["people"] == {"train": 5, "val": 2, "test": 2}
    assert recipe["grid"] == {"spacing_mm": [4.0, 2.0, 2.0], "shape": [24, 96, 128]}
    assert str(tmp_path) not in str(recipe)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: People(train=0), "0, 40 and 100 people"),
        (lambda: People(train_seed=5, val_seed=5), "are impossible"),
        (lambda: Draws(batch_size=0), "batch_size 0"),
        (lambda: PhantomMaps("x", people=People(test=0)).test_dataloader(), "no one to test on"),
    ],
    ids=["no one", "the same people", "no batch", "no test"],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_without_a_validation_set_there_is_no_loader(tmp_path):
    assert PhantomMaps(str(tmp_path), people=People(val=0)).val_dataloader() == []

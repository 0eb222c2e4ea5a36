"""Levels of studies as batches: grades stay with their patches, and a run goes on where it was."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser

from tests.volume.made_crops import crops_of, numbered
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding
from volspine.data import crop_store
from volspine.data.crop_looks import AS_THEY_ARE, Looks
from volspine.data.crop_root import crop_root, marked_landmarks
from volspine.data.crop_store import AS_FILED
from volspine.data.datamodule import SplitPlan, read_roots
from volspine.data.level_datamodule import LevelCrops
from volspine.data.level_people import CropDraws, CropPeople
from volspine.errors import ConfigurationError, VolspineError
from volspine.phantom.levels import PhantomLevels
from volspine.phantom.spec import Noise
from volspine.views import TOKENS, VIEWS, StudyCrops
from volspine.volume.patches import tokens_of

FEW = CropPeople(train={"rsna_like": 3, "probe": 2}, val={"probe": 2}, test={"probe": 2}, workers=1)
STILL = AS_THEY_ARE


@cache
def numbered_crops() -> StudyCrops:
    """A person at each of whose targets a ball says which target it is."""
    crops = crops_of(numbered)
    return crops._replace(sagittal=crops.sagittal.half(), axial=crops.axial.half())


def numbered_person(spec) -> PhantomLevels:
    """That person, whose grades say it too."""
    number = torch.arange(25)
    return PhantomLevels(
        numbered_crops(), number, torch.stack([number, (number + spec.index) % 3, number])
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    """A folder that is filled once."""
    return str(tmp_path_factory.mktemp("people") / "store")


@pytest.fixture
def module(store, monkeypatch):
    """A data module of people who cost nothing."""
    monkeypatch.setattr(crop_store, "phantom_levels", numbered_person)

    def make(*, looks=STILL, people=FEW, **draws) -> LevelCrops:
        made = LevelCrops(store, people=people, draws=CropDraws(**draws), looks=looks)
        made.setup()
        return made

    return make


def number_seen(batch, study, token):
    """Which target's ball is in the middle of a patch, going by its brightness."""
    view, _ = TOKENS[token]
    image = batch["patches"].images[view][study, token - tokens_of(view).start]
    half = image.shape[-1] // 2
    return round(10 * float(image[2, half - 1 : half + 1, half - 1 : half + 1].mean())) - 1


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("mirror", [0.0, 0.5, 1.0])
def test_a_grade_stays_with_the_patches_that_show_its_target(module, mirror, on_device):
    made = module(looks=Looks(**{**vars(STILL), "mirror": mirror}), batch_size=5,
                  on_device=on_device, seed=3)  # fmt: skip
    batch = next(iter(made.train_dataloader()))
    batch = made.transfer_batch_to_device(batch, torch.device("cpu"), 0)
    assert {0.0: {False}, 0.5: {True, False}, 1.0: {True}}[mirror] == set(batch["flip"].tolist())
    for study in range(5):
        for token, (_, target) in enumerate(TOKENS):
            shown = MIRRORED_INDEX[target] if batch["flip"][study] else target
            assert number_seen(batch, study, token) == shown
            assert int(batch["grades"][study, target]) == shown


def test_cutting_on_the_device_gives_the_same_batch(module):
    looks = Looks(noise=0.0)
    here, there = (module(looks=looks, batch_size=3, on_device=d) for d in (False, True))
    ours, raw = (next(iter(each.train_dataloader())) for each in (here, there))
    assert "patches" not in raw
    theirs = there.transfer_batch_to_device(raw, torch.device("cpu"), 0)
    assert set(ours) == set(theirs) == {"patches", "grades", "points_mm", "flip", "study_id"}
    assert ours["study_id"] == theirs["study_id"]
    for name in ("grades", "points_mm", "flip"):
        assert torch.equal(ours[name], theirs[name])
    for part in (0, 1):
        for a, b in zip(ours["patches"][part], theirs["patches"][part], strict=True):
            torch.testing.assert_close(a, b)


def test_a_batch_has_the_shapes_that_it_promises(module):
    batch = next(iter(module(looks=Looks(), batch_size=2).train_dataloader()))
    for view, image, share in zip(VIEWS, *batch["patches"], strict=True):
        size = (2, len(view.targets), view.slices, view.pixels, view.pixels)
        assert image.shape == size
        assert share.shape == size[:3]
    assert batch["points_mm"].shape == (2, 25, 3)
    assert batch["grades"].shape == (2, 25)
    assert batch["grades"].dtype == torch.int64
    assert len(batch["study_id"]) == 2


def test_a_run_goes_on_where_it_stopped(module):
    made = module(looks=Looks(), batch_size=2, steps=4, seed=1)
    whole = list(made.train_dataloader())

    class Trainer:
        global_step, world_size, global_rank, accumulate_grad_batches = 3, 1, 0, 1

    made.trainer = Trainer()
    loader = made.train_dataloader()
    assert len(loader) == 4
    again = next(iter(loader))
    assert again["study_id"] == whole[3]["study_id"]
    assert torch.equal(again["patches"].images[0], whole[3]["patches"].images[0])
    Trainer.global_step, Trainer.accumulate_grad_batches = 1, 2
    assert next(iter(made.train_dataloader()))["study_id"] == whole[2]["study_id"]


def test_a_study_never_looks_the_same_twice_and_validation_always_does(module):
    made = module(looks=Looks(), batch_size=5, steps=2)
    first, second = list(made.train_dataloader())
    assert sorted(first["study_id"]) == sorted(second["study_id"])
    order = [second["study_id"].index(name) for name in first["study_id"]]
    assert not torch.equal(first["points_mm"], second["points_mm"][order])
    other = module(looks=Looks(), batch_size=5, seed=9)
    fixed = [next(iter(each.val_dataloader())) for each in (made, other)]
    assert torch.equal(fixed[0]["patches"].images[0], fixed[1]["patches"].images[0])
    assert not fixed[0]["flip"].any()


def test_validation_lies_where_a_localizer_would_find_it(module):
    located, true = (
        next(iter(module(looks=Looks(), located=on).val_dataloader()))["points_mm"]
        for on in (True, False)
    )
    assert torch.equal(true[0], numbered_crops().points_mm)
    assert 0.1 < float((located - true).norm(dim=-1).mean()) < 5.0


def test_nobody_is_in_two_sets(module):
    made = module()
    names = [set(made.studies(name)) for name in ("train", "val", "test")]
    assert [len(each) for each in names] == [5, 2, 2]
    assert len(set.union(*names)) == 9


def test_labels_are_those_of_the_reader_that_was_asked(module):
    noisy = CropPeople(**{**vars(FEW), "noise_of_tests": "single_reader"})
    consensus = CropPeople(**{**vars(FEW), "noise": "consensus"})
    number = np.arange(25)
    for people, name, wanted in (
        (FEW, "train", number), (noisy, "train", number), (consensus, "train", number % 3),
        (noisy, "test", number),
    ):  # fmt: skip
        np.testing.assert_array_equal(module(people=people).labels(name)[0], wanted)
    assert [noisy.reader(name) for name in ("train", "test")] == [Noise.NONE, Noise.SINGLE_READER]


def test_known_grades_are_those_of_training_and_validation(module):
    made = module()
    known = made.known_grades()
    assert known.shape == (7, 25)
    np.testing.assert_array_equal(known, np.concatenate([made.labels("train"), made.labels("val")]))


def test_a_recipe_is_plain_data_that_says_who_was_trained_on(module):
    recipe = module().recipe()
    assert recipe["people"]["train"] == {"rsna_like": 3, "probe": 2}
    assert recipe["seeds"]["train"] == 2000
    assert recipe["noise"]["test"] == "none"
    assert recipe["views"]["foramen_sagittal_t1"] == [5, 40, 0.7]
    assert "seed" in recipe["jitter_source"]


def test_torchio_changes_colours_and_nothing_else(module):
    pytest.importorskip("torchio")
    plain = next(iter(module(batch_size=5).train_dataloader()))
    looks = Looks(**{**vars(STILL), "colours_by": "torchio"})
    made = next(iter(module(looks=looks, batch_size=5).train_dataloader()))
    assert torch.equal(made["points_mm"], plain["points_mm"])
    assert torch.equal(made["grades"], plain["grades"])
    for ours, theirs in zip(made["patches"].images, plain["patches"].images, strict=True):
        assert not torch.allclose(ours, theirs, atol=0.01)
    for ours, theirs in zip(made["patches"].covered, plain["patches"].covered, strict=True):
        assert torch.equal(ours, theirs)
    # The brightest of the two foramina of a level is on the same side as before.
    left, right = made["patches"].images[2][0, 4, 2], made["patches"].images[2][0, 9, 2]
    assert left[19:21, 19:21].mean() < right[19:21, 19:21].mean()


@pytest.mark.parametrize(
    "wrong",
    [{"train": {}}, {"train": {"rsna_like": 0}}, {"val": {"probe": -1}}, {"val_seed": 2000},
     {"train": {"martians": 3}}, {"workers": 0}],
)  # fmt: skip
def test_impossible_people_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        CropPeople(**wrong)


def test_there_has_to_be_someone_to_test_on(module):
    people = CropPeople(**{**vars(FEW), "test": {}})
    with pytest.raises(ConfigurationError, match="no study to test on"):
        module(people=people).test_dataloader()


def test_a_recipe_file_can_say_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(crop_store, "phantom_levels", numbered_person)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(LevelCrops, "data")
    config = parser.parse_object({
        "data": {
            "crops": str(tmp_path),
            "people": {"train": {"probe": 1}, "val": {}, "test": {}, "noise": "single_reader"},
            "draws": {"batch_size": 1, "on_device": True},
            "looks": {"mirror": 0.25, "colours_by": "torch"},
        }
    })  # fmt: skip
    made = parser.instantiate(config)["data"] if hasattr(parser, "instantiate") else None
    made = made or parser.instantiate_classes(config)["data"]
    made.setup("fit")
    assert made.looks.mirror == 0.25
    assert made.people.reader("train") is Noise.SINGLE_READER
    assert made.val_dataloader() == []
    assert next(iter(made.train_dataloader()))["crops"].axial.shape[0] == 1


@pytest.fixture(scope="module")
def root_module(phantom_root, tmp_path_factory) -> LevelCrops:
    """The two studies of a challenge root, read from their DICOM files by their marks."""
    store = tmp_path_factory.mktemp("crops")
    made = LevelCrops(str(store), root=str(phantom_root), looks=STILL,
                      split=SplitPlan(val=0, test=1), draws=CropDraws(batch_size=1))  # fmt: skip
    made.setup()
    return made


def test_a_challenge_root_is_cropped_at_its_marks(root_module, phantom_root):
    batch = next(iter(root_module.train_dataloader()))
    truth = json.loads((phantom_root / "truth" / f"{batch['study_id'][0]}.json").read_text())
    wanted = np.array([truth["landmarks_mm"][t.name] for t in TARGETS])
    found = batch["points_mm"][0].numpy()
    marked = np.isfinite(found).all(axis=1)
    assert marked.sum() >= 20
    # Marks stand on the nearest slice, up to half a slice away.
    assert np.linalg.norm(found - wanted, axis=1)[marked].max() < 4.0
    grades = [truth["grades"][t.name] for t in TARGETS]
    labels = batch["grades"][0].numpy()
    np.testing.assert_array_equal(labels[labels >= 0], np.array(grades)[labels >= 0])
    assert any(share.any() for share in batch["patches"].covered)


def test_a_challenge_root_is_read_once(root_module, phantom_root, monkeypatch):
    from volspine.data import crop_root

    monkeypatch.setattr(crop_root, "read_study", None)
    again = LevelCrops(str(root_module.crops), root=str(phantom_root),
                       split=SplitPlan(val=0, test=1))  # fmt: skip
    again.setup()
    assert sum(len(again.studies(name)) for name in ("train", "val", "test")) == 2
    assert again.known_grades().shape == (1, 25)
    assert again.recipe()["roots"] == ["root"]


def test_what_nobody_marked_is_not_located():
    points = numbered_crops().points_mm.numpy().copy()
    points[[2, 11]] = np.nan
    landmarks = marked_landmarks(points)
    assert landmarks.found.tolist() == [n not in (2, 11) for n in range(25)]
    assert landmarks.level_confidence.tolist() == [1, 1, 0, 1, 1]
    assert TARGETS[2].finding is Finding.CANAL


def test_a_localizer_takes_the_place_of_the_marks(phantom_root, tmp_path):
    class Nowhere:
        digest = "0123456789abcdef"

        def __call__(self, study):
            assert study.series
            return marked_landmarks(np.full((25, 3), np.nan))

    studies = read_roots([phantom_root])[:1]
    store = crop_root(studies, tmp_path, locate=Nowhere())
    assert store.files[0].name.endswith("-located-0123456789ab.npz")
    assert store[0].crops.points_mm.isnan().all()
    assert not store[0].crops.sagittal_mask.any()
    assert store[0].labels[AS_FILED].tolist() == list(studies[0].grades)


def test_a_localizer_that_is_named_and_not_loaded_is_not_replaced_by_marks(phantom_root, tmp_path):
    module = LevelCrops(str(tmp_path), root=str(phantom_root), localizer="demo")
    with pytest.raises(ConfigurationError, match="was named and not loaded"):
        module.setup("fit")
    assert not list(tmp_path.iterdir())


def test_a_study_that_cannot_be_read_is_named(phantom_root, tmp_path):
    (tmp_path / "empty").mkdir()
    broken = replace(read_roots([phantom_root])[0], folder=tmp_path / "empty", key="of-somebody")
    with pytest.raises(VolspineError, match="study of-somebody cannot be used for training"):
        crop_root([broken], tmp_path / "store")
    assert not list((tmp_path / "store").glob("*"))

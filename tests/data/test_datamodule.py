from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import GRID
from tests.data.made_roots import write_root
from volspine.data.datamodule import LoaderPlan, RsnaDataModule, SplitPlan, read_roots
from volspine.data.transforms import LightAugment
from volspine.errors import ConfigurationError, TableError

SPLIT = SplitPlan(val=2, test=3)


def module(root, **options) -> RsnaDataModule:
    data = RsnaDataModule(str(root), **{"grid": GRID, "split": SPLIT, **options})
    data.setup("fit")
    return data


def keys(loader) -> list[str]:
    return [key for batch in loader for key in batch["study_id"]]


def test_every_study_is_in_one_loader(made_root):
    data = module(made_root)
    found = [
        keys(each()) for each in (data.train_dataloader, data.val_dataloader, data.test_dataloader)
    ]
    assert [len(f) for f in found] == [7, 2, 3]
    assert sorted(key for several in found for key in several) == [str(100 + n) for n in range(12)]
    assert keys(data.predict_dataloader()) == found[2]


def test_only_training_studies_are_augmented_and_shuffled(made_root):
    data = module(made_root, augment=LightAugment())
    plain = module(made_root)
    test, same = (next(iter(d.test_dataloader()))["volume"] for d in (data, plain))
    assert np.array_equal(test, same)
    train, other = (keys(d.train_dataloader()) for d in (data, plain))
    assert train == other
    assert train != sorted(train)
    volumes = [next(iter(d.train_dataloader()))["volume"] for d in (data, plain)]
    assert not np.array_equal(*volumes)


def test_a_last_batch_of_one_is_left_out_of_training_only(made_root):
    data = module(made_root, loader=LoaderPlan(batch_size=3))
    assert [len(b["study_id"]) for b in data.train_dataloader()] == [3, 3]
    assert sum(len(b["study_id"]) for b in data.test_dataloader()) == 3
    alone = module(made_root, split=SplitPlan(val=5, test=6), loader=LoaderPlan(batch_size=2))
    assert len(keys(alone.train_dataloader())) == 1


def test_workers_change_nothing(made_root, tmp_path):
    def volumes(workers):
        plan = LoaderPlan(batch_size=4, num_workers=workers, cache_dir=tmp_path / "cache")
        data = module(made_root, loader=plan, augment=LightAugment())
        return [batch["volume"].numpy() for batch in data.train_dataloader()]

    for one, two in zip(volumes(0), volumes(2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_shuffled_labels_are_those_of_other_studies_and_the_test_set_keeps_its_own(made_root):
    data, shuffled = module(made_root), module(made_root, shuffle_labels=True)
    own = {s.key: s.grades for s in data.studies("train")}
    dealt = {s.key: s.grades for s in shuffled.studies("train")}
    assert sorted(own.values()) == sorted(dealt.values())
    assert sum(own[key] != dealt[key] for key in own) >= 4
    assert data.studies("test") == shuffled.studies("test")


def test_the_prior_may_know_what_training_and_choosing_know(made_root):
    data = module(made_root)
    known = data.known_grades()
    assert known.shape == (9, 25)
    rows = [s.grades for name in ("train", "val") for s in data.studies(name)]
    np.testing.assert_array_equal(known, rows)


def test_several_roots_are_pooled_and_equal_ids_stay_apart_but_in_one_group(made_root, tmp_path):
    write_root(tmp_path / "second", np.zeros((3, 25), dtype=int))
    (tmp_path / "second" / "train.csv").write_text(
        (tmp_path / "second" / "train.csv").read_text().replace("\n102,", "\n202,")
    )
    (tmp_path / "second" / "train_images" / "102").rename(
        tmp_path / "second" / "train_images" / "202"
    )
    pooled = read_roots([made_root, tmp_path / "second"])
    assert len({s.key for s in pooled}) == len(pooled) == 15
    assert {s.key for s in pooled if s.study_id == "100"} == {"0-root-100", "1-second-100"}
    assert {s.group for s in pooled if s.study_id == "100"} == {"100"}  # One side of a split.
    assert {s.key for s in pooled if s.study_id in ("105", "202")} == {"105", "202"}
    data = RsnaDataModule([str(made_root), str(tmp_path / "second")], grid=GRID, split=SPLIT)
    data.setup()
    assert data.recipe()["roots"] == ["root", "second"]
    assert sum(data.recipe()["num_studies"].values()) == 15


def test_a_fixed_split_is_used_as_it_is(made_root, tmp_path):
    file = tmp_path / "split.json"
    file.write_text('{"train": ["100", "101"], "test": ["105"]}')
    data = module(made_root, split=SplitPlan(file=file))
    assert data.split.train == ("100", "101")
    assert data.val_dataloader() == []
    assert keys(data.test_dataloader()) == ["105"]


def test_the_recipe_is_plain_data_without_a_path(made_root):
    recipe = module(made_root).recipe()
    assert recipe["grid"] == {"spacing_mm": [4.0, 4.0, 4.0], "shape": [8, 20, 24]}
    assert recipe["num_studies"] == {"train": 7, "val": 2, "test": 3}
    assert str(made_root.parent) not in str(recipe)


def test_what_cannot_work_is_refused(made_root):
    with pytest.raises(ConfigurationError, match="batch_size 0 with 0 workers is impossible"):
        LoaderPlan(batch_size=0)
    with pytest.raises(ConfigurationError, match="the split has no test set"):
        module(made_root, split=SplitPlan(val=2, test=0)).test_dataloader()
    with pytest.raises(TableError, match="the table is not there"):
        module(Path("nowhere"))

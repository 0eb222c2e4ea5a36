"""Training from a store: the same tensors, bit for bit, and no DICOM is decoded."""

import numpy as np
import pytest
import torch

from tests.data.conftest import GRID
from tests.data.made_stores import copied, write_dicom_root, write_dicom_study
from tests.tasks.made_own import write_own
from volspine.data.crop_looks import Looks
from volspine.data.datamodule import LoaderPlan, RsnaDataModule, SplitPlan
from volspine.data.level_datamodule import LevelCrops
from volspine.data.level_people import CropDraws
from volspine.data.own_datamodule import OwnDataModule
from volspine.data.roots import read_roots
from volspine.data.store_making import prepare
from volspine.data.transforms import LightAugment
from volspine.dicom import pixels, reading
from volspine.errors import ConfigurationError, InputError

SPLIT = SplitPlan(val=1, test=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_dicom_root(tmp_path_factory.mktemp("made") / "root", studies=4)


@pytest.fixture(scope="module")
def store(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "store"
    assert prepare(root, folder).made == 4
    return folder


@pytest.fixture
def no_dicom(monkeypatch):
    """Whoever reads a DICOM file or decodes pixels fails."""
    monkeypatch.setattr(reading, "list_files", None)
    monkeypatch.setattr(pixels, "read_frames", None)


def batches(**options):
    plan = LoaderPlan(batch_size=2, cache_dir=options.pop("cache_dir", None))
    data = RsnaDataModule(**options, grid=GRID, split=SPLIT, loader=plan, augment=LightAugment())
    data.setup()
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    return [batch for loader in loaders for batch in loader]


def assert_equal(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, other[name]), name
            else:
                assert value == other[name]


@pytest.fixture(scope="module")
def from_dicom(root):
    return batches(root=str(root))


@pytest.mark.parametrize("has_root", [True, False], ids=["root and store", "store alone"])
def test_a_store_gives_the_batches_of_its_root_and_decodes_nothing(
    has_root, from_dicom, root, store, no_dicom
):
    told = {"root": str(root)} if has_root else {}
    found = batches(store=str(store), **told)
    assert found[0]["volume"].any()
    assert any(batch["has_point"].any() for batch in found)
    assert_equal(found, from_dicom)


def test_what_is_sampled_is_kept_under_the_content_of_the_store(store, tmp_path, no_dicom):
    cache = tmp_path / "cache"
    batches(store=str(store), cache_dir=cache)
    first = {path.name for path in cache.iterdir()}
    assert len(first) == 4
    # A copy of the store, made at another time in another place, is the same content.
    again = copied(store, tmp_path / "copy")
    batches(store=str(again), cache_dir=cache)
    assert {path.name for path in cache.iterdir()} == first


def test_a_study_that_changed_is_not_taken_from_what_was_kept(root, tmp_path):
    changed, cache = copied(root, tmp_path / "root"), tmp_path / "cache"
    prepare(changed, tmp_path / "store")
    batches(store=str(tmp_path / "store"), cache_dir=cache)
    (changed / "train_images" / "102" / "1000" / "4.dcm").unlink()
    prepare(changed, tmp_path / "store")
    batches(store=str(tmp_path / "store"), cache_dir=cache)
    assert len(list(cache.iterdir())) == 5


def test_labels_of_the_root_count_where_there_is_one(root, store, tmp_path):
    mended = copied(root, tmp_path / "root")
    table = mended / "train.csv"
    rows = table.read_text().splitlines()
    rows[1] = ",".join(["100", *["Severe"] * 25])
    table.write_text("\n".join(rows) + "\n")
    (study, *_) = read_roots([mended], stores=[store])
    assert study.grades == (2,) * 25
    assert study.folder == store / "train_images" / "100"


def test_several_stores_are_pooled_like_several_roots(root, store):
    keys = [study.key for study in read_roots([store, store], stores=[store, store])]
    assert keys == [f"{n}-store-{study}" for n in (0, 1) for study in (100, 101, 102, 103)]
    with pytest.raises(ConfigurationError, match="1 stores cannot stand for the images of 2"):
        RsnaDataModule([str(root), str(root)], store=str(store))


def test_nothing_to_learn_from_is_said_at_once():
    with pytest.raises(ConfigurationError, match="neither a root nor a store"):
        RsnaDataModule()


def test_a_store_that_is_not_finished_is_not_trained_on(root, tmp_path):
    data = RsnaDataModule(str(root), store=str(tmp_path))
    with pytest.raises(InputError, match="no finished store"):
        data.setup()


def test_studies_that_could_not_be_prepared_are_mentioned(root, tmp_path, caplog):
    broken = copied(root, tmp_path / "root")
    for file in (broken / "train_images" / "101").rglob("*.dcm"):
        file.write_bytes(b"")
    prepare(broken, tmp_path / "store")
    found = read_roots([tmp_path / "store"], stores=[tmp_path / "store"])
    assert [study.key for study in found] == ["100", "102", "103"]
    assert "store: 1 studies could not be prepared: failures.csv" in caplog.text


def crops(folder, **options):
    made = LevelCrops(
        str(folder),
        looks=Looks(mirror=0.0),
        split=SplitPlan(val=0, test=1),
        draws=CropDraws(batch_size=1),
        **options,
    )
    made.setup("test")
    return made


@pytest.mark.slow
def test_crops_of_levels_are_cut_from_a_store(phantom_root, tmp_path, monkeypatch):
    prepare(phantom_root, tmp_path / "store")
    from_dicom = crops(tmp_path / "a", root=str(phantom_root))
    monkeypatch.setattr(pixels, "read_frames", None)
    from_store = crops(tmp_path / "b", store=str(tmp_path / "store"))
    one, other = (next(iter(made.test_dataloader())) for made in (from_dicom, from_store))
    assert one["study_id"] == other["study_id"]
    assert torch.equal(one["grades"], other["grades"])
    np.testing.assert_array_equal(one["points_mm"], other["points_mm"])
    for a, b in zip(one["patches"], other["patches"], strict=True):
        assert all(torch.equal(*pair) for pair in zip(_tensors(a), _tensors(b), strict=True))


def _tensors(value):
    if isinstance(value, torch.Tensor):
        return [torch.nan_to_num(value)]
    return [tensor for part in value for tensor in _tensors(part)]


def test_own_targets_are_learnt_from_a_store_by_the_names_of_the_folders(tmp_path, monkeypatch):
    _, tables = write_own(tmp_path, np.ones((4, 25), dtype=int))
    studies = tmp_path / "studies"
    for n in range(4):
        write_dicom_study(studies / str(100 + n), n)
    prepare(studies, tmp_path / "store")

    def volumes(**places):
        data = OwnDataModule(labels=tables, grid=GRID, split=SPLIT, **places)
        data.setup()
        return list(data.test_dataloader())

    from_dicom = volumes(root=str(studies))
    monkeypatch.setattr(pixels, "read_frames", None)
    assert from_dicom[0]["volume"].any()
    assert_equal(volumes(store=str(tmp_path / "store")), from_dicom)

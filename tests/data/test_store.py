"""The index of a store: quick to open, refused where it is not finished, clear about names."""

import tracemalloc

import pytest

from tests.data.made_stores import write_dicom_root
from volspine.data.store import INDEX, Entry, Store, index_bytes, is_store
from volspine.data.store_making import prepare
from volspine.errors import InputError


def entry(place, name, key="0" * 64):
    series = {"sagittal_t1": 1, "sagittal_t2": 1, "axial_t2": 2}
    return Entry(place, key, name, place, 22_000_000, series, {"repairs": 0, "faults": 1})


def write_index(folder, entries):
    folder.mkdir(exist_ok=True)
    (folder / INDEX).write_bytes(index_bytes({each.place: each for each in entries}))
    return folder


def test_the_index_of_2000_studies_opens_alone_and_in_little_memory(tmp_path):
    many = [entry(f"train_images/{4_000_000 + n}", str(4_000_000 + n)) for n in range(2000)]
    folder = write_index(tmp_path, many)
    store = Store.open(folder)  # The entries are not even there.
    assert len(store) == len(store.keys) == 2000
    tracemalloc.start()
    assert Store.open(folder).entries["4001999"] == many[-1]
    assert tracemalloc.get_traced_memory()[1] < 32e6
    tracemalloc.stop()


def test_studies_of_one_name_are_told_apart_by_their_places(tmp_path):
    both = [entry("train_images/5", "5"), entry("test_images/5", "5"), entry("train_images/6", "6")]
    store = Store.open(write_index(tmp_path, both))
    assert store.keys == ("test_images/5", "train_images/5", "6")
    assert store.path("test_images/5") == tmp_path / "test_images" / "5"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": "volspine store 0", "entries": {}}'])
def test_what_is_no_finished_store_of_this_version_is_refused(content, tmp_path):
    (tmp_path / INDEX).write_bytes(content)
    with pytest.raises(InputError, match="no finished store") as caught:
        Store.open(tmp_path)
    assert "volspine prepare" in caught.value.remedy


def test_a_store_gives_its_studies_by_their_names(tmp_path):
    root = write_dicom_root(tmp_path / "root", studies=2)
    assert not is_store(root)
    prepare(root, tmp_path / "store")
    assert is_store(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert store.keys == ("100", "101")
    study = store.study("101")
    assert (study.name, len(study.series)) == ("101", 3)
    assert sorted(store.tables) == [
        "train.csv",
        "train_label_coordinates.csv",
        "train_series_descriptions.csv",
    ]

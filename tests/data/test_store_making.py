"""Making a store: nothing lost, doubled or half there, whatever happens to those who make it."""

import csv
import json
import shutil
import signal
import subprocess
import sys

import pytest

from tests.data.made_stores import copied, everything, write_dicom_root, write_dicom_study
from tests.dicom.series_factory import save_all, series
from volspine.data import store_folder, store_making
from volspine.data.store import INDEX, Store, is_store
from volspine.data.store_making import prepare
from volspine.dicom.find import find_studies
from volspine.errors import ConfigurationError, InputError, OutputError, TableError
from volspine.jobs import ENGINES

SLOWLY = """
import sys, time
from volspine.data import store_making
put = store_making.put
def put_slowly(made, place):
    print("at", place.name, flush=True)
    time.sleep(float(sys.argv[3]) if place.name == sys.argv[4] else 0)
    put(made, place)
store_making.put = put_slowly
store_making.prepare(sys.argv[1], sys.argv[2])
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_dicom_root(tmp_path_factory.mktemp("made") / "root")


@pytest.fixture(scope="module")
def unbroken(root, tmp_path_factory):
    """What a store of the root holds that was made in one go."""
    store = tmp_path_factory.mktemp("unbroken") / "store"
    done = prepare(root, store)
    assert (done.made, done.kept, done.failures, done.exit_code) == (3, 0, (), 0)
    return everything(store)


def test_a_store_is_laid_out_as_its_root_with_the_tables_byte_for_byte(unbroken, root):
    for name in ("train.csv", "train_series_descriptions.csv", "train_label_coordinates.csv"):
        assert unbroken[name] == (root / name).read_bytes()
    studies = {name.split("/")[1] for name in unbroken if name.startswith("train_images/")}
    assert studies == {"100", "101", "102"}
    assert {"failures.csv", "summary.json", INDEX} <= set(unbroken)


def test_two_builds_are_the_same_bytes_wherever_and_whenever(unbroken, root, tmp_path):
    again = copied(root, tmp_path / "another place" / "root")
    prepare(again, tmp_path / "store")
    assert everything(tmp_path / "store") == unbroken


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_workers_of_every_engine_write_the_same_bytes(engine, unbroken, root, tmp_path):
    if engine == "ray":
        pytest.importorskip("ray")
    prepare(root, tmp_path / "store", workers=2, engine=engine)
    assert everything(tmp_path / "store") == unbroken


def test_no_place_on_this_disk_stands_in_a_store(unbroken, root):
    for name, content in unbroken.items():
        assert str(root).encode() not in content, name
        assert str(root.parent.name).encode() not in content, name


def test_a_second_run_decodes_nothing(unbroken, root, tmp_path, monkeypatch):
    prepare(root, tmp_path)
    monkeypatch.setattr(store_making, "write_prepared", None)
    done = prepare(root, tmp_path)
    assert (done.made, done.kept, done.exit_code) == (0, 3, 0)
    assert everything(tmp_path) == unbroken


def test_kill_9_leaves_a_store_that_the_same_command_finishes(unbroken, root, tmp_path):
    command = [sys.executable, "-c", SLOWLY, root, tmp_path / "store", "60", "101"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "at 100\n"
        assert child.stdout.readline() == "at 101\n"
        child.send_signal(signal.SIGKILL)
    left = everything(tmp_path / "store")
    assert any(name.startswith(".writing/") for name in left)
    assert not is_store(tmp_path / "store")
    with pytest.raises(InputError, match="no finished store"):
        Store.open(tmp_path / "store")
    done = prepare(root, tmp_path / "store")
    assert (done.made, done.kept) == (2, 1)
    assert everything(tmp_path / "store") == unbroken


@pytest.mark.slow
def test_two_writers_at_once_make_one_store(unbroken, root, tmp_path):
    # Each waits where the other does not, so that both make the same study at the same time.
    children = [
        subprocess.Popen([sys.executable, "-c", SLOWLY, root, tmp_path / "store", "0.5", slow])
        for slow in ("100", "101")
    ]
    assert [child.wait() for child in children] == [0, 0]
    assert everything(tmp_path / "store") == unbroken


def test_a_writer_at_work_is_not_swept_away_and_a_dead_one_is(tmp_path):
    with store_folder.bench(tmp_path) as own:
        (own / "voxels").write_bytes(b"1")
        dead = tmp_path / ".writing" / "dead"
        dead.mkdir()
        (dead / "half").write_bytes(b"1")
        assert store_folder.sweep(tmp_path), "another is at work"
        assert (own / "voxels").is_file()
        assert not dead.exists()
    assert not (tmp_path / ".writing").exists()
    assert not store_folder.sweep(tmp_path)


def test_who_comes_second_begins_elsewhere_and_makes_the_same(
    unbroken, root, tmp_path, monkeypatch
):
    order, put = [], store_making.put
    monkeypatch.setattr(store_making.os, "getpid", lambda: 5)
    monkeypatch.setattr(
        store_making, "put", lambda made, place: (order.append(place.name), put(made, place))
    )
    with store_folder.bench(tmp_path):
        prepare(root, tmp_path)
    assert order == ["102", "100", "101"]
    assert everything(tmp_path) == unbroken


def test_a_folder_takes_the_place_of_another_at_once(tmp_path):
    place = tmp_path / "there" / "entry"
    for content in (b"old", b"new"):
        with store_folder.bench(tmp_path) as own:
            made = own / "made"
            made.mkdir()
            (made / "voxels").write_bytes(content)
            store_folder.put(made, place)
        assert everything(tmp_path) == {
            "there": b"",
            "there/entry": b"",
            "there/entry/voxels": content,
        }


@pytest.mark.parametrize("name", ["study.json", "1_0.npy"])
def test_a_damaged_entry_is_found_by_its_digest_and_made_again(name, unbroken, root, tmp_path):
    prepare(root, tmp_path)
    path = tmp_path / "train_images" / "101" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    done = prepare(root, tmp_path)
    assert (done.made, done.kept) == (1, 2)
    assert everything(tmp_path) == unbroken


def test_what_changed_is_made_anew_and_nothing_else(root, tmp_path):
    changed = copied(root, tmp_path / "root")
    prepare(changed, tmp_path / "store")
    before = Store.open(tmp_path / "store").entries
    table = changed / "train_series_descriptions.csv"
    table.write_text(table.read_text().replace("101,1001,Sagittal T2/STIR", "101,1001,Sagittal T1"))
    done = prepare(changed, tmp_path / "store")
    assert (done.made, done.kept) == (1, 2)
    after = Store.open(tmp_path / "store")
    assert [k for k in before if before[k].key != after.entries[k].key] == ["101"]
    assert after.entries["101"].series == {"axial_t2": 1, "sagittal_t1": 2}


FULL = """
import resource, sys
sys.dont_write_bytecode = True  # Or modules are kept cut off, and nobody can import them again.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from volspine.cli import main
sys.exit(main(["prepare", *sys.argv[2:]]))
"""


@pytest.mark.parametrize("first_that_fails", ["0_0.npy", "study.json"])
def test_a_full_disk_is_one_clear_error_and_no_half_entry(
    first_that_fails, unbroken, root, tmp_path
):
    limit = len(unbroken[f"train_images/100/{first_that_fails}"]) - 100
    assert max(len(unbroken[name]) for name in unbroken if name.endswith(".csv")) < limit
    command = [sys.executable, "-c", FULL, str(limit), root, "--out", tmp_path / "store"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("volspine: VS-OUT-090: the store cannot be written")
    assert "free space" in done.stderr
    left = everything(tmp_path / "store")
    assert not [name for name in left if "/" in name or name.startswith(".")]
    prepare(root, tmp_path / "store")
    assert everything(tmp_path / "store") == unbroken


def test_what_was_finished_before_the_disk_was_full_counts(root, tmp_path, monkeypatch):
    put = store_making.put

    def put_once(made, place):
        if place.name != "100":
            raise OSError(28, "No space left on device")
        put(made, place)

    monkeypatch.setattr(store_making, "put", put_once)
    done = prepare(root, tmp_path)
    assert isinstance(done.stopped, OutputError)
    assert "No space left on device" in done.stopped.message
    assert (done.made, done.exit_code) == (1, 3)
    assert not is_store(tmp_path)


def test_a_study_that_fails_is_listed_and_the_others_are_there(root, tmp_path):
    broken = copied(root, tmp_path / "root")
    for file in (broken / "train_images" / "101").rglob("*.dcm"):
        file.write_bytes(file.read_bytes()[:200])
    done = prepare(broken, tmp_path / "store")
    assert done.exit_code == 3
    with (tmp_path / "store" / "failures.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["study"] == "train_images/101"
    assert row["code"].startswith("VS-")
    assert str(tmp_path) not in (tmp_path / "store" / "failures.csv").read_text()
    store = Store.open(tmp_path / "store")
    assert store.keys == ("100", "102")
    assert store.num_failed == 1
    with pytest.raises(InputError, match="is not in the store"):
        store.study("101")
    for study in ("100", "102"):
        shutil.rmtree(broken / "train_images" / study)
    assert prepare(broken, tmp_path / "none").exit_code == 4


def test_an_unforeseen_error_costs_one_study_and_is_not_quoted(root, tmp_path, monkeypatch):
    read = store_making.read_study

    def read_but_one(path, **options):
        if path.name == "102":
            raise ZeroDivisionError("of Canary^Name")
        return read(path, **options)

    monkeypatch.setattr(store_making, "read_study", read_but_one)
    ((place, error),) = prepare(root, tmp_path).failures
    assert (place, error.code) == ("train_images/102", "VS-998")
    assert "Canary" not in (tmp_path / "failures.csv").read_text()


def test_any_folder_of_studies_is_prepared_under_names_without_patient_data(tmp_path):
    for n, name in enumerate(("CANARY one", "CANARY two")):
        write_dicom_study(tmp_path / "all" / name, n)
    shutil.copytree(tmp_path / "all" / "CANARY two", tmp_path / "all" / "copy")
    done = prepare(tmp_path / "all", tmp_path / "store")
    assert done.exit_code == 0
    store = Store.open(tmp_path / "store")
    assert len(store) == 2, "a copy is the same study"
    assert len(store.by_source) == 2
    assert "CANARY" not in (store.folder / "store.json").read_text(encoding="utf-8")
    assert find_studies(store.folder) == [store.path(key) for key in store.keys]
    for key in store.keys:
        assert store.study(key).name == key
        assert "CANARY" not in store.path(key).as_posix()


def test_one_study_alone_is_prepared_too(tmp_path):
    save_all(series(), tmp_path / "study")
    assert prepare(tmp_path / "study", tmp_path / "store").made == 1
    assert Store.open(tmp_path / "store").study(Store.open(tmp_path / "store").keys[0]).series


def test_what_cannot_work_is_refused_before_anything_is_written(root, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        prepare(tmp_path / "nothing", tmp_path / "store")
    with pytest.raises(ConfigurationError, match="inside the root"):
        prepare(root, root / "store")
    bad = copied(root, tmp_path / "bad")
    (bad / "train.csv").write_text("study_id\n1\n")
    with pytest.raises(TableError, match="column"):
        prepare(bad, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    prepare(root, tmp_path / "good")
    with pytest.raises(ConfigurationError, match="prepared already"):
        prepare(tmp_path / "good", tmp_path / "store")


def test_the_images_of_a_root_are_prepared_with_the_tables_beside_them(unbroken, root, tmp_path):
    prepare(root / "train_images", tmp_path)
    found = everything(tmp_path)
    index = json.loads(found.pop(INDEX))
    assert [entry["source"] for entry in index["entries"].values()] == ["100", "101", "102"]
    assert found == {name: content for name, content in unbroken.items() if name != INDEX}

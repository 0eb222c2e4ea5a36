"""Jobs: files whole or not at all, shards that cover, failures that stay their own."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.errors import ConfigurationError, InputError, OutputError
from volspine.jobs import (
    atomic_path,
    make_missing,
    parse_shard,
    run_many,
    shard,
    write_bytes,
    write_text,
)


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b.txt", "grün\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "grün\n".encode()


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError, match="power cut"), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"ne")
        raise RuntimeError("power cut")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_the_temporary_file_is_beside_the_final_one_and_keeps_its_ending(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "w.safetensors") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".safetensors"
        assert not (tmp_path / "w.safetensors").exists()
    assert (tmp_path / "w.safetensors").exists()


def test_results_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write") as caught:
        write_text(tmp_path / "file" / "b.txt", "x")
    assert caught.value.code == "VS-OUT-001"
    assert caught.value.path == str(tmp_path / "file" / "b.txt")


def test_a_folder_in_the_place_of_the_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "b.txt", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


@given(st.lists(st.integers(), max_size=30), st.integers(1, 7))
def test_shards_cover_everything_once(items: list[int], count: int) -> None:
    parts = [list(shard(items, f"{i}/{count}")) for i in range(1, count + 1)]
    assert sorted(x for part in parts for x in part) == sorted(items)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3", "1.0/2"])
def test_other_shards_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not I/N"):
        parse_shard(text)


def halve(number: int) -> int:
    if number % 2:
        raise InputError(f"{number} is odd")
    return number // 2


def test_one_failure_does_not_stop_the_rest() -> None:
    outcomes = list(run_many(halve, [4, 3, 2]))
    assert [o.item for o in outcomes] == [4, 3, 2]
    assert [o.result for o in outcomes] == [2, None, 1]
    assert str(outcomes[1].error) == "VS-INP-000: 3 is odd"


def test_work_starts_when_it_is_asked_for() -> None:
    done: list[int] = []
    outcomes = run_many(done.append, [1, 2, 3])
    next(outcomes)
    assert done == [1]


def test_what_is_a_bug_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        list(run_many(lambda n: 1 // n, [0]))


def test_only_what_is_missing_is_made_and_all_files_come_in_order(tmp_path: Path) -> None:
    (tmp_path / "2").write_text("from before")
    told: list[tuple[int, int]] = []

    def make(number: int) -> None:
        (tmp_path / str(number)).write_text("now")

    files = make_missing(
        make,
        [3, 2, 1],
        file_of=lambda number: tmp_path / str(number),
        progress=lambda done, wanted: told.append((done, wanted)),
    )
    assert [(path.name, path.read_text()) for path in files] == [
        ("3", "now"),
        ("2", "from before"),
        ("1", "now"),
    ]
    assert told == [(2, 3), (3, 3)]


def test_what_cannot_be_made_stops_the_making(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 is odd"):
        make_missing(halve, [3, 2], file_of=lambda number: tmp_path / str(number))


@pytest.mark.slow
def test_processes_give_the_same_outcomes_in_any_order() -> None:
    outcomes = sorted(
        run_many(os.path.basename, ["a/1", "b/2", "c/3"], workers=2), key=lambda o: o.item
    )
    assert [o.result for o in outcomes] == ["1", "2", "3"]

"""F9: what a cache keeps is used only while everything that it depends on is the same."""

import os
from dataclasses import replace

import pytest

from tests.data.conftest import GRID
from volspine.data import cache
from volspine.data.cache import cache_key
from volspine.data.rsna import read_root


@pytest.fixture
def study(made_root):
    return read_root(made_root).studies[0]


def a_file_of(study):
    return next(path for path in sorted(study.folder.rglob("*")) if path.is_file())


def larger(study, monkeypatch):
    a_file_of(study).write_bytes(a_file_of(study).read_bytes() + b" ")


def touched(study, monkeypatch):
    path = a_file_of(study)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))


def one_more(study, monkeypatch):
    (study.folder / "more.dcm").write_bytes(b"")


def another_version(study, monkeypatch):
    monkeypatch.setattr(cache, "PREPROCESSING_VERSION", cache.PREPROCESSING_VERSION + 1)


@pytest.mark.parametrize("change", [larger, touched, one_more, another_version])
def test_any_change_gives_another_key(change, study, monkeypatch):
    before = cache_key(study, GRID)
    assert cache_key(study, GRID) == before
    change(study, monkeypatch)
    assert cache_key(study, GRID) != before


def test_another_grid_gives_another_key(study):
    coarse = replace(GRID, spacing_mm=(5.0, 4.0, 4.0))
    assert cache_key(study, coarse) != cache_key(study, GRID)

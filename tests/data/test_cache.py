import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.data.conftest import GRID
from tests.data.made_roots import read_fake_study
from volspine.anatomy import TARGETS
from volspine.data import cache
from volspine.data.cache import StudyCache, cache_key, grid_study
from volspine.data.rsna import Annotation, read_root
from volspine.errors import PixelError
from volspine.volume.grid import Grid


@pytest.fixture
def study(made_root):
    return read_root(made_root).studies[0]


@pytest.fixture
def reads(monkeypatch):
    """How often a study was read from its folder."""
    count = []
    monkeypatch.setattr(cache, "read_study", lambda p: count.append(p) or read_fake_study(p))
    return count


def test_marks_land_on_the_voxels_that_were_marked(study):
    grades = [0] * 25
    grades[6] = 2  # The left foramen at L2/L3; 11 is the right one.
    (study.folder / "grades.txt").write_text(" ".join(map(str, grades)))
    example = grid_study(study, GRID).example(tuple(grades))
    left, right = example.points[6], example.points[11]
    assert TARGETS[6].side.value == "left"
    assert left[0] < right[0]  # i grows to the right.
    brightest = (example.volume[1] == example.volume[1].max()).nonzero().float().mean(dim=0)
    torch.testing.assert_close(brightest, left, atol=0.6, rtol=0)
    assert example.has_point.all()


def test_half_floats_keep_normalised_intensities(study):
    gridded = grid_study(study, GRID)
    assert gridded.images.dtype == np.float16
    example = gridded.example(study.grades)
    assert example.volume.dtype == torch.float32
    assert example.volume.min() >= 0.0
    assert example.volume.max() <= 1.5
    assert set(example.volume[3:].unique().tolist()) <= {0.0, 1.0}


def test_a_target_without_a_mark_or_outside_the_grid_has_no_point(study):
    bare = replace(study, annotations=study.annotations[1:])
    assert not grid_study(bare, GRID).example(study.grades).has_point[0]
    narrow = Grid(spacing_mm=(4.0, 4.0, 4.0), shape=(2, 20, 24))
    known = grid_study(study, narrow).example(study.grades).has_point
    assert known[0]
    assert not known[5:].any()  # Both sides lie outside a grid 8 mm wide.


def test_memory_spares_the_second_reading(study, reads):
    kept = StudyCache(GRID)
    assert kept.get(study) is kept.get(study)
    assert len(reads) == 1
    forgetful = StudyCache(GRID, in_memory=False)
    forgetful.get(study), forgetful.get(study)
    assert len(reads) == 3


def test_disk_spares_the_reading_in_another_process(study, reads, tmp_path):
    first = StudyCache(GRID, folder=tmp_path / "c").get(study)
    second = StudyCache(GRID, folder=tmp_path / "c").get(study)
    assert len(reads) == 1
    for name in ("images", "masks", "points"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_everything_that_matters_is_in_the_key(study, monkeypatch):
    key = cache_key(study, GRID)
    assert cache_key(study, GRID) == key
    others = [
        cache_key(study, replace(GRID, spacing_mm=(4.0, 4.0, 4.1))),
        cache_key(study, replace(GRID, shape=(8, 20, 25))),
        cache_key(study, replace(GRID, center_mm=(0.0, 0.0, 0.0))),
        cache_key(replace(study, annotations=study.annotations[1:]), GRID),
        cache_key(replace(study, annotations=(Annotation("1", 2, TARGETS[0], 3, 4),)), GRID),
    ]
    table = study.folder.parents[1] / "train_series_descriptions.csv"
    table.write_text(table.read_text().replace("Sagittal T1", "Axial T2", 1))
    others.append(cache_key(study, GRID))
    file = study.folder / "grades.txt"
    os.utime(file, ns=(1, 1))
    others.append(cache_key(study, GRID))
    file.rename(study.folder / "other.txt")
    others.append(cache_key(study, GRID))
    monkeypatch.setattr(cache, "PREPROCESSING_VERSION", 99)
    others.append(cache_key(study, GRID))
    assert len({key, *others}) == 10


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_file_is_made_again(study, reads, tmp_path, damage):
    folder = tmp_path / "c"
    whole = StudyCache(GRID, folder=folder).get(study)
    (file,) = folder.iterdir()
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2] if damage is None else damage)
    again = StudyCache(GRID, folder=folder).get(study)
    np.testing.assert_array_equal(whole.images, again.images)
    assert len(reads) == 2
    assert file.read_bytes() == data


def test_a_pickle_in_the_cache_is_never_opened(study, tmp_path):
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    folder = tmp_path / "c"
    folder.mkdir()
    trap = np.empty(1, dtype=object)
    trap[0] = Trap()
    target = folder / f"{cache_key(study, GRID)}.npz"
    with target.open("wb") as stream:
        np.savez(stream, images=trap, masks=trap, points=trap)
    assert StudyCache(GRID, folder=folder).get(study).images.shape == (3, 8, 20, 24)
    target.write_bytes(pickle.dumps(Trap()))
    StudyCache(GRID, folder=folder).get(study)
    assert not canary.exists()


def test_a_study_that_cannot_be_read_is_named(study, monkeypatch):
    def fail(path):
        raise PixelError("rows are missing", path=path, code="VS-PIX-009")

    monkeypatch.setattr(cache, "read_study", fail)
    with pytest.raises(PixelError, match="study 100 cannot be used for training: rows") as caught:
        grid_study(study, GRID)
    assert caught.value.code == "VS-PIX-009"
    assert "table of labels" in caught.value.remedy

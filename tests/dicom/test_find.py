"""Where studies are."""

import shutil

import pytest

from tests.dicom.series_factory import SERIES, STUDY, in_series, save_all, series
from volspine.dicom.scan import find_studies
from volspine.errors import InputError


def of_study(uid, count=3):
    slices = in_series(series(count), f"{uid}.1")
    for ds in slices:
        ds.StudyInstanceUID = uid
    return slices


def test_a_challenge_root_gives_its_studies_by_number(tmp_path):
    for folder in ("train_images/100", "train_images/20", "test_images/7"):
        save_all(series(3), tmp_path / folder / "1")
    (tmp_path / "train_images" / "30").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_studies(tmp_path)]
    assert found == ["train_images/20", "train_images/100", "test_images/7"]


def test_series_folders_of_one_study_are_one_study(tmp_path):
    for n in range(3):
        save_all(in_series(series(3), f"{SERIES}.{n}"), tmp_path / "deep" / str(n))
    assert find_studies(tmp_path) == [tmp_path]


def test_folders_of_different_studies_are_several(tmp_path):
    save_all(of_study(STUDY + ".1"), tmp_path / "a" / "first")
    save_all(of_study(STUDY + ".2"), tmp_path / "a" / "second")
    save_all(of_study(STUDY + ".3"), tmp_path / "b" / "series")
    found = [path.relative_to(tmp_path).as_posix() for path in find_studies(tmp_path)]
    assert found == ["a/first", "a/second", "b"]


def test_archives_beside_folders_are_studies_too(tmp_path):
    save_all(of_study(STUDY + ".1"), tmp_path / "a")
    shutil.make_archive(str(tmp_path / "z"), "zip", tmp_path / "a")
    assert find_studies(tmp_path) == [tmp_path / "z.zip", tmp_path / "a"]
    assert find_studies(tmp_path / "z.zip") == [tmp_path / "z.zip"]


def test_a_folder_of_broken_images_is_a_study_so_that_reading_says_why(tmp_path):
    for path in save_all(series(3), tmp_path / "broken").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    save_all(of_study(STUDY + ".4"), tmp_path / "good")
    assert find_studies(tmp_path) == [tmp_path / "broken", tmp_path / "good"]


@pytest.mark.parametrize("name", ["", "absent"])
def test_no_study_is_an_input_error(name, tmp_path):
    (tmp_path / "readme.txt").write_text("no images")
    with pytest.raises(InputError, match=r"no study|no such file"):
        find_studies(tmp_path / name)

"""What `volspine view` is given: every way in which one study, and its grades, can be named."""

import json
import shutil

import pytest

from volspine.anatomy import TARGETS
from volspine.cli import main
from volspine.cli.view_input import study_path
from volspine.phantom.cohort import generate


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return generate(
        tmp_path_factory.mktemp("view") / "root", studies=2, cohort="clean", size="small"
    )


@pytest.fixture(scope="module")
def store(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("view") / "store"
    assert main(["prepare", str(root), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def names(root):
    return sorted(path.name for path in (root / "train_images").iterdir())


def test_a_study_of_a_store_is_named_by_its_place_or_after_the_store(store, names):
    place = store / "train_images" / names[1]
    assert study_path(place) == place
    assert study_path(store / names[1]) == place


def test_a_study_of_a_root_is_named_by_its_place_or_after_the_root(root, names):
    place = root / "train_images" / names[0]
    assert study_path(place) == place
    assert study_path(root / names[0]) == place


@pytest.mark.parametrize("kind", ["store", "root"])
def test_several_studies_are_refused_with_their_names(kind, store, root, names, tmp_path, capsys):
    folder = {"store": store, "root": root}[kind]
    assert main(["view", str(folder), "--save", str(tmp_path / "x.png")]) == 2
    said = capsys.readouterr().err
    assert f"there are 2 studies here: {names[0]}, {names[1]}" in said
    assert f"volspine view {folder / names[0]}" in said


def test_the_only_study_of_a_root_needs_no_name(root, names, tmp_path):
    shutil.copytree(root / "train_images" / names[0], tmp_path / "train_images" / names[0])
    assert study_path(tmp_path) == tmp_path / "train_images" / names[0]


def test_a_study_that_a_store_lacks_is_refused(store, tmp_path, capsys):
    assert main(["view", str(store / "nobody"), "--save", str(tmp_path / "x.png")]) != 0
    assert "study 'nobody' is not in the store" in capsys.readouterr().err


@pytest.mark.slow
def test_a_prepared_study_shows_the_points_of_the_study_it_was_made_of(
    root, store, names, tmp_path
):
    files = []
    for folder in (root, store):
        files.append(tmp_path / f"{len(files)}.ply")
        options = ["--mode", "points", "--save", str(files[-1])]
        assert main(["view", str(folder / names[0]), *options]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_grades_are_found_in_the_folder_of_a_result_and_in_that_of_a_run(root, names, tmp_path):
    truth = json.loads((root / "truth" / f"{names[0]}.json").read_text())
    truth["grades"] = {target.name: 2 for target in TARGETS}
    result = tmp_path / "run" / names[0] / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text(json.dumps(truth))
    for given in (tmp_path / "run", result.parent, result):
        page = tmp_path / "page.html"
        command = ["view", str(root / names[0]), "--grades", str(given), "--save", str(page)]
        assert main(command) == 0
        assert "Spinal canal stenosis L4/L5: Severe" in page.read_text()


def test_a_folder_without_the_result_of_the_study_is_refused(root, names, tmp_path, capsys):
    command = ["view", str(root / names[0]), "--grades", str(tmp_path), "--save"]
    assert main([*command, str(tmp_path / "x.png")]) == 2
    assert "cannot be read" in capsys.readouterr().err

"""F12: a result that is there is kept, or replaced as a whole when asked; runs are never mixed."""

import pytest

from volspine.cli import main


@pytest.fixture
def arguments(phantom_study, tiny_bundle, tmp_path):
    out = ["--out", str(tmp_path / "out"), "--quiet"]
    return ["predict", str(phantom_study), "--model", str(tiny_bundle), *out]


def test_a_second_run_is_refused_and_changes_nothing(arguments, tmp_path, capsys):
    assert main([*arguments, "--format", "csv,json"]) == 0
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main([*arguments, "--format", "json"]) == 4
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    said = capsys.readouterr()
    assert "--overwrite" in said.err + said.out + (tmp_path / "out" / "failures.csv").read_text()


def test_overwriting_leaves_nothing_of_the_first_run(arguments, tmp_path):
    assert main([*arguments, "--format", "csv,json"]) == 0
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert main([*arguments, "--format", "json", "--overwrite"]) == 0
    assert [path.name for path in folder.iterdir()] == ["result.json"]

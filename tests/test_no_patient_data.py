"""Nothing that is written or said carries patient data, but for the DICOM files one asks for."""

import base64
import gzip
import io
import json
import logging
import shutil

import pydicom
import pytest
from PIL import Image, PngImagePlugin

from tests.canaries import UID_ROOT, WORDS, found_in, plant, word, write_study, written_under
from tests.cli.test_cv import SMALL
from volspine.cli import main
from volspine.phantom.cohort import generate
from volspine.tasks import cross_validation

PATHS = ("folder", "series folder", "file", "other file", "zip")
"""What the user's own names of files and folders are made of."""


@pytest.fixture(scope="module")
def study(phantom_study, tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("in"), phantom_study)


@pytest.fixture(scope="module")
def zipped(study, tmp_path_factory):
    name = tmp_path_factory.mktemp("zips") / word("zip")
    return shutil.make_archive(str(name), "zip", study)


@pytest.fixture
def run(capfd, caplog):
    """Run a command with --debug; return its exit code and all that it said."""

    def run(*command):
        caplog.clear()
        with caplog.at_level(logging.DEBUG):
            code = main([*map(str, command), "--debug"])
        said = capfd.readouterr()
        return code, {"stdout": said.out, "stderr": said.err, "log": caplog.text}

    return run


@pytest.mark.parametrize("given", ["study", pytest.param("zipped", marks=pytest.mark.slow)])
def test_predict_writes_and_says_nothing_of_the_patient(given, run, tiny_bundle, tmp_path, request):
    path, out = request.getfixturevalue(given), tmp_path / "out"
    code, said = run("predict", path, "--out", out, "--model", tiny_bundle)
    assert code == 0
    written = written_under(out)
    assert {"summary.csv", "submission.csv", "failures.csv"} < set(written)
    assert any(name.endswith("report.html") for name in written)
    assert any(name.endswith(".png") for name in written)
    assert found_in({**said, **written}) == []


def test_a_failure_says_the_path_that_was_given_and_no_more(run, tiny_bundle, study, tmp_path):
    code, said = run(
        "predict", study, "--out", tmp_path / "out", "--model", tiny_bundle, "--strict"
    )
    assert code in {0, 4}
    written = written_under(tmp_path / "out")
    assert found_in({**said, **written}, but=("folder",)) == []


@pytest.mark.parametrize(
    "ending",
    [pytest.param(ending, marks=pytest.mark.slow) for ending in ("png", "html")] + ["ply"],
)
def test_pictures_pages_and_clouds_carry_nothing(ending, run, study, tmp_path):
    mode = "points" if ending == "ply" else "slices"
    code, said = run("view", study, "--mode", mode, "--save", tmp_path / f"view.{ending}")
    assert code == 0
    assert found_in({**said, **written_under(tmp_path)}, but=PATHS) == []
    assert found_in(written_under(tmp_path)) == []


def test_pictures_for_2d_work_carry_nothing(run, study, tmp_path):
    code, said = run("png", study, "--out", tmp_path / "out", "--all", "--annotate")
    assert code == 0
    assert found_in({**said, **written_under(tmp_path / "out")}) == []


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["tables", "json"])
def test_scan_tells_paths_and_nothing_of_headers(options, run, study):
    code, said = run("scan", study, *options)
    assert code == 0
    assert found_in(said, but=PATHS) == []


def test_a_store_and_what_is_graded_from_it_carry_nothing(run, study, tiny_bundle, tmp_path):
    code, said = run("prepare", study, "--out", tmp_path / "store")
    assert code == 0
    stored = written_under(tmp_path / "store")
    # It stands for its files, whose UIDs it keeps; no name, date, number or path of theirs.
    assert found_in({**said, **stored}, but=("UIDs",)) == []
    code, said = run(
        "predict", tmp_path / "store", "--out", tmp_path / "out", "--model", tiny_bundle
    )
    assert code == 0
    assert found_in({**said, **written_under(tmp_path / "out")}) == []


@pytest.mark.slow
def test_sr_and_sc_do_repeat_the_patient_and_nothing_else_does(run, study, tiny_bundle, tmp_path):
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    out = tmp_path / "out"
    code, said = run(
        "predict", study, "--out", out, "--model", tiny_bundle, "--format", "json,html,sr,sc"
    )
    assert code == 0
    written = written_under(out)
    dicom = {name: data for name, data in written.items() if name.endswith(".dcm")}
    assert len(dicom) > 1
    for name, data in dicom.items():
        assert f"PatientID in {name}" in found_in({name: data})
    others = {name: data for name, data in written.items() if name not in dicom}
    assert found_in({**said, **others}) == []


@pytest.mark.slow
def test_training_folds_a_model_and_all_logs_carry_nothing(tmp_path, monkeypatch, capfd, caplog):
    root = generate(tmp_path / "root", studies=6, noise="none", size="small", seed=5)
    for number, study in enumerate(sorted((root / "train_images").iterdir())):
        for path in study.rglob("*.dcm"):
            ds = plant([pydicom.dcmread(path)])[0]
            ds.PatientID = f"{word('PatientID')}{number}"
            ds.SOPInstanceUID = f"{UID_ROOT}.{number}.{path.parent.name}.{path.stem}"
            ds.StudyInstanceUID = f"{UID_ROOT}.{number}"
            ds.SeriesInstanceUID = f"{UID_ROOT}.{number}.{path.parent.name}"
            ds.save_as(path)
    (tmp_path / "recipe.yaml").write_text(SMALL.replace("ROOT", str(root)), encoding="utf-8")
    out = tmp_path / "out"
    monkeypatch.setattr(cross_validation, "_in_a_process", lambda words: main(list(words)))
    told = ["cv", "-c", str(tmp_path / "recipe.yaml"), "--out", str(out), "--folds", "2"]
    with caplog.at_level(logging.DEBUG):
        assert main([*told, "--val", "1"]) == 0
    said = {**capfd.readouterr()._asdict(), "log": caplog.text}
    written = written_under(out)
    assert {"folds.csv", "oof.csv", "bundle/weights.safetensors"} < set(written)
    assert found_in({**said, **written}) == []


def png_with_text(text):
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", text * 20, zip=True)
    stream = io.BytesIO()
    Image.new("L", (2, 2)).save(stream, "png", pnginfo=told)
    return stream.getvalue()


@pytest.mark.parametrize(
    "hide",
    [
        str.encode,
        lambda text: text.upper().encode(),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode().hex().encode(),
        lambda text: base64.b64encode(b"x" + text.encode() + b"yz"),
        lambda text: base64.b64encode(b"xy" + text.encode("utf-16-le") + b"z"),
        lambda text: b"head" + gzip.compress(text.encode()),
        png_with_text,
        lambda text: b"data:image/png;base64," + base64.b64encode(png_with_text(text)),
        lambda text: json.dumps({"a": [text]}).encode(),
    ],
    ids=[
        "plain", "upper case", "utf-16 le", "utf-16 be", "hexadecimal", "base64",
        "base64 of utf-16", "gzip", "png text", "png text in a page", "json",
    ],
)  # fmt: skip
def test_the_search_finds_a_word_however_it_is_hidden(hide):
    assert found_in({"x": hide(word("PatientName"))}) == ["PatientName in x"]


def test_the_search_looks_at_names_and_knows_every_place():
    said = {f"{text}.txt": b"" for text in WORDS.values()}
    assert len(found_in(said)) == len(WORDS) == len(set(WORDS.values()))

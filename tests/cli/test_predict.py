"""`volspine predict` as a user types it."""

import csv
import json

import numpy as np
import pytest

from volspine.cli import main
from volspine.phantom.cohort import generate


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return str(tiny_bundle)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("phantoms") / "root", studies=2, size="small")


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_challenge_root_is_graded_study_by_study(root, bundle, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["predict", str(root), "--model", bundle, "--out", str(out)]) == 0
    names = sorted(path.name for path in (root / "train_images").iterdir())
    assert [row["name"] for row in rows(out / "summary.csv")] == names
    assert len(rows(out / "submission.csv")) == 50
    for name in names:
        result = json.loads((out / name / "result.json").read_text(encoding="utf-8"))
        assert len(result["grades"]) == 25
        assert (out / name / "report.html").is_file()
        assert list((out / name).glob("key_*.png"))
    said = capsys.readouterr().out
    assert "2 graded, 0 failed" in said
    assert "Research use only" in said
    assert "not valid" in said


def test_shards_take_every_nth_study(root, bundle, tmp_path):
    common = ["predict", str(root), "--model", bundle, "--format", "csv", "--quiet"]
    for index in (1, 2):
        out = tmp_path / "out"
        assert main([*common, "--out", str(out), "--shard", f"{index}/2"]) == 0
        assert len(rows(out / "summary.csv")) == index


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(root, bundle, tmp_path):
    common = ["predict", str(root), "--model", bundle, "--format", "csv", "--quiet"]
    assert main([*common, "--out", str(tmp_path / "a")]) == 0
    assert main([*common, "--out", str(tmp_path / "b"), "--workers", "2"]) == 0
    a, b = (rows(tmp_path / name / "submission.csv") for name in "ab")
    assert [row["row_id"] for row in a] == [row["row_id"] for row in b]
    severe = [[float(row["severe"]) for row in table] for table in (a, b)]
    assert severe[0] == pytest.approx(severe[1], abs=1e-5)


def test_what_cannot_be_read_is_a_failure_with_its_reason(root, bundle, tmp_path, capsys):
    arguments = ["predict", str(root), str(tmp_path / "gone"), "--model", bundle]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--format", "csv"]) == 3
    assert "gone" in capsys.readouterr().err
    alone = ["predict", str(tmp_path / "gone"), "--model", bundle, "--out", str(tmp_path / "o2")]
    assert main(alone) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "pdf"], "format 'pdf'"),
        (["--format", ","], "format 'list'"),
        (["--shard", "3/2"], "shard '3/2'"),
        (["--resume", "--overwrite"], "not allowed with"),
        (["--workers", "0"], "must be 1 or more"),
        (["--protocol", "knee"], "invalid choice"),
        (["--shift-levels", "5"], "leaves none"),
        (["--device", "cuda:99"], "is not there"),
        (["--device", "toaster"], "no device"),
    ],
)
def test_wrong_usage_is_exit_code_2_in_one_line(root, bundle, tmp_path, capsys, options, message):
    out = tmp_path / "out"
    assert main(["predict", str(root), "--model", bundle, "--out", str(out), *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
    assert not out.exists()


def test_a_real_lumbar_volume_is_graded_as_far_as_it_goes(testdata, bundle, tmp_path):
    path = testdata / "sct_t2_lumbar" / "t2_lumbar.nii.gz"
    arguments = ["predict", str(path), "--protocol", "sagittal_t2", "--model", bundle]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    (summary,) = rows(tmp_path / "summary.csv")
    assert summary["status"] == "partial"
    grades = rows(tmp_path / summary["name"] / "grades.csv")
    for row in grades:
        is_canal = row["condition"] == "spinal_canal_stenosis"
        assert row["imputed"] == str(not is_canal)
        if "foraminal" in row["condition"]:
            assert row["reason"] == "the study has no sagittal T1 series"
        if "subarticular" in row["condition"]:
            assert row["reason"] == "the study has no axial T2 series"
    assert np.isclose(sum(float(grades[0][c]) for c in ("normal_mild", "moderate", "severe")), 1)

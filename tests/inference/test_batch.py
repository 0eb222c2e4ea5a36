"""A batch: files whole or not at all, one failure stops nothing, tables agree with results."""

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.inference.made_up import make_study, tiny_card, tiny_grader
from volspine.dicom.study import Study
from volspine.errors import GeometryError, InputError, MissingExtraError
from volspine.inference import batch
from volspine.inference.batch import Job, grade_batch, write_result
from volspine.inference.bundle import write_bundle
from volspine.inference.predictor import Options, Predictor


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """A challenge-like root of made-up studies; what a path holds is decided by its name."""

    def read(path, *, strict=False, protocol=None):
        if "broken" in path.name:
            raise GeometryError("PixelSpacing is 0", path=path, remedy="export it again")
        if "bug" in path.name:
            raise KeyError("secret^name")
        if "knee" in path.name:
            return make_study(protocols=("other",), name=path.name)
        return make_study(len(path.name), name=path.name)

    monkeypatch.setattr(batch, "read_study", read)
    return lambda *names: [tmp_path / "train_images" / name for name in names]


@pytest.fixture
def job(tmp_path, tiny_bundle):
    return Job(out=tmp_path / "out", model=tiny_bundle, device="cpu", formats=("csv", "json"))


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_study_gets_its_files_and_every_table_its_rows(studies, job):
    report = grade_batch(studies("1", "22"), job)
    assert (report.succeeded, report.exit_code) == (2, 0)
    assert sorted(p.name for p in (job.out / "22").iterdir()) == ["grades.csv", "result.json"]
    assert [row["name"] for row in rows(job.out / "summary.csv")] == ["1", "22"]
    submission = rows(job.out / "submission.csv")
    assert len(submission) == 50
    assert submission[0]["row_id"] == "1_left_neural_foraminal_narrowing_l1_l2"
    for row in submission:
        total = sum(float(row[c]) for c in ("normal_mild", "moderate", "severe"))
        assert total == pytest.approx(1)
    assert (job.out / "failures.csv").read_text().splitlines() == ["name,input,code,error,remedy"]


def test_grades_csv_holds_what_to_frame_does(studies, job, tiny_bundle):
    grade_batch(studies("1"), job)
    frame = Predictor(tiny_bundle, device="cpu").predict(make_study(1, name="1")).to_frame()
    written = rows(job.out / "1" / "grades.csv")
    assert list(written[0]) == list(frame.columns)
    assert [row["grade"] for row in written] == frame["grade"].tolist()
    severe = [float(row["severe"]) for row in written]
    assert severe == pytest.approx(frame["severe"].tolist(), abs=1e-12)


def test_a_failure_is_listed_and_stops_nothing(studies, job):
    report = grade_batch(studies("1", "broken", "22"), job)
    assert (report.succeeded, report.exit_code) == (2, 3)
    (failure,) = rows(job.out / "failures.csv")
    assert (failure["name"], failure["code"]) == ("broken", "VS-GEO-000")
    assert failure["error"] == "PixelSpacing is 0"
    # The submission can be scored all the same: the prior stands in.
    submission = [r for r in rows(job.out / "submission.csv") if r["row_id"].startswith("broken")]
    assert len(submission) == 25
    assert float(submission[0]["normal_mild"]) == pytest.approx(0.7 / 1.5)


def test_nothing_succeeded_is_exit_code_4(studies, job):
    assert grade_batch(studies("broken"), job).exit_code == 4


def test_no_studies_at_all_is_no_failure(job):
    assert grade_batch([], job).exit_code == 0


def test_a_bug_costs_one_study_and_quotes_nothing(studies, job):
    report = grade_batch(studies("bug", "1"), job)
    assert report.exit_code == 3
    assert report.failures[0].code == "VS-999"
    assert "secret" not in (job.out / "failures.csv").read_text()


def test_a_refused_study_is_a_result_with_its_reason(studies, job):
    report = grade_batch(studies("knee"), job)
    assert report.exit_code == 0
    (summary,) = rows(job.out / "summary.csv")
    assert summary["status"] == "refused"
    assert "none of its series" in summary["reason"]
    assert summary["measured"] == "0"
    assert len(rows(job.out / "submission.csv")) == 25


def test_strict_turns_a_refusal_into_a_failure(studies, job):
    strict = Job(out=job.out, model=job.model, device="cpu", options=Options(strict=True))
    assert grade_batch(studies("knee"), strict).exit_code == 4


def test_a_result_is_not_replaced_unasked(studies, job):
    grade_batch(studies("1"), job)
    before = (job.out / "1" / "result.json").read_bytes()
    report = grade_batch(studies("1"), job)
    assert report.exit_code == 4
    assert "already" in report.failures[0].message
    assert (job.out / "1" / "result.json").read_bytes() == before
    assert len(rows(job.out / "summary.csv")) == 1


def again(job, existing):
    return Job(out=job.out, model=job.model, device="cpu", formats=job.formats, existing=existing)


def test_resume_keeps_what_is_there_and_grades_the_rest(studies, job, monkeypatch):
    grade_batch(studies("1", "broken"), job)
    before = (job.out / "1" / "result.json").read_bytes()
    report = grade_batch(studies("1", "22"), again(job, "resume"))
    assert (report.succeeded, report.exit_code) == (2, 0)
    assert (job.out / "1" / "result.json").read_bytes() == before
    # What failed earlier and was not tried again is still listed.
    assert [row["name"] for row in rows(job.out / "failures.csv")] == ["broken"]
    assert len(rows(job.out / "submission.csv")) == 75


@pytest.mark.slow
def test_resume_grades_again_what_is_damaged_or_of_another_model(studies, job, tmp_path):
    grade_batch(studies("1", "22"), job)
    (job.out / "1" / "result.json").write_text("{")
    other = tiny_grader(5)
    folder = write_bundle(
        tmp_path / "other", [other.state_dict()], recipe=other.recipe, card=tiny_card()
    )
    grade_batch(studies("1"), again(job, "resume"))
    assert json.loads((job.out / "1" / "result.json").read_text())["status"] == "graded"
    changed = Job(out=job.out, model=folder, device="cpu", formats=("csv",), existing="resume")
    grade_batch(studies("1"), changed)
    # Two models never mix in one table.
    assert [row["name"] for row in rows(job.out / "summary.csv")] == ["1"]


def test_resume_grades_again_what_was_graded_with_other_options(studies, job):
    grade_batch(studies("1", "22"), job)
    shifted = replace(again(job, "resume"), options=Options(shift_levels=1))
    assert grade_batch(studies("1", "22"), shifted).exit_code == 0
    assert {row["imputed"] for row in rows(job.out / "summary.csv")} == {"5"}


def test_overwrite_leaves_nothing_of_the_earlier_run(studies, job):
    grade_batch(studies("1"), job)
    stale = job.out / "1" / "key_l1_l2_spinal_canal_stenosis.png"
    stale.write_bytes(b"old")
    theirs = job.out / "1" / "notes.txt"
    theirs.write_text("mine")
    assert grade_batch(studies("1"), again(job, "overwrite")).exit_code == 0
    assert not stale.exists()
    assert theirs.exists()


@pytest.mark.slow
def test_shards_into_one_folder_give_the_tables_of_the_whole(studies, job, tmp_path):
    everything = studies("1", "22", "333", "broken")
    grade_batch(everything[::2], job)
    grade_batch(everything[1::2], job)
    whole = Job(out=tmp_path / "whole", model=job.model, device="cpu", formats=("csv",))
    grade_batch(everything, whole)
    for table in ("submission.csv", "failures.csv"):
        assert (job.out / table).read_text() == (whole.out / table).read_text()


def test_an_interruption_leaves_tables_of_what_is_finished(studies, job, monkeypatch):
    calls = []

    def on_study():
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_batch(studies("1", "22", "333"), job, on_study=on_study)
    assert [row["name"] for row in rows(job.out / "summary.csv")] == ["1", "22"]
    assert not (job.out / "333").exists()


def test_two_studies_of_one_name_do_not_overwrite_one_another(studies, job, tmp_path):
    first, second = tmp_path / "train_images" / "1", tmp_path / "test_images" / "1"
    report = grade_batch([first, second], job)
    assert report.exit_code == 3
    assert "same name" in report.failures[0].message
    assert report.failures[0].path == str(second)


def test_an_input_without_a_study_is_a_failure(studies, job, tmp_path):
    error = InputError("there is no such file or folder", remedy="check the path")
    report = grade_batch(studies("1"), job, unreadable=[(tmp_path / "gone", error)])
    assert report.exit_code == 3
    assert rows(job.out / "failures.csv")[0]["input"].endswith("gone")


def test_every_format_is_written(tiny_bundle, tmp_path):
    graded = Predictor(tiny_bundle, device="cpu").predict(make_study(name="x"))
    folder = write_result(graded, tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert len([name for name in names if name.startswith("key_")]) == 25
    assert [name for name in names if not name.startswith("key_")] == [
        "grades.csv",
        "report.html",
        "result.json",
    ]
    assert "not valid" in (folder / "report.html").read_text(encoding="utf-8")


def test_nothing_of_the_header_reaches_a_file(tiny_bundle, tmp_path):
    study = make_study(name="x")
    from volspine.dicom.study import Identifiers

    secret = Identifiers(
        "1.2.840.4711.99", {"PatientName": "Canary^Ann", "PatientID": "C-4711-ANN"}
    )
    known = Study(name="x", series=study.series, identifiers=secret)
    folder = write_result(Predictor(tiny_bundle, device="cpu").predict(known), tmp_path)
    for path in folder.iterdir():
        content = path.read_bytes()
        assert b"Canary" not in content
        assert b"C-4711" not in content
        assert b"1.2.840.4711" not in content


def test_the_numbers_survive_the_file(tiny_bundle, tmp_path):
    graded = Predictor(tiny_bundle, device="cpu").predict(make_study(name="x"))
    folder = write_result(graded, tmp_path, ("json",))
    from volspine.report.manifest import read_manifest

    again_read = read_manifest(folder / "result.json")
    assert np.array_equal(again_read.probabilities, graded.grades.probabilities)


def test_a_study_that_allows_no_dicom_output_gets_a_note(tiny_bundle, tmp_path):
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    graded = Predictor(tiny_bundle, device="cpu").predict(make_study(name="x"))
    folder = write_result(graded, tmp_path, ("csv", "sr", "sc"))
    assert sorted(path.name for path in folder.iterdir()) == ["grades.csv", "result.json"]
    (note,) = json.loads((folder / "result.json").read_text())["notes"]
    assert "no DICOM identifiers" in note


def test_without_highdicom_the_batch_says_what_to_install(job, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    wanted = Job(out=job.out, model=job.model, device="cpu", formats=("sr",))
    with pytest.raises(MissingExtraError, match="highdicom") as caught:
        grade_batch([], wanted)
    assert "volspine[sr]" in caught.value.remedy

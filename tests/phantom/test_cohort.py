"""A cohort on disk: the same bits whatever the workers, tables as the challenge's, truth beside."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from volspine.anatomy import TARGETS, Condition
from volspine.challenge import condition_from_title, level_from_title
from volspine.data.rsna import read_root
from volspine.dicom.reading import read_study
from volspine.errors import ConfigurationError, OutputError
from volspine.phantom import cohort
from volspine.phantom.cohort import generate
from volspine.phantom.plan import draw_plan
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import acquire_study
from volspine.phantom.tables import mark
from volspine.phantom.truth import build_truth


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def digests(root):
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort") / "root"
    return generate(out, studies=2, cohort="probe", seed=4, size="small")


@pytest.mark.slow
def test_a_cohort_is_the_same_bit_for_bit_whatever_the_workers(root, tmp_path):
    again = generate(tmp_path / "again", studies=2, cohort="probe", seed=4, workers=2, size="small")
    assert digests(again) == digests(root)


@pytest.mark.slow
def test_more_studies_do_not_change_the_first_ones(root, tmp_path):
    fewer = digests(generate(tmp_path / "few", studies=1, cohort="probe", seed=4, size="small"))
    more = digests(root)
    for name, digest in fewer.items():
        if not name.endswith(".csv"):
            assert more[name] == digest


def test_the_label_table_has_the_challenges_columns_and_words(root):
    table = rows(root / "train.csv")
    assert len(table) == 2
    assert set(table[0]) == {"study_id"} | {t.name for t in TARGETS}
    words = {cell for row in table for name, cell in row.items() if name != "study_id"}
    assert words == {"Normal/Mild", "Moderate", "Severe"}


def test_the_labels_of_a_probe_are_the_true_grades(root):
    words = ("Normal/Mild", "Moderate", "Severe")
    for row in rows(root / "train.csv"):
        truth = json.loads((root / "truth" / f"{row['study_id']}.json").read_text())
        assert set(truth) == {"grades", "landmarks_mm", "measures", "spec"}
        assert all(row[name] == words[grade] for name, grade in truth["grades"].items())
        assert truth["spec"]["cohort"] == "probe"


def test_every_series_of_the_table_is_there_and_the_other_way_round(root):
    table = {(r["study_id"], r["series_id"]) for r in rows(root / "train_series_descriptions.csv")}
    folders = {(p.parent.name, p.name) for p in (root / "train_images").glob("*/*")}
    assert table == folders
    kinds = {r["series_description"] for r in rows(root / "train_series_descriptions.csv")}
    assert kinds == {"Sagittal T1", "Sagittal T2/STIR", "Axial T2"}


def test_coordinates_lead_back_to_the_true_landmarks(root):
    gaps = []
    for row in rows(root / "train_label_coordinates.csv"):
        condition = condition_from_title(row["condition"])
        name = f"{condition.term}_{level_from_title(row['level']).value}"
        truth = json.loads((root / "truth" / f"{row['study_id']}.json").read_text())
        folder = root / "train_images" / row["study_id"] / row["series_id"]
        header = pydicom.dcmread(folder / f"{row['instance_number']}.dcm", stop_before_pixels=True)
        first = np.array(header.ImagePositionPatient, dtype=float)
        x, y = np.array(header.ImageOrientationPatient, dtype=float).reshape(2, 3)
        spacing = float(header.PixelSpacing[0])
        place = first + spacing * (float(row["x"]) * x + float(row["y"]) * y)
        offset = place - np.array(truth["landmarks_mm"][name])
        assert abs(offset @ x) < 1e-3
        assert abs(offset @ y) < 1e-3
        gaps.append(abs(offset @ np.cross(x, y)))
    assert len(gaps) == 2 * 25
    assert max(gaps) < 8.0
    assert np.median(gaps) < 2.0


def test_left_marks_are_right_of_right_marks_on_axial_images(root):
    places = {}
    for row in rows(root / "train_label_coordinates.csv"):
        key = (row["study_id"], row["series_id"], row["level"])
        places.setdefault((*key, row["condition"]), float(row["x"]))
    for (*key, condition), x in places.items():
        if condition == "Left Subarticular Stenosis":
            assert x > places[(*key, "Right Subarticular Stenosis")]


def test_an_rsna_like_cohort_leaves_labels_out_with_their_coordinates(uncovered):
    made = acquire_study(uncovered)
    missing = {t.name for t, label in zip(TARGETS, made.labels, strict=True) if label == -1}
    assert {"left_subarticular_stenosis_l1_l2", "right_subarticular_stenosis_l1_l2"} <= missing
    recess = [t for t in TARGETS if t.condition is Condition.LEFT_SUBARTICULAR_STENOSIS]
    series_id, number, _, _ = mark(made, recess[-1].index)
    assert series_id == made.plan.series[-1].series_id
    assert number >= 1


@pytest.fixture
def uncovered():
    """The first small study whose axial slices begin below L1/L2."""
    anatomy = build_truth(Spec(seed=1)).anatomy
    specs = (Spec(seed=1, index=n, size=Size.SMALL) for n in range(100))
    return next(spec for spec in specs if not draw_plan(spec, anatomy).covered[0])


@pytest.mark.slow
def test_pairs_name_their_partner(tmp_path):
    out = generate(tmp_path / "pairs", studies=2, cohort="pairs", size="small")
    first, second = (json.loads(p.read_text()) for p in sorted((out / "truth").iterdir()))
    pair = first["spec"]["pair"]
    assert pair["with"] == second["spec"]["study_id"]
    assert first["grades"][pair["target"]] == pair["from"]
    assert second["grades"][pair["target"]] == pair["to"]
    differing = [n for n in first["grades"] if first["grades"][n] != second["grades"][n]]
    assert differing == [pair["target"]]


@pytest.mark.slow
def test_each_study_is_told_as_it_is_done(tmp_path):
    seen = []
    generate(tmp_path / "r", studies=1, cohort=Cohort.CLEAN, size=Size.SMALL, on_study=seen.append)
    assert seen == sorted(p.name for p in (tmp_path / "r" / "train_images").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"studies": 0}, "cannot write 0 studies"),
        ({"studies": 3, "cohort": "pairs"}, "do not form pairs"),
        ({"studies": 1, "cohort": "mars"}, "cohort 'mars' is not known"),
        ({"studies": 1, "noise": "loud"}, "noise 'loud' is not known"),
        ({"studies": 1, "header": "none"}, "header 'none' is not known"),
        ({"studies": 1, "seed": -1}, "seed -1 is too small"),
        ({"studies": 1, "workers": 0}, "workers 0 is too small"),
    ],
)
def test_options_that_cannot_work_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigurationError, match=message):
        generate(tmp_path / "x", **options)


def test_an_existing_cohort_is_not_overwritten(root):
    with pytest.raises(OutputError, match="already holds a cohort"):
        generate(root, studies=1)


def interrupted(out, after, **options):
    """Write a cohort and break it off after some studies."""
    seen = []

    def stop(study_id):
        seen.append(study_id)
        if len(seen) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(out, on_study=stop, **options)
    return out


OPTIONS = {"studies": 2, "seed": 4, "cohort": "rsna_like", "size": "small", "label_maps": True}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("unbroken") / "root", **OPTIONS)


@pytest.mark.slow
def test_an_interrupted_cohort_resumed_is_the_unbroken_one_bit_for_bit(unbroken, tmp_path):
    out = interrupted(tmp_path / "root", 1, **OPTIONS)
    assert len(list((out / "truth").iterdir())) == 1
    assert not (out / "train.csv").exists()
    written = {p: p.stat().st_mtime_ns for p in out.rglob("*.dcm")}
    generate(out, resume=True, **OPTIONS)
    assert digests(out) == digests(unbroken)
    assert all(path.stat().st_mtime_ns == then for path, then in written.items())


@pytest.mark.slow
def test_a_study_without_its_truth_is_written_again(unbroken, tmp_path):
    out = tmp_path / "root"
    shutil.copytree(unbroken, out)
    last = max((out / "truth").iterdir())
    images = next((out / "train_images" / last.stem).rglob("*.dcm"))
    last.unlink()
    images.write_bytes(b"half a file")
    generate(out, resume=True, **OPTIONS)
    assert digests(out) == digests(unbroken)


def test_an_interrupted_study_leaves_no_folder(tmp_path, monkeypatch):
    def broken(made, folder):
        (folder / "1").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(cohort, "write_study", broken)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "root", studies=1, cohort="clean", size="small")
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "root"], [
        tmp_path / "root", tmp_path / "root" / "train_images",
    ])  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [{"header": "full"}, {"noise": "none"}, {"seed": 5}, {"studies": 1}, {"cohort": "clean"}],
)
def test_a_cohort_is_not_resumed_with_other_options(unbroken, other):
    before = digests(unbroken)
    with pytest.raises(OutputError, match="these options would not make"):
        generate(unbroken, resume=True, **(OPTIONS | other))
    assert digests(unbroken) == before


@pytest.mark.slow
def test_a_cohort_may_be_resumed_to_more_studies(unbroken, tmp_path):
    out = generate(tmp_path / "root", **(OPTIONS | {"studies": 1}))
    generate(out, resume=True, **OPTIONS)
    assert digests(out) == digests(unbroken)


def test_label_maps_have_a_file_for_each_series_or_stack(unbroken):
    for row in rows(unbroken / "train_series_descriptions.csv"):
        folder = unbroken / "label_maps" / row["study_id"]
        assert list(folder.glob(f"{row['series_id']}*.nii.gz"))
    assert (unbroken / "label_maps" / "labels.json").is_file()


@pytest.mark.parametrize(
    ("population", "header"),
    [
        ("rsna_like", "rsna"),
        ("shift", "full"),
        *(
            pytest.param(cohort, header, marks=pytest.mark.slow)
            for cohort in ("rsna_like", "probe", "pairs", "clean", "shift")
            for header in ("rsna", "full")
            if (cohort, header) not in {("rsna_like", "rsna"), ("shift", "full")}
        ),
    ],
)
def test_a_root_is_read_as_the_challenges_is(tmp_path, population, header):
    options = {"cohort": population, "header": header, "noise": "consensus", "size": "small"}
    root = generate(tmp_path / "root", studies=2, seed=3, **options)
    found = read_root(root)
    assert found.summary.studies == 2
    assert (found.summary.without_images, found.summary.without_labels) == (0, 0)
    assert found.summary.orphan_coordinates == 0
    for study in found.studies:
        read = read_study(study.folder, strict=True)
        assert not read.faults
        assert {s.name: s.protocol for s in read.series} == found.protocols[study.study_id]
        assert len({a.target for a in study.annotations}) >= 15
        for found_mark in study.annotations:
            assert (
                study.folder / found_mark.series_id / f"{found_mark.instance_number}.dcm"
            ).is_file()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_studies(tmp_path):
    sizes = {}

    def watch(study_id):
        sizes[len(sizes) + 1] = int(Path("/proc/self/statm").read_text().split()[1])
        shutil.rmtree(tmp_path / "root" / "train_images" / study_id)

    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not tell the size of a process")
    generate(tmp_path / "root", studies=120, size="small", seed=2, on_study=watch)
    grown = (sizes[120] - sizes[20]) * 4096 / 2**20
    assert grown < 12.0, f"{grown:.1f} MiB in 100 studies"

"""Label maps: on the voxels of the DICOM series, with the published ids, left on the left."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from volspine.anatomy import TARGETS, Finding, Protocol
from volspine.dicom.reading import read_study
from volspine.phantom.anatomy import sideways
from volspine.phantom.cohort import generate
from volspine.phantom.frame import FIRST_SEGMENT, VERTEBRAE
from volspine.phantom.labelmap import (
    LABELS,
    label_slices,
    label_study,
    label_table,
    write_label_maps,
)
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import acquire_study, outline_study
from volspine.phantom.truth import landmarks

SPEC = Spec(seed=8, cohort=Cohort.PROBE, size=Size.SMALL)
TO_RAS = np.array([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def made():
    return outline_study(SPEC)


@pytest.fixture(scope="module")
def maps(made):
    return list(label_study(made))


def value_at(found, point_lps):
    """Label of the voxel that a point is in; None where it is outside the images."""
    inverse = np.linalg.inv(found.affine_ras)
    index = np.rint(inverse[:3, :3] @ (point_lps * TO_RAS) + inverse[:3, 3]).astype(int)
    if (index < 0).any() or (index >= found.labels.shape).any():
        return None
    return int(found.labels[tuple(index)])


def values_at(maps, point_lps):
    return {value_at(found, point_lps) for found in maps} - {None}


def to_patient(made, y, z):
    return made.plan.pose.to_patient(np.array([midline(made, y, z), y, z]))


def midline(made, y, z):
    anatomy = made.truth.anatomy
    placed = anatomy.frame.place(np.array([y]), np.array([z]))
    return float(sideways(anatomy.subject, placed.arc, placed.depth)[0])


def test_the_affine_is_that_of_the_series_as_read(tmp_path):
    root = generate(tmp_path / "r", studies=1, cohort="probe", seed=8, size="small",
                    label_maps=True)  # fmt: skip
    study = read_study(root / "train_images" / SPEC.study_id)
    seen = set()
    for series in study.series:
        for number, stack in enumerate(series.stacks, start=1):
            suffix = f"_{number}" if len(series.stacks) > 1 else ""
            path = root / "label_maps" / SPEC.study_id / f"{series.name}{suffix}.nii.gz"
            image = nibabel.load(path)
            seen.add(path)
            assert image.shape == stack.shape
            assert image.get_data_dtype() == np.uint8
            lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
            corners = np.array([[0, 0, 0, 1], [*(np.array(stack.shape) - 1), 1]])
            assert np.abs((lps - stack.affine_lps) @ corners.T).max() < 0.01
            assert image.header["sform_code"] == image.header["qform_code"] == 1
            assert b"TotalSpineSeg" in image.header["descrip"].tobytes()
    assert seen == set((root / "label_maps").glob("*/*.nii.gz"))
    table = json.loads((root / "label_maps" / "labels.json").read_text())
    assert "TotalSpineSeg" in table["ids"]


def test_the_table_names_the_published_ids():
    assert {name: n for n, (name, _) in LABELS.items()}.items() >= {
        "vertebrae_L5": 18, "vertebrae_L1": 22, "vertebrae_T12": 23, "sacrum": 92,
        "spinal_cord": 200, "spinal_canal": 201, "disc_L5_S": 202, "disc_L1_L2": 206,
        "disc_T12_L1": 207,
    }.items()  # fmt: skip
    newer = dict(LABELS.values())
    assert newer.items() >= {"spinal_canal": 2, "vertebrae_L5": 45, "disc_L5_S": 100}.items()
    assert len(set(newer.values())) == len(LABELS)
    assert json.loads(label_table())["labels"]["206"] == {"name": "disc_L1_L2", "newer_id": 92}


def test_the_middle_of_every_vertebra_and_disc_has_its_own_label(made, maps):
    frame = made.truth.anatomy.frame
    sagittal = maps[0]
    for number in range(5):
        name = VERTEBRAE[FIRST_SEGMENT + number]
        body = to_patient(made, *frame.centres_mm[FIRST_SEGMENT + number])
        assert value_at(sagittal, body) == 22 - number, name
        disc = to_patient(made, *frame.locate(FIRST_SEGMENT + number, 0.5, -2.0))
        assert values_at(maps, disc) == {206 - number}, name


def test_canals_are_in_the_canal(made, maps):
    for target in TARGETS:
        if target.finding is Finding.CANAL and made.truth.measures[target.index] > 0.5:
            found = values_at(maps, made.landmarks_mm[target.index])
            assert found <= {200, 201}
            assert found


def test_ids_of_discs_grow_upwards_and_the_sacrum_is_lowest(maps):
    heights = {}
    found = maps[0]
    for label in np.unique(found.labels[found.labels > 0]):
        index = np.argwhere(found.labels == label).mean(axis=0)
        heights[int(label)] = float((found.affine_ras @ [*index, 1])[2])
    discs = [heights[n] for n in range(202, 207)]
    bodies = [heights[n] for n in range(18, 23)]
    assert discs == sorted(discs)
    assert bodies == sorted(bodies)
    assert heights[92] < bodies[0]


def test_nothing_beside_the_spine_is_labelled(made):
    plan = next(p for p in made.plan.series if not p.is_sagittal)
    wide = replace(plan, centres_mm=plan.centres_mm * [0.0, 1.0, 1.0])
    columns = np.flatnonzero((label_slices(made.truth.anatomy, wide) > 0).any(axis=(0, 1)))
    reach = (columns - (plan.matrix[1] - 1) / 2) * plan.pixel_mm
    assert 20.0 < reach.max() < 70.0
    assert -70.0 < reach.min() < -20.0


def test_every_label_is_in_the_table(maps):
    for found in maps:
        assert set(np.unique(found.labels).tolist()) - {0} <= LABELS.keys()


def test_a_spine_that_bends_to_the_left_does_so_in_its_label_maps(made):
    truth = made.truth
    subject = replace(truth.anatomy.subject, sway=(22.0, truth.anatomy.subject.sway[1], 260.0))
    anatomy = replace(truth.anatomy, subject=subject)
    bent = replace(made, truth=replace(truth, anatomy=anatomy, landmarks_mm=landmarks(anatomy)))
    canals = [t.index for t in TARGETS if t.finding is Finding.CANAL]
    points = bent.landmarks_mm[canals]
    assert np.ptp(points[:, 0]) > 12.0  # mirrored, some level would be far off
    found = next(label_study(bent))
    canal = np.argwhere(np.isin(found.labels, (200, 201)))
    places = (canal @ found.affine_ras[:3, :3].T + found.affine_ras[:3, 3]) * TO_RAS
    for point in points:
        near = np.linalg.norm(places[:, 1:] - point[1:], axis=1) < 6.0
        assert places[near, 0].mean() == pytest.approx(point[0], abs=3.0)


def test_the_maps_of_several_stacks_are_told_apart_by_number(made, maps):
    for plan in made.plan.series:
        names = [found.name for found in maps if found.name.startswith(plan.series_id)]
        count = len(set(plan.stacks))
        wanted = [plan.series_id] if count == 1 else [
            f"{plan.series_id}_{n}" for n in range(1, count + 1)
        ]  # fmt: skip
        assert names == wanted
    assert any(found.name.endswith("_2") for found in maps)


@pytest.mark.slow
def test_the_bytes_are_the_same_at_every_call(made, tmp_path):
    for name in ("a", "b"):
        write_label_maps(made, tmp_path / name)
    files = sorted((tmp_path / "a").iterdir())
    assert len(files) >= 3
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_fluid_of_the_sac_is_bright_on_t2_where_the_map_says_canal():
    made = acquire_study(replace(SPEC, cohort=Cohort.CLEAN))
    number = [p.protocol for p in made.plan.series].index(Protocol.SAGITTAL_T2)
    plan, pixels = made.plan.series[number], made.pixels[number]
    found = next(m for m in label_study(made) if m.name == plan.series_id)
    order = np.argsort(plan.centres_mm[:, 0])
    image = pixels[order].transpose(2, 1, 0)
    canal, bone = image[found.labels == 201], image[np.isin(found.labels, range(18, 23))]
    assert np.median(canal) > 1.3 * np.median(bone)

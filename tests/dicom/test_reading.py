"""Reading a study: order, sides, names, zips, limits, and what changes nothing."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import RLELossless

from tests.dicom.series_factory import (
    AXIAL,
    SAGITTAL,
    SERIES,
    STUDY,
    in_series,
    largest_affine_error,
    largest_error,
    make_slice,
    number_on,
    save,
    save_all,
    series,
    set_pixels,
    tilted,
)
from volspine.anatomy import TARGETS, Protocol
from volspine.data.landmarks import points_lps_mm
from volspine.data.rsna import Annotation
from volspine.dicom.limits import Limits
from volspine.dicom.reading import read_study
from volspine.errors import GeometryError, InputError, LimitError, PixelError


def marked(position, cosines, column, row, **options):
    """A slice that is 100 but for one voxel of 900."""
    ds = make_slice(position, cosines, **options)
    values = np.full((ds.Rows, ds.Columns), 100, dtype="<u2")
    values[row, column] = 900
    return set_pixels(ds, values)


def place_of_the_brightest(stack):
    i, j, k = np.unravel_index(int(np.argmax(stack.voxels)), stack.shape)
    return stack.affine_lps @ [i, j, k, 1]


def only_stack(study):
    (found,) = study.series
    (stack,) = found.stacks
    return stack


def test_a_spot_on_the_patients_left_of_a_sagittal_series_is_found_there(tmp_path):
    # Slices at x = -8, -4, 0, 4, 8; patient left is +x. The spot is in the slice at x = +8, in
    # column 5 (y = -20 + 5 * 3 = -5) and row 3 (z = 30 - 3 * 2 = 24).
    slices = [make_slice((x, -20, 30), SAGITTAL, number=n) for n, x in enumerate((-8, -4, 0, 4))]
    for ds in slices:
        set_pixels(ds, np.full((18, 14), 100, dtype="<u2"))
    slices.append(marked((8, -20, 30), SAGITTAL, 5, 3, number=9))
    stack = only_stack(read_study(save_all(slices, tmp_path)))
    assert place_of_the_brightest(stack).tolist() == [8, -5, 24, 1]
    assert np.unravel_index(int(np.argmax(stack.voxels)), stack.shape) == (5, 3, 4)


def test_a_spot_on_the_patients_left_of_an_axial_series_is_on_the_right_of_its_rows(tmp_path):
    # Columns run to the patient's left: column 12 is x = -18 + 12 * 3 = +18.
    slices = [make_slice((-18, -20, z), AXIAL, number=n) for n, z in enumerate((0, 4, 8, 12))]
    for ds in slices:
        set_pixels(ds, np.full((18, 14), 100, dtype="<u2"))
    slices[2] = marked((-18, -20, 8), AXIAL, 12, 4, number=2)
    stack = only_stack(read_study(save_all(slices, tmp_path)))
    assert place_of_the_brightest(stack).tolist() == [18, -12, 8, 1]


def test_slices_run_to_the_left_and_to_the_head_whatever_order_they_were_acquired_in(tmp_path):
    for name, step in (("up", 4.0), ("down", -4.0)):
        slices = series(6, cosines=AXIAL, start=(-20, -20, -step * 2.5), step=(0, 0, step))
        stack = only_stack(read_study(save_all(slices, tmp_path / name)))
        assert stack.slice_origins_mm[:, 2].tolist() == [-10, -6, -2, 2, 6, 10]
        assert stack.affine_lps[:3, 2].tolist() == [0, 0, 4]


def two_series(folder, names, numbers):
    tilts = [tilted(AXIAL, degrees) for degrees in (-10, 5, 20)]
    axial = [
        ds
        for n, cosines in enumerate(tilts)
        for ds in series(4, cosines=cosines, start=(-20, -25, 40 - 30 * n))
    ]
    slices = [*number_on(series()), *in_series(number_on(axial), SERIES + ".2")]
    for ds, name, number in zip(slices, names, numbers, strict=True):
        ds.InstanceNumber = int(number)
        save(ds, folder / f"{name}.dcm")
    return read_study(folder)


def stacks_along_discs(degrees):
    return [
        ds
        for n, tilt in enumerate(degrees)
        for ds in series(4, cosines=tilted(AXIAL, tilt), start=(-20, -25, 60 - 34 * n))
    ]


def test_a_stack_steeper_than_45_degrees_stays_with_the_axial_stacks_of_its_series(tmp_path):
    slices = number_on(stacks_along_discs((-5, 10, 30, 52)))
    (found,) = read_study(save_all(slices, tmp_path)).series
    assert found.plane == "axial"
    assert [stack.shape[2] for stack in found.stacks] == [4, 4, 4, 4]
    assert found.stacks[-1].plane == "coronal"
    for stack in found.stacks:
        assert largest_affine_error(stack) <= 3


def test_coronal_slices_among_axial_ones_are_a_series_of_their_own(tmp_path):
    slices = number_on(stacks_along_discs((-5, 10, 88)))
    found = read_study(save_all(slices, tmp_path)).series
    assert [one.plane for one in found] == ["axial", "coronal"]


def test_names_of_files_and_instance_numbers_change_nothing(tmp_path):
    plain = two_series(tmp_path / "plain", range(27), range(27))
    rng = np.random.default_rng(5)
    shuffled = two_series(tmp_path / "shuffled", rng.permutation(27), rng.permutation(27) + 40)
    assert [found.uid for found in plain.series] == [found.uid for found in shuffled.series]
    assert plain.name == shuffled.name
    for one, other in zip(plain.series, shuffled.series, strict=True):
        assert (one.name, one.protocol, one.reason) == (other.name, other.protocol, other.reason)
        for a, b in zip(one.stacks, other.stacks, strict=True):
            np.testing.assert_array_equal(a.voxels, b.voxels)
            np.testing.assert_array_equal(a.affine_lps, b.affine_lps)
            np.testing.assert_array_equal(a.slice_origins_mm, b.slice_origins_mm)


def test_sop_instance_uids_that_repeat_across_series_lose_no_slice(tmp_path):
    study = two_series(tmp_path, range(27), range(27))
    assert sorted(sum(s.shape[2] for s in found.stacks) for found in study.series) == [12, 15]


def test_sources_say_which_file_each_slice_came_from(tmp_path):
    slices = series(5)
    study = read_study(save_all(slices, tmp_path))
    (found,) = study.series
    # The factory's sagittal slices run to the right, so the last written is the first to the left.
    assert [source.instance_number for source in found.instances[0]] == [5, 4, 3, 2, 1]
    assert found.instances[0][0].path == str(tmp_path / "5.dcm")
    assert found.instances[0][0].frame_number is None


def test_stacks_and_sources_shrink_together_when_a_slice_cannot_be_decoded(tmp_path):
    save_all(series(5), tmp_path, RLELossless)
    for name in ("5.dcm", "3.dcm"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-60])
    (found,) = read_study(tmp_path).series
    stack = found.stacks[0]
    assert stack.shape[2] == 5
    assert stack.voxels.shape[2] == stack.shape[2] == len(stack.slice_origins_mm) == 3
    assert [source.instance_number for source in found.instances[0]] == [4, 2, 1]
    assert stack.affine_lps[:3, 3].tolist() == stack.slice_origins_mm[0].tolist()
    assert sum("missing slice" in repair for repair in found.repairs) == 2
    assert largest_error(stack) < 3


def test_some_slices_of_files_are_those_of_the_whole_and_change_nothing(tmp_path):
    save_all(series(5), tmp_path, RLELossless)
    path = tmp_path / "3.dcm"
    path.write_bytes(path.read_bytes()[:-60])
    (found,) = read_study(tmp_path).series
    stack = found.stacks[0]
    voxels, kept = stack.slices([3, 2, 0])
    assert kept == (3, 0)
    assert stack.shape[2] == len(found.instances[0]) == 5
    assert not any("missing slice" in repair for repair in found.repairs)
    with pytest.raises(PixelError, match=r"cut short|cannot be decoded"):
        stack.slices([2])
    # The broken slice goes when all are decoded; then the fourth is the third.
    assert np.array_equal(voxels, stack.voxels[:, :, [2, 0]])
    assert not np.array_equal(voxels[..., 0], voxels[..., 1])


def test_when_no_slice_can_be_decoded_voxels_raises(tmp_path):
    for path in save_all(series(4), tmp_path, RLELossless).iterdir():
        path.write_bytes(path.read_bytes()[:-60])
    stack = only_stack(read_study(tmp_path))
    with pytest.raises(PixelError, match=r"cut short|cannot be decoded"):
        _ = stack.voxels


def test_a_zip_reads_as_its_folder_does(tmp_path):
    save_all(series(5), tmp_path / "study", RLELossless)
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "study")
    zipped, plain = read_study(archive), read_study(tmp_path / "study")
    assert zipped.name == plain.name
    np.testing.assert_array_equal(only_stack(zipped).voxels, only_stack(plain).voxels)


def test_a_zip_with_names_that_lead_out_of_it_writes_nothing_and_reads(tmp_path):
    save_all(series(4), tmp_path / "study")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for path in (tmp_path / "study").iterdir():
            archive.write(path, f"../../{path.name}")
    assert only_stack(read_study(tmp_path / "evil.zip")).shape[2] == 4
    assert sorted(child.name for child in tmp_path.iterdir()) == ["evil.zip", "study"]


def test_a_zip_bomb_is_refused_before_it_unfolds(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.dcm", b"\0" * 128 + b"DICM" + b"\0" * (4 << 20))
    with pytest.raises(LimitError, match="ratio"):
        read_study(path, limits=Limits(ratio_from_bytes=1 << 20))


def test_a_damaged_zip_is_an_input_error(tmp_path):
    save_all(series(4), tmp_path / "study")
    archive = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "study")
    with Path(archive).open("r+b") as stream:
        stream.seek(60)
        stream.write(b"\xff" * 3000)
    with pytest.raises(InputError):
        read_study(archive)


def test_limits_are_settable_and_say_which_was_passed(tmp_path):
    save_all(series(5), tmp_path)
    with pytest.raises(LimitError, match="number of files is 5, above the limit of 4") as caught:
        read_study(tmp_path, limits=Limits(files=4))
    assert "Limits(files=...)" in caught.value.remedy


def challenge_study(root, *, table):
    folder = root / "train_images" / "1001"
    axial = in_series(series(4, cosines=AXIAL, start=(-20, -20, 0)), "1001.22")
    save_all(in_series(series(4), "1001.11"), folder / "11")
    save_all(axial, folder / "22")
    if table:
        rows = ["study_id,series_id,series_description", "1001,11,Sagittal T1", "1001,22,Axial T2"]
        (root / "train_series_descriptions.csv").write_bytes("\r\n".join(rows).encode())
    return read_study(folder)


def test_the_challenges_table_names_protocols_and_folders_name_series(tmp_path):
    study = challenge_study(tmp_path, table=True)
    assert study.name == "1001"
    assert [(s.name, s.protocol) for s in study.series] == [
        ("11", Protocol.SAGITTAL_T1),
        ("22", Protocol.AXIAL_T2),
    ]
    assert "challenge's table" in study.series[0].reason


def test_the_table_does_not_make_sagittal_slices_axial(tmp_path):
    folder = tmp_path / "train_images" / "1001"
    axial = series(6, cosines=AXIAL, start=(-20, -20, 0))
    save_all(in_series(number_on([*axial, *series(4)]), "1001.22"), folder / "22")
    rows = ["study_id,series_id,series_description", "1001,22,Axial T2"]
    (tmp_path / "train_series_descriptions.csv").write_text("\n".join(rows))
    assert [(s.name, s.plane, s.protocol) for s in read_study(folder).series] == [
        ("22-2", "sagittal", Protocol.SAGITTAL_T2),
        ("22", "axial", Protocol.AXIAL_T2),
    ]


def test_outside_a_challenge_root_names_reveal_nothing(tmp_path):
    save_all(series(4), tmp_path / "Jane Doe" / "Jane Doe T2")
    study = read_study(tmp_path / "Jane Doe")
    assert len(study.name) == 16
    assert int(study.name, 16) >= 0
    assert study.series[0].name.startswith("series-")
    assert "Jane" not in repr(study.series[0].name) + study.series[0].reason
    assert study.identifiers.study_instance_uid == STUDY
    assert study.identifiers.attributes["PatientName"] == "Canary^Name"
    assert "Canary" not in repr(study.identifiers)


def test_free_text_that_tells_slices_apart_is_not_repeated(tmp_path):
    first, second = series(4), number_on(series(4), 5)
    for slices, kind in ((first, "CANARY M"), (second, "CANARY P")):
        for ds in slices:
            ds.ImageType = ["ORIGINAL", "PRIMARY", kind]
    for ds in second:
        set_pixels(ds, np.full((ds.Rows, ds.Columns), 7, "<u2"))
    study = read_study(save_all([*first, *second], tmp_path))
    repairs = " ".join(study.series[0].repairs)
    assert "differ in ImageType: M is used, 4 slices" in repairs
    assert "CANARY" not in repairs


def test_a_series_in_two_frames_of_reference_becomes_two_and_the_study_says_so(tmp_path):
    slices = series(9)
    for ds in slices[5:]:
        ds.FrameOfReferenceUID = STUDY + ".98"
    study = read_study(save_all(slices, tmp_path))
    larger, smaller = sorted(study.series, key=lambda found: -found.stacks[0].shape[2])
    assert (larger.stacks[0].shape[2], smaller.stacks[0].shape[2]) == (5, 4)
    assert smaller.name == larger.name + "-2"
    assert larger.frame_of_reference != smaller.frame_of_reference
    assert study.repairs == ["series lie in 2 different frames of reference"]


def test_a_series_that_fails_becomes_a_fault_and_the_rest_goes_on(tmp_path):
    broken = in_series(series(5, cosines=AXIAL), SERIES + ".9")
    broken[2].PixelSpacing = ["9", "9"]
    save_all([*series(), *broken], tmp_path)
    study = read_study(tmp_path)
    assert [fault.code for fault in study.faults] == ["VS-GEO-005"]
    assert len(study.series) == 1
    with pytest.raises(GeometryError, match="PixelSpacing"):
        read_study(tmp_path, strict=True)


@pytest.mark.parametrize("cut", range(140, 1100, 160))
def test_a_file_cut_anywhere_is_a_clear_error_in_strict_reading(cut, tmp_path):
    save_all(series(5), tmp_path)
    path = tmp_path / "3.dcm"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises((InputError, PixelError, GeometryError)):
        read_study(tmp_path, strict=True)
    lenient = read_study(tmp_path)
    assert only_stack(lenient).shape[2] == 4
    assert [fault.path for fault in lenient.faults] == ["3.dcm"]


POSITIONS = {
    # How the patient lies -> cosines of the rows and columns that a scanner writes for slices that
    # are sagittal and axial to the table; x, y, z always belong to the patient.
    "HFS": ((0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 1, 0)),
    "FFS": ((0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 1, 0)),
    "HFP": ((0, -1, 0, 0, 0, -1), (-1, 0, 0, 0, -1, 0)),
    "FFP": ((0, -1, 0, 0, 0, -1), (-1, 0, 0, 0, -1, 0)),
    "HFDL": ((0, 1, 0, 0, 0, -1), (0, -1, 0, 1, 0, 0)),
    "HFDR": ((0, 1, 0, 0, 0, -1), (0, 1, 0, -1, 0, 0)),
    "FFDL": ((0, 1, 0, 0, 0, -1), (0, 1, 0, -1, 0, 0)),
    "FFDR": ((0, 1, 0, 0, 0, -1), (0, -1, 0, 1, 0, 0)),
}


@pytest.mark.parametrize("position", sorted(POSITIONS))
def test_left_stays_left_however_the_patient_lies(position, tmp_path):
    planes = POSITIONS[position]
    for number, cosines in enumerate(planes):
        slices = series(7, cosines=cosines, start=(3.0, -4.0, 5.0))
        for ds in number_on(slices, 10 * number + 1):
            ds.PatientPosition, ds.SeriesInstanceUID = position, f"{SERIES}.{number}"
        save_all(slices, tmp_path / str(number))
    study = read_study(tmp_path)
    stacks = [stack for found in study.series for stack in found.stacks]
    assert sorted(stack.plane for stack in stacks) == ["axial", "sagittal"]
    for stack in stacks:
        assert largest_error(stack) < 3
        assert largest_affine_error(stack) < 3


def test_the_patients_position_in_the_header_changes_nothing(tmp_path):
    found = []
    for position in ("HFS", "FFP", ""):
        slices = series(5)
        for ds in slices:
            ds.PatientPosition = position
        found.append(only_stack(read_study(save_all(slices, tmp_path / f"at{position}"))))
    for stack in found[1:]:
        np.testing.assert_array_equal(stack.voxels, found[0].voxels)
        np.testing.assert_array_equal(stack.affine_lps, found[0].affine_lps)


def two_series_in_one_folder(tmp_path):
    folder = tmp_path / "train_images" / "1001"
    save_all(in_series(series(4), "1.2.77"), folder / "22")
    for n, ds in enumerate(in_series(number_on(series(6, cosines=AXIAL), 50), "1.2.78")):
        save(ds, folder / "22" / f"other-{n}.dcm")
    save_all(in_series(series(4), "1.2.79"), folder / "22-2")
    return folder


def test_two_series_in_one_folder_of_the_challenge_have_names_of_their_own(tmp_path):
    folder = two_series_in_one_folder(tmp_path)
    named = {found.uid: found.name for found in read_study(folder).series}
    assert named["1.2.78"] == "22"  # The one with the most slices keeps the name.
    assert len(set(named.values())) == 3
    assert all(name.startswith("22-2") for uid, name in named.items() if uid != "1.2.78")


def test_the_series_that_a_folder_is_named_after_keeps_the_name_however_small(tmp_path):
    folder = tmp_path / "train_images" / "1001"
    save_all(in_series(series(4), "1001.22"), folder / "22")
    for n, ds in enumerate(in_series(number_on(series(9), 50), "1001.23")):
        save(ds, folder / "22" / f"other-{n}.dcm")
    assert {s.uid: s.name for s in read_study(folder).series} == {
        "1001.22": "22",
        "1001.23": "22-2",
    }


def test_a_mark_is_found_in_either_series_of_a_folder(tmp_path):
    study = read_study(two_series_in_one_folder(tmp_path))
    for number in (2, 52):
        mark = Annotation("22", number, TARGETS[0], 3.0, 4.0)
        assert np.isfinite(points_lps_mm(study, [mark])[0]).all()

"""A prepared study is the study that reading its DICOM files gave, without reading them again."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.uid import RLELossless

from tests.data.made_stores import axial_blocks, write_dicom_study
from tests.dicom.series_factory import SAGITTAL, in_series, largest_error, save_all, series, tilted
from volspine.dicom import pixels
from volspine.dicom.find import find_studies
from volspine.dicom.prepared import DESCRIPTION, is_prepared, read_prepared, stored_digest
from volspine.dicom.preparing import compact, content_key, is_current, write_prepared
from volspine.dicom.reading import read_study
from volspine.errors import ConfigurationError, InputError, PixelError, VolspineError


def prepared(path, folder, **options):
    folder.mkdir()
    write_prepared(read_study(path, **options), folder, key=content_key(path))
    return folder


def assert_same_study(stored, read):
    assert (stored.name, stored.faults, stored.repairs) == (read.name, read.faults, read.repairs)
    assert len(stored.series) == len(read.series)
    for one, other in zip(stored.series, read.series, strict=True):
        for name in ("uid", "name", "protocol", "reason", "confidence", "drawbacks", "number",
                     "names_lumbar", "frame_of_reference", "repairs", "plane"):  # fmt: skip
            assert getattr(one, name) == getattr(other, name), name
        assert len(one.stacks) == len(other.stacks)
        for a, b in zip(one.stacks, other.stacks, strict=True):
            assert_same_places(a, b)
        assert_same_sources(one, other)
        for a, b in zip(one.stacks, other.stacks, strict=True):
            assert_same_voxels(a, b)
        # Decoding may have dropped slices, and said so.
        assert one.repairs == other.repairs
        assert_same_sources(one, other)


def assert_same_places(a, b):
    assert a.shape == b.shape
    np.testing.assert_array_equal(a.affine_lps, b.affine_lps)
    np.testing.assert_array_equal(a.slice_origins_mm, b.slice_origins_mm)


def assert_same_sources(one, other):
    def told(series):
        return [[(s.instance_number, s.sop_instance_uid, s.frame_number) for s in stack]
                for stack in series.instances]  # fmt: skip

    assert told(one) == told(other)


def assert_same_voxels(a, b):
    assert a.can_decode_some == b.can_decode_some
    if a.can_decode_some:
        some, kept = a.slices([0, 2])
        others, left = b.slices([0, 2])
        assert kept == left
        assert some.strides == others.strides
        np.testing.assert_array_equal(some, others)
    assert a.voxels.dtype == b.voxels.dtype == np.float32
    # The order in memory too, so that what is summed over them has the same bits.
    assert a.voxels.strides == b.voxels.strides
    np.testing.assert_array_equal(a.voxels.view(np.uint32), b.voxels.view(np.uint32))
    assert_same_places(a, b)


@pytest.fixture
def study(tmp_path):
    return write_dicom_study(tmp_path / "study", 1)


def test_a_prepared_study_is_the_study_with_its_oblique_blocks(study, tmp_path):
    stored = read_study(prepared(study, tmp_path / "entry"))
    assert sorted(len(series.stacks) for series in stored.series) == [1, 1, 2]
    assert_same_study(stored, read_study(study))


def test_every_voxel_of_it_is_where_it_says_and_on_its_side(tmp_path):
    save_all(series(cosines=tilted(SAGITTAL, 9)), tmp_path / "study")
    save_all(axial_blocks(), tmp_path / "axial")
    for name in ("study", "axial"):
        entry = prepared(tmp_path / name, tmp_path / f"of {name}")
        for stack in read_study(entry).series[0].stacks:
            # Voxels hold 2000 + 4x + 3y + 5z, so an exchange of sides would be off by 8x.
            assert largest_error(stack) <= 0.5 + 1e-3


def test_phantoms_of_the_challenge_are_kept_with_the_protocols_of_their_table(
    phantom_study, tmp_path
):
    assert_same_study(
        read_study(prepared(phantom_study, tmp_path / "1")), read_study(phantom_study)
    )


def spoil(file):
    """Make compressed pixels that only decoding finds broken."""
    data = file.read_bytes()
    assert data.count(SEGMENTS) == 1
    file.write_bytes(data.replace(SEGMENTS, b"\x09\0\0\0\xff\xff\xff\x7f"))


SEGMENTS = b"\x02\0\0\0\x40\0\0\0"
"""How a frame of 16 bits begins in RLE: two segments, the first at byte 64."""


def test_slices_that_cannot_be_decoded_are_dropped_when_the_voxels_are_used(tmp_path):
    folder = save_all(series(), tmp_path / "study", RLELossless)
    for name in ("1.dcm", "7.dcm"):
        spoil(folder / name)
    entry = prepared(folder, tmp_path / "entry")
    stored = read_study(entry)
    (stack,) = stored.series[0].stacks
    assert stack.shape[2] == 15
    assert_same_study(stored, read_study(folder))
    assert stack.shape[2] == 13
    assert sum("missing slice" in repair for repair in stored.series[0].repairs) == 2
    stack.release()
    assert stack.voxels.shape[2] == 13
    with pytest.raises(PixelError, match="could not be decoded when the study was prepared"):
        read_study(entry).series[0].stacks[0].slices([8])
    of_both = [read_study(p).series[0].stacks[0].slices([8, 0, 9]) for p in (entry, folder)]
    assert of_both[0][1] == of_both[1][1] == (0, 9)
    np.testing.assert_array_equal(of_both[0][0], of_both[1][0])


def test_a_stack_that_cannot_be_decoded_says_why_as_reading_does(tmp_path):
    save_all(series(), tmp_path / "study" / "good")
    bad = save_all(in_series(series(), "1.2.3.4"), tmp_path / "study" / "bad", RLELossless)
    for file in bad.iterdir():
        spoil(file)
    folder = bad.parent
    stored, read = read_study(prepared(folder, tmp_path / "entry")), read_study(folder)
    told = []
    for one in (stored, read):
        with pytest.raises(PixelError) as caught:
            [stack.voxels for each in one.series for stack in each.stacks]
        told.append((caught.value.code, caught.value.message))
    assert told[0] == told[1]


def test_a_study_without_a_stack_that_can_be_decoded_is_not_prepared(tmp_path):
    folder = save_all(series(), tmp_path / "study", RLELossless)
    for file in folder.iterdir():
        spoil(file)
    with pytest.raises(VolspineError, match="none of its stacks can be decoded"):
        prepared(folder, tmp_path / "entry")


@pytest.mark.parametrize(("slope", "kind"), [("1", "uint16"), ("0.37", "float32")])
def test_rescaled_voxels_are_kept_exactly_in_the_smallest_kind(slope, kind, tmp_path):
    slices = series()
    for ds in slices:
        ds.RescaleSlope, ds.RescaleIntercept = slope, "0"
    folder = save_all(slices, tmp_path / "study")
    entry = prepared(folder, tmp_path / "entry")
    assert np.load(entry / "0_0.npy").dtype == kind
    assert_same_study(read_study(entry), read_study(folder))


def test_a_zip_and_nifti_are_kept_as_they_are_read(study, tmp_path):
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(study.rglob("*.dcm")):
            packed.write(file, file.relative_to(study))
    assert_same_study(read_study(prepared(archive, tmp_path / "entry")), read_study(archive))
    import nibabel as nib

    volume = tmp_path / "t2_sag.nii.gz"
    voxels = np.random.default_rng(0).normal(size=(9, 20, 22)).astype(np.float32)
    nib.Nifti1Image(voxels, np.diag([-4.0, 1.0, 1.0, 1.0])).to_filename(volume)
    assert_same_study(read_study(prepared(volume, tmp_path / "volume")), read_study(volume))


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=4),
        elements=st.one_of(
            st.integers(-70_000, 70_000).map(float),
            st.sampled_from([-0.0, 0.5, 255.0, 65535.0, -32768.0]),
        ),
    )
)
def test_a_compact_array_gives_the_same_bits(voxels):
    small = compact(voxels)
    again = small.astype(np.float32)
    np.testing.assert_array_equal(again.view(np.uint32), voxels.view(np.uint32))
    assert small.itemsize <= 4


def test_nothing_is_decoded_to_read_a_prepared_study(study, tmp_path, monkeypatch):
    entry = prepared(study, tmp_path / "entry")
    shutil.rmtree(study)
    monkeypatch.setattr(pixels, "read_frames", None)
    assert all(stack.voxels.any() for each in read_study(entry).series for stack in each.stacks)


def test_no_identifier_of_the_patient_is_kept_and_no_place_on_this_disk(study, tmp_path):
    entry = prepared(study, tmp_path / "entry")
    text = (entry / DESCRIPTION).read_text()
    assert "Canary" not in text
    assert "CANARY" not in text
    assert str(tmp_path) not in text
    assert read_study(entry).identifiers.study_instance_uid == ""


def test_damaged_voxels_are_found_when_they_are_used(study, tmp_path):
    entry = prepared(study, tmp_path / "entry")
    path = entry / "1_0.npy"
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)
    read = read_study(entry)
    assert read.series[0].stacks[0].voxels.any()
    with pytest.raises(InputError, match="damaged") as caught:
        _ = read.series[1].stacks[0].voxels
    assert caught.value.code == "VS-INP-090"
    assert not is_current(entry, content_key(study))


@pytest.mark.parametrize("change", ["cut", "number", "gone"])
def test_a_damaged_description_is_refused(change, study, tmp_path):
    entry = prepared(study, tmp_path / "entry")
    path = entry / DESCRIPTION
    text = path.read_text()
    assert is_current(entry, content_key(study))
    changed = {"cut": text[: len(text) // 2], "number": text.replace("14", "15", 1), "gone": ""}
    path.write_text(changed[change])
    assert changed[change] != text
    assert not is_current(entry, content_key(study))
    with pytest.raises(InputError, match="damaged"):
        read_prepared(entry)


def test_what_another_version_wrote_is_refused_with_a_remedy(study, tmp_path):
    entry = prepared(study, tmp_path / "entry")
    from volspine.dicom.prepared import MARK, canonical, sha256_of

    told = json.loads((entry / DESCRIPTION).read_text())["study"] | {"layout": 0}
    text = canonical(told)
    head = f'{MARK}, "sha256": "{sha256_of(text)}", "study": '
    (entry / DESCRIPTION).write_bytes(head.encode() + text + b"}\n")
    with pytest.raises(InputError, match="another version") as caught:
        read_prepared(entry)
    assert "volspine prepare" in caught.value.remedy


def test_the_digest_is_that_of_the_content_and_the_key_that_of_the_files(study, tmp_path):
    entry, again = prepared(study, tmp_path / "a"), prepared(study, tmp_path / "b")
    assert stored_digest(entry) == stored_digest(again)
    before = content_key(study)
    shutil.copytree(study, tmp_path / "copy")
    assert content_key(tmp_path / "copy") == before
    file = next((tmp_path / "copy").rglob("*.dcm"))
    file.write_bytes(file.read_bytes() + b"\0\0")
    assert content_key(tmp_path / "copy") != before


def test_strict_reading_is_refused_since_it_is_too_late(study, tmp_path):
    with pytest.raises(ConfigurationError, match="leniently"):
        read_study(prepared(study, tmp_path / "entry"), strict=True)


def test_prepared_studies_are_found_and_others_are_not_taken_for_them(study, tmp_path):
    entry = prepared(study, tmp_path / "entry")
    assert is_prepared(entry)
    assert not is_prepared(study)
    assert find_studies(entry) == [entry]
    (study / DESCRIPTION).write_text('{"format": "of another program"}')
    assert not is_prepared(study)
    assert len(read_study(study).series) == 3


def test_a_protocol_that_the_caller_names_takes_the_place_of_the_recognized_one(study, tmp_path):
    entry = prepared(study, tmp_path / "entry")
    assert {series.protocol for series in read_study(entry, protocol="axial_t2").series} == {
        "axial_t2"
    }

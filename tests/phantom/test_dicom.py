"""DICOM: exactly the header of each profile, exact pixels, exact places."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, RLELossless
from rle.rle import decode_frame, encode_frame

from volspine.dicom.reading import read_study
from volspine.phantom.dicom import encode_runs, write_study
from volspine.phantom.filing import SeriesFiling
from volspine.phantom.headers import series_attributes
from volspine.phantom.spec import Cohort, Header, Size, Spec
from volspine.phantom.study import acquire_study

# What a public challenge file was found to hold, and no more.
RSNA_HEADER = {
    "SOPInstanceUID", "ContentDate", "ContentTime", "SeriesDescription", "PatientID",
    "SliceThickness", "SpacingBetweenSlices", "PatientPosition", "StudyInstanceUID",
    "SeriesInstanceUID", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient",
    "FrameOfReferenceUID", "SliceLocation", "SamplesPerPixel", "PhotometricInterpretation",
    "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope",
    "PixelData",
}  # fmt: skip


def write(header, folder):
    made = acquire_study(Spec(seed=8, cohort=Cohort.CLEAN, header=header, size=Size.SMALL))
    write_study(made, folder)
    return made, folder


@pytest.fixture(scope="module")
def rsna(tmp_path_factory):
    return write(Header.RSNA, tmp_path_factory.mktemp("rsna"))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return write(Header.FULL, tmp_path_factory.mktemp("full"))


@pytest.fixture(params=["rsna", "full"])
def written(request):
    return request.getfixturevalue(request.param)


def read(folder, plan, number):
    return pydicom.dcmread(folder / plan.series_id / f"{number}.dcm")


def test_pixels_survive_their_transfer_syntax(written):
    made, folder = written
    for plan, pixels in zip(made.plan.series, made.pixels, strict=True):
        for number in (1, len(pixels)):
            dataset = read(folder, plan, number)
            assert (dataset.pixel_array == pixels[number - 1]).all()
            assert dataset.InstanceNumber == number


def test_the_rsna_header_holds_what_the_challenge_files_hold_and_nothing_else(rsna):
    made, folder = rsna
    dataset = read(folder, made.plan.series[0], 1)
    assert {element.keyword for element in dataset} == RSNA_HEADER
    assert dataset.file_meta.TransferSyntaxUID == RLELossless
    assert dataset.file_meta.MediaStorageSOPClassUID == EnhancedMRImageStorage
    assert dataset.StudyInstanceUID == made.truth.spec.study_id
    assert (
        dataset.SeriesInstanceUID == f"{dataset.StudyInstanceUID}.{made.plan.series[0].series_id}"
    )


def test_rsna_instance_uids_repeat_across_series(written):
    made, folder = written
    uids = {read(folder, plan, 1).SOPInstanceUID for plan in made.plan.series}
    assert len(uids) == (1 if made.truth.spec.header is Header.RSNA else 3)


def test_the_full_header_is_a_conformant_object_that_says_it_is_synthetic(full):
    made, folder = full
    dataset = read(folder, made.plan.series[1], 1)
    assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == MRImageStorage
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert dataset.Modality == "MR"
    assert dataset.Manufacturer == "volspine phantom"
    assert "not an image of a patient" in dataset.DerivationDescription
    assert dataset.BurnedInAnnotation == "NO"


def test_landmarks_are_found_from_the_header_alone(written):
    made, folder = written
    for plan in made.plan.series:
        dataset = read(folder, plan, 2)
        first = np.array(dataset.ImagePositionPatient, dtype=float)
        x, y = np.array(dataset.ImageOrientationPatient, dtype=float).reshape(2, 3)
        row, column = (float(s) for s in dataset.PixelSpacing)
        voxel = first + 10 * column * x + 20 * row * y
        across, down = plan.axes(1)
        body = plan.first_pixel(1) + plan.pixel_mm * (10 * across + 20 * down)
        assert voxel == pytest.approx(made.plan.pose.to_patient(body), abs=1e-6)


def test_sagittal_images_have_the_head_up_and_the_back_right(written):
    made, folder = written
    for plan in made.plan.series:
        x, y = np.array(read(folder, plan, 1).ImageOrientationPatient, dtype=float).reshape(2, 3)
        if plan.is_sagittal:
            assert x[1] > 0.95
            assert y[2] < -0.95
        else:
            assert x[0] > 0.95  # on axial images the patient's left is on the right
            assert y[1] > 0.6


def test_another_reader_agrees_on_the_geometry_of_a_sagittal_series(full):
    # GDCM drops the positions where the file meta names an enhanced class, as in the rsna profile.
    made, folder = full
    for plan in made.plan.series[:2]:
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder / plan.series_id))
        image = SimpleITK.ReadImage(names)
        slices = [int(Path(name).stem) for name in names]
        for number in (1, len(slices)):
            across, down = plan.axes(number - 1)
            body = plan.first_pixel(number - 1) + plan.pixel_mm * (7 * across + 9 * down)
            theirs = image.TransformIndexToPhysicalPoint((7, 9, slices.index(number)))
            assert theirs == pytest.approx(made.plan.pose.to_patient(body), abs=0.05)
        assert image.GetSpacing()[2] == pytest.approx(plan.spacing_mm, abs=1e-3)


# Attributes of type 1 and 2 of the MR Image object, by module (DICOM PS3.3, A.4 and C.7, C.8.3),
# and those of type 1C and 2C whose condition holds here.
MR_IMAGE = {
    1: {
        "StudyInstanceUID", "Modality", "SeriesInstanceUID", "FrameOfReferenceUID",
        "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "SamplesPerPixel",
        "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
        "PixelRepresentation", "ImageType", "ScanningSequence", "SequenceVariant",
        "SOPClassUID", "SOPInstanceUID", "PixelData", "WindowCenter", "WindowWidth",
        "MRAcquisitionType", "RescaleIntercept", "RescaleSlope",
    },
    2: {
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber",
        "PatientPosition", "PositionReferenceIndicator", "Manufacturer", "InstanceNumber",
        "ContentDate", "ContentTime", "SliceThickness", "ScanOptions", "RepetitionTime",
        "EchoTime", "EchoTrainLength",
    },
}  # fmt: skip


def test_the_full_header_has_every_attribute_that_the_mr_image_object_demands(full):
    made, folder = full
    for plan in made.plan.series:
        dataset = read(folder, plan, 1)
        empty = [name for name in MR_IMAGE[1] if not str(dataset.get(name, ""))]
        assert empty == []
        assert [name for name in MR_IMAGE[2] if name not in dataset] == []
        has_inversion = "InversionTime" in dataset
        assert has_inversion == ("IR" in dataset.ScanningSequence)


def test_the_full_header_says_what_was_synthesised(full):
    made, folder = full
    for number, plan in enumerate(made.plan.series):
        dataset = read(folder, plan, 1)
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
        assert dataset.PatientSex == ("F" if made.truth.anatomy.subject.female else "M")
        assert dataset.SeriesNumber == number + 1
        assert float(dataset.MagneticFieldStrength) == plan.sequence.field_t
        assert float(dataset.EchoTime) == pytest.approx(plan.sequence.echo_ms, abs=0.05)
        assert float(dataset.SpacingBetweenSlices) == pytest.approx(plan.spacing_mm, abs=1e-5)
        along_columns = dataset.InPlanePhaseEncodingDirection == "COL"
        assert along_columns == (plan.phase_axis == 0)
        high, wide = plan.acquired
        matrix = [0, wide, high, 0] if along_columns else [high, 0, 0, wide]
        assert list(dataset.AcquisitionMatrix) == matrix


def test_the_full_header_counts_the_lines_that_are_measured(full):
    made, _ = full
    fewer = replace(made.plan.series[0], phase_share=0.7)
    assert fewer.acquired == (96, 96)
    said = series_attributes(replace(made, plan=replace(made.plan, series=(fewer,))), 0)
    assert said["NumberOfPhaseEncodingSteps"] == "68"  # as many of either sign: not 67
    assert float(str(said["PercentSampling"])) == 70


def test_a_validator_finds_no_error_in_the_full_header(full):
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dciodvfy is not installed")
    made, folder = full
    path = folder / made.plan.series[0].series_id / "1.dcm"
    done = subprocess.run([validator, str(path)], capture_output=True, text=True, check=False)
    assert "Error" not in done.stdout + done.stderr


def filed(made, **changes):
    """The same study, filed in another way."""
    other = replace(made)
    vars(other)["filing"] = replace(made.filing, **changes)
    return other


@pytest.fixture(scope="module")
def clean():
    return acquire_study(Spec(seed=8, cohort=Cohort.CLEAN, size=Size.SMALL))


def test_an_untidy_study_is_read_as_the_same_voxels_scaled(clean, tmp_path):
    odd = (SeriesFiling(tuple(range(7, 7 + 13 * len(p.centres_mm), 13)), 1.5, -8.0)
           for p in clean.plan.series)  # fmt: skip
    write_study(filed(clean, series=tuple(odd), says_spacing=False), tmp_path / "odd")
    write_study(clean, tmp_path / "plain")
    there, here = read_study(tmp_path / "odd", strict=True), read_study(tmp_path / "plain")
    assert {p.name for p in (tmp_path / "odd").glob("*/*.dcm")} >= {"7.dcm", "20.dcm"}
    for a, b in zip(there.series, here.series, strict=True):
        assert a.protocol == b.protocol
        for x, y in zip(a.stacks, b.stacks, strict=True):
            assert (x.voxels == y.voxels * np.float32(1.5) - np.float32(8.0)).all()
            assert x.affine_lps == pytest.approx(y.affine_lps, abs=1e-9)


def test_headers_may_lack_scale_and_spacing_or_call_the_gap_a_spacing(clean, tmp_path):
    write_study(filed(clean, says_scale=False, says_spacing=False), tmp_path / "a")
    write_study(filed(clean, spacing_is_gap=True), tmp_path / "b")
    plan = clean.plan.series[0]
    missing = {"RescaleSlope", "RescaleIntercept", "SpacingBetweenSlices"}
    dataset = read(tmp_path / "a", plan, 1)
    assert {element.keyword for element in dataset} == RSNA_HEADER - missing
    gap = float(read(tmp_path / "b", plan, 1).SpacingBetweenSlices)
    assert gap == pytest.approx(plan.spacing_mm - plan.thickness_mm, abs=1e-5)
    spacing = read_study(tmp_path / "b").by_protocol(plan.protocol)[0].stacks[0].spacing_mm[2]
    assert spacing == pytest.approx(plan.spacing_mm, abs=1e-3)


def test_the_position_in_the_scanner_is_said_and_changes_nothing_else(clean, tmp_path):
    feet_first = replace(clean, plan=replace(clean.plan, position="FFS"))
    for name, made in (("a", clean), ("b", feet_first)):
        write_study(made, tmp_path / name)
    plan = clean.plan.series[0]
    a, b = (read(tmp_path / name, plan, 1) for name in "ab")
    assert (a.PatientPosition, b.PatientPosition) == (clean.plan.position, "FFS")
    assert a.ImageOrientationPatient == b.ImageOrientationPatient
    assert a.ImagePositionPatient == b.ImagePositionPatient


def decoded(runs, shape):
    """What two decoders make of one frame."""
    size = shape[0] * shape[1]
    yield np.frombuffer(decode_frame(runs, size, 16, "<"), "<u2").reshape(shape)
    options = {
        "rows": shape[0], "columns": shape[1], "samples_per_pixel": 1, "bits_allocated": 16,
        "bits_stored": 16, "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": 0, "number_of_frames": 1, "pixel_keyword": "PixelData",
    }  # fmt: skip
    decoder = get_decoder(RLELossless)
    yield decoder.as_array(encapsulate([runs]), decoding_plugin="pydicom", **options)[0]


@pytest.mark.parametrize("shape", [(96, 96), (5, 7), (3, 300)])
def test_runs_are_those_of_the_whole_frame_encoder_and_two_decoders_read_them(shape):
    rng = np.random.default_rng(3)
    frame = np.repeat(rng.integers(0, 4096, shape), 3, axis=1)[:, : shape[1]].astype(np.uint16)
    frame[:, : shape[1] // 3] = 0
    runs = encode_runs(frame)
    assert runs == bytes(encode_frame(frame.tobytes(), *shape, 1, 16, "<"))
    for found in decoded(runs, shape):
        assert (found == frame).all()


@pytest.mark.parametrize("shape", [(96, 128), (5, 7), (3, 300), (2, 129), (1, 1)])
def test_noise_is_written_as_it_is_which_two_decoders_read_and_takes_no_more_room(shape):
    frame = np.random.default_rng(4).integers(0, 2**16, shape).astype(np.uint16)
    runs = encode_runs(frame)
    assert len(runs) <= len(bytes(encode_frame(frame.tobytes(), *shape, 1, 16, "<")))
    assert len(runs) % 2 == 0
    for found in decoded(runs, shape):
        assert (found == frame).all()


@pytest.mark.parametrize("style", range(3))
def test_every_vendors_naming_is_recognised(full, style, tmp_path):
    made = filed(full[0], style=style)
    write_study(made, tmp_path)
    wanted = {p.protocol for p in made.plan.series}
    study = read_study(tmp_path)
    assert {series.protocol for series in study.series} == wanted
    assert all("description" in series.reason for series in study.series)

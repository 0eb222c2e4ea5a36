"""DICOM: exactly the header of each profile, exact pixels, exact places."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, RLELossless

from volspine.phantom.dicom import write_study
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

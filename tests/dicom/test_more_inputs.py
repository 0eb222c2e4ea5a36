"""Difficult inputs beside the known ones: positions, encodings and headers that scanners do write.

As in `test_inputs`, each case states what reading must make of it. All images are tiny.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.dicom.cases import Refused, Right, check_refused, check_right
from tests.dicom.series_factory import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    SERIES,
    STUDY,
    enhanced,
    in_series,
    make_slice,
    normal,
    number_on,
    pixels,
    plane_values,
    save,
    save_all,
    series,
    set_pixels,
    text,
    tilted,
)
from volspine.errors import (
    GeometryError,
    LimitError,
    NoUsableSeriesError,
    PixelError,
)

CASES = {}


def case(expected):
    def register(write):
        CASES[write.__name__.replace("_", " ")] = (write, expected)
        return write

    return register


def every(slices, **values):
    for ds in slices:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
    return slices


def turned(cosines, *turns):
    """Cosines after turns (axis, degrees) about the patient's axes."""
    both = np.array(cosines, float).reshape(2, 3)
    for axis, degrees in turns:
        angle, (a, b) = np.radians(degrees), [(1, 2), (2, 0), (0, 1)][axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        both = both @ turn.T
    return tuple(float(f"{v:.10f}") + 0.0 for v in both.ravel())


# --- pixels


@case(Right())
def padding_value_among_the_values(folder):
    """What a scanner calls padding keeps its value: zero could be a measurement as well."""
    save_all(every(series(), PixelPaddingValue=2000, PixelPaddingRangeLimit=2040), folder)


# --- positions and orientations


@case(Right())
def sagittal_feet_first_prone(folder):
    cosines = (0.0, -1.0, 0.0, 0.0, 0.0, -1.0)
    save_all(every(series(cosines=cosines, start=(28, 20, 30)), PatientPosition="FFP"), folder)


@case(Right())
def sagittal_upside_down(folder):
    cosines = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    save_all(every(series(cosines=cosines, start=(28, -20, -30)), PatientPosition="FFS"), folder)


@case(Right())
def sagittal_decubitus_rows_down_the_image(folder):
    cosines = (0.0, 0.0, -1.0, 0.0, 1.0, 0.0)  # Columns run to the feet.
    save_all(every(series(cosines=cosines, start=(28, -20, 30)), PatientPosition="HFDR"), folder)


@case(Right())
def axial_prone_rows_to_the_front(folder):
    cosines = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    save_all(every(series(cosines=cosines, start=(20, 20, -20)), PatientPosition="HFP"), folder)


@case(Right())
def axial_feet_first_with_mirrored_rows(folder):
    cosines = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # Its normal points to the feet.
    save_all(every(series(cosines=cosines, start=(20, -20, 30)), PatientPosition="FFS"), folder)


@case(Right())
def sagittal_of_a_scoliotic_patient(folder):
    save_all(series(cosines=turned(SAGITTAL, (2, 23), (1, -14), (0, 6))), folder)


@case(Right())
def oblique_coronal(folder):
    cosines = turned(CORONAL, (0, 31), (2, 8))
    save_all(series(cosines=cosines, start=(-20, -20, 30)), folder)


@case(Right())
def exactly_between_sagittal_and_coronal(folder):
    save_all(series(cosines=turned(SAGITTAL, (2, 45))), folder)


@case(Right())
def exactly_between_axial_and_coronal(folder):
    save_all(series(cosines=tilted(AXIAL, 45), start=(-20, -20, 10)), folder)


@case(Right())
def spacing_between_slices_negative(folder):
    step = -4.0 * normal(SAGITTAL)
    slices = series(start=(-28, -20, 30), step=step)
    save_all(every(slices, SpacingBetweenSlices="-4"), folder)


@case(Right())
def slice_location_contradicts_position(folder):
    slices = series()
    for n, ds in enumerate(slices):
        ds.SliceLocation = str((7 * n) % 15 - 40)
    save_all(slices, folder)


@case(Right())
def imager_pixel_spacing_contradicts_pixel_spacing(folder):
    save_all(every(series(), ImagerPixelSpacing=["0.1", "0.1"]), folder)


@case(Right())
def orientations_vary_by_1e_4(folder):
    slices, rng = [], np.random.default_rng(8)
    for k in range(15):
        cosines = turned(SAGITTAL, *[(a, d) for a, d in enumerate(rng.uniform(-0.006, 0.006, 3))])
        slices.append(make_slice((-28 + 4 * k, -20, 30), cosines, number=k + 1))
    save_all(slices, folder)


@case(Right())
def slice_spacing_off_by_a_thousandth(folder):
    rng = np.random.default_rng(9)
    depth = -28 + np.cumsum(4 + rng.uniform(-0.004, 0.004, 15))
    save_all([make_slice((x, -20, 30), number=n) for n, x in enumerate(depth, 1)], folder)


@case(Right((15,), "sheared"))
def each_slice_shifted_in_its_plane(folder):
    save_all(series(step=(4.0, 2.5, -1.5)), folder)


@case(Right((7, 8), "sheared"))
def two_sheared_blocks(folder):
    first = series(7, cosines=AXIAL, start=(-20, -20, 30), step=(0, 1.4, 4.0))
    second = series(8, cosines=AXIAL, start=(-20, -20, -60), step=(0, 1.4, 4.0))
    save_all(number_on([*first, *second]), folder)


@case(Right((14,), "apart from any stack", GeometryError))
def one_slice_shifted_in_its_plane(folder):
    slices = series()
    slices[0] = make_slice((-28, -14, 30), number=1)
    save_all(slices, folder)


@case(Right((14,), "apart from any stack", GeometryError))
def one_inner_slice_shifted_in_its_plane(folder):
    slices = series()
    slices[6] = make_slice((-4, -14, 30), number=7)
    save_all(slices, folder)


@case(Right((15,), "apart from any stack", GeometryError))
def one_position_again_in_another_orientation(folder):
    other = make_slice((0, -20, 30), turned(SAGITTAL, (2, 12)), number=40)
    save_all([*series(), other], folder)


@case(Right((15,), "apart from any stack", GeometryError))
def one_slice_a_metre_away(folder):
    save_all([*series(), make_slice((960, -20, 30), number=40)], folder)


@case(Right((14,), "ImagePositionPatient is invalid", GeometryError))
def one_slice_at_1e9_mm(folder):
    slices = series()
    slices[14].ImagePositionPatient = ["1e9", "-20", "30"]
    save_all(slices, folder)


@case(Right((14,), "ImagePositionPatient is invalid", GeometryError))
def one_position_not_a_number(folder):
    slices = series()
    save_all(slices, folder)
    data = (folder / "1.dcm").read_bytes()
    (folder / "1.dcm").write_bytes(data.replace(b"-28\\", b"nan\\"))


@case(Right((14,), "ImagePositionPatient is invalid", GeometryError))
def one_position_of_two_numbers(folder):
    slices = series()
    slices[14].ImagePositionPatient = ["28", "-20"]
    save_all(slices, folder)


@case(Right((14,), "ImagePositionPatient is not a list", GeometryError))
def one_position_of_words(folder):
    slices = series()
    save_all(slices, folder)
    data = (folder / "1.dcm").read_bytes()
    (folder / "1.dcm").write_bytes(data.replace(b"-28\\", b"abc\\"))


@case(Refused(GeometryError, "VS-GEO-003"))
def orientation_infinite(folder):
    slices = series()
    for ds in slices:
        ds.add_new("ImageOrientationPatient", "LO", "0\\inf\\0\\0\\0\\-1")
    for path in save_all(slices, folder).iterdir():
        data = path.read_bytes()
        path.write_bytes(data.replace(b"\x20\x00\x37\x00LO", b"\x20\x00\x37\x00DS"))


@case(Refused(GeometryError, "VS-GEO-004"))
def pixel_spacing_negative(folder):
    save_all(every(series(), PixelSpacing=["-2", "3"]), folder)


@case(Refused(GeometryError, "VS-GEO-004"))
def pixel_spacing_one_number(folder):
    save_all(every(series(), PixelSpacing=["2"]), folder)


@case(Refused(GeometryError, "VS-GEO-004"))
def pixel_spacing_of_micrometres(folder):
    save_all(every(series(), PixelSpacing=["1e-7", "1e-7"]), folder)


@case(Refused(NoUsableSeriesError, "VS-SER-001"))
def every_slice_in_another_direction(folder):
    slices = [make_slice((0, 0, 0), turned(CORONAL, (2, 12 * k))) for k in range(15)]
    save_all(number_on(slices), folder)


# --- several images of one place


def other_pixels(slices):
    return [set_pixels(ds, pixels(ds) // 2) for ds in slices]


@case(Right((15,)))
def interleaved_acquisitions(folder):
    slices = series()
    for n, ds in enumerate(slices):
        ds.AcquisitionNumber = 1 + n % 2
    save_all(slices, folder)


@case(Right((15,), "1 exact duplicate"))
def one_slice_again_under_another_identifier(folder):
    again = make_slice((-28 - 12, -20, 30), number=77)
    save_all([*series(), again], folder)


@case(Right((15,), "15 exact duplicate"))
def the_whole_series_again_in_another_folder(folder):
    save_all(series(), folder / "a")
    save_all(series(), folder / "b")


@case(Right((15,), "TemporalPosition", NoUsableSeriesError))
def two_temporal_positions(folder):
    first, second = series(), other_pixels(series())
    every(first, TemporalPositionIdentifier="1")
    every(second, TemporalPositionIdentifier="2")
    save_all(number_on([*second, *first]), folder)


@case(Right((15,), "ImageType", NoUsableSeriesError))
def magnitude_and_phase(folder):
    magnitude, phase = series(), other_pixels(series())
    every(magnitude, ImageType=["ORIGINAL", "PRIMARY", "M", "ND"])
    every(phase, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])
    save_all(number_on([*phase, *magnitude]), folder)


@case(Right((15,), "ImageType", NoUsableSeriesError))
def water_and_fat(folder):
    water, fat = series(), other_pixels(series())
    every(water, ImageType=["DERIVED", "PRIMARY", "WATER"])
    every(fat, ImageType=["DERIVED", "PRIMARY", "FAT"])
    save_all(number_on([*fat, *water]), folder)


@case(Right((15,), "EchoTime", NoUsableSeriesError))
def two_echoes_that_share_black_slices(folder):
    """The last slice of both echoes is one and the same picture."""
    long, short = every(series(), EchoTime="100"), every(series(), EchoTime="20")
    other_pixels(short[:-1])
    for n, ds in enumerate([*short, *long], 1):
        ds.InstanceNumber, ds.SOPInstanceUID = n, f"{STUDY}.1.{n}"
    save_all([*short, *long], folder)


@case(Right((15,), "AcquisitionNumber", NoUsableSeriesError))
def one_slice_repeated_in_another_acquisition(folder):
    again = make_slice((-28 - 16, -20, 30), number=77)
    again.AcquisitionNumber = 2
    every(first := series(), AcquisitionNumber=1)
    save_all([*first, *other_pixels([again])], folder)


@case(Right((7, 8)))
def two_overlapping_blocks_of_two_acquisitions(folder):
    first = series(7, cosines=AXIAL, start=(-20, -20, 0))
    second = series(8, cosines=AXIAL, start=(-20, -20, 21.5))
    every(first, AcquisitionNumber=1)
    every(second, AcquisitionNumber=2)
    save_all(number_on([*first, *second]), folder)


@case(Right((15, 12)))
def two_series_of_one_plane(folder):
    other = series(12, start=(-26.2, -20, 30), spacing_mm=-4.4)
    save_all(number_on([*series(), *in_series(other, SERIES + ".2")]), folder)


# --- how pixels are stored


@case(Right())
def rescale_with_a_negative_intercept_of_signed_pixels(folder):
    slices = every(series(), PixelRepresentation=1, RescaleSlope="0.5", RescaleIntercept="-1024")
    for ds in slices:
        set_pixels(ds, ((pixels(ds).astype(int) + 1024) * 2).astype("<i2"))
    save_all(slices, folder)


@case(Right())
def signed_16_bit_below_zero(folder):
    slices = every(series(), PixelRepresentation=1, RescaleSlope="1", RescaleIntercept="2500")
    for ds in slices:
        set_pixels(ds, (pixels(ds).astype(int) - 2500).astype("<i2"))
    save_all(slices, folder, RLELossless)


@case(Right())
def bits_stored_by_the_largest_value_of_each_slice(folder):
    slices = series()
    for ds in slices:
        bits = int(pixels(ds).max()).bit_length()
        ds.BitsStored, ds.HighBit = bits, bits - 1
    save_all(slices, folder)


@case(Right((14,), "missing slice", PixelError))
def one_slice_with_too_few_bits_stored(folder):
    slices = series()
    slices[4].BitsStored, slices[4].HighBit = 8, 7
    save_all(slices, folder)


@case(Right((14,), "RescaleSlope", PixelError))
def rescale_missing_once(folder):
    slices = every(series(), RescaleSlope="0.5", RescaleIntercept="0")
    for ds in slices:
        set_pixels(ds, pixels(ds) * 2)
    every(slices[3:4], RescaleSlope=None, RescaleIntercept=None)
    save_all(slices, folder)


@case(Right((14,), "RescaleSlope", PixelError))
def rescale_slope_missing_once(folder):
    slices = every(series(), RescaleSlope="0.5", RescaleIntercept="-100")
    for ds in slices:
        set_pixels(ds, (pixels(ds) + 100) * 2)
    every(slices[3:4], RescaleSlope=None)
    save_all(slices, folder)


@case(Right((14,), "HighBit", PixelError))
def one_slice_with_another_high_bit(folder):
    slices = every(series(), BitsStored=14, HighBit=13)
    slices[5].HighBit = 14
    save_all(slices, folder)


@case(Right((14,), "not finite", PixelError))
def rescale_beyond_floats_once(folder):
    slices = series()
    slices[4].RescaleSlope, slices[4].RescaleIntercept = "1e300", "0"
    save_all(slices, folder)


def wide(slices, kind, bits):
    for ds in slices:
        values = plane_values(np.array(ds.ImagePositionPatient, float), SAGITTAL)
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
        set_pixels(ds, np.rint(values).astype(kind))
    return slices


@case(Right())
def unsigned_32_bit(folder):
    save_all(wide(series(), "<u4", 32), folder)


@case(Right())
def signed_32_bit_run_length_encoded(folder):
    save_all(every(wide(series(), "<i4", 32), PixelRepresentation=1), folder, RLELossless)


def narrow(slices, *, rows=18, columns=14, slope=2):
    """8-bit pixels: two grey levels a step, from the darkest voxel of the slice up."""
    for ds in slices:
        shape = {"rows": rows, "columns": columns}
        values = plane_values(np.array(ds.ImagePositionPatient, float), SAGITTAL, **shape)
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.RescaleSlope, ds.RescaleIntercept = str(slope), f"{np.floor(values.min()):.0f}"
        data = np.rint((values - np.floor(values.min())) / slope).astype("u1").tobytes()
        ds.PixelData = data + b"\0" * (len(data) % 2)
        ds["PixelData"].VR = "OB"
    return slices


@case(Right())
def eight_bit(folder):
    save_all(narrow(series()), folder)


@case(Right())
def eight_bit_of_odd_length(folder):
    shape = {"rows": 17, "columns": 13}
    save_all(narrow(series(**shape), **shape), folder)


@case(Right())
def eight_bit_big_endian_words(folder):
    """8-bit pixels in 16-bit words lie swapped in big endian files (PS3.5, annex A.3)."""
    slices = narrow(series())
    for ds in slices:
        ds["PixelData"].VR = "OW"
    save_all(slices, folder, ExplicitVRBigEndian)  # The factory swaps words.


@case(Right())
def run_length_encoded_8_bit(folder):
    save_all(narrow(series()), folder, RLELossless)


def compressed(slices, folder, syntax, **header):
    """Encode files, then say something else of them in the header."""
    from pydicom import dcmread

    for path in save_all(slices, folder).iterdir():
        ds = dcmread(path)
        ds.compress(syntax, generate_instance_uid=False)
        for keyword, value in header.items():
            setattr(ds, keyword, value)
        ds.save_as(path)


@case(Right())
def jpeg_2000_signed(folder):
    pytest.importorskip("openjpeg")
    slices = every(series(rows=40, columns=40), PixelRepresentation=1)
    every(slices, RescaleSlope="1", RescaleIntercept="2500")
    for ds in slices:
        set_pixels(ds, (pixels(ds).astype(int) - 2500).astype("<i2"))
    compressed(slices, folder, JPEG2000Lossless)


@case(Right())
def jpeg_2000_of_fewer_bits_than_the_header_says(folder):
    pytest.importorskip("openjpeg")
    slices = every(series(rows=40, columns=40), BitsStored=12, HighBit=11)
    compressed(slices, folder, JPEG2000Lossless, BitsStored=16, HighBit=15)


@case(Refused(PixelError, "VS-PIX-006"))
def jpeg_2000_of_another_size_than_the_header_says(folder):
    pytest.importorskip("openjpeg")
    compressed(series(rows=40, columns=40), folder, JPEG2000Lossless, Rows=32, Columns=32)


@case(Refused(PixelError, "VS-PIX-006"))
def jpeg_2000_turned_against_the_header(folder):
    pytest.importorskip("openjpeg")
    compressed(series(rows=40, columns=32), folder, JPEG2000Lossless, Rows=32, Columns=40)


@case(Right())
def lossy_jpeg(folder):
    import io

    from PIL import Image
    from pydicom.encaps import encapsulate

    pytest.importorskip("gdcm")
    slices = narrow(series(rows=14), rows=14, slope=1)
    for ds in slices:
        picture = np.frombuffer(ds.PixelData, "u1").reshape(14, 14)
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "jpeg", quality=100)
        ds.PixelData = encapsulate([stream.getvalue()])
        ds["PixelData"].is_undefined_length = True
    save_all(slices, folder, JPEGBaseline8Bit)


@case(Refused(PixelError, "VS-PIX-006"))
def run_length_encoded_of_another_size_than_the_header_says(folder):
    save_all(series(), folder, RLELossless)
    for path in folder.iterdir():
        data = path.read_bytes()
        path.write_bytes(
            data.replace(
                b"\x28\x00\x11\x00US\x02\x00\x0e\x00", b"\x28\x00\x11\x00US\x02\x00\x0c\x00"
            )
        )


@case(Refused(PixelError, "VS-PIX-002"))
def fewer_columns_than_the_pixels_have(folder):
    save_all(every(series(), Columns=12), folder)


@case(Refused(PixelError, "VS-PIX-002"))
def fewer_rows_than_the_pixels_have(folder):
    save_all(every(series(), Rows=16), folder)


@case(Right())
def a_few_bytes_after_the_pixels(folder):
    slices = series()
    for ds in slices:
        ds.PixelData += b"\0\0"
    save_all(slices, folder)


@case(Right((15,), "colour"))
def palette_colour_capture_inside(folder):
    capture = narrow([make_slice((0, 0, 0), number=99)])[0]
    capture.PhotometricInterpretation = "PALETTE COLOR"
    save_all([capture, *series()], folder)


@case(Right((15,), "colour"))
def ybr_capture_in_planes_inside(folder):
    capture = make_slice((0, 0, 0), number=99)
    capture.SamplesPerPixel, capture.PhotometricInterpretation = 3, "YBR_FULL"
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit, capture.PlanarConfiguration = 7, 1
    set_pixels(capture, np.zeros((3, 18, 14), np.uint8))
    save_all([capture, *series()], folder)


@case(Right((15,), "secondary capture"))
def grey_capture_without_a_place_inside(folder):
    capture = make_slice((0, 0, 0), number=99)
    capture.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    every([capture], ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None)
    save_all([capture, *series()], folder)


@case(Right())
def a_capture_that_keeps_its_place(folder):
    save_all(every(series(), SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), folder)


@case(Refused(PixelError, "VS-PIX-003", "PixelRepresentation"))
def pixel_representation_missing(folder):
    save_all(every(series(), PixelRepresentation=None), folder)


@case(Refused(PixelError, "VS-PIX-003", "BitsAllocated"))
def bits_allocated_missing(folder):
    save_all(every(series(), BitsAllocated=None), folder)


@case(Refused(PixelError, "VS-PIX-003", "contradict"))
def bits_stored_more_than_allocated(folder):
    save_all(every(series(), BitsStored=17, HighBit=16), folder)


@case(Right())
def a_single_row(folder):
    shape = {"rows": 1, "columns": 40}
    save_all(series(**shape), folder)


@case(Right())
def a_single_column_of_unknown_weighting(folder):
    slices = series(rows=40, columns=1)
    save_all(every(slices, SeriesDescription=None), folder)


@case(Right())
def tiny_axial_slices_of_unknown_weighting(folder):
    slices = series(cosines=AXIAL, start=(-20, -20, -20), rows=2, columns=2)
    save_all(every(slices, SeriesDescription=None), folder)


# --- headers


@case(Right())
def implicit_with_private_and_nested_elements(folder):
    slices = series()
    for ds in slices:
        block = ds.private_block(0x0029, "SOMEONE", create=True)
        block.add_new(0x10, "OB", bytes(range(256)) * 40)
        inner, outer = Dataset(), Dataset()
        inner.ImagePositionPatient = ["9", "9", "9"]
        outer.ReferencedImageSequence = Sequence([inner])
        ds.SourceImageSequence = Sequence([outer, outer])
        ds.IconImageSequence = Sequence([icon()])
    save_all(slices, folder, ImplicitVRLittleEndian)


def icon():
    ds = Dataset()
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = bytes(16)
    ds["PixelData"].VR = "OB"
    return ds


@case(Right())
def undefined_length_sequences_before_the_geometry(folder):
    slices = series()
    for ds in slices:
        item = icon()
        item.is_undefined_length_sequence_item = True
        ds.ReferencedStudySequence = Sequence([item])
        ds["ReferencedStudySequence"].is_undefined_length = True
        ds.IconImageSequence = Sequence([item])
        ds["IconImageSequence"].is_undefined_length = True
    save_all(slices, folder)


def relabel(folder, new, old=b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"):
    """Exchange the transfer syntax element of every file for other bytes."""
    for path in folder.iterdir():
        data = path.read_bytes()
        assert old in data
        data = data.replace(old, new)
        length = int.from_bytes(data[140:144], "little") + len(new) - len(old)
        path.write_bytes(data[:140] + length.to_bytes(4, "little") + data[144:])


@case(Right())
def transfer_syntax_missing(folder):
    save_all(series(), folder)
    relabel(folder, b"")


@case(Right())
def transfer_syntax_unknown(folder):
    save_all(series(), folder)
    relabel(folder, b"\x02\x00\x10\x00UI\x06\x001.2.99")


@case(Refused(PixelError, "VS-PIX-005"))
def run_length_encoded_labelled_as_uncompressed(folder):
    save_all(series(), folder, RLELossless)
    relabel(
        folder,
        b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0",
        b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.5\0",
    )


@case(Right())
def meta_length_wrong(folder):
    save_all(series(), folder)
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        data[140:144] = (17).to_bytes(4, "little")
        path.write_bytes(data)


@case(Right())
def names_of_patients_as_person_names_in_utf_8(folder):
    slices = every(series(), SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎=やまだ")
    save_all(slices, folder)


@case(Right())
def trailing_padding_element(folder):
    slices = series()
    for ds in slices:
        ds.DataSetTrailingPadding = bytes(300)
    save_all(slices, folder)


@case(Refused(LimitError, "VS-LIM-00"))
def sequences_nested_65_deep(folder):
    nest(folder, 65)


@case(Right())
def sequences_nested_60_deep(folder):
    nest(folder, 60)


def nest(folder, depth):
    save_all(series(), folder)
    start = b"\x18\x00\x10\xa0SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    for path in folder.iterdir():
        data = path.read_bytes()
        at = data.index(b"\x20\x00\x0d\x00UI")
        path.write_bytes(data[:at] + start * depth + end * depth + data[at:])


@case(Right((15,), "Rows is missing", PixelError))
def one_file_of_a_preamble_alone(folder):
    save_all(series(), folder)
    (folder / "0.dcm").write_bytes(bytes(128) + b"DICM")


# --- enhanced


def places(count=15, cosines=SAGITTAL, start=(-28.0, -20, 30)):
    return [np.asarray(start) + 4.0 * k * normal(cosines) for k in range(count)]


@case(Refused(GeometryError, "VS-GEO-011"))
def enhanced_without_one_position(folder):
    ds = enhanced(places(), [SAGITTAL] * 15)
    del ds.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence
    save(ds, folder / "1.dcm")


@case(Refused(GeometryError, "VS-GEO-002"))
def enhanced_without_orientation(folder):
    ds = enhanced(places(), [SAGITTAL] * 15)
    for group in ds.PerFrameFunctionalGroupsSequence:
        del group.PlaneOrientationSequence
    save(ds, folder / "1.dcm")


@case(Refused(GeometryError, "VS-GEO-004"))
def enhanced_without_pixel_measures(folder):
    ds = enhanced(places(), [SAGITTAL] * 15)
    del ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    save(ds, folder / "1.dcm")


@case(Refused(GeometryError, "VS-GEO-0"))
def enhanced_with_fewer_groups_than_frames(folder):
    ds = enhanced(places(), [SAGITTAL] * 15)
    del ds.PerFrameFunctionalGroupsSequence[10:]
    save(ds, folder / "1.dcm")


@case(Right())
def enhanced_with_shared_orientation_and_implicit_syntax(folder):
    ds = enhanced(places(), [SAGITTAL] * 15)
    groups = ds.PerFrameFunctionalGroupsSequence
    shared = ds.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence = groups[0].PlaneOrientationSequence
    for group in groups:
        del group.PlaneOrientationSequence
    save(ds, folder / "1.dcm", ImplicitVRLittleEndian)


@case(Right())
def enhanced_deflated_with_undefined_lengths(folder):
    ds = enhanced(places(), [SAGITTAL] * 15)
    ds["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    for group in ds.PerFrameFunctionalGroupsSequence:
        group.is_undefined_length_sequence_item = True
    save(ds, folder / "1.dcm", DeflatedExplicitVRLittleEndian)


@case(Right())
def enhanced_big_endian(folder):
    save(enhanced(places(), [SAGITTAL] * 15), folder / "1.dcm", ExplicitVRBigEndian)


@case(Right((15,), "EchoTime", NoUsableSeriesError))
def enhanced_of_two_echoes(folder):
    spots = [p for p in places() for _ in range(2)]
    ds = enhanced(spots, [SAGITTAL] * 30)
    frames = pixels_of_frames(ds)
    frames[::2] //= 2
    for n, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        echo = Dataset()
        echo.EffectiveEchoTime = 12.0 if n % 2 == 0 else 98.0
        group.MREchoSequence = Sequence([echo])
    save(set_pixels(ds, frames), folder / "1.dcm")


@case(Right((15,), "TemporalPosition", NoUsableSeriesError))
def enhanced_of_two_time_points(folder):
    ds = enhanced(places() * 2, [SAGITTAL] * 30)
    frames = pixels_of_frames(ds)
    frames[15:] //= 2
    for n, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex = 1 + n // 15
        group.FrameContentSequence = Sequence([content])
    save(set_pixels(ds, frames), folder / "1.dcm")


def pixels_of_frames(ds):
    return np.frombuffer(ds.PixelData, "<u2").reshape(-1, ds.Rows, ds.Columns).copy()


@case(Right())
def enhanced_in_three_concatenated_files(folder):
    spots = places()
    for n in range(3):
        ds = enhanced(spots[5 * n : 5 * n + 5], [SAGITTAL] * 5, number=n + 1)
        ds.ConcatenationUID, ds.InConcatenationNumber = STUDY + ".55", n + 1
        save(ds, folder / f"{n}.dcm")


@case(Right())
def enhanced_of_a_frame_a_file(folder):
    for n, place in enumerate(places()):
        save(enhanced([place], [SAGITTAL], number=n + 1), folder / f"{n}.dcm")


@case(Right())
def enhanced_with_contradicting_geometry_at_the_top(folder):
    ds = enhanced(places(), [SAGITTAL] * 15)
    ds.ImagePositionPatient, ds.ImageOrientationPatient = text((7, 7, 7)), text(AXIAL)
    ds.PixelSpacing = text((9, 9))
    save(ds, folder / "1.dcm")


@case(Right((14,)))
def enhanced_run_length_encoded_with_an_empty_offset_table(folder):
    from pydicom import dcmread
    from pydicom.encaps import encapsulate, generate_frames

    save(enhanced(places(14), [SAGITTAL] * 14), folder / "1.dcm", RLELossless)
    ds = dcmread(folder / "1.dcm")
    frames = list(generate_frames(ds.PixelData, number_of_frames=14))
    ds.PixelData = encapsulate(frames, has_bot=False)
    ds.save_as(folder / "1.dcm")


@case(Refused(PixelError, "VS-PIX-006"))
def enhanced_run_length_encoded_with_a_frame_too_few(folder):
    from pydicom import dcmread
    from pydicom.encaps import encapsulate, generate_frames

    save(enhanced(places(14), [SAGITTAL] * 14), folder / "1.dcm", RLELossless)
    ds = dcmread(folder / "1.dcm")
    frames = list(generate_frames(ds.PixelData, number_of_frames=14))
    ds.PixelData = encapsulate(frames[:-1])
    ds.save_as(folder / "1.dcm")


@case(Refused(GeometryError, "VS-GEO-010"))
def mosaic(folder):
    save_all(every(series(), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), folder)


# --- files


@case(Right())
def links_to_files(folder):
    save_all(series(), folder.parent / "elsewhere")
    folder.mkdir()
    for path in (folder.parent / "elsewhere").iterdir():
        (folder / path.name).symlink_to(path)


@case(Right())
def links_that_lead_nowhere_and_to_themselves(folder):
    save_all(series(), folder)
    (folder / "nowhere.dcm").symlink_to(folder / "absent.dcm")
    (folder / "itself.dcm").symlink_to(folder / "itself.dcm")


@case(Right())
def a_socket_in_the_folder(folder):
    import socket

    save_all(series(), folder)
    here = Path.cwd()
    os.chdir(folder)  # Names of sockets are short.
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s.dcm")
    finally:
        os.chdir(here)


@case(Right())
def names_that_are_no_unicode(folder):
    save_all(series(14), folder)
    save(make_slice((-28 + 4 * -14, -20, 30), number=15), folder / "z.dcm")
    (folder / "z.dcm").rename(folder / os.fsdecode(b"\xff\xfe.dcm"))


@case(Right((15,), "not a DICOM file"))
def names_with_commands_and_markup(folder):
    save_all(series(), folder)
    (folder / "=cmd|' calc'!A0 <script>alert(1)").write_text("x" * 99)


@pytest.mark.parametrize("name", [n for n, (_, e) in CASES.items() if isinstance(e, Right)])
def test_every_voxel_is_where_the_header_says(name, tmp_path):
    write, expected = CASES[name]
    write(tmp_path / "study")
    check_right(tmp_path / "study", expected)


@pytest.mark.parametrize("name", [n for n, (_, e) in CASES.items() if isinstance(e, Refused)])
def test_what_cannot_be_trusted_is_one_clear_error(name, tmp_path):
    write, expected = CASES[name]
    write(tmp_path / "study")
    check_refused(tmp_path / "study", expected)

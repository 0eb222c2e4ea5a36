"""Difficult inputs, one by one: right to the grey level, or one clear error. Never plausibly wrong.

Each case writes files whose voxels say where they are, and states what reading must make of them:
the slices of each stack and a note, or an error with its code.
"""

import os
import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
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
    InputError,
    LimitError,
    MixedStudyError,
    NoUsableSeriesError,
    PixelError,
)

CASES = {}


def case(number, expected):
    def register(write):
        CASES[f"{number}-{write.__name__.replace('_', ' ')}"] = (write, expected)
        return write

    return register


@case(1, Right())
def clean_sagittal(folder):
    save_all(series(), folder)


@case(2, Right())
def anisotropic_pixels(folder):
    save_all(series(spacing=(0.5, 3.5)), folder)


@case(3, Right())
def instance_numbers_reversed(folder):
    slices = series()
    for n, ds in enumerate(slices):
        ds.InstanceNumber = 15 - n
    save_all(slices, folder)


@case(4, Right())
def instance_numbers_random(folder):
    slices = series()
    for n, ds in zip(np.random.default_rng(1).permutation(500), slices, strict=False):
        ds.InstanceNumber = int(n)
    save_all(slices, folder)


@case(5, Right())
def instance_number_missing(folder):
    slices = series()
    for ds in slices:
        del ds.InstanceNumber
    save_all(slices, folder)


@case(6, Right())
def instance_numbers_all_the_same(folder):
    slices = series()
    for ds in slices:
        ds.InstanceNumber = 1
    save_all(slices, folder)


@case(7, Right())
def normal_points_to_the_right(folder):
    flipped = (0.0, -1.0, 0.0, 0.0, 0.0, -1.0)
    save_all(series(cosines=flipped, start=(28.0, 20.0, 30.0)), folder)


@case(8, Right((14,), "missing_slices=1", GeometryError))
def one_inner_slice_missing(folder):
    slices = series()
    del slices[6]
    save_all(slices, folder)


@case(9, Right((15,), "uneven", GeometryError))
def uneven_spacing(folder):
    depth = np.cumsum([0, 4, 4, 4, 5.5, 4, 4, 3, 4, 4, 4, 6, 4, 4, 4]) - 28.0
    save_all([make_slice((x, -20, 30), number=n) for n, x in enumerate(depth, 1)], folder)


@case(10, Right((14,)))
def end_slice_missing(folder):
    save_all(series()[:-1], folder)


@case(11, Right((15,), "1 exact duplicate"))
def exact_duplicate_file(folder):
    slices = series()
    save_all([*slices, slices[4]], folder)


@case(12, Refused(NoUsableSeriesError, "VS-SER-002"))
def same_place_other_pixels(folder):
    other = make_slice((-28 - 16, -20, 30), number=77)
    save_all([*series(), set_pixels(other, pixels(other) // 2)], folder)


def _echoes(folder, times):
    right, wrong = series(), series()
    for n, (ds, other) in enumerate(zip(right, wrong, strict=True)):
        ds.EchoTime, other.EchoTime = map(str, times)
        set_pixels(other, pixels(other) // 2)
        ds.InstanceNumber, other.InstanceNumber = 2 * n + 2, 2 * n + 1
    save_all(number_on([ds for pair in zip(wrong, right, strict=True) for ds in pair]), folder)


@case(13, Right((15,), "EchoTime", NoUsableSeriesError))
def two_echoes_interleaved(folder):
    _echoes(folder, (102, 17))  # The ramp is the longer one.


@case(13, Right((15,), "EchoTime", NoUsableSeriesError))
def two_short_echoes_interleaved(folder):
    _echoes(folder, (8, 17))  # The ramp is the shorter one.


def tilted_stacks(count=5, slices=5, digits=None):
    found = []
    for n, degrees in enumerate(np.linspace(-18, 24, count)):
        cosines = tilted(AXIAL, degrees)
        start = np.array([-20.0, -25.0 + 3 * n, 60.0 - 30 * n])
        found += series(slices, cosines=cosines, start=start)
    for ds in found:
        if digits:
            ds.ImagePositionPatient = [f"{float(v):.{digits}f}" for v in ds.ImagePositionPatient]
    return number_on(found)


@case(14, Right((5, 5, 5, 5, 5)))
def five_tilted_stacks(folder):
    save_all(tilted_stacks(), folder)


@case(15, Right((4, 4, 4, 4, 4)))
def five_tilted_stacks_with_rounded_positions(folder):
    save_all(tilted_stacks(slices=4, digits=4), folder)


@case(16, Right((7, 8)))
def two_parallel_blocks_with_a_gap(folder):
    upper = series(7, cosines=AXIAL, start=(-20, -20, 30))
    lower = series(8, cosines=AXIAL, start=(-20, -20, -40))
    save_all(number_on([*lower, *upper]), folder)


@case(16, Right((6, 6)))
def two_parallel_blocks_shifted_in_plane(folder):
    upper = series(6, cosines=AXIAL, start=(-20, -20, 4))
    lower = series(6, cosines=AXIAL, start=(-14, -30, -18))
    save_all(number_on([*lower, *upper]), folder)


@case(17, Right((15,), "localizer"))
def localizer_of_three_planes_inside(folder):
    planes = [make_slice((-20, -20, 20), cosines) for cosines in (SAGITTAL, AXIAL, CORONAL)]
    for ds in planes:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save_all(number_on([*planes, *series()]), folder)


@case(17, Right((15,), "apart from any stack", GeometryError))
def slices_of_odd_orientation_inside(folder):
    odd = [make_slice((-20, -20, 20), cosines) for cosines in (AXIAL, CORONAL)]
    save_all(number_on([*odd, *series()]), folder)


@case(18, Right((14,), "matrix size", GeometryError))
def mixed_matrix_size(folder):
    slices = series()
    slices[0] = make_slice((-28, -20, 30), rows=20, columns=20)
    save_all(number_on(slices), folder)


@case(19, Refused(GeometryError, "VS-GEO-005", "PixelSpacing"))
def mixed_pixel_spacing(folder):
    slices = series()
    slices[3].PixelSpacing = text((2.5, 3.0))
    save_all(slices, folder)


@case(20, Right((15,), "sheared"))
def sheared_by_a_tilted_gantry(folder):
    save_all(series(cosines=AXIAL, start=(-20, -20, -30), step=(0, 1.46, 4.0)), folder)


@case(20, Right((15,), "sheared"))
def slightly_sheared(folder):
    save_all(series(cosines=AXIAL, start=(-20, -20, -30), step=(0.2, 0.3, 4.0)), folder)


def _jitter(folder, amount):
    rng = np.random.default_rng(3)
    positions = np.array([-28.0, -20, 30]) + np.arange(15)[:, None] * [4.0, 0, 0]
    positions += rng.uniform(-amount, amount, positions.shape)
    save_all([make_slice(p, number=n) for n, p in enumerate(positions, 1)], folder)


@case(21, Right())
def positions_off_by_a_tenth_of_a_micron(folder):
    _jitter(folder, 1e-4)


@case(22, Right((15,), "scatter"))
def positions_off_by_five_percent(folder):
    _jitter(folder, 0.2)


@case(23, Right())
def orientations_off_by_1e_5(folder):
    slices = series()
    rng = np.random.default_rng(4)
    for ds in slices:
        off = np.array(SAGITTAL) + rng.uniform(-1e-5, 1e-5, 6)
        ds.ImageOrientationPatient = [f"{value:.9f}" for value in off]
    save_all(slices, folder)


def _every(slices, **values):
    for ds in slices:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
    return slices


@case(24, Refused(GeometryError, "VS-GEO-003"))
def orientation_not_orthogonal(folder):
    save_all(_every(series(), ImageOrientationPatient=text((0, 1, 0, 0, 0.01, -1))), folder)


@case(25, Refused(GeometryError, "VS-GEO-003", "ImageOrientationPatient"))
def orientation_zero(folder):
    save_all(_every(series(), ImageOrientationPatient=["0"] * 6), folder)


def _patch(folder, old, new):
    for path in folder.iterdir():
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))


@case(26, Right((5, 5, 5, 5, 5)))
def overlong_decimal_strings(folder):
    slices = tilted_stacks()
    for ds in slices:
        long = "\\".join(f"{float(v):.18f}" for v in ds.ImagePositionPatient)
        ds.add_new("ImagePositionPatient", "LO", long)
        ds["ImagePositionPatient"].VR = "LO"
    save_all(slices, folder)
    _patch(folder, b"\x20\x00\x32\x00LO", b"\x20\x00\x32\x00DS")


@case(27, Refused(GeometryError, "VS-GEO-006", "decimal comma"))
def decimal_comma(folder):
    slices = series()
    save_all(slices, folder)
    _patch(folder, b"-20\\", b"-2,\\")


@case(28, Refused(GeometryError, "VS-GEO-001", "ImagePositionPatient is missing"))
def position_missing_everywhere(folder):
    save_all(_every(series(), ImagePositionPatient=None), folder)


@case(29, Right((14,), "ImagePositionPatient is missing", GeometryError))
def position_missing_once(folder):
    slices = series()
    _every(slices[5:6], ImagePositionPatient=None)
    save_all(slices, folder)


@case(30, Refused(GeometryError, "VS-GEO-002"))
def orientation_missing(folder):
    save_all(_every(series(), ImageOrientationPatient=None), folder)


@case(31, Refused(GeometryError, "VS-GEO-004"))
def pixel_spacing_missing(folder):
    save_all(_every(series(), PixelSpacing=None), folder)


@case(32, Refused(GeometryError, "VS-GEO-004"))
def pixel_spacing_zero(folder):
    save_all(_every(series(), PixelSpacing=["0", "0"]), folder)


@case(33, Right())
def wrong_thickness_and_slice_location(folder):
    save_all(
        _every(series(), SliceThickness="9", SpacingBetweenSlices="7", SliceLocation="1"), folder
    )


@case(34, Right((15,), "MONOCHROME1"))
def monochrome1(folder):
    slices = _every(series(), PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    for ds in slices:
        set_pixels(ds, (4095 - pixels(ds)).astype("<u2"))
    save_all(slices, folder)


@case(35, Right())
def rescale_by_slice(folder):
    slices = series()
    for n, ds in enumerate(slices):
        slope, intercept = 0.25 * (n + 1), 10.0 * n
        ds.RescaleSlope, ds.RescaleIntercept = str(slope), str(intercept)
        values = plane_values(np.array(ds.ImagePositionPatient, float), SAGITTAL)
        set_pixels(ds, np.rint((values - intercept) / slope).astype("<u2"))
    save_all(slices, folder)


@case(36, Right((15,), "RescaleSlope is 0", PixelError))
def rescale_slope_zero(folder):
    save_all(_every(series(), RescaleSlope="0", RescaleIntercept="0"), folder)


@case(37, Refused(PixelError, "VS-PIX-004"))
def rescale_slope_not_a_number(folder):
    slices = _every(series(), RescaleSlope="1.5", RescaleIntercept="0")
    save_all(slices, folder)
    _patch(folder, b"1.5 ", b"nan ")


def _floats(folder, holes):
    slices = series(rows=60, columns=60)
    for ds in slices:
        position = np.array(ds.ImagePositionPatient, float)
        values = plane_values(position, SAGITTAL, rows=60, columns=60).astype("<f4")
        values.flat[:holes] = np.nan
        del ds.PixelData
        ds.FloatPixelData = values.tobytes()
        ds.BitsAllocated = 32
    save_all(slices, folder)


@case(38, Right())
def float_pixels(folder):
    _floats(folder, 0)


@case(38, Refused(PixelError, "VS-PIX-006", "not finite"))
def float_pixels_with_many_nan(folder):
    _floats(folder, 100)


@case(40, Right())
def signed_12_bit(folder):
    slices = _every(series(), BitsStored=12, HighBit=11, PixelRepresentation=1)
    for ds in slices:  # Values are shifted below zero; unused bits hold rubbish, not the sign.
        ds.RescaleSlope, ds.RescaleIntercept = "1", "2000"
        low = (pixels(ds).astype(int) - 2000) & 0x0FFF
        set_pixels(ds, (low | 0x5000).astype("<u2"))
    save_all(slices, folder)


@case(41, Right())
def overlay_in_the_high_bits(folder):
    slices = _every(series(), BitsStored=12, HighBit=11)
    for ds in slices:
        set_pixels(ds, pixels(ds) | 0xA000)
    save_all(slices, folder)


@case(41, Right((15,), "upper bits"))
def value_in_the_high_bits(folder):
    slices = _every(series(), BitsStored=12, HighBit=15)
    for ds in slices:
        set_pixels(ds, (pixels(ds) << 4 | 0x0005).astype("<u2"))
    save_all(slices, folder, RLELossless)


@case(42, Right((15,), "colour"))
def colour_capture_inside(folder):
    capture = make_slice((0, 0, 0), number=99)
    capture.SamplesPerPixel, capture.PhotometricInterpretation = 3, "RGB"
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit, capture.PlanarConfiguration = 7, 0
    set_pixels(capture, np.zeros((18, 14, 3), np.uint8))
    save_all([capture, *series()], folder)


@case(43, Right())
def run_length_encoded(folder):
    save_all(series(), folder, RLELossless)


def _encoded(folder, syntax, **options):
    from pydicom import dcmread

    slices = series(rows=40, columns=40)
    for path in save_all(_every(slices, BitsStored=12, HighBit=11), folder).iterdir():
        ds = dcmread(path)
        ds.compress(syntax, generate_instance_uid=False, **options)
        ds.save_as(path)


@case(44, Right())
def jpeg_2000(folder):
    pytest.importorskip("openjpeg")
    _encoded(folder, JPEG2000Lossless)


@case(45, Right())
def jpeg_ls(folder):
    pytest.importorskip("jpeg_ls")
    _encoded(folder, JPEGLSLossless)


@case(46, Right())
def big_endian(folder):
    save_all(series(), folder, ExplicitVRBigEndian)


@case(46, Right())
def implicit_little_endian(folder):
    save_all(series(), folder, ImplicitVRLittleEndian)


@case(46, Right())
def deflated(folder):
    save_all(series(), folder, DeflatedExplicitVRLittleEndian)


@case(47, Right((14,), "missing slice", PixelError))
def jpeg_2000_cut_short_once(folder):
    pytest.importorskip("openjpeg")
    from pydicom import dcmread
    from pydicom.encaps import encapsulate, generate_frames

    _encoded(folder, JPEG2000Lossless)
    path = folder / "7.dcm"
    ds = dcmread(path)
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    ds.PixelData = encapsulate([frame[: len(frame) // 2]])
    ds.save_as(path)


@case(48, Right((14,), "cut short", PixelError))
def file_cut_short_once(folder):
    save_all(series(), folder)
    path = folder / "4.dcm"
    path.write_bytes(path.read_bytes()[:-100])


@case(48, Right((14,), "missing slice", PixelError))
def run_length_encoded_file_cut_short_once(folder):
    save_all(series(), folder, RLELossless)
    path = folder / "4.dcm"
    path.write_bytes(path.read_bytes()[:-100])


@case(49, Right((14,), "no pixel data", PixelError))
def pixel_data_missing_once(folder):
    slices = series()
    del slices[8].PixelData
    save_all(slices, folder)


@case(50, Right((15,), "not a DICOM file"))
def empty_and_foreign_files(folder):
    save_all(series(), folder)
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "notes.txt").write_text("no images here, and no names either\n" * 20)
    (folder / "noise.dcm").write_bytes(bytes(range(255, -1, -1)) * 8)


@case(51, Right((15,), "preamble"))
def no_preamble(folder):
    save_all(series(), folder)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[132:])


@case(51, Right((15,), "preamble"))
def no_preamble_and_no_file_meta(folder):
    save_all(series(), folder, ImplicitVRLittleEndian)
    for path in folder.iterdir():
        data = path.read_bytes()
        (length,) = struct.unpack("<I", data[140:144])
        path.write_bytes(data[144 + length :])


@case(52, Right((15,), "not the stated one"))
def explicit_labelled_as_implicit(folder):
    save_all(series(), folder)
    _patch(folder, b"\x14\x001.2.840.10008.1.2.1\0", b"\x14\x001.2.840.10008.1.2\0\0\0")


@case(52, Right((15,)))
def uncompressed_labelled_as_jpeg_2000(folder):
    save_all(series(), folder, RLELossless.__class__("1.2.840.10008.1.2.1"))
    for path in folder.iterdir():
        data = path.read_bytes()
        label = b"\x02\x00\x10\x00UI"
        at = data.index(label)
        old = data[at : at + 8 + int.from_bytes(data[at + 6 : at + 8], "little")]
        new = label + b"\x16\x00" + b"1.2.840.10008.1.2.4.90"
        data = data.replace(old, new)
        length = int.from_bytes(data[140:144], "little") + len(new) - len(old)
        path.write_bytes(data[:140] + length.to_bytes(4, "little") + data[144:])


@case(53, Right((15,), "DICOMDIR"))
def dicomdir_inside(folder):
    save_all(series(), folder)
    directory = make_slice((0, 0, 0), number=50)
    del directory.PixelData
    save(directory, folder / "DICOMDIR")
    data = (folder / "DICOMDIR").read_bytes()
    media = b"1.2.840.10008.5.1.4.1.1.4\0"
    assert media in data
    (folder / "DICOMDIR").write_bytes(
        data.replace(media, b"1.2.840.10008.1.3.10".ljust(26, b"\0"), 1)
    )


@case(54, Right((15,), "structured report"))
def structured_report_inside(folder):
    save_all(series(), folder)
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.33", f"{STUDY}.3"
    report.StudyInstanceUID, report.SeriesInstanceUID = STUDY, f"{STUDY}.8"
    save(report, folder / "report.dcm")


@case(55, Right((15, 12)))
def two_series_in_one_folder(folder):
    other = in_series(series(12, cosines=AXIAL, start=(-20, -20, -20)), SERIES + ".2")
    save_all(number_on([*series(), *other]), folder)


@case(56, Refused(MixedStudyError, "VS-MIX-001"))
def two_patients_in_one_folder(folder):
    other = _every(series(), PatientID="SOMEONE-ELSE", StudyInstanceUID=STUDY + ".5")
    save_all([*series(), *other], folder)


@case(57, Right((8, 7), "different frames of reference"))
def two_frames_of_reference(folder):
    slices = series()
    _every(slices[8:], FrameOfReferenceUID=STUDY + ".98")
    save_all(slices, folder)


def _positions(start, cosines, count):
    return [np.asarray(start) + 4.0 * k * normal(cosines) for k in range(count)]


@case(58, Right())
def enhanced_multi_frame(folder):
    places = _positions((-28.0, -20, 30), SAGITTAL, 15)[::-1]
    save(enhanced(places, [SAGITTAL] * 15), folder / "1.dcm")


@case(58, Right())
def enhanced_multi_frame_rescaled_by_frame_and_run_length_encoded(folder):
    places = _positions((-28.0, -20, 30), SAGITTAL, 15)
    slopes = [0.5 + 0.1 * n for n in range(15)]
    save(enhanced(places, [SAGITTAL] * 15, slopes=slopes), folder / "1.dcm", RLELossless)


@case(59, Right((5, 6)))
def enhanced_multi_frame_of_two_stacks(folder):
    first, second = tilted(AXIAL, 12), tilted(AXIAL, -9)
    places = _positions((-20.0, -20, 40), first, 5) + _positions((-20.0, -25, 0), second, 6)
    save(enhanced(places, [first] * 5 + [second] * 6), folder / "1.dcm")


@case(58, Refused(GeometryError, "VS-GEO-011"))
def multi_frame_without_positions(folder):
    ds = enhanced(_positions((-28.0, -20, 30), SAGITTAL, 5), [SAGITTAL] * 5)
    del ds.PerFrameFunctionalGroupsSequence
    ds.ImagePositionPatient, ds.ImageOrientationPatient = text((0, 0, 0)), text(SAGITTAL)
    save(ds, folder / "1.dcm")


@case(60, Refused(LimitError, "VS-LIM-001", "Rows"))
def huge_matrix_in_the_header(folder):
    save_all(_every(series(), Rows=65535, Columns=65535), folder)


@case(61, Refused(LimitError, "VS-LIM-001", "NumberOfFrames"))
def huge_number_of_frames_in_the_header(folder):
    save_all(_every(series(3), NumberOfFrames="2000000000"), folder)


@case(62, Refused(LimitError, "VS-LIM-001", "deflated"))
def deflate_bomb(folder):
    bomb = make_slice((0, 0, 0))
    bomb.PixelData = b"\0" * (100 << 20)
    save(bomb, folder / "1.dcm", DeflatedExplicitVRLittleEndian)


@case(63, Refused(LimitError, "VS-LIM-002"))
def endlessly_nested_sequences(folder):
    save_all(series(1), folder)
    path = folder / "1.dcm"
    data = path.read_bytes()
    at = data.index(b"\x20\x00\x0d\x00UI")  # Before StudyInstanceUID.
    nest = b"\x18\x00\x10\xa0SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    path.write_bytes(data[:at] + nest + data[at:])


@case(64, Refused(NoUsableSeriesError, "VS-SER-001"))
def a_single_slice(folder):
    save_all(series(1), folder)


@case(65, Refused(NoUsableSeriesError, "VS-SER-001"))
def two_slices(folder):
    save_all(series(2), folder)


@case(66, Refused(InputError, "VS-INP-003", "no DICOM"))
def empty_folder(folder):
    folder.mkdir(exist_ok=True)


@case(67, Right())
def unicode_path(folder):
    save_all(series(), folder / "ülke 脊椎")


@case(68, Right())
def names_without_extension(folder):
    for n, ds in enumerate(series()):
        save(ds, folder / f"IM{n:04d}")


@case(69, Right((15, 9), "SeriesInstanceUID is missing"))
def series_uid_missing(folder):
    slices = [*series(), *series(9, cosines=AXIAL, start=(-20, -20, -20))]
    save_all(_every(number_on(slices), SeriesInstanceUID=None), folder)


@case(70, Right())
def path_traversal_in_a_uid(folder):
    save_all(series(), folder)
    _patch(folder, SERIES.encode(), b"../../../../etc/passwd".ljust(len(SERIES), b"\0"))


@case(71, Right())
def bad_character_set(folder):
    save_all(series(), folder)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"Canary^Name", b"\xff\xfe\x80ry^\x9d\0\0me"))


@case(72, Right())
def symlink_loop(folder):
    save_all(series(), folder)
    (folder / "again").symlink_to(folder, target_is_directory=True)


@case(73, Right())
def fifo_in_the_folder(folder):
    save_all(series(), folder)
    os.mkfifo(folder / "pipe.dcm")


@pytest.mark.parametrize("name", [n for n, (_, e) in CASES.items() if isinstance(e, Right)])
def test_every_voxel_is_where_the_header_says(name, tmp_path):
    write, expected = CASES[name]
    write(tmp_path / "study")
    check_right(tmp_path / "study", expected)


@pytest.mark.parametrize("name", [n for n, (_, e) in CASES.items() if isinstance(e, Refused)])
def test_what_cannot_be_trusted_is_one_clear_error_without_patient_data(name, tmp_path):
    write, expected = CASES[name]
    write(tmp_path / "study")
    check_refused(tmp_path / "study", expected)

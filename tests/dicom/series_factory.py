"""DICOM series whose every voxel says where it is: value = 2000 + 4x + 3y + 5z, in LPS mm.

Independent of volspine: it writes positions and orientations into headers, and the values that they
imply into pixels, with pydicom and numpy alone. A reader that misplaces a voxel shows it.
"""

import zlib
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
STUDY, SERIES = "1.2.826.0.1.3680043.2.1", "1.2.826.0.1.3680043.2.1.7"
MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
ROWS, COLUMNS = 18, 14
SPACING = (2.0, 3.0)  # Between rows, between columns.


def ramp(points):
    """What a voxel at these LPS points holds."""
    return 2000.0 + np.asarray(points) @ np.array([4.0, 3.0, 5.0])


def plane_points(position, cosines, *, rows=ROWS, columns=COLUMNS, spacing=SPACING):
    """Centres of the pixels of a slice, shape (rows, columns, 3)."""
    along_row, along_column = np.array(cosines[:3]), np.array(cosines[3:])
    r, c = np.mgrid[:rows, :columns]
    return (
        np.asarray(position, dtype=float)
        + c[..., None] * spacing[1] * along_row
        + r[..., None] * spacing[0] * along_column
    )


def plane_values(position, cosines, **shape):
    """What a slice holds, shape (rows, columns)."""
    return ramp(plane_points(position, cosines, **shape))


def normal(cosines):
    return np.cross(cosines[:3], cosines[3:])


def tilted(cosines, degrees):
    """Axial cosines turned about the patient's left-right axis."""
    angle = np.radians(degrees)
    turn = np.array(
        [
            [1, 0, 0],
            [0, np.cos(angle), -np.sin(angle)],
            [0, np.sin(angle), np.cos(angle)],
        ]
    )
    both = np.concatenate([turn @ cosines[:3], turn @ cosines[3:]])
    return tuple(float(f"{value:.10f}") for value in both)


def text(values):
    """Decimal strings of 16 characters at most, as the standard wants them."""
    return [f"{value:.10g}"[:16] for value in values]


def make_slice(
    position, cosines=SAGITTAL, *, number=1, rows=ROWS, columns=COLUMNS, spacing=SPACING
):
    """A slice as a pydicom dataset with uncompressed 16-bit pixels."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MR, f"{STUDY}.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, SERIES
    ds.PatientID, ds.PatientName = "CANARY-ID", "Canary^Name"
    ds.InstanceNumber, ds.SeriesDescription = number, "T2"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = text(position), text(cosines)
    ds.PixelSpacing = text(spacing)
    ds.FrameOfReferenceUID = f"{STUDY}.99"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = rows, columns, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    values = plane_values(position, cosines, rows=rows, columns=columns, spacing=spacing)
    return set_pixels(ds, np.rint(values).astype("<u2"))


def set_pixels(ds, array):
    ds.PixelData = np.ascontiguousarray(array).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def pixels(ds):
    return np.frombuffer(ds.PixelData, dtype="<u2").reshape(ds.Rows, ds.Columns)


def series(
    count=15, *, cosines=SAGITTAL, start=(-28.0, -20.0, 30.0), step=None, spacing_mm=4.0, **shape
):
    """Slices a step apart: along their normal unless a step is given."""
    step = normal(cosines) * spacing_mm if step is None else np.asarray(step)
    return [
        make_slice(np.asarray(start) + k * step, cosines, number=k + 1, **shape)
        for k in range(count)
    ]


def number_on(slices, first=1):
    """Give slices of several stacks numbers and identifiers of their own."""
    for n, ds in enumerate(slices, first):
        ds.InstanceNumber, ds.SOPInstanceUID = n, f"{STUDY}.1.{n}"
    return slices


def in_series(slices, uid):
    for ds in slices:
        ds.SeriesInstanceUID = uid
    return slices


def save(ds, path, syntax=ExplicitVRLittleEndian):
    """Write a dataset as a DICOM file in a transfer syntax."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ENHANCED_MR, ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    file = FileDataset(str(path), ds, file_meta=meta, preamble=b"\0" * 128)
    if syntax == RLELossless:
        file = FileDataset(str(path), _rle(ds), file_meta=meta, preamble=b"\0" * 128)
    if syntax == DeflatedExplicitVRLittleEndian:
        return _save_deflated(file, path)
    if syntax == ExplicitVRBigEndian:
        file.PixelData = np.frombuffer(ds.PixelData, "<u2").byteswap().tobytes()
    dcmwrite(
        path,
        file,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=syntax != ExplicitVRBigEndian,
        force_encoding=syntax == ExplicitVRBigEndian,
    )
    return path


def _rle(ds):
    from rle.utils import encode_pixel_data

    copy = Dataset()
    copy.update(ds)
    frames = int(ds.get("NumberOfFrames", 1))
    size = len(ds.PixelData) // frames
    options = {
        "rows": ds.Rows,
        "columns": ds.Columns,
        "samples_per_pixel": 1,
        "bits_allocated": ds.BitsAllocated,
    }
    parts = [
        encode_pixel_data(ds.PixelData[k * size : (k + 1) * size], byteorder="<", **options)
        for k in range(frames)
    ]
    copy.PixelData = encapsulate([bytes(part) for part in parts])
    copy["PixelData"].VR = "OB"
    copy["PixelData"].is_undefined_length = True
    return copy


def _save_deflated(file, path):
    plain = path.with_suffix(".plain")
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.save_as(plain, enforce_file_format=True)
    data = plain.read_bytes()
    plain.unlink()
    length = 132 + 12 + int.from_bytes(data[140:144], "little")
    head = data[:length].replace(
        b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0",
        b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99",
    )
    head = head[:140] + (len(head) - 144).to_bytes(4, "little") + head[144:]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(head + packer.compress(data[length:]) + packer.flush())
    return path


def save_all(slices, folder, syntax=ExplicitVRLittleEndian):
    """Write slices as numbered files."""
    for n, ds in enumerate(slices, 1):
        save(ds, Path(folder) / f"{n}.dcm", syntax)
    return Path(folder)


def enhanced(positions, cosines, *, number=1, slopes=None):
    """One multi-frame file: a frame a position, geometry in functional groups."""
    ds = make_slice(positions[0], cosines[0], number=number)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(ds, keyword)
    ds.SOPClassUID, ds.NumberOfFrames = ENHANCED_MR, len(positions)
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([_item(PixelSpacing=text(SPACING))])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    groups, planes = [], []
    for n, (position, turned) in enumerate(zip(positions, cosines, strict=True)):
        slope = 1.0 if slopes is None else slopes[n]
        group = Dataset()
        group.PlanePositionSequence = Sequence([_item(ImagePositionPatient=text(position))])
        group.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=text(turned))])
        scale = _item(RescaleSlope=f"{slope:.6g}", RescaleIntercept="0", RescaleType="US")
        group.PixelValueTransformationSequence = Sequence([scale])
        groups.append(group)
        planes.append(np.rint(plane_values(position, turned) / slope))
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return set_pixels(ds, np.stack(planes).astype("<u2"))


def _item(**values):
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def largest_error(stack):
    """How far the voxels of a stack are from the ramp at their true places."""
    i, j = np.mgrid[: stack.shape[0], : stack.shape[1]]
    voxels = stack.voxels
    worst = 0.0
    for k, origin in enumerate(stack.slice_origins_mm):
        points = (
            origin + i[..., None] * stack.affine_lps[:3, 0] + j[..., None] * stack.affine_lps[:3, 1]
        )
        worst = max(worst, float(np.abs(voxels[:, :, k] - ramp(points)).max()))
    return worst


def largest_affine_error(stack):
    """How far they are from the ramp at the places that the affine alone gives."""
    index = np.stack(np.meshgrid(*map(np.arange, stack.voxels.shape), indexing="ij"), axis=-1)
    points = index @ stack.affine_lps[:3, :3].T + stack.affine_lps[:3, 3]
    return float(np.abs(stack.voxels - ramp(points)).max())

"""Write a synthetic study as DICOM, one instance a file.

What a series' headers share is encoded once; each instance adds the few attributes that differ, so
that writing costs little beside painting. Two profiles: `rsna` is RLE Lossless with an enhanced-MR
class in the file meta beside a single frame, as the public challenge's files; `full` is a
conformant MR Image Storage object in explicit little endian.
"""

import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)
from rle.rle import encode_segment

from volspine.phantom.filing import rescale
from volspine.phantom.headers import Text, instance_attributes, series_attributes
from volspine.phantom.spec import Header
from volspine.phantom.study import Acquired

__all__ = ["encode_runs", "write_series", "write_study"]

_IMPLEMENTATION = UID("2.25.219742886431219357731346838012437842971")
_PREAMBLE = b"\0" * 128 + b"DICM"
_PIXEL_DATA = 0x7FE00010

Elements = dict[BaseTag, bytes]
"""Encoded elements by tag."""


def write_study(made: Acquired, folder: Path) -> None:
    """Write every series of a study into `folder/<series_id>/<instance>.dcm`."""
    for number, plan in enumerate(made.plan.series):
        write_series(made, number, folder / plan.series_id)


def write_series(made: Acquired, number: int, folder: Path) -> None:
    """Write one series; a file is named by its instance number.

    Args:
        made: The study.
        number: Position of the series in the plan.
        folder: Where to; made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shared = _encode(series_attributes(made, number))
    is_full = made.truth.spec.header is Header.FULL
    for index, pixels in enumerate(made.pixels[number]):
        own = instance_attributes(made, number, index)
        elements = {**shared, **_encode_texts({**own, **_window(made, number, pixels)})}
        meta = _meta(str(own["SOPInstanceUID"]), is_full=is_full)
        header = b"".join(elements[tag] for tag in sorted(elements))
        name = f"{made.filing.series[number].numbers[index]}.dcm"
        with (folder / name).open("wb") as stream:
            stream.writelines([_PREAMBLE, meta, header, *_pixel_data(pixels, is_full=is_full)])


def _encode(attributes: Mapping[str, object]) -> Elements:
    """Encode attributes in explicit little endian, which RLE has for its headers too."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    elements: Elements = {}
    for element in dataset:
        stream = DicomBytesIO()
        stream.is_little_endian, stream.is_implicit_VR = True, False
        write_data_element(stream, element)
        elements[element.tag] = stream.getvalue()
    return elements


def _encode_texts(attributes: Mapping[str, Text]) -> Elements:
    """Encode attributes whose values are text, which all that differ are: quicker than the rest."""
    elements: Elements = {}
    for keyword, value in attributes.items():
        text = value if isinstance(value, str) else "\\".join(value)
        tag, kind = _place_of(keyword)
        data = text.encode("ascii") + (b"\0" if kind == b"UI" else b" ") * (len(text) % 2)
        head = struct.pack("<HH2sH", tag.group, tag.element, kind, len(data))
        elements[tag] = head + data
    return elements


@cache
def _place_of(keyword: str) -> tuple[BaseTag, bytes]:
    tag = Tag(keyword)
    return tag, dictionary_VR(tag).encode()


def _window(made: Acquired, number: int, pixels: NDArray[np.uint16]) -> dict[str, Text]:
    """Return a window over the values of most pixels."""
    found = pixels[::5, ::5].ravel()
    most = int(0.995 * (found.size - 1))
    ends = np.partition(found, [0, most])[[0, most]]
    low, high = rescale(ends, made.filing.series[number])
    return {
        "WindowCenter": str(round(float(low + high) / 2)),
        "WindowWidth": str(max(round(float(high - low)), 1)),
    }


def _meta(instance_uid: str, *, is_full: bool) -> bytes:
    head, tail = _around_uid(len(instance_uid), is_full=is_full)
    return head + instance_uid.encode("ascii") + tail


@cache
def _around_uid(length: int, *, is_full: bool) -> tuple[bytes, bytes]:
    """Return the file meta before and after an instance's UID of a length."""
    blank = "9" * length
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage if is_full else EnhancedMRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(blank)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if is_full else RLELossless
    meta.ImplementationClassUID = _IMPLEMENTATION
    stream = DicomBytesIO()
    write_file_meta_info(stream, meta, enforce_standard=True)
    head, _, tail = stream.getvalue().partition(blank.encode("ascii"))
    return head, tail


def _pixel_data(pixels: NDArray[np.uint16], *, is_full: bool) -> list[bytes]:
    """Return the pixel data element: words as they are, or one encapsulated frame of runs."""
    if is_full:
        raw = pixels.astype("<u2", copy=False).tobytes()
        return [_pixel_head(b"OW", len(raw)), raw]
    return [_pixel_head(b"OB", 0xFFFFFFFF), encapsulate([encode_runs(pixels)]), _SEQUENCE_END]


_SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _pixel_head(representation: bytes, length: int) -> bytes:
    return struct.pack(
        "<HH2sHI", _PIXEL_DATA >> 16, _PIXEL_DATA & 0xFFFF, representation, 0, length
    )


def encode_runs(pixels: NDArray[np.uint16]) -> bytes:
    """Return one frame, RLE Lossless (DICOM PS3.5, annex G): high bytes, then low bytes.

    Args:
        pixels: Shape (rows, columns).
    """
    planes = (pixels >> 8).astype(np.uint8), (pixels & 255).astype(np.uint8)
    # Plane by plane the library's encoder is five times as fast as on a whole frame.
    high, low = (_encode_plane(plane) for plane in planes)
    return struct.pack("<16I", 2, 64, 64 + len(high), *(0,) * 13) + high + low


def _encode_plane(plane: NDArray[np.uint8]) -> bytes:
    """Return one byte of every pixel; bytes of noise, as they are: no larger, and 20 times faster.

    A literal run is its length less 1, then at most 128 bytes of one row.
    """
    alike = np.count_nonzero(plane[:, 1:] == plane[:, :-1])
    if alike > _NOISY * plane.size:
        return bytes(encode_segment(plane.tobytes(), plane.shape[1]))
    parts = np.split(plane, range(128, plane.shape[1], 128), axis=1)
    heads = (np.full((len(plane), 1), part.shape[1] - 1, np.uint8) for part in parts)
    runs = np.hstack([each for pair in zip(heads, parts, strict=True) for each in pair])
    return runs.tobytes() + b"\0" * (runs.size % 2)


_NOISY = 0.1
"""Share of neighbours with the same byte up to which runs of them would save nothing."""

"""Frames: from the bytes of a file to the words of its frames, as stored.

Uncompressed frames are read straight from their place in the file; RLE, the challenge's encoding,
goes through a fast decoder; every other transfer syntax through pydicom's.
"""

import io
import struct
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, RLELossless
from rle.rle import decode_frame

from volspine.dicom.codestream import coded_image
from volspine.dicom.elements import UNDEFINED
from volspine.dicom.instance import Instance
from volspine.dicom.layout import PixelLayout
from volspine.dicom.limits import Limits
from volspine.dicom.parse import open_dataset
from volspine.errors import MissingExtraError, PixelError, VolspineError

__all__ = ["bad_pixels", "read_frames"]

_ITEM = struct.Struct("<4sI")
_ITEM_TAG, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_FASTEST = "pylibjpeg"
_LONGEST_TABLE = 4
"""Bytes of the table of offsets of a single frame; a longer one is another case."""


def read_frames(instances: Sequence[Instance], limits: Limits) -> list[NDArray[Any] | PixelError]:
    """Return the frames of one file as stored, shape (rows, columns), or what is wrong with each.

    Args:
        instances: Frames of one and the same file.
        limits: Caps on what is inflated.

    Raises:
        PixelError: If the file cannot be opened or its frames not told apart.
        MissingExtraError: If the transfer syntax needs a codec that is not installed.
    """
    first = instances[0]
    try:
        with open_dataset(first.header, limits) as stream:
            if first.layout.is_native:
                return [_read_native(stream, instance) for instance in instances]
            parts = _compressed(stream, first)
    except PixelError:
        raise
    except (VolspineError, OSError) as error:
        raise bad_pixels(
            first, f"the file cannot be read any more ({type(error).__name__})"
        ) from error
    return [_try_decode(parts[instance.frame], instance) for instance in instances]


def _read_native(stream: Any, instance: Instance) -> NDArray[Any] | PixelError:
    layout = instance.layout
    begin = instance.frame * layout.frame_bytes
    if layout.element.is_swapped and layout.bits_allocated == 8:
        data = _swapped(stream, layout, begin)
    else:
        stream.seek(layout.element.offset + begin)
        data = stream.read(layout.frame_bytes)
    if len(data) < layout.frame_bytes:
        return bad_pixels(instance, f"pixel data is cut short: {len(data)} bytes")
    kind = "f" if layout.is_float else "i" if layout.is_signed else "u"
    order = "<" if instance.header.is_little_endian else ">"
    dtype = np.dtype(f"{order}{kind}{layout.bits_allocated // 8}")
    return np.frombuffer(data, dtype=dtype).reshape(layout.rows, layout.columns)


def _swapped(stream: Any, layout: PixelLayout, begin: int) -> bytes:
    """Return 8-bit pixels that lie in big endian words, from whole words."""
    odd = begin % 2
    stream.seek(layout.element.offset + begin - odd)
    words = stream.read((odd + layout.frame_bytes + 1) // 2 * 2)
    pixels = np.frombuffer(words, dtype=">u2").astype("<u2").tobytes()
    return pixels[odd : odd + layout.frame_bytes]


def _compressed(stream: io.BufferedIOBase, instance: Instance) -> list[bytes]:
    """Return the compressed bytes of each frame of a file."""
    layout = instance.layout
    stream.seek(layout.element.offset)
    only = _only_fragment(stream) if layout.frames == 1 else None
    if only is not None:
        return [only]
    stream.seek(layout.element.offset)
    return _split(stream.read(), instance)


def _only_fragment(stream: io.BufferedIOBase) -> bytes | None:
    """Return the one fragment that nearly every slice has, copied once; None if it is otherwise."""
    table, table_length = _ITEM.unpack(stream.read(8).ljust(8))
    stream.seek(min(table_length, _LONGEST_TABLE), io.SEEK_CUR)
    fragment, length = _ITEM.unpack(stream.read(8).ljust(8))
    if (table, fragment) != (_ITEM_TAG, _ITEM_TAG) or length == UNDEFINED:
        return None
    data = stream.read(length)
    return data if len(data) == length and stream.read(4) == _SEQUENCE_END else None


def _split(data: bytes, instance: Instance) -> list[bytes]:
    """Return the compressed bytes of each frame of a file, whatever the fragments they lie in."""
    frames = instance.layout.frames
    try:
        parts = list(generate_frames(data, number_of_frames=frames))
    except (ValueError, EOFError, IndexError, struct.error) as error:
        raise bad_pixels(instance, f"pixel data is cut short or damaged ({error})") from error
    if len(parts) != frames:
        raise bad_pixels(instance, f"{len(parts)} compressed frames where {frames} are declared")
    return parts


def _try_decode(data: bytes, instance: Instance) -> NDArray[Any] | PixelError:
    try:
        return _decode(data, instance)
    except PixelError as error:
        return error
    except MissingExtraError:
        raise
    except Exception as error:  # noqa: BLE001  codecs raise anything on damaged data
        return bad_pixels(instance, f"pixel data cannot be decoded ({type(error).__name__})")


def _decode(data: bytes, instance: Instance) -> NDArray[Any]:
    layout, syntax = instance.layout, instance.header.transfer_syntax
    if syntax == RLELossless:
        flat = _unpack_runs(data, instance)
        kind = "i" if layout.is_signed else "u"
        values = np.frombuffer(flat, dtype=f"<{kind}{layout.bits_allocated // 8}")
        return values.reshape(layout.rows, layout.columns)
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise bad_pixels(instance, "the compressed image is cut short: it has no end marker")
    _check_coded(data, instance)
    return _decode_with_pydicom(data, instance)


def _check_coded(data: bytes, instance: Instance) -> None:
    """Refuse a compressed image that contradicts the header."""
    coded, layout = coded_image(data), instance.layout
    if coded is None:
        return
    size = (coded.rows or layout.rows, coded.columns or layout.columns)
    if size != (layout.rows, layout.columns):
        raise bad_pixels(
            instance,
            f"the compressed image has {size[0]} x {size[1]} pixels, the header says "
            f"{layout.rows} x {layout.columns}",
        )
    if coded.is_signed and not layout.is_signed:
        raise bad_pixels(instance, "the compressed image is signed, the header says otherwise")


def _unpack_runs(data: bytes, instance: Instance) -> bytearray:
    layout = instance.layout
    try:
        pixels = layout.rows * layout.columns
        flat: bytearray = decode_frame(data, pixels, layout.bits_allocated, "<")
    except BaseException as error:
        # A run that leads out of the frame is a panic of the decoder, which no `except Exception`
        # catches and which cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise bad_pixels(instance, "pixel data is damaged: a run leads out of the frame") from error
    return flat


def _decode_with_pydicom(data: bytes, instance: Instance) -> NDArray[Any]:
    layout, syntax = instance.layout, UID(instance.header.transfer_syntax)
    decoder = get_decoder(syntax)
    if not decoder.is_available:
        raise MissingExtraError(
            f"no codec is installed for {syntax.name}",
            remedy="run: pip install 'volspine[codecs]'",
            path=instance.path,
        )
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": int(layout.is_signed),
        "pixel_keyword": "PixelData",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array, _ = decoder.as_array(
            encapsulate([data]), index=0, raw=True, decoding_plugin=_plugin(decoder), **options
        )
    return array


def _plugin(decoder: Decoder) -> str:
    """Return the plugin to decode with: OpenJPEG itself, where it is, rather than within GDCM.

    It takes a tenth less time, and both give the same pixels. Others are tried in pydicom's order.
    """
    is_open = decoder.UID in JPEG2000TransferSyntaxes and _FASTEST in decoder.available_plugins
    return _FASTEST if is_open else ""


def bad_pixels(instance: Instance, finding: str) -> PixelError:
    """Return the error of a frame that cannot be decoded or trusted."""
    return PixelError(
        finding,
        remedy="export the file again; it may be damaged",
        path=instance.path,
        code="VS-PIX-006",
    )

"""Pixels: from the bytes of a frame to rescaled intensities.

Uncompressed frames are read straight from their place in the file; RLE, the challenge's encoding,
goes through a fast decoder; every other transfer syntax through pydicom's. What a header calls
unused bits is never trusted: overlays live there, and signs end there.
"""

import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, RLELossless
from rle.rle import decode_frame

from volspine.dicom.instance import Instance
from volspine.dicom.layout import PixelLayout
from volspine.dicom.limits import DEFAULT_LIMITS, Limits
from volspine.dicom.parse import open_dataset
from volspine.dicom.study import Source
from volspine.errors import MissingExtraError, PixelError, VolspineError
from volspine.geometry.stack import Decoded
from volspine.types import VoxelArray

__all__ = ["StackDecoder", "read_frames", "stored_values"]

LARGEST_NAN_FRACTION = 1e-3
"""Up to this fraction of non-finite voxels is set to zero; a frame with more is refused."""


@dataclass
class StackDecoder:
    """Decodes the slices of one stack, in order; called once by `Stack.voxels`.

    Args:
        instances: The slices, first to last; shortened when one cannot be decoded; `sources`, which
            says where each came from, with it.
        strict: Raise on the first slice that cannot be decoded, instead of leaving it out.
        limits: Caps on what is inflated.
    """

    instances: list[Instance]
    strict: bool = False
    limits: Limits = DEFAULT_LIMITS
    sources: list[Source] = field(init=False)
    _repairs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sources = [_source(instance) for instance in self.instances]

    def __call__(self) -> Decoded:
        """Return voxels, indices of the slices they came from, and repairs.

        Raises:
            PixelError: If no slice can be decoded, or in strict mode any cannot.
        """
        first, self._repairs = self.instances[0].layout, []
        voxels = np.empty((len(self.instances), first.rows, first.columns), dtype=np.float32)
        kept: list[int] = []
        errors: list[tuple[str, VolspineError]] = []
        for k, frame in self._frames():
            if isinstance(frame, VolspineError):
                errors.append((self.instances[k].name, frame))
            else:
                voxels[len(kept)] = frame
                kept.append(k)
        self._judge(errors, left=len(kept))
        self.instances[:] = [self.instances[k] for k in kept]
        self.sources[:] = [self.sources[k] for k in kept]
        return voxels[: len(kept)].transpose(2, 1, 0), tuple(kept), tuple(self._repairs)

    def _judge(self, errors: list[tuple[str, VolspineError]], *, left: int) -> None:
        if errors and (self.strict or not left):
            raise errors[0][1]
        self._repairs += [f"missing slice: {error.message} [{name}]" for name, error in errors]

    def _frames(self) -> Any:
        """Yield each slice's index with its intensities or the error that took their place."""
        numbered = enumerate(self.instances)
        for _, group in groupby(numbered, key=lambda pair: pair[1].path):
            members = list(group)
            try:
                raw = read_frames([instance for _, instance in members], self.limits)
            except PixelError as error:
                raw = [error] * len(members)
            for (k, instance), frame in zip(members, raw, strict=True):
                yield k, self._intensities(frame, instance)

    def _intensities(
        self, frame: NDArray[Any] | PixelError, instance: Instance
    ) -> VoxelArray | VolspineError:
        if isinstance(frame, PixelError):
            return frame
        try:
            return self._finite(frame, instance)
        except PixelError as error:
            return error

    def _finite(self, frame: NDArray[Any], instance: Instance) -> VoxelArray:
        values = stored_values(frame, instance.layout).astype(np.float32)
        if (instance.slope, instance.intercept) != (1.0, 0.0):
            values = values * np.float32(instance.slope) + np.float32(instance.intercept)
        if instance.layout.is_float and not np.all(np.isfinite(values)):
            holes = ~np.isfinite(values)
            if holes.mean() > LARGEST_NAN_FRACTION:
                raise _bad(instance, f"{holes.mean():.1%} of the voxels are not finite numbers")
            values[holes] = 0.0
            self._repairs.append(
                f"{holes.sum()} voxels that were not finite are 0 [{instance.name}]"
            )
        return values


def _source(instance: Instance) -> Source:
    return Source(
        path=instance.path,
        instance_number=instance.number,
        sop_instance_uid=instance.sop_uid,
        sop_class_uid=instance.header.text("SOPClassUID"),
        frame_number=instance.frame + 1 if instance.layout.frames > 1 else None,
    )


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
            stream.seek(first.layout.element.offset)
            parts = _split(stream.read(), first)
    except PixelError:
        raise
    except (VolspineError, OSError) as error:
        raise _bad(first, f"the file cannot be read any more ({type(error).__name__})") from error
    return [_try_decode(parts[instance.frame], instance) for instance in instances]


def _read_native(stream: Any, instance: Instance) -> NDArray[Any] | PixelError:
    layout = instance.layout
    stream.seek(layout.element.offset + instance.frame * layout.frame_bytes)
    data = stream.read(layout.frame_bytes)
    if len(data) < layout.frame_bytes:
        return _bad(instance, f"pixel data is cut short: {len(data)} bytes")
    kind = "f" if layout.is_float else "i" if layout.is_signed else "u"
    order = "<" if instance.header.is_little_endian else ">"
    dtype = np.dtype(f"{order}{kind}{layout.bits_allocated // 8}")
    return np.frombuffer(data, dtype=dtype).reshape(layout.rows, layout.columns)


def _split(data: bytes, instance: Instance) -> list[bytes]:
    """Return the compressed bytes of each frame of a file."""
    frames = instance.layout.frames
    try:
        parts = list(generate_frames(data, number_of_frames=frames))
    except (ValueError, EOFError, IndexError, struct.error) as error:
        raise _bad(instance, f"pixel data is cut short or damaged ({error})") from error
    if len(parts) != frames:
        raise _bad(instance, f"{len(parts)} compressed frames where {frames} are declared")
    return parts


def _try_decode(data: bytes, instance: Instance) -> NDArray[Any] | PixelError:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, instance)
    except PixelError as error:
        return error
    except MissingExtraError:
        raise
    except Exception as error:  # noqa: BLE001  codecs raise anything on damaged data
        return _bad(instance, f"pixel data cannot be decoded ({type(error).__name__})")


def _decode(data: bytes, instance: Instance) -> NDArray[Any]:
    layout, syntax = instance.layout, instance.header.transfer_syntax
    if syntax == RLELossless:
        flat = _unpack_runs(data, instance)
        kind = "i" if layout.is_signed else "u"
        values = np.frombuffer(flat, dtype=f"<{kind}{layout.bits_allocated // 8}")
        return values.reshape(layout.rows, layout.columns)
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise _bad(instance, "the compressed image is cut short: it has no end marker")
    return _decode_with_pydicom(data, instance)


def _unpack_runs(data: bytes, instance: Instance) -> bytes:
    layout = instance.layout
    try:
        return bytes(decode_frame(data, layout.rows * layout.columns, layout.bits_allocated, "<"))
    except BaseException as error:
        # A run that leads out of the frame is a panic of the decoder, which no `except Exception`
        # catches and which cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise _bad(instance, "pixel data is damaged: a run leads out of the frame") from error


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
    array, _ = decoder.as_array(encapsulate([data]), index=0, raw=True, **options)
    return array


def stored_values(raw: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Return stored values with unused bits removed, signs extended, and white as large.

    Args:
        raw: Words as they lie in the file, or as a codec gave them.
        layout: Which bits of a word carry the value.
    """
    if layout.is_float:
        return raw
    bits, low = layout.bits_stored, layout.high_bit + 1 - layout.bits_stored
    values = raw
    if bits < layout.bits_allocated:
        values = (raw >> low if low and layout.keeps_words else raw) & ((1 << bits) - 1)
        if layout.is_signed:
            sign = 1 << (bits - 1)
            values = (values.astype(np.int32) ^ sign) - sign
    if layout.is_inverted:
        values = (-1 if layout.is_signed else (1 << bits) - 1) - values.astype(np.int64)
    return values


def _bad(instance: Instance, finding: str) -> PixelError:
    return PixelError(
        finding,
        remedy="export the file again; it may be damaged",
        path=instance.path,
        code="VS-PIX-006",
    )

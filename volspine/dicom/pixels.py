"""Pixels: from the words of frames to rescaled intensities.

What a header calls unused bits is never trusted: overlays live there, and signs end there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volspine.dicom.frames import bad_pixels, read_frames
from volspine.dicom.instance import Instance
from volspine.dicom.layout import PixelLayout
from volspine.dicom.limits import DEFAULT_LIMITS, Limits
from volspine.dicom.study import Source
from volspine.errors import PixelError, VolspineError
from volspine.geometry.stack import Decoded
from volspine.types import VoxelArray

__all__ = ["StackDecoder", "stored_values"]

LARGEST_NAN_FRACTION = 1e-3
"""Up to this fraction of non-finite voxels is set to zero; a frame with more is refused."""


@dataclass
class StackDecoder:
    """Decodes the slices of one stack, in order; called by `Stack.voxels`, or for some of them.

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
    _usual: tuple[int, int, bool] = (0, 0, False)

    def __post_init__(self) -> None:
        self.sources = [_source(instance) for instance in self.instances]

    def __call__(self) -> Decoded:
        """Return voxels, indices of the slices they came from, and repairs.

        Raises:
            PixelError: If no slice can be decoded, or in strict mode any cannot.
        """
        voxels, kept = self._decoded(range(len(self.instances)))
        self.instances[:] = [self.instances[k] for k in kept]
        self.sources[:] = [self.sources[k] for k in kept]
        return voxels, tuple(kept), tuple(self._repairs)

    def some(self, numbers: Sequence[int]) -> Decoded:
        """Return the same of some slices only; nothing is remembered of those that fail.

        Raises:
            PixelError: If none of them can be decoded, or in strict mode any cannot.
        """
        voxels, kept = self._decoded(numbers)
        return voxels, tuple(kept), tuple(self._repairs)

    def _decoded(self, numbers: Sequence[int]) -> tuple[VoxelArray, list[int]]:
        """Return the voxels of some slices, (I, J, kept), and the numbers of those kept."""
        first, self._repairs = self.instances[0].layout, []
        self._usual = _usual_bits(self.instances)
        voxels = np.empty((len(numbers), first.rows, first.columns), dtype=np.float32)
        kept: list[int] = []
        errors: list[tuple[str, VolspineError]] = []
        for k, frame in self._frames(numbers):
            if isinstance(frame, VolspineError):
                errors.append((self.instances[k].name, frame))
            else:
                voxels[len(kept)] = frame
                kept.append(k)
        self._judge(errors, left=len(kept))
        return voxels[: len(kept)].transpose(2, 1, 0), kept

    def _judge(self, errors: list[tuple[str, VolspineError]], *, left: int) -> None:
        if errors and (self.strict or not left):
            raise errors[0][1]
        self._repairs += [f"missing slice: {error.message} [{name}]" for name, error in errors]

    def _frames(self, numbers: Sequence[int]) -> Any:
        """Yield each slice's index with its intensities or the error that took their place."""
        numbered = ((k, self.instances[k]) for k in numbers)
        for _, group in groupby(numbered, key=lambda pair: pair[1].header.file):
            members = list(group)
            try:
                raw = read_frames([instance for _, instance in members], self.limits)
            except PixelError as error:
                raw = [error] * len(members)
            for (k, instance), frame in zip(members, raw, strict=True):
                yield k, self._intensities(frame, instance)

    def _intensities(
        self, frame: NDArray[Any] | PixelError, instance: Instance
    ) -> NDArray[Any] | VolspineError:
        if isinstance(frame, PixelError):
            return frame
        try:
            return self._finite(frame, instance)
        except PixelError as error:
            return error

    def _finite(self, frame: NDArray[Any], instance: Instance) -> NDArray[Any]:
        self._check_bits(frame, instance)
        values = stored_values(frame, instance.layout)
        if not instance.layout.is_float and (instance.slope, instance.intercept) == (1.0, 0.0):
            return values  # Made float where it goes, in one pass over the memory.
        with np.errstate(over="ignore", invalid="ignore"):
            values = values.astype(np.float32)
            values *= np.float32(instance.slope)
            values += np.float32(instance.intercept)
        if instance.layout.is_float and not np.all(np.isfinite(values)):
            holes = ~np.isfinite(values)
            if holes.mean() > LARGEST_NAN_FRACTION:
                raise bad_pixels(
                    instance, f"{holes.mean():.1%} of the voxels are not finite numbers"
                )
            values[holes] = 0.0
            self._repairs.append(
                f"{holes.sum()} voxels that were not finite are 0 [{instance.name}]"
            )
        return values

    def _check_bits(self, frame: NDArray[Any], instance: Instance) -> None:
        """Refuse a slice whose bits mean something else than in the others, if that matters.

        Unused bits may hold anything (overlays did); but where a slice alone calls bits unused that
        the others use, and they are not empty, its header cannot be trusted.
        """
        layout = instance.layout
        if layout.is_float or _bits(layout) == self._usual:
            return
        low = layout.high_bit + 1 - layout.bits_stored if layout.keeps_words else 0
        words = frame.astype(np.int64) & ((1 << layout.bits_allocated) - 1)
        used = (words >> low) & ((1 << layout.bits_stored) - 1)
        is_dirty = bool(np.any(words != used << low))
        has_top_bit = layout.is_signed != self._usual[2] and bool(
            np.any(used >> (layout.bits_stored - 1))
        )
        is_shifted = low > 0 or self._usual[1] + 1 > self._usual[0]
        if is_dirty or has_top_bit or is_shifted:
            raise bad_pixels(
                instance,
                "BitsStored, HighBit or PixelRepresentation differ from the other slices, and "
                "bits are set that would mean something else",
            )


def _bits(layout: PixelLayout) -> tuple[int, int, bool]:
    return layout.bits_stored, layout.high_bit, layout.is_signed


def _usual_bits(instances: Sequence[Instance]) -> tuple[int, int, bool]:
    """Return the commonest meaning of bits among slices; of equally common, the wider."""
    kinds = Counter(_bits(instance.layout) for instance in instances)
    return max(kinds, key=lambda kind: (kinds[kind], kind))


def _source(instance: Instance) -> Source:
    return Source(
        path=instance.path,
        instance_number=instance.number,
        sop_instance_uid=instance.sop_uid,
        sop_class_uid=instance.header.text("SOPClassUID"),
        frame_number=instance.frame + 1 if instance.layout.frames > 1 else None,
    )


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

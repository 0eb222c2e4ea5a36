"""Series: from the instances of one SeriesInstanceUID to its regular stacks.

Position and orientation alone decide which slices belong together and in which order; instance
numbers, slice locations and file names decide nothing. One SeriesInstanceUID may give several
series here, when its slices lie in different planes or frames of reference.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from volspine.anatomy import Protocol
from volspine.dicom.assemble import MIN_SLICES, StackAssembler
from volspine.dicom.instance import Acquisition, Instance
from volspine.dicom.ledger import Ledger
from volspine.dicom.limits import Limits
from volspine.dicom.pixels import StackDecoder
from volspine.dicom.study import Series
from volspine.errors import GeometryError, NoUsableSeriesError, PixelError
from volspine.geometry.axes import Plane, plane_of, positive_normal
from volspine.geometry.piles import orientation_groups
from volspine.geometry.stack import Stack

__all__ = ["SeriesBuilder", "series_key", "short_name"]

STEEPEST_AXIAL = 0.5
"""Cosine of 60 degrees. Slices along the disc of L5/S1 may tilt beyond 45 degrees, where they are
nearer to coronal; real coronal slices are nearly upright."""

T = TypeVar("T")


def series_key(instance: Instance) -> tuple[str, ...]:
    """Return what instances of one series share: its UID, or what stands in for a missing one."""
    if instance.series_uid:
        return (instance.series_uid,)
    acquisition = instance.acquisition
    plane = plane_of(positive_normal(instance.directions))
    return (
        "",
        plane,
        acquisition.description,
        str(acquisition.echo_time),
        str(acquisition.repetition_time),
        f"{instance.layout.rows}x{instance.layout.columns}",
    )


def short_name(key: Sequence[str]) -> str:
    """Return a label of a series that carries nothing of its header.

    Example:
        >>> short_name(["1.2.3"])
        'series-c47f5b18'
    """
    return f"series-{hashlib.sha256(chr(0).join(key).encode()).hexdigest()[:8]}"


def _grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Return items with equal keys together, the largest group first, ties in order of arrival."""
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return sorted(groups.values(), key=len, reverse=True)


class SeriesBuilder:
    """Builds the series of one SeriesInstanceUID.

    Args:
        key: What its instances share, from `series_key`.
        name: Label in outputs.
        ledger: Where findings of the study go.
        limits: Caps on the size of a stack.
    """

    def __init__(self, key: Sequence[str], name: str, *, ledger: Ledger, limits: Limits) -> None:
        self._key, self._name, self._ledger, self._limits = key, name, ledger, limits
        self._repairs: list[str] = []

    def build(self, instances: Sequence[Instance]) -> list[tuple[Series, Acquisition]]:
        """Return the series that the instances form, usually one, and how each was acquired.

        Raises:
            NoUsableSeriesError: If no stack of three slices or more is found, or slices at one
                place cannot be told apart.
            GeometryError: If pixel spacings contradict one another.
        """
        if len(instances) < MIN_SLICES:
            raise self._no_stack(len(instances))
        ordered = sorted(map(self._mended, instances), key=_canonical)
        self._mention_notes(ordered)
        found = [
            series_and_acquisition
            for part in self._same_frame(self._without_localizers(ordered))
            for series_and_acquisition in self._planes(part)
        ]
        if not found:
            raise self._no_stack(len(instances))
        return found

    def _no_stack(self, count: int) -> NoUsableSeriesError:
        return NoUsableSeriesError(
            f"{count} images form no stack of {MIN_SLICES} parallel slices",
            remedy="give the whole series; a volume needs several slices",
            path=self._name,
            code="VS-SER-001",
        )

    def _mended(self, instance: Instance) -> Instance:
        if instance.slope != 0.0:
            return instance
        error = PixelError(
            "RescaleSlope is 0, which would make every voxel equal: read as 1",
            remedy="export the series again",
            code="VS-PIX-007",
        )
        self._ledger.repair(error, self._repairs)
        return replace(instance, slope=1.0)

    def _mention_notes(self, instances: Sequence[Instance]) -> None:
        notes = {note for instance in instances for note in instance.header.notes}
        if any(instance.layout.is_inverted for instance in instances):
            notes.add("MONOCHROME1 inverted to MONOCHROME2")
        if any(not instance.header.has("PhotometricInterpretation") for instance in instances):
            notes.add("PhotometricInterpretation is missing: read as MONOCHROME2")
        if any(i.layout.has_low_unused_bits for i in instances):
            notes.add("HighBit says that values lie in the upper bits of their words")
        if any(i.header.has("RescaleSlope") != i.header.has("RescaleIntercept") for i in instances):
            notes.add("RescaleSlope or RescaleIntercept is missing: read as 1 or 0")
        if not self._key[0]:
            notes.add("SeriesInstanceUID is missing: grouped by geometry and acquisition")
        self._repairs += sorted(notes)

    def _without_localizers(self, instances: list[Instance]) -> list[Instance]:
        rest = [i for i in instances if "LOCALIZER" not in i.acquisition.image_type]
        if not rest or len(rest) == len(instances):
            return instances
        self._repairs.append(f"{len(instances) - len(rest)} localizer images set aside")
        self._ledger.set_aside(
            self._name, "VS-SER-004", self._repairs[-1] + " from among the slices of a series"
        )
        return rest

    def _same_frame(self, instances: list[Instance]) -> list[list[Instance]]:
        """Split by frame of reference; a file without one goes with the most."""
        named = [i.frame_of_reference for i in instances if i.frame_of_reference]
        usual = max(sorted(set(named)), key=named.count, default="")
        return _grouped(instances, lambda i: i.frame_of_reference or usual)

    def _planes(self, instances: list[Instance]) -> list[tuple[Series, Acquisition]]:
        assembler = StackAssembler(self._ledger, self._limits, self._repairs)
        stacks = [
            stack for group in self._parallel(instances) for stack in assembler.assemble(group)
        ]
        if stacks:
            assembler.mention_apart()
        has_axial = any(stack.plane == "axial" for stack, _ in stacks)
        by_plane = _grouped(stacks, lambda pair: _plane_among(pair[0], has_axial=has_axial))
        largest_first = sorted(by_plane, key=_num_slices, reverse=True)
        return [self._series(pairs, instances) for pairs in largest_first]

    def _series(
        self, pairs: list[tuple[Stack, StackDecoder]], instances: Sequence[Instance]
    ) -> tuple[Series, Acquisition]:
        pairs = sorted(pairs, key=lambda pair: _height(pair[0]))
        repairs = list(self._repairs)
        for stack, _ in pairs:
            stack.repairs = repairs  # What decoding mends is a repair of the series.
        series = Series(
            uid=self._key[0] or self._name,
            name=self._name,
            protocol=Protocol.OTHER,
            reason="",
            stacks=[stack for stack, _ in pairs],
            repairs=repairs,
            instances=[decoder.sources for _, decoder in pairs],
            frame_of_reference=instances[0].frame_of_reference,
            number=instances[0].header.integer("SeriesNumber") or 0,
        )
        return series, pairs[0][1].instances[0].acquisition

    def _parallel(self, instances: list[Instance]) -> list[list[Instance]]:
        """Split by orientation, then by matrix size; refuse pixel spacings that differ."""
        groups = orientation_groups(np.stack([i.directions for i in instances]))
        found: list[list[Instance]] = []
        for members in groups:
            sizes = _grouped(
                [instances[i] for i in members], lambda i: (i.layout.rows, i.layout.columns)
            )
            self._mention_sizes(sizes)
            found += sizes
        return found

    def _mention_sizes(self, sizes: list[list[Instance]]) -> None:
        for group in sizes[1:]:
            layout = group[0].layout
            error = GeometryError(
                f"{len(group)} of the parallel slices have another matrix size "
                f"({layout.columns} x {layout.rows})",
                remedy="give the series without them",
                path=group[0].path,
                code="VS-GEO-012",
            )
            self._ledger.repair(error, self._repairs, where=group[0].name)


def _canonical(instance: Instance) -> tuple[object, ...]:
    """Order that names of files and instance numbers have no part in."""
    directions = np.round(instance.directions, 3).reshape(6) + 0.0
    return (
        tuple(directions.tolist()),
        instance.origin_mm,
        instance.sop_uid,
        instance.frame,
        instance.acquisition.echo_time or 0.0,
    )


def _plane_among(stack: Stack, *, has_axial: bool) -> Plane:
    """Return the plane of a stack; with axial ones beside it, a steep one along L5/S1 is axial."""
    is_steep = stack.plane == "coronal" and abs(float(stack.normal[2])) >= STEEPEST_AXIAL
    return "axial" if has_axial and is_steep else stack.plane


def _num_slices(pairs: Sequence[tuple[Stack, StackDecoder]]) -> int:
    return sum(stack.shape[2] for stack, _ in pairs)


def _height(stack: Stack) -> tuple[float, ...]:
    """Order stacks from head to foot, then from front to back, then from right to left."""
    centre = stack.slice_origins_mm.mean(axis=0)
    x, y, z = np.round(centre, 3).tolist()
    return -z, y, x

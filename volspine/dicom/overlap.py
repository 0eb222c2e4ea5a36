"""Overlap: slices that show one place more than once, and which of them to keep.

Three causes. The same file twice: one is dropped. Several echoes, time points or image types in one
series: they are told apart by what the header says of each, one is chosen, and the choice is named.
Blocks that overlap at their ends: both are kept. What the header cannot tell apart is ambiguous,
and an ambiguous series is refused rather than guessed.
"""

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from volspine.dicom.instance import Acquisition, Instance
from volspine.dicom.ledger import Ledger
from volspine.dicom.limits import Limits
from volspine.dicom.pixels import read_frames
from volspine.errors import NoUsableSeriesError, VolspineError
from volspine.geometry.piles import SAME_PLACE_MM
from volspine.types import FloatArray

__all__ = ["drop_duplicates", "separate"]

T2_ECHO_MS = 60.0
"""From this echo time on an echo is T2-weighted, and the longest is preferred."""

_KEYS: tuple[tuple[str, Callable[[Acquisition], object]], ...] = (
    ("EchoTime", lambda a: a.echo_time),
    ("EchoNumbers", lambda a: a.echo_number),
    ("ComplexImageComponent", lambda a: a.component),
    ("ImageType", lambda a: "\\".join(a.image_type)),
    ("TemporalPosition", lambda a: a.temporal_position),
    ("AcquisitionNumber", lambda a: a.number),
    ("InversionTime", lambda a: a.inversion_time),
    ("DiffusionBValue", lambda a: a.diffusion),
    ("TriggerTime", lambda a: a.trigger_time),
    ("StackID", lambda a: a.stack_id),
)

_SHARED = 0.5
"""Parts that share more than this fraction of their places show the same anatomy."""


def drop_duplicates(
    slices: Sequence[Instance], depth_mm: FloatArray, *, limits: Limits, repairs: list[str]
) -> list[int]:
    """Return the slices to keep of one line: of those at one place with the same pixels, one.

    Args:
        slices: Slices of one line, ordered along their normal.
        depth_mm: Position of each along the normal.
        limits: Caps on what is read to compare pixels.
        repairs: List that the number of duplicates is added to.
    """
    kept, dropped = [], 0
    for place in _places(depth_mm):
        seen: set[str] = set()
        for index in place:
            digest = _digest(slices[index], limits) if len(place) > 1 else ""
            if digest in seen:
                dropped += 1
                continue
            seen.add(digest)
            kept.append(index)
    if dropped:
        repairs.append(f"{dropped} exact duplicate slices dropped")
    return kept


def separate(
    slices: Sequence[Instance], depth_mm: FloatArray, *, ledger: Ledger, repairs: list[str]
) -> list[list[int]]:
    """Return the slices of each stack on one line; no stack shows a place twice.

    Args:
        slices: Slices of one line, ordered along their normal, without duplicates.
        depth_mm: Position of each along the normal.
        ledger: Where the choice is noted; strict reading raises it.
        repairs: List that the choice is added to.

    Raises:
        NoUsableSeriesError: If the header does not tell the slices apart.
    """
    everything = list(range(len(slices)))
    pending, done = [everything], []
    while pending:
        part = pending.pop(0)
        if not _collides(depth_mm[part]):
            done.append(part)
            continue
        name, parts = _tell_apart([slices[i] for i in part], depth_mm[part])
        chosen = [[part[i] for i in some] for some in parts]
        kept = _choose(chosen, depth_mm)
        if len(kept) < len(chosen):
            ledger.repair(_choice(name, kept, chosen, slices), repairs)
        pending += kept
    return sorted(done)


def _places(depth_mm: FloatArray) -> list[list[int]]:
    """Return runs of slices at one and the same place."""
    cuts = np.flatnonzero(np.diff(depth_mm) > SAME_PLACE_MM) + 1
    return [part.tolist() for part in np.split(np.arange(len(depth_mm)), cuts)]


def _collides(depth_mm: FloatArray) -> bool:
    return bool(np.any(np.diff(depth_mm) <= SAME_PLACE_MM))


def _digest(instance: Instance, limits: Limits) -> str:
    try:
        frame = read_frames([instance], limits)[0]
    except VolspineError:
        frame = None
    content = frame.tobytes() if isinstance(frame, np.ndarray) else instance.path.encode()
    scale = repr((instance.slope, instance.intercept, instance.layout.is_inverted)).encode()
    return hashlib.sha256(content + scale).hexdigest()


def _tell_apart(slices: Sequence[Instance], depth_mm: FloatArray) -> tuple[str, list[list[int]]]:
    """Return the first attribute that tells colliding slices apart, and its parts, best first."""
    for name, key in _KEYS:
        values = [key(instance.acquisition) for instance in slices]
        parts = [[i for i, v in enumerate(values) if v == value] for value in set(values)]
        largest = max(map(len, parts))
        if len(parts) > 1 and 2 * largest >= len(_places(depth_mm)):
            order = sorted(parts, key=lambda part: _preference(values[part[0]], len(part), largest))
            return name, order
    raise NoUsableSeriesError(
        "slices with different content lie at the same place, and nothing in their headers "
        "tells them apart",
        remedy="keep one file of each pair",
        path=slices[0].path,
        code="VS-SER-002",
    )


def _preference(value: object, count: int, largest: int) -> tuple[object, ...]:
    """Order parts: nearly complete ones first, then magnitudes, then by echo or number."""
    is_short = count < 0.8 * largest
    text = str(value).upper().split("\\")
    is_magnitude = "M" in text or "MAGNITUDE" in text[0].split()
    if not isinstance(value, float):
        return is_short, not is_magnitude, _natural(str(value))
    is_t2 = value >= T2_ECHO_MS
    return is_short, not is_t2, (-value if is_t2 else value, "")


def _natural(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def _choose(parts: list[list[int]], depth_mm: FloatArray) -> list[list[int]]:
    """Return the parts to keep: the first, and those that mostly show other places."""
    kept = [parts[0]]
    for part in parts[1:]:
        taken = np.concatenate([depth_mm[other] for other in kept])
        distance = np.abs(depth_mm[part][:, None] - taken[None]).min(axis=1)
        if np.mean(distance <= SAME_PLACE_MM) <= _SHARED:
            kept.append(part)
    return kept


def _choice(
    name: str, kept: list[list[int]], parts: list[list[int]], slices: Sequence[Instance]
) -> NoUsableSeriesError:
    key = dict(_KEYS)[name]
    value = str(key(slices[kept[0][0]].acquisition))
    # Free text of a header may hold anything, a name included: only numbers are repeated.
    used = value if math.isfinite(_natural(value)[0]) else "one value"
    unused = [part for part in parts if part not in kept]
    count = sum(map(len, unused))
    return NoUsableSeriesError(
        f"slices at the same place differ in {name}: {used} is used, {count} slices with "
        f"other values are set aside",
        remedy="keep the images that are meant in a series of their own",
        code="VS-SER-003",
    )

"""Overlap: slices that show one place more than once, and which of them to keep.

Three causes. The same file twice: one is dropped. Several echoes, time points or image types in one
series: they are told apart by what the header says of each, one is chosen, and the choice is named.
Blocks that overlap at their ends: both are kept. What the header cannot tell apart is ambiguous,
and an ambiguous series is refused rather than guessed.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from volspine.dicom.frames import read_frames
from volspine.dicom.instance import Acquisition, Instance
from volspine.dicom.ledger import Ledger
from volspine.dicom.limits import Limits
from volspine.errors import NoUsableSeriesError, VolspineError
from volspine.geometry.piles import SAME_PLACE_MM, is_even
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

_KINDS = {
    "M": 0, "MAGNITUDE": 0, "IN_PHASE": 0, "IP": 0, "WATER": 1, "W": 1, "OPP_PHASE": 2, "OP": 2,
    "OUT_PHASE": 2, "FAT": 3, "F": 3, "MIXED": 3, "REAL": 4, "R": 4, "IMAGINARY": 4, "I": 4,
    "P": 4, "PHASE": 4, "ADC": 4, "FA": 4, "SUBTRACTION": 4,
}  # fmt: skip
"""Words of Image Type that say what a voxel shows, from plain magnitude images to maps."""

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
            done += _blocks(part, slices, depth_mm)
            continue
        name, parts = _tell_apart([slices[i] for i in part], depth_mm[part])
        chosen = [[part[i] for i in some] for some in parts]
        kept = _choose(chosen, depth_mm)
        if len(kept) < len(chosen):
            ledger.repair(_choice(name, kept, chosen, slices), repairs)
        pending += kept
    return sorted(done)


def _blocks(part: list[int], slices: Sequence[Instance], depth_mm: FloatArray) -> list[list[int]]:
    """Return one part as the blocks that it was scanned in, if only those are evenly spaced."""
    if len(part) < 2 or is_even(depth_mm[part]):
        return [part]
    for _, key in _KEYS:
        blocks = [
            [part[i] for i in some] for some in _parts([slices[i] for i in part], key).values()
        ]
        if len(blocks) > 1 and all(len(b) > 2 and is_even(depth_mm[b]) for b in blocks):
            return blocks
    return [part]


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
    # An empty slice looks the same in every echo: only slices of one acquisition are duplicates.
    scale = (instance.slope, instance.intercept, instance.layout.is_inverted)
    return hashlib.sha256(content + repr((scale, instance.acquisition)).encode()).hexdigest()


def _tell_apart(slices: Sequence[Instance], depth_mm: FloatArray) -> tuple[str, list[list[int]]]:
    """Return the first attribute that tells colliding slices apart, and its parts, best first."""
    num_places = len(_places(depth_mm))
    for name, key in _KEYS:
        parts = _parts(slices, key)
        largest = max(map(len, parts.values()))
        if len(parts) > 1 and 2 * largest >= num_places:
            order = sorted(parts, key=lambda v: _preference(v, len(parts[v]), largest))
            return name, [parts[value] for value in order]
    raise NoUsableSeriesError(
        "slices with different content lie at the same place, and nothing in their headers "
        "tells them apart",
        remedy="keep one file of each pair",
        path=slices[0].path,
        code="VS-SER-002",
    )


def _parts(
    slices: Sequence[Instance], key: Callable[[Acquisition], object]
) -> dict[object, list[int]]:
    """Return the slices of each value of an attribute."""
    parts: dict[object, list[int]] = defaultdict(list)
    for index, instance in enumerate(slices):
        parts[key(instance.acquisition)].append(index)
    return parts


def _preference(value: object, count: int, largest: int) -> tuple[object, ...]:
    """Order parts: nearly complete ones first, then plain images, then by echo or number."""
    is_short = count < 0.8 * largest
    if not isinstance(value, float):
        return is_short, _oddness(str(value)), _natural(str(value))
    is_t2 = value >= T2_ECHO_MS
    return is_short, 0 if is_t2 else 1, (-value if is_t2 else value, "")


def _words(text: str) -> list[str]:
    return text.upper().replace("\\", " ").split()


def _oddness(text: str) -> int:
    """Return how far a kind of image is from a plain magnitude image: 0 is one."""
    return max((_KINDS.get(word, 0) for word in _words(text)), default=0)


def _natural(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return math.inf, text


def _choose(parts: list[list[int]], depth_mm: FloatArray) -> list[list[int]]:
    """Return the parts to keep: the first, and those that mostly show other places."""
    kept = [parts[0]]
    for part in parts[1:]:
        taken = np.sort(np.concatenate([depth_mm[other] for other in kept]))
        after = np.clip(np.searchsorted(taken, depth_mm[part]), 1, len(taken) - 1)
        nearest = np.minimum(
            np.abs(depth_mm[part] - taken[after - 1]), np.abs(depth_mm[part] - taken[after])
        )
        if np.mean(nearest <= SAME_PLACE_MM) <= _SHARED:
            kept.append(part)
    return kept


def _choice(
    name: str, kept: list[list[int]], parts: list[list[int]], slices: Sequence[Instance]
) -> NoUsableSeriesError:
    key = dict(_KEYS)[name]
    value = str(key(slices[kept[0][0]].acquisition))
    # Free text of a header may hold anything, a name included: only numbers and the standard's
    # own words are repeated.
    known = [word for word in _words(value) if word in _KINDS]
    used = value if math.isfinite(_natural(value)[0]) else " ".join(known) or "one value"
    unused = [part for part in parts if part not in kept]
    count = sum(map(len, unused))
    return NoUsableSeriesError(
        f"slices at the same place differ in {name}: {used} is used, {count} slices with "
        f"other values are set aside",
        remedy="keep the images that are meant in a series of their own",
        code="VS-SER-003",
    )

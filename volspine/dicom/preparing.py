"""Preparing: a Study becomes a folder that `volspine.dicom.prepared` reads without decoding.

What is written depends on the content of the study's files and on nothing else: no time, no path
outside the study. The voxels are exactly those that reading gave: whole numbers are kept in the
smallest kind of integer that holds them, and everything else as float32.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volspine.anatomy import Protocol
from volspine.dicom.descriptions import described_protocols, is_challenge_study
from volspine.dicom.files import ReadableFile, list_files
from volspine.dicom.limits import DEFAULT_LIMITS, Limits
from volspine.dicom.prepared import (
    DESCRIPTION,
    LAYOUT,
    MARK,
    canonical,
    digest_of_file,
    read_description,
    sha256_of,
)
from volspine.dicom.safe_names import safe_path, safe_path_in
from volspine.dicom.study import Series, Source, Study
from volspine.errors import InputError, VolspineError
from volspine.geometry.stack import Stack
from volspine.types import FloatArray, VoxelArray

__all__ = ["READING_VERSION", "compact", "content_key", "is_current", "write_prepared"]

READING_VERSION = 2
"""Raise when the same DICOM files give another study, or another record of it, than before."""

_KINDS = (np.uint8, np.uint16, np.int16)


def content_key(
    path: Path, *, protocol: Protocol | None = None, limits: Limits = DEFAULT_LIMITS
) -> str:
    """Return a digest of everything that a prepared study depends on.

    That is the names and bytes of its files, what the challenge's table says of its series, the
    version of reading, and the parameters.

    Args:
        path: As `read_study` takes it.
        protocol: What its series are said to be.
        limits: Caps on sizes.

    Raises:
        VolspineError: If a file cannot be read.
    """
    files = list_files(path, limits)
    described = described_protocols(path)
    parts = [
        ["reading", LAYOUT, READING_VERSION, is_challenge_study(path)],
        ["parameters", None if protocol is None else protocol.value],
        *(["file", file.name, _digest(file)] for file in files),
        *(["series", name, described[name].value] for name in sorted(described)),
    ]
    return sha256_of(json.dumps(parts).encode())


def _digest(file: ReadableFile) -> str:
    try:
        with file.open() as stream:
            digest = hashlib.sha256()
            while part := stream.read(1 << 20):
                digest.update(part)
    except VolspineError:
        return "unreadable"  # Reading notes it as a fault.
    return digest.hexdigest()


def write_prepared(study: Study, folder: Path, *, key: str) -> None:
    """Write a study into an empty folder; its voxels are decoded, and forgotten again.

    Args:
        study: As `read_study` returned it.
        folder: Is there, and empty.
        key: Of `content_key`.

    Raises:
        PixelError: If no stack of the study can be decoded: the error of the first.
        OSError: If a file cannot be written.
    """
    base = study.path if study.path is not None and study.path.is_dir() else None
    series = [
        _series_told(each, folder, number=number, base=base)
        for number, each in enumerate(study.series)
    ]
    failed = [stack["error"] for each in series for stack in each["stacks"]]
    if failed and all(failed):
        raise InputError(
            f"none of its stacks can be decoded; the first: {failed[0]['message']}",
            remedy=failed[0]["remedy"],
            code=failed[0]["code"],
        )
    told = {
        "layout": LAYOUT,
        "reading": READING_VERSION,
        "key": key,
        "name": study.name,
        "repairs": study.repairs,
        "faults": [
            [safe_path_in(study.path, fault.path), fault.code, fault.reason]
            for fault in study.faults
        ],
        "series": series,
    }
    text = canonical(told)
    head = f'{MARK}, "sha256": "{sha256_of(text)}", "study": '
    (folder / DESCRIPTION).write_bytes(head.encode() + text + b"}\n")


def _series_told(series: Series, folder: Path, *, number: int, base: Path | None) -> dict[str, Any]:
    # As reading gave it: what decoding mends comes to it when the voxels are used.
    repairs = list(series.repairs)
    stacks = [
        _stack_told(stack, sources, file=folder / f"{number}_{n}.npy", base=base)
        for n, (stack, sources) in enumerate(zip(series.stacks, series.instances, strict=True))
    ]
    return {
        "uid": series.uid,
        "name": series.name,
        "protocol": series.protocol.value,
        "reason": series.reason,
        "confidence": float(series.confidence),
        "drawbacks": list(series.drawbacks),
        "number": series.number,
        "names_lumbar": series.names_lumbar,
        "frame_of_reference": series.frame_of_reference,
        "repairs": repairs,
        "stacks": stacks,
    }


def _stack_told(
    stack: Stack, sources: Sequence[Source], *, file: Path, base: Path | None
) -> dict[str, Any]:
    columns, rows, _ = stack.shape
    affine, origins = stack.affine_lps.copy(), stack.slice_origins_mm.copy()
    told = {
        "affine_lps": affine.tolist(),
        "slice_origins_mm": origins.tolist(),
        "columns": columns,
        "rows": rows,
        "sources": [_source_told(source, base) for source in sources],
        "by_slice": stack.can_decode_some,
    }
    mended = len(stack.repairs)
    try:
        voxels = stack.voxels
    except VolspineError as error:
        return {**told, **_NOTHING, "error": _error_told(error)}
    np.save(file, compact(voxels), allow_pickle=False)
    stack.release()
    return {
        **told,
        "kept": _kept(origins, stack.slice_origins_mm),
        "mended": stack.repairs[mended:],
        "error": None,
        "file": file.name,
        "bytes": file.stat().st_size,
        "sha256": digest_of_file(file),
    }


_NOTHING: dict[str, Any] = {"kept": [], "mended": [], "file": "", "bytes": 0, "sha256": ""}


def _error_told(error: VolspineError) -> dict[str, str]:
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "code": error.code,
    }


def _source_told(source: Source, base: Path | None) -> list[Any]:
    """Return a source with its path as it is below the study; of a zip, below the archive."""
    path = source.path
    if base is not None:
        path = Path(path).relative_to(base).as_posix()
    elif "!" in path:
        path = path.rpartition("!")[2]
    else:
        path = Path(path).name
    return [
        path if base is not None and is_challenge_study(base) else safe_path(path),
        source.instance_number,
        source.sop_instance_uid,
        source.sop_class_uid,
        source.frame_number,
    ]


def _kept(before: FloatArray, after: FloatArray) -> list[int]:
    """Return which slices are left, from where they were and where the others are."""
    kept: list[int] = []
    for origin in after:
        start = kept[-1] + 1 if kept else 0
        same = np.flatnonzero((before[start:] == origin).all(axis=1))
        kept.append(start + int(same[0]))
    return kept


def compact(voxels: VoxelArray) -> NDArray[Any]:
    """Return voxels as the smallest integers that give the same float32 bits, else as they are.

    Example:
        >>> compact(np.float32([[[0.0, 300.0]]])).dtype, compact(np.float32([[[0.5]]])).dtype
        (dtype('uint16'), dtype('float32'))
    """
    low, high = float(voxels.min()), float(voxels.max())
    for kind in _KINDS:
        held = np.iinfo(kind)
        if held.min <= low and high <= held.max:
            small = voxels.astype(kind, order="K")
            # As bits, since a negative zero is equal to a zero.
            same = small.astype(np.float32, order="K").view(np.uint32) == voxels.view(np.uint32)
            if same.all():
                return small
    return voxels


def is_current(folder: Path, key: str) -> bool:
    """Return whether a folder holds the prepared study of that key, with every byte in place."""
    try:
        told = read_description(folder)
        stacks = [stack for series in told["series"] for stack in series["stacks"]]
        return bool(told["key"] == key) and all(
            stack["error"] is not None or digest_of_file(folder / stack["file"]) == stack["sha256"]
            for stack in stacks
        )
    except (VolspineError, OSError, KeyError):
        return False

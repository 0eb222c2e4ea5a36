"""Prepared: a folder of stored voxels and one JSON file becomes the Study that reading DICOM gave.

    ENTRY/study.json            what was read: series, affines, true slice origins, protocols with
                                their reasons, repairs, faults; sizes and digests of the voxels
    ENTRY/<series>_<stack>.npy  voxels (I, J, K) of one stack, of the smallest kind of number that
                                gives the same float32 bits, in the order that decoding gave them

Voxels are mapped from disk when `Stack.voxels` is first used; no DICOM is decoded. Slices that
could not be decoded are dropped at that moment, as they are from DICOM, so that marks which lie on
them are found before. What does not have its digest any more is refused.

Identifiers of the patient and the study are not kept; the UIDs of series and images are, since
tables and frames of reference name them. Paths are relative to the study.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volspine import errors
from volspine.anatomy import Protocol
from volspine.dicom.study import Fault, Series, Source, Study
from volspine.errors import ConfigurationError, InputError, PixelError, VolspineError
from volspine.geometry.stack import Decoded, Stack

__all__ = [
    "DESCRIPTION",
    "LAYOUT",
    "MARK",
    "canonical",
    "digest_of_file",
    "is_prepared",
    "read_description",
    "read_prepared",
    "refuse_strict",
    "sha256_of",
    "stored_digest",
]

DESCRIPTION = "study.json"
"""Name of the file that makes a folder a prepared study."""

MARK = '{"format": "volspine prepared study"'
"""How that file begins."""

LAYOUT = 1
"""Version of these files. What another version wrote is refused."""


def is_prepared(path: Path) -> bool:
    """Return whether a folder is a prepared study."""
    try:
        with (path / DESCRIPTION).open("rb") as stream:
            return stream.read(len(MARK)) == MARK.encode()
    except OSError:
        return False


def read_prepared(folder: Path, *, protocol: Protocol | None = None) -> Study:
    """Return the study that is stored in a folder; its voxels stay on disk until they are used.

    Args:
        folder: As `volspine prepare` wrote it.
        protocol: What every series is; as recognized when it was prepared if omitted.

    Raises:
        InputError: If the description is damaged, or of another version.
    """
    told = read_description(folder)
    series = [_series(folder, each) for each in told["series"]]
    for one in series if protocol is not None else ():
        one.protocol, one.reason = protocol or one.protocol, "as the caller said"
        one.confidence = 1.0
    return Study(
        name=told["name"],
        series=series,
        faults=[Fault(*fault) for fault in told["faults"]],
        repairs=list(told["repairs"]),
        path=folder,
    )


def read_description(folder: Path) -> dict[str, Any]:
    """Return what the description of a prepared study says, once it is known to be whole.

    Raises:
        InputError: If it is damaged, or of another version.
    """
    try:
        outer = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        told, is_whole = outer["study"], outer["sha256"] == sha256_of(canonical(outer["study"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / DESCRIPTION) from error
    if not is_whole or not isinstance(told, dict):
        raise _damaged(folder / DESCRIPTION)
    if told["layout"] != LAYOUT:
        raise InputError(
            f"this study was prepared by another version (layout {told['layout']})",
            path=folder,
            remedy="run volspine prepare again, which makes it anew",
            code="VS-INP-091",
        )
    return told


def stored_digest(folder: Path) -> str:
    """Return the digest that a prepared study says it has, of all it is: the voxels' are in it.

    Raises:
        InputError: If its description is damaged.
    """
    try:
        with (folder / DESCRIPTION).open(encoding="utf-8") as stream:
            head = stream.read(len(MARK) + 100)
        return str(json.loads(head[: head.index(', "study"')] + "}")["sha256"])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise _damaged(folder / DESCRIPTION) from error


def canonical(told: Mapping[str, Any]) -> bytes:
    """Return a description as the bytes that its digest is of; floats lose nothing."""
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_of(content: bytes) -> str:
    """Return the digest of some bytes."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _series(folder: Path, told: Mapping[str, Any]) -> Series:
    sources = [[Source(*source) for source in stack["sources"]] for stack in told["stacks"]]
    repairs = list(told["repairs"])
    stacks = [
        _stack(folder, stack, among) for stack, among in zip(told["stacks"], sources, strict=True)
    ]
    for stack in stacks:
        stack.repairs = repairs  # What decoding mended is a repair of the series.
    return Series(
        uid=told["uid"],
        name=told["name"],
        protocol=Protocol(told["protocol"]),
        reason=told["reason"],
        stacks=stacks,
        repairs=repairs,
        instances=sources,
        frame_of_reference=told["frame_of_reference"],
        confidence=told["confidence"],
        drawbacks=tuple(told["drawbacks"]),
        number=told["number"],
        names_lumbar=told["names_lumbar"],
    )


def _stack(folder: Path, told: Mapping[str, Any], sources: list[Source]) -> Stack:
    voxels = StoredVoxels(folder, told, sources)
    return Stack(
        np.array(told["affine_lps"], dtype=np.float64),
        np.array(told["slice_origins_mm"], dtype=np.float64).reshape(-1, 3),
        (told["columns"], told["rows"]),
        voxels,
        decode_some=voxels.some if told["by_slice"] else None,
    )


@dataclass
class StoredVoxels:
    """Stands where a decoder stands: gives the voxels of one stack, or of some slices of it.

    Attributes:
        folder: Of the study.
        told: What its description says of the stack.
        sources: Where each slice came from; shortened when the slices that failed are dropped.
    """

    folder: Path
    told: Mapping[str, Any]
    sources: list[Source]
    is_shortened: bool = False

    def __call__(self) -> Decoded:
        """Return voxels, numbers of the slices they came from, and repairs.

        Raises:
            VolspineError: That which decoding raised when the study was prepared.
            InputError: If the stored voxels are damaged.
        """
        stored, kept = self._mapped(), tuple(self.told["kept"])
        voxels = stored.astype(np.float32, order="K")
        if self.is_shortened:
            return voxels, tuple(range(len(kept))), ()
        self.sources[:] = [self.sources[k] for k in kept]
        self.is_shortened = True
        return voxels, kept, tuple(self.told["mended"])

    def some(self, numbers: Sequence[int]) -> Decoded:
        """Return the same of some slices only; the others are not read from disk.

        Raises:
            PixelError: If none of them could be decoded when the study was prepared.
            VolspineError: As for all of them.
        """
        stored, kept = self._mapped(), self.told["kept"]
        place = {k: n for n, k in enumerate(kept)} if not self.is_shortened else None
        there = [k for k in numbers if place is None or k in place]
        if not there:
            raise PixelError(
                f"slices {[*numbers]} could not be decoded when the study was prepared",
                path=self.folder,
                remedy="export the series again",
                code="VS-PIX-090",
            )
        columns, rows = stored.shape[:2]
        found = np.empty((len(there), rows, columns), dtype=np.float32)
        for n, k in enumerate(there):
            found[n] = stored[:, :, k if place is None else place[k]].T
        return found.transpose(2, 1, 0), tuple(there), ()

    def _mapped(self) -> NDArray[Any]:
        if self.told["error"] is not None:
            raise _error_again(self.told["error"], self.folder)
        path = self.folder / self.told["file"]
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            is_whole = _digest_once(path, stamp) == self.told["sha256"]
        except OSError as error:
            raise _damaged(path) from error
        if not is_whole:
            raise _damaged(path)
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


@lru_cache(maxsize=1 << 17)
def _digest_once(path: Path, _stamp: tuple[int, int, int]) -> str:
    """Return the digest of a file, computed once in a process while the file stays as it is."""
    return digest_of_file(path)


def _error_again(told: Mapping[str, str], folder: Path) -> VolspineError:
    kind = getattr(errors, told["kind"], VolspineError)
    found = kind(told["message"], remedy=told["remedy"], path=folder, code=told["code"])
    return found if isinstance(found, VolspineError) else VolspineError(told["message"])


def _damaged(path: Path) -> InputError:
    return InputError(
        "this file of a prepared study is damaged or not there",
        path=path,
        remedy="run volspine prepare again, which finds it and makes it anew",
        code="VS-INP-090",
    )


def refuse_strict(folder: Path) -> ConfigurationError:
    """Return the error of reading a prepared study strictly, which its files must be for."""
    return ConfigurationError(
        "a prepared study was read leniently, and cannot be read strictly any more",
        path=folder,
        remedy="give the DICOM files that it was prepared from",
        code="VS-CFG-320",
    )

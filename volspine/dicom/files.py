"""Files: what a folder or a zip holds, as things that can be opened and read from the start.

Only regular files count. Links to folders are never followed, so a loop cannot trap the walk, and
pipes and devices are never opened. Members of a zip are decompressed in memory under caps; nothing
is ever written, so their names cannot lead anywhere.
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from volspine.dicom.limits import Limits
from volspine.errors import InputError, VolspineError

__all__ = ["DiskFile", "ReadableFile", "ZipMember", "list_files"]

_LOCAL_HEADER = 30
"""Bytes before a member's name in a zip."""

_UNLISTED = 1 << 12
"""Size that a folder is given which cannot be listed; enough to be opened as a file."""


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A regular file on disk."""

    path: str
    name: str
    size: int

    def open(self) -> io.BufferedIOBase:
        """Return a stream at the start of the file.

        Raises:
            InputError: If it cannot be opened.
        """
        try:
            return open(self.path, "rb")  # noqa: PTH123  a Path for each of 20,000 files costs
        except OSError as error:
            raise _unreadable(self.path, error) from error


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of a zip; decompressed in memory each time it is opened.

    The archive's table of contents is read once, in `list_files`; a member is then found by its
    place in the archive, since two members may have one name.
    """

    archive: str
    name: str
    size: int
    compressed: int
    method: int
    offset: int
    checksum: int
    limits: Limits

    @property
    def path(self) -> str:
        """Archive and member, joined by an exclamation mark."""
        return f"{self.archive}!{self.name}"

    def open(self) -> io.BufferedIOBase:
        """Return a stream over the decompressed bytes.

        Raises:
            LimitError: If it is larger than the limits say.
            InputError: If the archive is damaged, encrypted or compressed in a rare way.
        """
        what = "zip member"
        self.limits.check_inflation(self.size, self.compressed, path=self.path, what=what)
        if self.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._broken("it is encrypted, or compressed in a way that is not read")
        try:
            content = self._inflated(self._packed())
        except (OSError, struct.error, zlib.error) as error:
            raise self._broken(type(error).__name__) from error
        if len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise self._broken("its content is not what the archive says")
        return io.BytesIO(content)

    def _packed(self) -> bytes:
        with Path(self.archive).open("rb") as stream:
            stream.seek(self.offset)
            local = stream.read(_LOCAL_HEADER)
            name, extra = struct.unpack("<HH", local[26:30])
            stream.seek(name + extra, io.SEEK_CUR)
            return stream.read(self.compressed)

    def _inflated(self, packed: bytes) -> bytes:
        if self.method == zipfile.ZIP_STORED:
            return packed
        # One byte more than is declared shows that there is more; nothing beyond it is inflated.
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, self.size + 1)

    def _broken(self, finding: str) -> InputError:
        return InputError(
            f"this member of the zip cannot be read ({finding})",
            remedy="unpack the archive and read the folder",
            path=self.path,
            code="VS-INP-004",
        )


ReadableFile: TypeAlias = DiskFile | ZipMember
"""Something with a path, a name and a size that can be opened for reading, again and again."""


def list_files(path: Path, limits: Limits) -> list[ReadableFile]:
    """Return every regular file under a folder, in a zip, or the one file itself.

    Args:
        path: A folder, a zip archive or a single file.
        limits: Caps on number and size.

    Raises:
        InputError: If the path does not exist or is not readable.
        LimitError: If there are too many files or a zip is too large.
    """
    if path.is_dir():
        return _list_folder(path, limits)
    if not path.is_file():
        raise InputError(
            "there is no such file or folder"
            if not path.exists()
            else "this is not a regular file",
            remedy="check the path",
            path=path,
            code="VS-INP-001",
        )
    if zipfile.is_zipfile(path):
        return _list_zip(path, limits)
    return [DiskFile(str(path), path.name, path.stat().st_size)]


def _list_folder(root: Path, limits: Limits) -> list[ReadableFile]:
    found: list[ReadableFile] = []
    start = len(os.path.join(root, ""))  # noqa: PTH118  with its separator, if it needs one
    for path, size in _walk(str(root)):
        found.append(DiskFile(path, path[start:].replace(os.sep, "/"), size))
        limits.check("files", len(found), path=str(root), what="number of files")
    return sorted(found, key=lambda file: file.name)


def _walk(root: str) -> Iterator[tuple[str, int]]:
    """Yield path and size of regular files below a folder; links to files count, not to folders.

    A folder below it that cannot be listed is yielded like a file: opening it says why.
    """
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if folder == root:
                raise _unreadable(folder, error) from error
            yield folder, _UNLISTED
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif (size := _size_of(entry)) is not None:
                yield entry.path, size


def _size_of(entry: "os.DirEntry[str]") -> int | None:
    """Return the size of a regular file; None for anything else."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:  # A link to itself, or a file that has just been removed.
        return None


def _list_zip(path: Path, limits: Limits) -> list[ReadableFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise _unreadable(str(path), error) from error
    limits.check("files", len(entries), path=str(path), what="number of files")
    total = sum(entry.file_size for entry in entries)
    limits.check("archive_bytes", total, path=str(path), what="decompressed size in bytes")
    members: list[ReadableFile] = [_member(path, entry, limits) for entry in entries]
    return sorted(members, key=lambda member: member.name)


def _member(path: Path, entry: zipfile.ZipInfo, limits: Limits) -> ZipMember:
    is_encrypted = bool(entry.flag_bits & 1)
    return ZipMember(
        archive=str(path),
        name=entry.filename,
        size=entry.file_size,
        compressed=entry.compress_size,
        method=-1 if is_encrypted else entry.compress_type,
        offset=entry.header_offset,
        checksum=entry.CRC,
        limits=limits,
    )


def _unreadable(path: str, error: Exception) -> VolspineError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return InputError(
        f"cannot be read: {reason}",
        remedy="check the file and its permissions",
        path=path,
        code="VS-INP-002",
    )

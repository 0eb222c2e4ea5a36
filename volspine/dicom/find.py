"""Find: where the studies under a path are, so that each can be read by itself.

A challenge root has one folder a study. Anywhere else one header a folder is read: a folder whose
images all belong to one study is that study, however many series folders it has; a folder of
several is looked into. Prepared studies are found as they are.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from volspine.dicom.descriptions import IMAGE_FOLDERS
from volspine.dicom.files import DiskFile, list_files
from volspine.dicom.instance import why_not_an_image
from volspine.dicom.limits import DEFAULT_LIMITS, Limits
from volspine.dicom.nifti import is_nifti
from volspine.dicom.parse import read_header
from volspine.dicom.prepared import is_prepared
from volspine.errors import InputError, VolspineError

__all__ = ["NO_STUDY", "find_studies"]

_ARCHIVES = (".zip",)
_NIFTI = "nifti"

NO_STUDY = "VS-INP-005"
"""Code of the error that says that there is no study under a path."""


def find_studies(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> list[Path]:
    """Return the path of every study, in order of name; each can be given to `read_study`.

    Args:
        path: A challenge root, a folder of studies, a study's folder, a zip, a NIfTI file, or a
            store of prepared studies.
        limits: Caps on number and size of files.

    Raises:
        InputError: If there is no such path, or no study under it.
    """
    root = Path(path)
    if not root.is_dir():
        list_files(root, limits)  # Says what is wrong if it is neither a file.
        return [root]
    folders = [root / name for name in IMAGE_FOLDERS if (root / name).is_dir()]
    if root.name.endswith("_images"):
        folders = [root]
    if folders:
        found = [child for folder in folders for child in _children(folder) if _has_file(child)]
    else:
        found = _split(root, _Census(root))
    if not found:
        raise InputError(
            "there is no study here: no DICOM image, zip or NIfTI file",
            remedy="give a study's folder, a folder of studies or a challenge root",
            path=root,
            code=NO_STUDY,
        )
    return found


def _children(folder: Path) -> list[Path]:
    """Return the folders in a folder; none where it cannot be listed, which reading it will say."""
    entries = _listed(folder)
    folders = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(folders, key=lambda child: _natural(child.name))


def _files(folder: Path) -> list[Path]:
    """Return the regular files in a folder, by name; links to files count."""
    return sorted(Path(entry.path) for entry in _listed(folder) if _is_file(entry))


def _listed(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        return list(os.scandir(folder))
    except OSError:
        return []


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # A link to itself.
        return False


def _natural(name: str) -> tuple[int, str]:
    """Order study numbers by value and other names by letter."""
    return (int(name), "") if name.isascii() and name.isdigit() else (-1, name)


def _has_file(folder: Path) -> bool:
    return any(True for _ in _regular_files(folder))


def _regular_files(folder: Path) -> Iterator[Path]:
    yield from _files(folder)
    for child in _children(folder):
        yield from _regular_files(child)


class _Census:
    """Which study the first image of each folder belongs to; one header a folder is read."""

    def __init__(self, root: Path) -> None:
        self.studies: dict[Path, set[str]] = defaultdict(set)
        self.direct: set[Path] = set()
        self._visit(root)

    def _visit(self, folder: Path) -> set[str]:
        uid = _first_study(_files(folder))
        if uid is not None:
            self.direct.add(folder)
            self.studies[folder].add(uid)
        for child in _children(folder):
            self.studies[folder] |= self._visit(child)
        return self.studies[folder]


def _first_study(files: Sequence[Path]) -> str | None:
    """Return the study of the first image among files; None where there is none.

    Files that are DICOM but broken count as images of a study without a UID, so that reading the
    folder says what is wrong with them.
    """
    if any(is_nifti(file.name) for file in files):
        return _NIFTI
    broken = None
    for file in files:
        try:
            found = DiskFile(str(file), file.name, file.stat().st_size)
            header = read_header(found, DEFAULT_LIMITS)
        except (VolspineError, OSError):
            broken = ""
            continue
        if header is not None and why_not_an_image(header) is None:
            return header.text("StudyInstanceUID")
    return broken


def _split(folder: Path, census: _Census) -> list[Path]:
    """Return the folder itself if all below it is one study, else the studies below it."""
    if is_prepared(folder):
        return [folder]
    archives = [file for file in _files(folder) if file.suffix.lower() in _ARCHIVES]
    uids = census.studies[folder]
    if folder in census.direct or (len(uids) == 1 and _NIFTI not in uids and not archives):
        return [folder]
    below = [study for child in _children(folder) for study in _split(child, census)]
    return archives + below

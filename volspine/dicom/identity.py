"""Identity: what a study is called in outputs, and what a structured report must repeat of it."""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread

from volspine.dicom.descriptions import is_challenge_study
from volspine.dicom.files import ReadableFile
from volspine.dicom.instance import Instance
from volspine.dicom.limits import Limits
from volspine.dicom.study import Identifiers

__all__ = ["hashed_name", "name_of_files", "read_identifiers", "study_name"]

_REPEATED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Patient and study attributes that a structured report of the same study must carry."""


def hashed_name(content: bytes) -> str:
    """Return 16 hexadecimal digits that stand for content without revealing it.

    Example:
        >>> hashed_name(b"1.2.3")
        'c47f5b18b8a430e6'
    """
    return hashlib.sha256(content).hexdigest()[:16]


def study_name(root: Path, instances: Sequence[Instance]) -> str:
    """Return a study's name in outputs.

    The folder's name under a `*_images` root; else a hash of the StudyInstanceUID; where there is
    none, of the instances' identifiers.
    """
    if is_challenge_study(root):
        return root.resolve().name
    uids = sorted({instance.study_uid for instance in instances} - {""})
    if not uids:
        uids = sorted(f"{i.series_uid}/{i.sop_uid}/{i.origin_mm}" for i in instances)
    return hashed_name("\n".join(uids).encode())


def name_of_files(files: Sequence[ReadableFile]) -> str:
    """Return a study's name made from the bytes of its files, whatever they are called."""
    digests = []
    for file in files:
        with file.open() as stream:
            digest = hashlib.sha256()
            while part := stream.read(1 << 20):
                digest.update(part)
            digests.append(digest.digest())
    return digests[0].hex()[:16] if len(digests) == 1 else hashed_name(b"".join(sorted(digests)))


def read_identifiers(instance: Instance, limits: Limits) -> Identifiers:
    """Return what a structured report must repeat; empty texts where the file lacks it."""
    attributes: dict[str, str] = {}
    is_readable = instance.header.file.size <= limits.file_bytes
    try:
        with warnings.catch_warnings(), instance.header.file.open() as stream:
            warnings.simplefilter("ignore")
            dataset = dcmread(
                stream, stop_before_pixels=True, force=True, specific_tags=list(_REPEATED)
            )
            attributes = {name: str(dataset.get(name) or "") for name in _REPEATED if is_readable}
    except Exception:  # noqa: BLE001  identifiers are optional; their text may be damaged at will
        attributes = {}
    return Identifiers(study_instance_uid=instance.study_uid, attributes=attributes)

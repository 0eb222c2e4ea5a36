"""Identity: what a study is called in outputs, and what a structured report must repeat of it."""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import tag_for_keyword

from volspine.dicom.descriptions import is_challenge_study
from volspine.dicom.elements import texts_of
from volspine.dicom.files import ReadableFile
from volspine.dicom.instance import Instance
from volspine.dicom.parse import read_elements
from volspine.dicom.study import Identifiers
from volspine.errors import VolspineError

__all__ = [
    "REPEATED",
    "REPEATED_IF_KNOWN",
    "hashed_name",
    "name_of_files",
    "read_identifiers",
    "study_name",
]

REPEATED = (
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
"""Patient and study attributes that every DICOM file of a study has, empty where unknown."""

REPEATED_IF_KNOWN = ("IssuerOfPatientID", "PatientAge", "StudyDescription")
"""Others that a structured report of the same study carries."""

_READ = (*REPEATED, *REPEATED_IF_KNOWN)
_TAGS = {name: tag_for_keyword(name) or 0 for name in (*_READ, "SpecificCharacterSet")}
_DELIMITERS = {ord("^"), ord("="), ord("\\")}


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


def read_identifiers(instance: Instance) -> Identifiers:
    """Return what a structured report must repeat; empty texts where the file lacks it.

    pydicom, asked for these, would quote odd ones in warnings and in its log.
    """
    try:
        elements = read_elements(instance.header, frozenset(_TAGS.values()))
    except VolspineError:  # They are optional, and the file was read a moment ago.
        elements = {}
    stated = elements.get(_TAGS["SpecificCharacterSet"])
    charsets = texts_of(stated, "CS") if stated else []
    attributes = {
        name: _decoded(elements[_TAGS[name]].value, charsets) if _TAGS[name] in elements else ""
        for name in _READ
    }
    return Identifiers(study_instance_uid=instance.study_uid, attributes=attributes)


def _decoded(value: bytes, charsets: Sequence[str]) -> str:
    """Return text in one of the many character sets of DICOM; odd bytes are replaced."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encodings = convert_encodings(list(charsets) or [""])
            text = decode_bytes(value, encodings, _DELIMITERS)
    except (LookupError, ValueError):
        text = value.decode("latin-1")
    return text.strip(" \0")

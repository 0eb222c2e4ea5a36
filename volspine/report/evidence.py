"""What a DICOM output refers to and repeats: a study -> its image references and identifiers.

Only series of the one frame of reference that was graded are evidence. The source images of a
target are, in each graded protocol, the slice that its point lies in; where the point is not
known, every slice of the views that show such a target.

Identifiers are written last and checked before: what DICOM does not allow is left empty, and no
message or log ever quotes it.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from volspine.anatomy import PROTOCOLS, TARGETS, Protocol
from volspine.dicom.identity import REPEATED, REPEATED_IF_KNOWN
from volspine.dicom.study import Series, Source, Study
from volspine.errors import ConfigurationError
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.types import FloatArray
from volspine.volume.frames import in_one_frame

__all__ = [
    "can_be_referred_to",
    "evidence",
    "identify",
    "new_uid",
    "source_images",
    "source_of",
    "unlogged",
]

_LONGEST_UID = 64


def evidence(study: Study, grades: StudyGrades) -> list[Any]:
    """Return a reference to every graded image, as pydicom datasets without patient data.

    Args:
        study: What was graded.
        grades: Of the same study.

    Raises:
        ConfigurationError: If the study has no identifiers that a DICOM output can repeat, as
            NIfTI, or was refused.
    """
    if grades.status == "refused":
        raise _not_possible("the study was refused")
    found = [(series, s) for series in _graded(study) for s in _referable(series)]
    if not (found and _is_uid(study.identifiers.study_instance_uid)):
        raise _not_possible("the study has no DICOM identifiers")
    return [_reference(study, series, source) for series, source in found]


def identify(dataset: Any, study: Study) -> None:
    """Write the identifiers of patient and study into a dataset, as UTF-8."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for name in (*REPEATED, *REPEATED_IF_KNOWN):
        text = _allowed(name, study.identifiers.attributes.get(name, ""))
        if text or name in REPEATED:
            setattr(dataset, name, text)


def source_images(study: Study, grades: StudyGrades, t: int) -> list[Source]:
    """Return the images that target t was measured on, those of its first view first.

    Args:
        study: What was graded.
        grades: Of the same study.
        t: Index of the target; an imputed one has no source.
    """
    if grades.imputed[t] or grades.status == "refused":
        return []
    views, point, graded = TARGETS[t].finding.primary_views, grades.points_mm[t], _graded(study)
    if not np.isfinite(point).all():
        return [s for series in graded if series.protocol in views for s in _referable(series)]
    order = (*views, *(protocol for protocol in PROTOCOLS if protocol not in views))
    found = (_slice_at(graded, protocol, point) for protocol in order)
    return [source for source in found if source is not None and can_be_referred_to(source)]


def source_of(study: Study, stack: Stack, k: int) -> Source | None:
    """Return the image that is slice k of a stack of the study; None where that is not known."""
    for one, sources in _stacks(study.series):
        if one is stack and k < len(sources) == len(stack.slice_origins_mm):
            return sources[k]
    return None


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep highdicom from logging: it quotes identifiers."""
    log = logging.getLogger("highdicom")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def can_be_referred_to(source: Source) -> bool:
    """Return whether an image has the UIDs by which a DICOM file refers to it."""
    return _is_uid(source.sop_instance_uid) and _is_uid(source.sop_class_uid)


def new_uid(*parts: str) -> str:
    """Return a UID that the same parts give again."""
    import uuid

    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, chr(10).join(parts)).int}"


def _graded(study: Study) -> list[Series]:
    return [s for s in in_one_frame(study).series if s.protocol in PROTOCOLS and _is_uid(s.uid)]


def _stacks(series: Iterable[Series]) -> Iterator[tuple[Stack, list[Source]]]:
    for one in series:
        yield from zip(one.stacks, one.instances, strict=False)


def _referable(series: Series) -> list[Source]:
    sources = dict.fromkeys(source for stack in series.instances for source in stack)
    return [source for source in sources if can_be_referred_to(source)]


def _slice_at(graded: list[Series], protocol: Protocol, point: FloatArray) -> Source | None:
    """Return the slice of a protocol that a point lies in; None where there is none."""
    best: tuple[float, Source | None] = (np.inf, None)
    for stack, sources in _stacks(s for s in graded if s.protocol is protocol):
        if len(sources) != len(stack.slice_origins_mm):
            continue
        offsets = point - stack.slice_origins_mm
        through = np.abs(offsets @ stack.normal)
        k = int(through.argmin())
        if through[k] <= stack.spacing_mm[2] and _is_within(stack, offsets[k]):
            best = min(best, (float(through[k]), sources[k]), key=lambda each: each[0])
    return best[1]


def _is_within(stack: Stack, offset: FloatArray) -> bool:
    """Return whether the point at an offset from a slice's first voxel lies on its rectangle."""
    place, *_ = np.linalg.lstsq(stack.affine_lps[:3, :2], offset, rcond=None)
    return bool((place >= -0.5).all() and (place <= np.array(stack.shape[:2]) - 0.5).all())


def _reference(study: Study, series: Series, source: Source) -> Any:
    from pydicom.dataset import Dataset

    header = Dataset()
    for name in REPEATED:
        setattr(header, name, "")
    header.StudyInstanceUID = study.identifiers.study_instance_uid
    header.SeriesInstanceUID = series.uid
    header.SOPInstanceUID = source.sop_instance_uid
    header.SOPClassUID = source.sop_class_uid
    return header


def _is_uid(text: str) -> bool:
    return len(text) <= _LONGEST_UID and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) is not None


def _allowed(name: str, text: str) -> str:
    """Return a value as it is, or nothing where DICOM does not allow it there."""
    from pydicom.config import RAISE
    from pydicom.datadict import dictionary_VR
    from pydicom.valuerep import validate_value

    try:
        validate_value(dictionary_VR(name), text, RAISE)
    except ValueError:
        return ""
    if name == "PatientSex" and text not in {"M", "F", "O"}:
        return ""
    return text


def _not_possible(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"no DICOM output: {why}",
        remedy="use the other formats, csv, json and html",
        code="VS-CFG-064",
    )

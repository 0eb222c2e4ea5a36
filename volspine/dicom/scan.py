"""Scan: what lies under a path: which studies, which series, what is wrong with the rest.

Every file is described, however disorderly the folder: images of several studies in one folder are
described study by study, and each file that is no part of a series is named with its reason.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from volspine.dicom.descriptions import is_challenge_study
from volspine.dicom.files import ReadableFile, list_files
from volspine.dicom.find import NO_STUDY, find_studies
from volspine.dicom.instance import Instance
from volspine.dicom.ledger import Ledger
from volspine.dicom.limits import DEFAULT_LIMITS, Limits
from volspine.dicom.nifti import is_nifti, read_nifti_study
from volspine.dicom.prepared import is_prepared, read_prepared
from volspine.dicom.reading import build_study, read_files
from volspine.dicom.study import Fault, Series, Study
from volspine.errors import InputError, VolspineError
from volspine.geometry.stack import Stack

__all__ = ["Scanned", "describe", "find_studies", "scan"]

_MANY_FILES = 10_000_000
"""A folder of studies may hold far more files than one study; outside them they are only named."""


@dataclass
class Scanned:
    """One study of a scan: what was read, or the error that took its place.

    Attributes:
        path: Folder or file, relative to what was scanned.
        study: The study; None where nothing in it forms a volume.
        error: Why not.
        faults: Files and series set aside.
    """

    path: str
    study: Study | None = None
    error: VolspineError | None = None
    faults: list[Fault] = field(default_factory=list)


def scan(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[Scanned]:
    """Yield everything under a path, a study at a time; files of no study come last, together.

    Args:
        path: Anything.
        limits: Caps on sizes.

    Raises:
        InputError: If there is no such path or it cannot be listed.
    """
    root = Path(path)
    rest: list[Fault] = []
    places = _places(root)
    for place in places:
        try:
            yield from _scan_place(root, place, rest, limits)
        except VolspineError as error:  # A damaged zip, a folder that cannot be listed.
            yield Scanned(_relative(root, place), error=error)
    rest += _leftovers(root, places, limits)
    if rest:
        yield Scanned(path=".", faults=sorted(rest, key=lambda fault: fault.path))


def _places(root: Path) -> list[Path]:
    try:
        return find_studies(root)
    except InputError as error:
        if error.code != NO_STUDY:
            raise
        return []


def _leftovers(root: Path, places: Sequence[Path], limits: Limits) -> list[Fault]:
    """Return why each file outside the studies is no part of one."""
    if not root.is_dir() or root in places:
        return []
    taken, ledger = set(places), Ledger()
    everything = list_files(root, replace(limits, files=_MANY_FILES))
    others = [f for f in everything if taken.isdisjoint((Path(f.path), *Path(f.path).parents))]
    for instance in read_files(others, ledger=ledger, limits=limits):
        ledger.set_aside(instance.name, "VS-SER-007", "an image apart from any study")
    return ledger.faults


def _scan_place(root: Path, place: Path, rest: list[Fault], limits: Limits) -> Iterator[Scanned]:
    """Yield the studies in one folder or file; files that are no images go to `rest`."""
    if is_prepared(place):
        study = read_prepared(place)
        yield Scanned(_relative(root, place), study=study, faults=study.faults)
        return
    files = list_files(place, limits)
    volumes = [file for file in files if is_nifti(file.name)]
    others = [file for file in files if not is_nifti(file.name)]
    ledger = Ledger()
    groups: dict[tuple[str, str], list[Instance]] = defaultdict(list)
    for instance in read_files(others, ledger=ledger, limits=limits):
        groups[_study_key(instance)].append(instance)
    for key in sorted(groups, key=lambda key: (_common(groups[key]), key)):
        yield _scan_study(root, place, groups[key], limits)
    for file in volumes:
        yield _scan_volume(root, place, file, limits)
    base = _relative(root, place)
    prefix = "" if base == "." or place.is_file() else base + "/"
    faults = [Fault(prefix + fault.path, fault.code, fault.reason) for fault in ledger.faults]
    if ledger.errors and not groups and not volumes:
        yield Scanned(base, error=ledger.errors[0], faults=faults)
    else:
        rest += faults


def _study_key(instance: Instance) -> tuple[str, str]:
    """Return what makes a study: its UID and patient; its folder where there is no UID."""
    if instance.study_uid:
        return instance.study_uid, instance.header.text("PatientID")
    return "", str(PurePosixPath(instance.header.file.name).parent)


def _common(instances: Sequence[Instance]) -> str:
    """Return the folder that holds all files of some instances, relative to the scanned one."""
    parents = [PurePosixPath(i.header.file.name).parent.parts for i in instances]
    shared = []
    for parts in zip(*parents, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared) or "."


def _scan_study(root: Path, folder: Path, instances: Sequence[Instance], limits: Limits) -> Scanned:
    ledger, where = Ledger(), _common(instances)
    place = folder if folder.is_file() or where == "." else folder / where
    # A challenge study is known by its folder, which is then the one that was listed.
    at = folder if is_challenge_study(folder) else place
    name = _relative(root, at)
    try:
        study = build_study(at, instances, ledger=ledger, limits=limits)
    except VolspineError as error:
        return Scanned(name, error=error, faults=ledger.faults)
    return Scanned(name, study=study, faults=ledger.faults)


def _scan_volume(root: Path, folder: Path, file: ReadableFile, limits: Limits) -> Scanned:
    ledger = Ledger()
    name = _relative(root, folder if folder.is_file() else folder / file.name)
    try:
        study = read_nifti_study(
            Path(file.path), [file], ledger=ledger, protocol=None, limits=limits
        )
    except VolspineError as error:
        return Scanned(name, error=error)
    return Scanned(name, study=study, faults=ledger.faults)


def _relative(root: Path, path: Path) -> str:
    if path == root:
        return "." if root.is_dir() else root.name
    return path.relative_to(root).as_posix() if root.is_dir() else path.name


def describe(scanned: Scanned) -> dict[str, Any]:
    """Return plain data (for JSON) about one study of a scan."""
    study = scanned.study
    return {
        "path": scanned.path,
        "name": study.name if study else None,
        "series": [_describe_series(series) for series in study.series] if study else [],
        "repairs": list(study.repairs) if study else [],
        "faults": [
            {"path": fault.path, "code": fault.code, "reason": fault.reason}
            for fault in scanned.faults
        ],
        "error": _describe_error(scanned.error),
    }


def _describe_error(error: VolspineError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "remedy": error.remedy}


def _describe_series(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "protocol": series.protocol.value,
        "reason": series.reason,
        "confidence": series.confidence,
        "drawbacks": list(series.drawbacks),
        "stacks": [_describe_stack(stack) for stack in series.stacks],
        "repairs": list(series.repairs),
        "files_used": len({source.path for stack in series.instances for source in stack}),
    }


def _describe_stack(stack: Stack) -> dict[str, Any]:
    return {
        "plane": stack.plane,
        "shape": list(stack.shape),
        "spacing_mm": [round(float(mm), 3) for mm in stack.spacing_mm],
        "first_voxel_mm": [round(float(mm), 3) for mm in stack.slice_origins_mm[0]],
        "is_regular": stack.is_regular,
    }

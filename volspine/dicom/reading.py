"""Reading: a folder, a zip, a NIfTI file or a prepared study becomes a Study.

The headers of all files are read first, which is quick; pixels are decoded when `Stack.voxels` is
first used. Reading is lenient unless told otherwise: what cannot be used becomes a fault with its
reason, and the rest goes on; only when nothing is left is there an error, and it is the first
fault's own.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.dicom.bodypart import names_lumbar
from volspine.dicom.descriptions import described_protocols, is_challenge_study
from volspine.dicom.files import ReadableFile, list_files
from volspine.dicom.identity import read_identifiers, study_name
from volspine.dicom.instance import Acquisition, Instance, read_instances, why_not_an_image
from volspine.dicom.ledger import Ledger
from volspine.dicom.limits import DEFAULT_LIMITS, Limits
from volspine.dicom.nifti import is_nifti, read_nifti_study
from volspine.dicom.parse import read_header
from volspine.dicom.prepared import is_prepared, read_prepared, refuse_strict
from volspine.dicom.protocol import Recognized, from_table, recognize, recognize_images
from volspine.dicom.series import SeriesBuilder, series_key, short_name
from volspine.dicom.study import Series, Study
from volspine.dicom.weighting import drawbacks_of
from volspine.errors import InputError, MixedStudyError, VolspineError

__all__ = ["build_study", "read_files", "read_study"]


def read_study(
    path: str | Path,
    *,
    strict: bool = False,
    protocol: str | Protocol | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Study:
    """Return the study in a folder, a zip, a DICOM file or NIfTI.

    Args:
        path: Folder of a study (sub-folders are searched), zip archive, NIfTI file or folder, or a
            study that `volspine prepare` stored, which is not decoded again.
        strict: Raise on everything that lenient reading repairs or sets aside as a fault.
        protocol: What a NIfTI file shows, or every series of a DICOM study; recognized if omitted.
        limits: Caps on sizes; nothing beyond them is allocated.

    Raises:
        InputError: If there is nothing readable, or two studies.
        GeometryError: If no series has a geometry that can be trusted.
        PixelError: If no series has pixels that can be read.
        LimitError: If a limit is exceeded.
        ConfigurationError: If a prepared study is to be read strictly.

    Example:
        >>> read_study("no_such_folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        volspine.errors.InputError: VS-INP-001: there is no such file or folder ...
    """
    root, wanted = Path(path), None if protocol is None else Protocol(protocol)
    if is_prepared(root):
        if strict:
            raise refuse_strict(root)
        return read_prepared(root, protocol=wanted)
    files = list_files(root, limits)
    ledger = Ledger(strict)
    images = [file for file in files if is_nifti(file.name)]
    instances = read_files(
        [file for file in files if not is_nifti(file.name)], ledger=ledger, limits=limits
    )
    if images and not instances:
        return read_nifti_study(root, images, ledger=ledger, protocol=wanted, limits=limits)
    _refuse_nothing(root, instances, ledger)
    _refuse_mixture(root, instances)
    return build_study(root, instances, ledger=ledger, protocol=wanted, limits=limits)


def read_files(files: Sequence[ReadableFile], *, ledger: Ledger, limits: Limits) -> list[Instance]:
    """Return every usable image frame among some files; the others are noted in the ledger."""
    instances: list[Instance] = []
    for file in files:
        try:
            instances += _read_file(file, ledger, limits)
        except VolspineError as error:
            ledger.fault(error, file.name)
    return instances


def _read_file(file: ReadableFile, ledger: Ledger, limits: Limits) -> list[Instance]:
    header = read_header(file, limits)
    if header is None:
        ledger.set_aside(file.name, "VS-DCM-001", "not a DICOM file")
        return []
    reason = why_not_an_image(header)
    if reason is not None:
        ledger.set_aside(file.name, "VS-DCM-003", reason)
        return []
    return read_instances(header, limits)


def _refuse_nothing(root: Path, instances: Sequence[Instance], ledger: Ledger) -> None:
    if instances:
        return
    if ledger.errors:
        raise ledger.errors[0]
    raise InputError(
        f"no DICOM images among {len(ledger.faults)} files",
        remedy="give the folder that holds the study",
        path=root,
        code="VS-INP-003",
    )


def _refuse_mixture(root: Path, instances: Sequence[Instance]) -> None:
    studies = {i.study_uid for i in instances if i.study_uid}
    patients = {i.header.text("PatientID") for i in instances} - {""}
    if len(studies) > 1 or len(patients) > 1:
        raise MixedStudyError(
            f"images of {max(len(studies), 1)} studies and {max(len(patients), 1)} patients are "
            f"mixed here",
            remedy="give one study at a time, each in its own folder",
            path=root,
            code="VS-MIX-001",
        )


def build_study(
    root: Path,
    instances: Sequence[Instance],
    *,
    ledger: Ledger,
    protocol: Protocol | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Study:
    """Return the study that instances of one StudyInstanceUID form.

    Args:
        root: What was read; decides the name of a challenge study and its table.
        instances: Frames of one study.
        ledger: Findings so far; series that fail are added.
        protocol: What every series is; recognized if omitted.
        limits: Caps on sizes.

    Raises:
        VolspineError: If no series forms a volume: the error of the first.
    """
    groups: dict[tuple[str, ...], list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[series_key(instance)].append(instance)
    described = described_protocols(root)
    found: list[Series] = []
    unknown: list[Series] = []
    for key in sorted(groups):
        members = groups[key]
        name = _series_name(root, key, members)
        try:
            built = SeriesBuilder(key, name, ledger=ledger, limits=limits).build(members)
        except VolspineError as error:
            ledger.fault(error, name)
            continue
        found += [series for series, _ in built]
        unknown += [
            series
            for series, acquisition in built
            if not _assign(series, acquisition, described=described.get(name), given=protocol)
        ]
    if not found:
        raise ledger.errors[0]
    assign_by_image(unknown)
    _name_apart(found)
    return Study(
        name=study_name(root, instances),
        series=sorted(found, key=_series_order),
        faults=ledger.faults,
        repairs=_study_repairs(found),
        identifiers=read_identifiers(instances[0]),
        path=root,
    )


def _assign(
    series: Series,
    acquisition: Acquisition,
    *,
    described: Protocol | None,
    given: Protocol | None,
) -> bool:
    """Set a series' protocol from what is said of it; return whether anything is."""
    if given is not None:
        answer: Recognized | None = Recognized(given, "as the caller said", 1.0)
    else:
        told = None if described is None else from_table(described, series.plane)
        answer = told or recognize(series.plane, acquisition)
    series.drawbacks, series.names_lumbar = drawbacks_of(acquisition), names_lumbar(acquisition)
    if answer is not None:
        series.protocol, series.reason, series.confidence = answer
    return answer is not None


def assign_by_image(unknown: Sequence[Series]) -> None:
    """Set the protocols of series that nothing is said of, from their contrast."""
    answers = recognize_images([series.stacks for series in unknown])
    for series, answer in zip(unknown, answers, strict=True):
        series.protocol, series.reason, series.confidence = answer


def _series_name(root: Path, key: Sequence[str], members: Sequence[Instance]) -> str:
    """Return the folder's name in a challenge root, else a label without header content."""
    parents = {PurePosixPath(member.header.file.name).parent for member in members}
    if is_challenge_study(root) and len(parents) == 1:
        return parents.pop().name or short_name(key)
    return short_name(key)


def _name_apart(found: Sequence[Series]) -> None:
    """Number the names of series that share one: parts of a series, or two in one folder.

    The plain name stays with the series that it is the end of the UID of, else with that of the
    most slices, and there with its largest part, which is the first.
    """
    sizes = Counter[tuple[str, str]]()
    for series in found:
        sizes[series.name, series.uid] += sum(stack.shape[2] for stack in series.stacks)
    order = sorted(
        found,
        key=lambda s: (s.uid.rpartition(".")[2] != s.name, -sizes[s.name, s.uid], s.uid),
    )
    taken: set[str] = set()
    for series in order:
        plain, numbers = series.name, itertools.count(2)
        while series.name in taken:
            series.name = f"{plain}-{next(numbers)}"
        taken.add(series.name)


def _series_order(series: Series) -> tuple[int, str, str]:
    order = (*PROTOCOLS, Protocol.OTHER)
    return order.index(series.protocol), series.uid, series.reason


def _study_repairs(found: Sequence[Series]) -> list[str]:
    frames = {series.frame_of_reference for series in found} - {""}
    if len(frames) < 2:
        return []
    return [f"series lie in {len(frames)} different frames of reference"]

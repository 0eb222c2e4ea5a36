"""Pictures of one study for `volspine png`: a request -> PNG files and rows of the tables.

A study is read once, its headers say which pictures there are, and of each stack only the slices
that are wanted and not there already are decoded. What cannot be decoded, and marks on slices that
are not there, become faults; the other pictures are written.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from volspine.anatomy import Grade
from volspine.data.instances import PicturedInstance, with_marks
from volspine.data.rsna import Annotation, LabelledStudy
from volspine.dicom.reading import read_study
from volspine.errors import InputError, PixelError, VolspineError
from volspine.jobs import write_bytes
from volspine.report.instance_picture import DrawnMark, annotated_png, plain_png, stamp_of
from volspine.report.upright import stored_edges
from volspine.types import VoxelArray

__all__ = [
    "LABEL_COLUMNS",
    "PICTURE_COLUMNS",
    "Pictured",
    "Request",
    "picture_study",
    "was_made_here",
]

LABEL_COLUMNS = (
    "file", "study_id", "series_id", "instance_number", "protocol", "condition", "level", "side",
    "grade", "x", "y",
)  # fmt: skip
"""Columns of `labels.csv`, one row a mark; x and y are pixels of the instance as stored."""

PICTURE_COLUMNS = (
    "file", "study_id", "series_id", "instance_number", "protocol", "columns", "rows",
    "column_spacing_mm", "row_spacing_mm", "edges",
)  # fmt: skip
"""Columns of `pictures.csv`, one row a file; edges are those at the left, right, top and bottom."""

_VERSION = 1
"""Raise when the same instance gives another picture than before."""

_MIDDLE_MM = 0.5
"""Nearer to the middle than this, a sagittal slice is on no side of it: it would be 0 mm."""

log = logging.getLogger("volspine")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is pictured of one study, and where to; picklable.

    Attributes:
        path: The study.
        out: Folder of the pictures.
        labelled: Its marks and grades; None where it has none.
        everything: Whether to picture instances without a mark too.
        annotate: Whether to draw the marks.
        resume: Whether to keep pictures that are there and were made the same way.
    """

    path: Path
    out: Path
    labelled: LabelledStudy | None = None
    everything: bool = False
    annotate: bool = False
    resume: bool = False

    def grade(self, mark: Annotation) -> Grade | None:
        """Return the grade of a mark's target; None where the table is empty."""
        grade = -1 if self.labelled is None else self.labelled.grades[mark.target.index]
        return None if grade < 0 else Grade(grade)


@dataclass
class Pictured:
    """What became of one study.

    Attributes:
        pictures: Rows of `pictures.csv`.
        labels: Rows of `labels.csv`.
        faults: Why pictures that were wanted are missing.
    """

    pictures: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    faults: list[VolspineError] = field(default_factory=list)


def picture_study(request: Request) -> Pictured:
    """Write the pictures of a study.

    Raises:
        VolspineError: If it cannot be read, or a picture cannot be written.
    """
    try:
        return _picture_study(request)
    except VolspineError:
        raise
    except Exception as error:
        # One broken study must not cost the others; its text may quote a header.
        log.debug("unexpected error", exc_info=True)
        raise VolspineError(
            f"internal error ({type(error).__name__})",
            path=request.path,
            remedy="run it alone with --debug and report what it says",
            code="VS-999",
        ) from error


def was_made_here(path: Path, stamp: str | None = None) -> bool:
    """Return whether a file is a picture that this command made, and, if given, just so."""
    try:
        with Image.open(path) as png:
            found = stamp_of(png)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return bool(found) and stamp in (None, found)


def _picture_study(request: Request) -> Pictured:
    marks = () if request.labelled is None else request.labelled.annotations
    study = read_study(request.path)
    instances, lost = with_marks(study, marks)
    done = Pictured()
    if lost:
        done.faults.append(_lost(request, lost))
    wanted = [i for i in instances if request.everything or i.marks]
    for _, members in groupby(wanted, key=lambda instance: id(instance.stack)):
        for instance in _picture_stack(request, list(members), done.faults):
            done.pictures.append(_picture_row(instance))
            done.labels.extend(_label_row(instance, mark, request) for mark in instance.marks)
    return done


def _picture_stack(
    request: Request, instances: Sequence[PicturedInstance], faults: list[VolspineError]
) -> Iterator[PicturedInstance]:
    """Write slices of one stack, and yield those that have a picture now, in the same order."""
    missing = [i for i in instances if not _is_there(request, i)]
    try:
        written = _write_missing(request, missing)
    except PixelError as error:
        written = set()
        faults.append(_undecodable(request, missing, error.message))
    else:
        failed = [i for i in missing if i.k not in written]
        if failed:
            faults.append(_undecodable(request, failed, "its pixels cannot be decoded"))
    for instance in instances:
        if instance.k in written or instance not in missing:
            yield instance


def _write_missing(request: Request, missing: Sequence[PicturedInstance]) -> set[int]:
    if not missing:
        return set()
    by_slice = {instance.k: instance for instance in missing}
    voxels, kept = missing[0].stack.slices(sorted(by_slice))
    for n, k in enumerate(kept):
        instance = by_slice[k]
        png = _drawn(request, instance, np.asarray(voxels[:, :, n]))
        write_bytes(request.out / instance.file_name, png)
    return set(kept)


def _is_there(request: Request, instance: PicturedInstance) -> bool:
    path = request.out / instance.file_name
    return request.resume and was_made_here(path, _stamp(request, instance))


def _drawn(request: Request, instance: PicturedInstance, pixels: VoxelArray) -> bytes:
    spacing, stamp = _spacing(instance), _stamp(request, instance)
    if not request.annotate:
        return plain_png(pixels, spacing, stamp=stamp)
    marks = [DrawnMark(m.x, m.y, _mark_lines(m, request.grade(m))) for m in instance.marks]
    return annotated_png(
        pixels,
        spacing,
        edges=stored_edges(instance.stack),
        marks=marks,
        title=_title(instance),
        stamp=stamp,
    )


def _mark_lines(mark: Annotation, grade: Grade | None) -> tuple[str, str]:
    verdict = "no grade" if grade is None else grade.label
    return mark.target.condition.label, f"{mark.target.level.label}: {verdict}"


def _title(instance: PicturedInstance) -> list[str]:
    label = instance.protocol.label
    lines = [f"{label[0].upper()}{label[1:]}, instance {instance.label}"]
    if instance.stack.plane == "sagittal":
        lines.append(_place(instance))
    return lines


def _place(instance: PicturedInstance) -> str:
    """Return where a sagittal slice lies, since the picture's own edges cannot say its side."""
    across = instance.stack.slice_origins_mm[:, 0]
    offset = float(across[instance.k] - (across.min() + across.max()) / 2)
    if abs(offset) < _MIDDLE_MM:
        return "in the series' middle"
    side = "left" if offset > 0 else "right"
    return f"{abs(offset):.0f} mm {side} of the series' middle"


def _stamp(request: Request, instance: PicturedInstance) -> str:
    """Return what tells a picture that was made so from one that was made otherwise."""
    parts: list[Any] = [_VERSION, request.annotate]
    if request.annotate:
        parts += [(m.target.name, m.x, m.y, request.grade(m)) for m in instance.marks]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _spacing(instance: PicturedInstance) -> tuple[float, float]:
    column, row, _ = instance.stack.spacing_mm
    return float(column), float(row)


def _named(instance: PicturedInstance) -> dict[str, Any]:
    return {
        "file": instance.file_name,
        "study_id": instance.study_id,
        "series_id": instance.series_id,
        "instance_number": instance.instance_number,
        "protocol": instance.protocol.value,
    }


def _picture_row(instance: PicturedInstance) -> dict[str, Any]:
    columns, rows, _ = instance.stack.shape
    column_mm, row_mm = _spacing(instance)
    return {
        **_named(instance),
        "columns": columns,
        "rows": rows,
        "column_spacing_mm": round(column_mm, 6),
        "row_spacing_mm": round(row_mm, 6),
        "edges": "".join(stored_edges(instance.stack)),
    }


def _label_row(instance: PicturedInstance, mark: Annotation, request: Request) -> dict[str, Any]:
    grade, side = request.grade(mark), mark.target.side
    return {
        **_named(instance),
        "condition": mark.target.condition.term,
        "level": mark.target.level.value,
        "side": "" if side is None else side.value,
        "grade": "" if grade is None else grade.label,
        "x": mark.x,
        "y": mark.y,
    }


def _lost(request: Request, lost: Sequence[Annotation]) -> InputError:
    first = f"series {lost[0].series_id[:40]!r}, instance {lost[0].instance_number}"
    return InputError(
        f"{len(lost)} marks lie on no slice that can be read (the first: {first})",
        path=request.path,
        remedy="volspine scan says what is wrong with the study's files",
        code="VS-INP-081",
    )


def _undecodable(request: Request, failed: Sequence[PicturedInstance], why: str) -> PixelError:
    return PixelError(
        f"{len(failed)} instances have no picture (the first: {failed[0].label} of series "
        f"{failed[0].series_id}): {why}",
        path=request.path,
        remedy="export the series again",
        code="VS-PIX-080",
    )

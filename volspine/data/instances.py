"""From a study and its marks to the slices that are pictured, each with its name and its marks.

A mark of a challenge root names a series and an instance number. What a study holds is known from
its headers alone; nothing is decoded here, and no id of a table ever becomes part of a name:

    table's ids -> which slice;   folders and headers of the study -> what the slice is called

Shapes:
    I, J  columns and rows of an instance as stored, so that x counts along I and y along J
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from volspine.anatomy import Protocol
from volspine.data.landmarks import is_series_named
from volspine.data.rsna import Annotation
from volspine.dicom.descriptions import is_challenge_study
from volspine.dicom.study import Series, Source, Study
from volspine.geometry.stack import Stack

__all__ = ["PicturedInstance", "instances_of", "with_marks"]


@dataclass(frozen=True, kw_only=True)
class PicturedInstance:
    """One instance of a study: a slice as it is stored.

    Attributes:
        study_id: The study's name in outputs.
        series_id: The series' folder in a challenge root, else the series' name in outputs.
        instance_number: As in its header; None where there is none.
        label: What tells it from others of its series in names: its instance number if that does.
        protocol: Of its series.
        stack: That it is a slice of.
        k: Which.
        marks: What was marked on it.
    """

    study_id: str
    series_id: str
    instance_number: int | None
    label: str
    protocol: Protocol
    stack: Stack
    k: int
    marks: tuple[Annotation, ...] = ()

    @property
    def file_name(self) -> str:
        """`<study_id>_<series_id>_<instance>.png`."""
        return f"{self.study_id}_{self.series_id}_{self.label}.png"


def instances_of(study: Study) -> list[tuple[Series, PicturedInstance]]:
    """Return every instance that is part of a volume, with its series; names are all different.

    Args:
        study: As read, decoded or not.
    """
    taken: set[str] = set()
    found = []
    for series in study.series:
        for instance in _of_series(study, series):
            named = _named_apart(instance, taken)
            taken.add(named.file_name)
            found.append((series, named))
    return found


def with_marks(
    study: Study, annotations: Sequence[Annotation]
) -> tuple[list[PicturedInstance], list[Annotation]]:
    """Return every instance with what was marked on it, and the marks that lie on none.

    A mark goes to the first instance that its series id and instance number mean.

    Args:
        study: As read.
        annotations: Marks of that study.
    """
    instances = instances_of(study)
    marks: dict[str, list[Annotation]] = {}
    lost = []
    for mark in annotations:
        at = next((i.file_name for series, i in instances if _is_meant(series, i, mark)), None)
        if at is None:
            lost.append(mark)
        else:
            marks.setdefault(at, []).append(mark)
    return [replace(i, marks=tuple(marks.get(i.file_name, ()))) for _, i in instances], lost


def _is_meant(series: Series, instance: PicturedInstance, mark: Annotation) -> bool:
    if instance.instance_number != mark.instance_number:
        return False
    return mark.series_id == instance.series_id or is_series_named(series, mark.series_id)


def _of_series(study: Study, series: Series) -> Iterator[PicturedInstance]:
    for s, (stack, sources) in enumerate(zip(series.stacks, series.instances, strict=False)):
        for k, source in enumerate(sources[: stack.shape[2]]):
            yield PicturedInstance(
                study_id=study.name,
                series_id=_series_id(study, series, source),
                instance_number=source.instance_number,
                label=_label(source, s, k),
                protocol=series.protocol,
                stack=stack,
                k=k,
            )


def _series_id(study: Study, series: Series, source: Source) -> str:
    """Return the name of the series' folder in a challenge root, even if others share the folder.

    That is what the tables know. Elsewhere a folder's name may be anything, a patient's too.
    """
    folder = Path(source.path).parent
    in_root = study.path is not None and is_challenge_study(study.path) and folder != study.path
    return folder.name if in_root else series.name


def _label(source: Source, s: int, k: int) -> str:
    """Return the instance number, with the frame's where a file has many; else where it lies."""
    if source.instance_number is None:
        return f"k{k}" if s == 0 else f"k{s}-{k}"
    frame = "" if source.frame_number is None else f"-{source.frame_number}"
    return f"{source.instance_number}{frame}"


def _named_apart(instance: PicturedInstance, taken: set[str]) -> PicturedInstance:
    """Return the instance with a number behind its label if another has its name."""
    plain, numbers = instance.label, itertools.count(2)
    while instance.file_name in taken:
        instance = replace(instance, label=f"{plain}-{next(numbers)}")
    return instance

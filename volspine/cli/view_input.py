"""What `volspine view` is given -> a study, its grades and what is said of them.

A study may be named in every way in which it can lie on a disk: its folder, a zip, a NIfTI file, a
store of `volspine prepare` or a challenge root that holds but one, or `STORE/<study>` and
`ROOT/<study>`. Grades may be named by their file, by the folder of a result, or by that of all
results of a run.
"""

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from volspine.cli import view_heat
from volspine.errors import ConfigurationError

if TYPE_CHECKING:
    from volspine.dicom.study import Study
    from volspine.grades import StudyGrades
    from volspine.viewer.heat import Heat

__all__ = ["ReadView", "read_view", "study_path"]

RESULT = "result.json"
"""Name of the result in its folder."""

_MANY = 5
"""Names of studies that an error lists."""


class ReadView(NamedTuple):
    """What there is to show: a study, its grades, what is said of them, and what one looked at."""

    study: "Study"
    grades: "StudyGrades | None"
    notes: tuple[str, ...]
    heat: "Heat | None" = None


def read_view(arguments: argparse.Namespace) -> ReadView:
    """Return the study and the grades that the options name.

    Raises:
        VolspineError: If either cannot be read, or more than one study is meant.
    """
    from volspine.dicom.nifti import is_nifti
    from volspine.dicom.reading import read_study
    from volspine.grades import RESEARCH_USE
    from volspine.report.manifest import notices

    # What a NIfTI file shows must be said; a DICOM study knows, and the option only selects.
    protocol = arguments.protocol if is_nifti(arguments.study.name) else None
    study = read_study(study_path(arguments.study), protocol=protocol)
    if arguments.saliency is not None:
        grades, heat = view_heat.heat_of(study, arguments)
        return ReadView(study, grades, notices(grades), heat)
    if arguments.grades is None:
        return ReadView(study, None, (RESEARCH_USE,))
    return ReadView(study, *_grades(_result_path(arguments.grades, study.name)))


def study_path(path: Path) -> Path:
    """Return where the one study lies that a path names.

    Args:
        path: Of a study; of a store or a challenge root with one study; or of either, with the
            name of a study after it. Whatever else it is, reading says what is wrong with it.

    Raises:
        ConfigurationError: If a store or root holds more than one.
        InputError: If a store lacks the study.
    """
    from volspine.data.store import Store, is_store
    from volspine.dicom.descriptions import IMAGE_FOLDERS
    from volspine.dicom.find import find_studies

    if is_store(path):
        store = Store.open(path)
        return store.path(_only(path, list(store.keys)))
    if any((path / name).is_dir() for name in IMAGE_FOLDERS):
        found = {study.name: study for study in find_studies(path)}
        return found[_only(path, list(found))]
    if not path.exists() and is_store(path.parent):
        return Store.open(path.parent).path(path.name)
    named = [path.parent / name / path.name for name in IMAGE_FOLDERS]
    return next((one for one in named if not path.exists() and one.is_dir()), path)


def _only(path: Path, names: list[str]) -> str:
    """Return the name of the only study of a store or root."""
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:_MANY]) + (", ..." if len(names) > _MANY else "")
    raise ConfigurationError(
        f"there are {len(names)} studies here: {shown or 'none'}",
        remedy=f"name one: volspine view {path / (names[0] if names else 'STUDY')}",
        code="VS-CFG-185",
    )


def _result_path(path: Path, name: str) -> Path:
    """Return the result of a study in a folder of its own, or in one of all results of a run."""
    if not path.is_dir() or (path / RESULT).is_file():
        return path / RESULT if path.is_dir() else path
    return path / name / RESULT


def _grades(path: Path) -> "tuple[StudyGrades, tuple[str, ...]]":
    from volspine.grades import RESEARCH_USE
    from volspine.report.manifest import notices, read_manifest
    from volspine.viewer.truth import is_truth, read_truth

    with contextlib.suppress(OSError, ValueError):  # What is wrong, read_manifest says.
        if is_truth(json.loads(path.read_text(encoding="utf-8"))):
            return read_truth(path), (RESEARCH_USE, "Drawn in: the truth of a synthetic study.")
    grades = read_manifest(path)
    return grades, notices(grades)

"""volspine: lumbar-spine MRI in, 25 ordinal stenosis grades out. Research use only.

    import volspine

    graded = volspine.predict("study_folder")
    graded.to_frame()

Public names are loaded on first use, so `import volspine` costs next to nothing.
"""

import logging
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from volspine.dicom.reading import read_study as read_study
    from volspine.dicom.study import Study as Study
    from volspine.errors import (
        ConfigurationError as ConfigurationError,
        DeviceError as DeviceError,
        DicomReadError as DicomReadError,
        GeometryError as GeometryError,
        InputError as InputError,
        LimitError as LimitError,
        MissingExtraError as MissingExtraError,
        MixedStudyError as MixedStudyError,
        NoUsableSeriesError as NoUsableSeriesError,
        OutputError as OutputError,
        PixelError as PixelError,
        TableError as TableError,
        VolspineError as VolspineError,
        WeightsError as WeightsError,
    )
    from volspine.grades import StudyGrades as StudyGrades
    from volspine.inference.graded import GradedStudy as GradedStudy
    from volspine.inference.predictor import Predictor as Predictor, predict as predict
    from volspine.metrics.rsna import rsna_score as rsna_score
    from volspine.volume.grid import Grid as Grid
    from volspine.volume.subject import voxelize as voxelize

_HOMES = {
    "volspine.dicom.reading": ("read_study",),
    "volspine.dicom.study": ("Study",),
    "volspine.errors": (
        "ConfigurationError",
        "DeviceError",
        "DicomReadError",
        "GeometryError",
        "InputError",
        "LimitError",
        "MissingExtraError",
        "MixedStudyError",
        "NoUsableSeriesError",
        "OutputError",
        "PixelError",
        "TableError",
        "VolspineError",
        "WeightsError",
    ),
    "volspine.grades": ("StudyGrades",),
    "volspine.inference.graded": ("GradedStudy",),
    "volspine.inference.predictor": ("Predictor", "predict"),
    "volspine.metrics.rsna": ("rsna_score",),
    "volspine.volume.grid": ("Grid",),
    "volspine.volume.subject": ("voxelize",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]  # noqa: PLE0604

logging.getLogger("volspine").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'volspine' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})

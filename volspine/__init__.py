"""volspine: lumbar-spine MRI in, 25 ordinal stenosis grades out. Research use only.

    import volspine

    graded = volspine.predict("study_folder")
    graded.to_frame()

Public names are loaded on first use, so `import volspine` costs next to nothing.
"""

import logging
from typing import TYPE_CHECKING, Any

from volspine.errors import (
    ConfigurationError,
    DeviceError,
    DicomReadError,
    GeometryError,
    InputError,
    LimitError,
    MissingExtraError,
    MixedStudyError,
    NoUsableSeriesError,
    OutputError,
    PixelError,
    TableError,
    VolspineError,
    WeightsError,
    WorkerError,
)

if TYPE_CHECKING:
    from volspine.dicom.reading import read_study
    from volspine.dicom.study import Study
    from volspine.grades import StudyGrades
    from volspine.inference.graded import GradedStudy
    from volspine.inference.predictor import Predictor, predict
    from volspine.metrics.rsna import rsna_score
    from volspine.volume.grid import Grid
    from volspine.volume.subject import voxelize

__all__ = [
    "ConfigurationError",
    "DeviceError",
    "DicomReadError",
    "GeometryError",
    "GradedStudy",
    "Grid",
    "InputError",
    "LimitError",
    "MissingExtraError",
    "MixedStudyError",
    "NoUsableSeriesError",
    "OutputError",
    "PixelError",
    "Predictor",
    "Study",
    "StudyGrades",
    "TableError",
    "VolspineError",
    "WeightsError",
    "WorkerError",
    "__version__",
    "predict",
    "read_study",
    "rsna_score",
    "voxelize",
]

__version__ = "0.1.0"

_HOMES = {
    "GradedStudy": "volspine.inference.graded",
    "Grid": "volspine.volume.grid",
    "Predictor": "volspine.inference.predictor",
    "Study": "volspine.dicom.study",
    "StudyGrades": "volspine.grades",
    "predict": "volspine.inference.predictor",
    "read_study": "volspine.dicom.reading",
    "rsna_score": "volspine.metrics.rsna",
    "voxelize": "volspine.volume.subject",
}

logging.getLogger("volspine").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'volspine' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value  # The next use does not come here.
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

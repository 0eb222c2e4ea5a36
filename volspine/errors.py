"""Every error that volspine raises on purpose, as one tree.

    VolspineError                 something is wrong and this says what, where and what to do
    |-- InputError                nothing usable or readable was given
    |   |-- DicomReadError        a file that should be DICOM cannot be parsed
    |   |-- MixedStudyError       two patients or two studies where one was expected
    |   |-- NoUsableSeriesError   readable files, but no series that forms a volume
    |   `-- TableError            a table (labels, submission) that does not parse
    |-- GeometryError             positions, orientations or spacings that cannot be trusted
    |-- PixelError                pixel data that cannot be decoded or trusted
    |-- LimitError                a size or count beyond the limits of `volspine.dicom.limits`
    |-- WeightsError              model weights missing, damaged or not what they claim to be
    |-- OutputError               a result that cannot be written
    |-- ConfigurationError        an option, recipe or environment that cannot work
    |   `-- DeviceError           a compute device that is not there or has too little memory
    |-- WorkerError               a process that died at its work, twice
    `-- MissingExtraError         an optional dependency that is not installed

A message says what was found, in which file, and what to do. It never carries patient data: no
names, identifiers or dates read from a header.
"""

from pathlib import Path
from typing import ClassVar

__all__ = [
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
    "WorkerError",
]


class VolspineError(Exception):
    """Base of every error that volspine raises on purpose.

    Args:
        message: What is wrong, with the value received; one sentence without a final stop.
        remedy: What the user can do about it; one sentence without a final stop.
        path: File or folder concerned, named as the user gave it.
        code: Stable identifier such as `"VS-GEO-003"`; the class's own if omitted.

    Example:
        >>> print(GeometryError("PixelSpacing is 0", remedy="export the series again"))
        VS-GEO-000: PixelSpacing is 0; export the series again
    """

    default_code: ClassVar[str] = "VS-000"

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        path: str | Path | None = None,
        code: str | None = None,
    ) -> None:
        self.message = message
        self.remedy = remedy
        self.path = None if path is None else str(path)
        self.code = code or self.default_code
        super().__init__(message)

    def __str__(self) -> str:
        where = f" [{self.path}]" if self.path else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.code}: {self.message}{where}{remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not survive pickling between workers otherwise.
        return _rebuild, (type(self), self.message, self.remedy, self.path, self.code)


def _rebuild(
    kind: type[VolspineError], message: str, remedy: str, path: str | None, code: str
) -> VolspineError:
    return kind(message, remedy=remedy, path=path, code=code)


class InputError(VolspineError):
    """Nothing usable or readable was given."""

    default_code = "VS-INP-000"


class DicomReadError(InputError):
    """A file that should be DICOM cannot be parsed."""

    default_code = "VS-DCM-000"


class MixedStudyError(InputError):
    """Two patients or two studies where one was expected."""

    default_code = "VS-MIX-000"


class NoUsableSeriesError(InputError):
    """Readable files, but no series that forms a volume, or an ambiguous choice."""

    default_code = "VS-SER-000"


class TableError(InputError):
    """A table of labels or predictions that does not parse."""

    default_code = "VS-TAB-000"


class GeometryError(VolspineError):
    """Positions, orientations or spacings that cannot be trusted."""

    default_code = "VS-GEO-000"


class PixelError(VolspineError):
    """Pixel data that cannot be decoded or trusted."""

    default_code = "VS-PIX-000"


class LimitError(VolspineError):
    """A size or count beyond the limits; raised before anything of that size is allocated."""

    default_code = "VS-LIM-000"


class WeightsError(VolspineError):
    """Model weights missing, damaged or not what they claim to be."""

    default_code = "VS-WGT-000"


class OutputError(VolspineError):
    """A result that cannot be written, or that would overwrite another."""

    default_code = "VS-OUT-000"


class ConfigurationError(VolspineError):
    """An option, recipe or environment that cannot work."""

    default_code = "VS-CFG-000"


class DeviceError(ConfigurationError):
    """A compute device that is not there or has too little memory."""

    default_code = "VS-DEV-000"


class WorkerError(VolspineError):
    """A process that died at its work: killed, out of memory, or its machine is gone."""

    default_code = "VS-RUN-000"


class MissingExtraError(VolspineError):
    """An optional dependency that is not installed."""

    default_code = "VS-EXT-000"

"""Safe names: a path below a study -> one that names no patient, for files that others may read.

Exports name folders and files after patients and UIDs as often as after numbers. A short number,
with one of the usual words before it, stays as it is; any other part of a path becomes `file-` with
eight digits of its sha256, and keeps a usual ending. Five digits are too few for a date of birth, a
record number or a telephone. Equal parts stay equal, and whoever has the files can find the one
that is meant. In the challenge's layout numbers alone name studies and series, and all stays.
"""

import hashlib
import re
from pathlib import Path

from volspine.dicom.descriptions import is_challenge_study

__all__ = ["safe_path", "safe_path_in"]

_WORDS = (
    "dicom|dicomdir|dir|e|f|file|files|i|im|image|images|img|instance|k|mr|mri|s|scan|se|ser|series|"
    "slice|st|stack|study|t1|t2|sag|ax|axial|sagittal|cor|coronal|test_images|train_images"
)
_ENDINGS = "bz2|csv|dcm|dic|gz|ima|img|jpeg|jpg|json|nii|npy|pdf|png|txt|xml|zip"
_PLAIN = re.compile(rf"(?:(?:{_WORDS})[-_ ]?)*\d{{0,5}}(?:\.(?:{_ENDINGS}))*", re.IGNORECASE)
_OURS = re.compile(r"series-[0-9a-f]{8}(?:-\d+)?")
_ENDING = re.compile(rf"(?:\.(?:{_ENDINGS}))+$", re.IGNORECASE)


def safe_path(path: str) -> str:
    """Return a path whose parts are plain numbers or digests.

    Args:
        path: Below a study; parts end at `/`, a backslash, or the `!` of an archive.

    Example:
        >>> safe_path("series_3/IM0012.dcm"), safe_path("Doe^Jane/12.dcm")
        ('series_3/IM0012.dcm', 'file-ff37cfda/12.dcm')
    """
    return "".join(
        part if part in {"/", "\\", "!"} else _safe(part) for part in re.split(r"([/\\!])", path)
    )


def safe_path_in(study: Path | None, path: str) -> str:
    """Return a path below a study as it may be written; in the challenge's layout as it is."""
    return path if study is not None and is_challenge_study(study) else safe_path(path)


def _safe(part: str) -> str:
    if part in {"", ".", ".."} or _PLAIN.fullmatch(part) or _OURS.fullmatch(part):
        return part
    ending = _ENDING.search(part)
    digest = hashlib.sha256(part.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"file-{digest}{'' if ending is None else ending.group().lower()}"

"""What a model was measured to doubt, as plain data, and a study judged by it.

    {"schema": 1, "weights_sha256": ..., "usual": `Usual.to_dict`,
     "inside": {measure: doubts of usual studies, sorted},
     "thresholds": {measure: {"value": ..., "refused": ..., "studies": ...}}}

`inside` are studies that `usual` was not fitted on. Of each measure of a new study the record tells
how many of them lie below, and whether it exceeds the threshold, which 99 % of usual studies stay
below (`metrics.doubt.refusal_threshold`). What is put together in `overall` exceeds its threshold
only where one of the others exceeds its own, so it has no warning of its own.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volspine.errors import ConfigurationError
from volspine.inference.doubt import MEASURES, Impression, Usual
from volspine.inference.plain_numbers import plain_numbers
from volspine.metrics.doubt import Threshold, refusal_threshold
from volspine.types import ArrayLike, FloatArray

__all__ = [
    "JUDGED",
    "MAX_BYTES",
    "SHARE",
    "DoubtRecord",
    "doubt_from_bytes",
    "read_doubt",
    "warnings_of",
]

JUDGED = (*MEASURES, "overall")
"""Measures that are compared with those of usual studies."""

SHARE = 0.99
"""Of usual studies that stay below a threshold."""

MAX_BYTES = 2**20
"""Largest file."""

_SCHEMA = 1
_LEAST_STUDIES = 5

_SAID = {
    "entropy": "The grades are less decided than those of usual studies",
    "information": "The grades change when the study is mirrored or another network is asked",
    "features": "The pictures show what looks unlike anything the model was trained on",
    "pictures": "The pictures look unlike those the model was trained on: brightness, contrast, "
    "sharpness, noise or the order of slices",
}


@dataclass(frozen=True, eq=False)
class DoubtRecord:
    """What a model makes of usual studies.

    Attributes:
        usual: What they are like.
        inside: For each of `JUDGED`, sorted doubts of other usual studies, (n,).
        thresholds: For each of `JUDGED`.
        weights_sha256: Of the model; nothing of this holds for another one.
    """

    usual: Usual
    inside: Mapping[str, FloatArray]
    thresholds: Mapping[str, Threshold]
    weights_sha256: str

    @classmethod
    def of(
        cls, usual: Usual, inside: Mapping[str, ArrayLike], *, weights_sha256: str
    ) -> "DoubtRecord":
        """Return the record of a model.

        Args:
            usual: Of some studies.
            inside: For each of `JUDGED` the doubts of others, which are usual too.
            weights_sha256: Of the model.

        Raises:
            ConfigurationError: If a measure is missing, or they are fewer than five.
        """
        if not set(JUDGED) <= set(inside) or any(len(inside[n]) < _LEAST_STUDIES for n in JUDGED):
            raise _bad(f"it takes {_LEAST_STUDIES} usual studies with all measures")
        rounded = {
            name: np.sort([_rounded(float(x)) for x in np.asarray(inside[name])]) for name in JUDGED
        }
        thresholds = {name: refusal_threshold(found, SHARE) for name, found in rounded.items()}
        return cls(usual, rounded, thresholds, weights_sha256)

    def judged(self, impression: Impression) -> dict[str, dict[str, float]]:
        """Return for each of `JUDGED` the `value`, the share `usual_below`, and the `threshold`.

        Args:
            impression: Of one study, its samples those of the targets that were graded. Numbers are
                NaN where it tells nothing.
        """
        doubts = self.usual.doubts(impression)
        return {name: self._judged(name, doubts[name]) for name in JUDGED}

    def _judged(self, name: str, exact: float) -> dict[str, float]:
        doubt = _rounded(exact)
        below = math.nan if math.isnan(doubt) else float(np.mean(self.inside[name] < doubt))
        threshold = self.thresholds[name].value
        return {"value": doubt, "usual_below": below, "threshold": threshold}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "schema": _SCHEMA,
            "weights_sha256": self.weights_sha256,
            "usual": self.usual.to_dict(),
            "inside": {name: found.tolist() for name, found in self.inside.items()},
            "thresholds": {name: t._asdict() for name, t in self.thresholds.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DoubtRecord":
        """Return what `to_dict` wrote; what else is there is left out.

        Raises:
            ConfigurationError: If it is none: a field is missing, not a number, infinite, or of
                another shape, or thresholds are not those of the doubts.
        """
        try:
            if data["schema"] != _SCHEMA or not isinstance(data["weights_sha256"], str):
                raise _bad("it is of another version")
            inside = {name: plain_numbers(data["inside"][name], (None,)) for name in JUDGED}
            made = cls.of(
                Usual.from_dict(data["usual"]), inside, weights_sha256=data["weights_sha256"]
            )
            said = {name: data["thresholds"][name]["value"] for name in JUDGED}
            values = plain_numbers([said[name] for name in JUDGED], (len(JUDGED),))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _bad(f"a field is missing or malformed ({type(error).__name__})") from error
        for name, value in zip(JUDGED, values, strict=True):
            if not math.isclose(value, made.thresholds[name].value, rel_tol=1e-6, abs_tol=1e-9):
                raise _bad(f"the threshold of {name} is not that of its doubts")
        return made

    def check_fit(self, features: int | None, weights_sha256: str) -> None:
        """Refuse the record of another model.

        Args:
            features: Of its trunk; None where that is not known.
            weights_sha256: Of its weights.

        Raises:
            ConfigurationError: If it is of another one.
        """
        if self.weights_sha256 != weights_sha256:
            raise _bad("it was measured with other weights")
        widths = {of_view.shape[1] for of_view in self.usual.features} - {0}
        if features is not None and not widths <= {features}:
            raise _bad("it is of a network with other features")


def read_doubt(path: Path) -> DoubtRecord:
    """Return the record that a file holds.

    Raises:
        ConfigurationError: If it cannot be read, or holds none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _bad(f"the file is larger than {MAX_BYTES} bytes")
        return doubt_from_bytes(path.read_bytes())
    except OSError as error:
        raise _bad(f"{path.name} cannot be read ({error.strerror})") from error


def doubt_from_bytes(data: bytes) -> DoubtRecord:
    """Return the record that the content of a file describes.

    Raises:
        ConfigurationError: If it describes none.
    """
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad("it is not JSON") from error
    if not isinstance(parsed, dict):
        raise _bad("it is not a JSON object")
    return DoubtRecord.from_dict(parsed)


def warnings_of(judged: Mapping[str, Mapping[str, float]], record: DoubtRecord) -> tuple[str, ...]:
    """Return a sentence for each threshold that is exceeded; none where a doubt is not known."""
    studies = len(record.inside[JUDGED[0]])
    return tuple(
        f"{said} ({name} {judged[name]['value']:.3g}, threshold {judged[name]['threshold']:.3g}; "
        f"{judged[name]['usual_below']:.0%} of {studies} usual studies lie below). "
        "Look at the images: the grades may be wrong."
        for name, said in _SAID.items()
        if judged[name]["value"] > judged[name]["threshold"]
    )


def _rounded(doubt: float) -> float:
    # Alike for those inside and those judged, so that a study is not above itself.
    return float(f"{doubt:.5g}")


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError(
        f"the doubts of a model cannot be used: {message}",
        remedy="measure them again: python -m experiments.doubt BUNDLE --out doubt.json",
        code="VS-CFG-173",
    )

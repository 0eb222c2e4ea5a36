"""StudyGrades: the frozen result of grading one study.

Numbers only: what was concluded about each of the 25 targets, where, and what was not measured but
filled in. How it is shown (tables, pages, structured reports) is the business of `report`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from volspine.anatomy import MIRRORED_INDEX, TARGETS, Grade
from volspine.errors import ConfigurationError
from volspine.types import BoolArray, FloatArray

__all__ = ["RESEARCH_USE", "Status", "StudyGrades"]

RESEARCH_USE = "Research use only. Not a medical device."
"""Stands in every output."""

Status = Literal["graded", "partial", "refused"]
"""graded: every target measured; partial: some imputed; refused: not a lumbar MRI that we grade."""

_NUM_TARGETS, _NUM_GRADES = len(TARGETS), len(Grade)


@dataclass(frozen=True, kw_only=True)
class StudyGrades:
    """What was concluded about one study; valid once constructed.

    Attributes:
        name: Name of the study in outputs; never patient data.
        probabilities: Calibrated, shape (25, 3), in the order of `TARGETS` and `Grade`; NaN
            throughout when refused.
        imputed: Shape (25,); True where the study did not show the target and the prior stands in.
        reasons: 25 texts; why a target was imputed or not located, else empty.
        points_mm: Shape (25, 3); where each target is, LPS millimetres; NaN where not located.
        status: `graded`, `partial` or `refused`.
        reason: Why the study is not `graded`; empty when it is.
        provenance: Plain data (strings, numbers, lists, dicts) about model, inputs and settings.
    """

    name: str
    probabilities: FloatArray
    imputed: BoolArray
    reasons: tuple[str, ...]
    points_mm: FloatArray
    status: Status
    reason: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, shape in (
            ("probabilities", (_NUM_TARGETS, _NUM_GRADES)),
            ("imputed", (_NUM_TARGETS,)),
            ("points_mm", (_NUM_TARGETS, 3)),
        ):
            # A private copy, so that nobody else can write through the frozen result.
            array = np.array(getattr(self, name))
            if array.shape != shape:
                raise ConfigurationError(
                    f"{name} has shape {array.shape}, not {shape}",
                    remedy="give one row for each target in the order of TARGETS",
                    code="VS-CFG-020",
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if len(self.reasons) != _NUM_TARGETS:
            raise ConfigurationError(
                f"{len(self.reasons)} reasons for {_NUM_TARGETS} targets",
                remedy="give one text for each target; empty where there is nothing to say",
                code="VS-CFG-020",
            )
        if self.status != "refused":
            _check_distributions(self.probabilities)

    @property
    def grades(self) -> tuple[Grade | None, ...]:
        """The most probable grade of each target; None throughout when refused.

        Equal probabilities give the milder grade.
        """
        if self.status == "refused":
            return (None,) * _NUM_TARGETS
        return tuple(Grade(int(k)) for k in self.probabilities.argmax(axis=1))

    @property
    def confidence(self) -> FloatArray:
        """Probability of the grade given, shape (25,); NaN when refused."""
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float64)

    def mirrored(self) -> "StudyGrades":
        """Return the grades of the mirror image: sides swapped, x negated (LPS)."""
        index = np.array(MIRRORED_INDEX)
        return StudyGrades(
            name=self.name,
            probabilities=self.probabilities[index],
            imputed=self.imputed[index],
            reasons=tuple(self.reasons[i] for i in MIRRORED_INDEX),
            points_mm=self.points_mm[index] * np.array([-1.0, 1.0, 1.0]),
            status=self.status,
            reason=self.reason,
            provenance=self.provenance,
        )

    @classmethod
    def refused(
        cls, name: str, reason: str, provenance: Mapping[str, Any] | None = None
    ) -> "StudyGrades":
        """Return the result of a study that is not graded at all, with its reason."""
        return cls(
            name=name,
            probabilities=np.full((_NUM_TARGETS, _NUM_GRADES), np.nan),
            imputed=np.zeros(_NUM_TARGETS, dtype=np.bool_),
            reasons=(reason,) * _NUM_TARGETS,
            points_mm=np.full((_NUM_TARGETS, 3), np.nan),
            status="refused",
            reason=reason,
            provenance=dict(provenance or {}),
        )


def _check_distributions(probabilities: FloatArray) -> None:
    sums = probabilities.sum(axis=1)
    if not (np.all(probabilities >= 0) and np.allclose(sums, 1.0, atol=1e-4)):
        raise ConfigurationError(
            "probabilities of a graded study must be non-negative and sum to one for each target",
            remedy="use StudyGrades.refused for a study that was not graded",
            code="VS-CFG-021",
        )

"""Run: one study on its way through the predictor; what was found of it, and what is said of it.

A *reader* is the part of the way that differs between the modes: from a run to an `Answer`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, runtime_checkable
from typing import Protocol as Interface

import numpy as np

from volspine.anatomy import TARGETS, Protocol
from volspine.dicom.study import Study
from volspine.inference.coverage import Usable
from volspine.inference.provenance import Timings, Use
from volspine.landmarks import Landmarks
from volspine.types import FloatArray

__all__ = ["NOT_LOCATED", "Answer", "Options", "Reader", "Run", "each_once"]

NOT_LOCATED = "the model has no localizer, so levels are not located"
"""Why no target of a model without a localizer has a place."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a study is read and named.

    Attributes:
        protocol: What a lone NIfTI file is.
        strict: Turn repairs and refusals into errors.
        shift_levels: Name each finding this many levels lower.
        tta: How many variants of the study are graded besides (`inference.variants`).
    """

    protocol: Protocol | str | None = None
    strict: bool = False
    shift_levels: int = 0
    tta: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the provenance of a result."""
        protocol = None if self.protocol is None else str(Protocol(self.protocol).value)
        return {
            "protocol": protocol,
            "strict": self.strict,
            "shift_levels": self.shift_levels,
            **({"tta": self.tta} if self.tta else {}),
        }


@dataclass
class Run:
    """One study on its way through the predictor, and what was found of it so far.

    Attributes:
        usable: The part of the study that can be graded.
        how: As asked for.
        timings: Seconds of each step.
        warnings: To be said in every output.
        found: Where the levels are; None if the model has no localizer.
    """

    usable: Usable
    how: Options
    timings: Timings
    warnings: list[str] = field(default_factory=list)
    found: Landmarks | None = None

    @property
    def study(self) -> Study:
        """The study, as far as it can be used."""
        return self.usable.study

    @property
    def points_mm(self) -> FloatArray:
        """Where each target is, (25, 3)."""
        nowhere = np.full((len(TARGETS), 3), np.nan)
        return nowhere if self.found is None else self.found.points_mm

    @property
    def unlocated(self) -> tuple[str, ...]:
        """25 texts: why a target has no place, else empty."""
        return (NOT_LOCATED,) * len(TARGETS) if self.found is None else self.found.reasons


class Answer(NamedTuple):
    """What is said of one study, under the names that were asked for.

    Attributes:
        reasons: 25 texts; why a target is not graded, else empty. Where none is empty, nothing was
            graded.
        probabilities: Calibrated, shape (25, 3); anything where there is a reason.
        uses: For each series by name, how it was used.
        facts: Plain data about what the networks saw.
        look: What the grades looked at, for those who ask; None where that is not known.
    """

    reasons: tuple[str, ...]
    probabilities: FloatArray
    uses: Mapping[str, Use]
    facts: Mapping[str, Any]
    look: Any = None


@runtime_checkable
class Reader(Interface):
    """The part of prediction that differs between the modes."""

    def read(self, run: Run) -> Answer:
        """Return what the networks say of a study whose levels have been looked for."""
        ...


def each_once(reasons: Iterable[str]) -> str:
    """Return what several reasons are made of, without repeating a part."""
    parts = [part for reason in reasons if reason for part in reason.split("; ")]
    return "; ".join(dict.fromkeys(parts))

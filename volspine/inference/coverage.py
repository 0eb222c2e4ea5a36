"""What a study shows: which series can be used, which targets they cover, and why not the others.

A target is graded when one of its primary views covers it: the canal needs sagittal T2 or axial T2,
a foramen sagittal T1, a recess axial T2. Before levels are located, a view covers the lumbar spine
if it is there, can be decoded, is not one constant value, and reaches far enough in each direction.

Shapes:
    X, Y, Z  voxels of the grid, RAS order      3  protocols, in the order of `PROTOCOLS`
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from volspine.anatomy import PROTOCOLS, TARGETS, Finding, Protocol
from volspine.dicom.study import Fault, Series, Study
from volspine.errors import GeometryError, VolspineError
from volspine.inference.screen import why_no_picture
from volspine.types import BoolArray, FloatArray
from volspine.volume.frames import in_one_frame, series_apart
from volspine.volume.sample import SampledStudy

__all__ = [
    "MIN_EXTENT_MM",
    "Usable",
    "missing_views",
    "reasons_not_shown",
    "usable_part",
    "why_set_aside",
]

MIN_EXTENT_MM: Mapping[Protocol, tuple[float, float, float]] = MappingProxyType(
    {
        # The foramina of both sides lie 35 to 50 mm apart; five levels span 130 to 160 mm.
        Protocol.SAGITTAL_T1: (30.0, 40.0, 80.0),
        # The canal is about 20 mm wide.
        Protocol.SAGITTAL_T2: (8.0, 40.0, 80.0),
        # Axial slices are often given through the lower levels only.
        Protocol.AXIAL_T2: (40.0, 40.0, 30.0),
    }
)
"""How far a view must reach at least: left to right, back to front, foot to head."""

_APART = "it lies in another frame of reference than the series that are used"
_APART_CODE, _NO_PICTURE_CODE = "VS-GEO-035", "VS-PIX-060"
_DIRECTIONS = ("left to right", "back to front", "foot to head")


@dataclass(frozen=True)
class Usable:
    """The part of a study that can be graded.

    Attributes:
        study: Without the series that cannot; those are among its faults.
        set_aside: For each protocol that lost every series, why the last of them went.
    """

    study: Study
    set_aside: Mapping[Protocol, str]


def usable_part(study: Study, *, strict: bool = False) -> Usable:
    """Return the study without graded series that cannot be decoded or fused, or are no picture.

    Args:
        study: Decoded here, as far as it is graded.
        strict: Raise instead of leaving out what cannot be decoded or fused.

    Raises:
        VolspineError: The first error if `strict`, or if no graded series at all can be decoded.
    """
    apart = _apart(study, strict=strict)
    together = in_one_frame(study)
    problems: list[tuple[Series, _Problem]] = [(s, _Problem(_APART, _APART_CODE)) for s in apart]
    errors = []
    graded = [series for series in together.series if series.protocol in PROTOCOLS]
    for series in graded:
        try:
            why = why_no_picture(series)
            if why is not None:
                problems.append((series, _Problem(why, _NO_PICTURE_CODE)))
        except VolspineError as error:
            if strict:
                raise
            errors.append(error)
            problems.append((series, _Problem.of(error)))
    if graded and len(errors) == len(graded):
        raise errors[0]
    # By identity: one SeriesInstanceUID may have given several series.
    kept = [series for series in study.series if all(series is not bad for bad, _ in problems)]
    faults = [Fault(series.name, problem.code, problem.fault) for series, problem in problems]
    lost = {series.protocol: problem.why for series, problem in problems}
    still_there = {series.protocol for series in kept}
    return Usable(
        replace(study, series=kept, faults=[*study.faults, *faults]),
        {protocol: why for protocol, why in lost.items() if protocol not in still_there},
    )


def _apart(study: Study, *, strict: bool) -> list[Series]:
    apart = series_apart(study)
    if apart and strict:
        raise GeometryError(
            f"{len(apart)} of the graded series lie in another frame of reference than the others",
            remedy="leave out --strict to grade without them",
            path=apart[0].name,
            code=_APART_CODE,
        )
    return apart


@dataclass(frozen=True)
class _Problem:
    """Why a series is left out, as a clause and as a fault."""

    why: str
    code: str
    message: str = ""

    @classmethod
    def of(cls, error: VolspineError) -> "_Problem":
        return cls(f"it cannot be decoded ({error.code})", error.code, error.message)

    @property
    def fault(self) -> str:
        clause = self.why.removeprefix("it ").removeprefix("is ").removeprefix("a ")
        return self.message or clause


def missing_views(usable: Usable, sampled: SampledStudy) -> dict[Protocol, str]:
    """Return, for each protocol that shows nothing to grade, the reason.

    Args:
        usable: The usable part of a study.
        sampled: The same on the model's grid.
    """
    reasons = {}
    for p, protocol in enumerate(PROTOCOLS):
        if protocol in usable.set_aside:
            reasons[protocol] = why_set_aside(protocol, usable.set_aside[protocol])
        elif not usable.study.by_protocol(protocol):
            reasons[protocol] = f"the study has no {protocol.label} series"
        elif not sampled.masks[p].any():
            reasons[protocol] = f"the {protocol.label} series covers no voxel of the model's grid"
        elif short := _too_short(protocol, sampled.masks[p], sampled.grid.spacing_mm):
            reasons[protocol] = short
    return reasons


def why_set_aside(protocol: Protocol, why: str) -> str:
    """Return the reason for a protocol that lost every series."""
    return f"the {protocol.label} series was not used: {why}"


def reasons_not_shown(missing: Mapping[Protocol, str]) -> tuple[str, ...]:
    """Return 25 texts: why a target is not shown, or empty if one of its primary views is there."""
    of_finding = {finding: _why_not_shown(finding, missing) for finding in Finding}
    return tuple(of_finding[target.finding] for target in TARGETS)


def _why_not_shown(finding: Finding, missing: Mapping[Protocol, str]) -> str:
    if any(view not in missing for view in finding.primary_views):
        return ""
    return "; ".join(missing[view] for view in finding.primary_views)


def _too_short(protocol: Protocol, mask: BoolArray, spacing_mm: tuple[float, float, float]) -> str:
    extent = _extent_mm(mask, spacing_mm)
    for reach, least, direction in zip(extent, MIN_EXTENT_MM[protocol], _DIRECTIONS, strict=True):
        if reach < least:
            return f"the {protocol.label} series reaches only {reach:.0f} mm from {direction}"
    return ""


def _extent_mm(mask: BoolArray, spacing_mm: tuple[float, float, float]) -> FloatArray:
    index = np.argwhere(mask)
    voxels = index.max(axis=0) - index.min(axis=0) + 1
    return np.asarray(voxels * np.asarray(spacing_mm), dtype=np.float64)

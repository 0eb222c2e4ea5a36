"""Protocol: which series is which, why we think so, and how sure that is.

Asked in this order, the first that answers wins: the challenge's table; what the series is called
and its echo, repetition and inversion times; the contrast of the image itself. The plane comes from
the orientation of the slices, never from a name, and overrules the table where the two cannot both
be right. What is no MR image, or of another part of the body, is none of the three.

Confidence, from 0 to 1:

    1            the challenge's table or the caller says so
    .95          name and times agree; another part of the body or kind of image is named
    .9, .85      only the name, only the times
    .6           name and times disagree
    .5 to .8     by image, the higher the further from the border
    0            nothing tells
"""

from collections.abc import Sequence
from typing import NamedTuple

from volspine.anatomy import Protocol
from volspine.challenge import description_from_protocol
from volspine.dicom.bodypart import LUMBAR, named_part, why_not_lumbar_mr
from volspine.dicom.contrast import Bands, fluid_contrast
from volspine.dicom.instance import Acquisition
from volspine.dicom.weighting import (
    BOTH,
    NAMED,
    Answer,
    Weighting,
    weighting_from_header,
    weighting_from_name,
)
from volspine.errors import VolspineError
from volspine.geometry.axes import Plane
from volspine.geometry.stack import Stack

__all__ = ["Recognized", "from_table", "recognize", "recognize_images", "recognize_named"]

_PROTOCOLS: dict[tuple[Plane, Weighting], Protocol] = {
    ("sagittal", "t1"): Protocol.SAGITTAL_T1,
    ("sagittal", "t2"): Protocol.SAGITTAL_T2,
    ("axial", "t2"): Protocol.AXIAL_T2,
}

_DENIED_BY: dict[Protocol, Plane] = {
    Protocol.SAGITTAL_T1: "axial",
    Protocol.SAGITTAL_T2: "axial",
    Protocol.AXIAL_T2: "sagittal",
}

BRIGHT_FLUID = 0.75
"""Logarithm of fluid over its surroundings from which an image is T2-weighted."""

DARK_FLUID = 0.9
"""Logarithm of surroundings over fluid from which an image without bright fluid is T1-weighted."""

APART = 0.25
"""Difference in fluid contrast that tells two sagittal series of a study apart."""


class Recognized(NamedTuple):
    """What a series is, why, and how sure that is (0 to 1)."""

    protocol: Protocol
    reason: str
    confidence: float


_CORONAL = Recognized(Protocol.OTHER, "coronal slices", BOTH)


def from_table(protocol: Protocol, plane: Plane) -> Recognized | None:
    """Return the protocol of the challenge's table, and the reason; None where the slices deny it.

    Args:
        protocol: What the table says of a series.
        plane: Plane of the slices, from their orientation. Axial slices tilted beyond 45 degrees
            are nearest to coronal, so only sagittal slices deny an axial protocol.
    """
    if _DENIED_BY.get(protocol) == plane:
        return None
    if protocol is Protocol.OTHER:
        return Recognized(protocol, "the challenge's table describes it as none of the three", 1.0)
    described = description_from_protocol(protocol)
    return Recognized(protocol, f"the challenge's table describes it as {described}", 1.0)


def recognize(plane: Plane, acquisition: Acquisition) -> Recognized | None:
    """Return the protocol that the header gives, and the reason; None where it does not tell.

    Args:
        plane: Plane of the slices, from their orientation.
        acquisition: What the header of a slice says.
    """
    unfit = why_not_lumbar_mr(acquisition)
    if unfit is not None:
        return Recognized(Protocol.OTHER, unfit, BOTH)
    if plane == "coronal":
        return _CORONAL
    answer = weighting_from_header(acquisition)
    return None if answer is None else _protocol(plane, answer)


def recognize_named(plane: Plane, name: str) -> Recognized | None:
    """Return the protocol that a file's name gives, and the reason; None where it does not tell."""
    answer = weighting_from_name(name)
    part = named_part(name)
    if part not in (None, LUMBAR):
        return Recognized(Protocol.OTHER, f"it shows the {part} (its file name)", NAMED)
    if plane == "coronal" or answer is None:
        return _CORONAL if plane == "coronal" else None
    reason = answer.reason.replace("its description", "its file name")
    return _protocol(plane, Answer(answer.weighting, reason))


def recognize_images(unknown: Sequence[Sequence[Stack]]) -> list[Recognized]:
    """Return the protocol of each series of a study whose headers tell nothing, and the reasons.

    Fluid is far brighter than its surroundings in T2 and never in T1. Of several sagittal series
    the one with the brightest fluid is T2 and the one with the darkest T1, where they differ.

    Args:
        unknown: Stacks of each such series; their voxels are decoded.
    """
    contrasts = [_contrast(stacks) for stacks in unknown]
    sagittal = [
        contrast.bright
        for contrast, stacks in zip(contrasts, unknown, strict=True)
        if contrast is not None and stacks[0].plane == "sagittal"
    ]
    spread = (min(sagittal, default=0.0), max(sagittal, default=0.0))
    return [
        _protocol(stacks[0].plane, _from_contrast(stacks[0].plane, contrast, spread))
        for contrast, stacks in zip(contrasts, unknown, strict=True)
    ]


def _protocol(plane: Plane, answer: Answer) -> Recognized:
    protocol = _PROTOCOLS.get((plane, answer.weighting), Protocol.OTHER)
    reason = f"{plane} slices by orientation; {answer.reason}"
    return Recognized(protocol, reason, answer.confidence)


def _contrast(stacks: Sequence[Stack]) -> Bands | None:
    try:
        return fluid_contrast(max(stacks, key=lambda stack: stack.shape[2]))
    except VolspineError:
        return None


def _from_contrast(plane: Plane, bands: Bands | None, spread: tuple[float, float]) -> Answer:
    if bands is None:
        return Answer("other", "the header does not tell, and the pixels cannot be read")
    lowest, highest = spread
    is_apart = plane == "sagittal" and highest - lowest >= APART
    if bands.bright >= BRIGHT_FLUID or (is_apart and bands.bright == highest):
        return Answer("t2", f"by image: fluid looks bright (contrast {bands.bright:.1f})")
    is_dark = plane == "sagittal" and bands.dark >= DARK_FLUID
    if is_dark or (is_apart and bands.bright == lowest):
        return Answer("t1", f"by image: fluid looks dark (contrast {bands.dark:.1f})")
    return Answer("other", "neither header nor contrast tells the weighting")

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

import numpy as np

from volspine.anatomy import Protocol
from volspine.challenge import description_from_protocol
from volspine.dicom.bodypart import LUMBAR, named_part, why_not_lumbar_mr
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

BRIGHT, DARK = 0.42, 0.36
"""Fluid scores of a lone sagittal series: T2 from the first on, T1 below the second. Of 12
phantoms each, T1 has 0.11 to 0.33 and T2 with usual contrast 0.47 and more; the one real T2 at hand
has 0.46, and 0.39 to 0.52 when turned, cropped, noisy or shaded, so it is never taken for T1."""

BAND = 0.15
"""Contrast that a dark band must have to be taken for fluid."""

SPOT = 0.35
"""Spot contrast from which axial slices are T2-weighted."""

APART = 0.15
"""Difference in fluid from which two sagittal series of a study are told apart."""

_GUESS, _CLEAR = 0.5, 0.8
"""Confidence of what an image tells: at the border, and far from it."""


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

    Fluid is bright in T2 and dark in T1. Sagittal series of a study are compared with one another
    first, which is far surer than to judge each by itself.

    Args:
        unknown: Stacks of each such series; their voxels are decoded.
    """
    largest = [max(stacks, key=lambda stack: stack.shape[2]) for stacks in unknown]
    sagittal = [stack for stack in largest if stack.plane == "sagittal"]
    return [_protocol(stack.plane, _by_image(stack, sagittal)) for stack in largest]


def _by_image(stack: Stack, sagittal: Sequence[Stack]) -> Answer:
    # Filters of SciPy, half a second to import, which few studies need.
    from volspine.dicom.contrast import fluid_score, spot_score

    try:
        if stack.plane == "axial":
            return _by_spot(spot_score(stack))
        others = [other for other in sagittal if other is not stack]
        return _by_comparison(stack, others) or _by_band(*fluid_score(stack))
    except VolspineError:
        return Answer("other", "the header does not tell, and the pixels cannot be read", 0.0)


def _by_comparison(stack: Stack, others: Sequence[Stack]) -> Answer | None:
    from volspine.dicom.contrast import fluid_difference

    differences = [fluid_difference(stack, other) / 2 for other in others]
    differences += [-fluid_difference(other, stack) / 2 for other in others]
    means = np.sum(np.reshape(differences, (2, -1)), axis=0)
    clearest = float(max(means, key=abs, default=0.0))
    if abs(clearest) < APART:
        return None
    sure = _sureness(abs(clearest) - APART, 0.8)
    if clearest > 0:
        return Answer("t2", f"by image: fluid is brighter than in another ({clearest:.2f})", sure)
    return Answer("t1", f"by image: fluid is darker than in another ({clearest:.2f})", sure)


def _by_band(score: float, dark: float) -> Answer:
    if score >= BRIGHT:
        why = f"by image: fluid looks bright ({score:.2f})"
        return Answer("t2", why, _sureness(score - BRIGHT, 0.2))
    if score < DARK and dark >= BAND:
        why = f"by image: fluid looks dark ({score:.2f})"
        return Answer("t1", why, _sureness(DARK - score, 0.2))
    return _UNTOLD


def _by_spot(score: float) -> Answer:
    if score < SPOT:
        return _UNTOLD
    why = f"by image: fluid looks bright ({score:.2f})"
    return Answer("t2", why, _sureness(score - SPOT, 0.3))


def _sureness(beyond: float, far: float) -> float:
    return round(_GUESS + (_CLEAR - _GUESS) * min(beyond / far, 1.0), 2)


_UNTOLD = Answer("other", "neither header nor contrast tells the weighting", 0.0)


def _protocol(plane: Plane, answer: Answer) -> Recognized:
    protocol = _PROTOCOLS.get((plane, answer.weighting), Protocol.OTHER)
    reason = f"{plane} slices by orientation; {answer.reason}"
    return Recognized(protocol, reason, answer.confidence)

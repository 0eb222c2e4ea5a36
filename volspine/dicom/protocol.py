"""Protocol: which series is which, and why we think so.

Asked in this order, the first that answers wins: the challenge's table; what the series is called;
its echo, repetition and inversion times; the contrast of the image itself. The plane comes from the
orientation of the slices, never from a name, and overrules the table where the two cannot both be
right.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from volspine.anatomy import Protocol
from volspine.challenge import description_from_protocol
from volspine.dicom.contrast import Bands, fluid_contrast
from volspine.dicom.instance import Acquisition
from volspine.errors import VolspineError
from volspine.geometry.axes import Plane
from volspine.geometry.stack import Stack

__all__ = [
    "Answer",
    "Weighting",
    "from_table",
    "recognize",
    "recognize_images",
    "recognize_named",
    "weighting_from_name",
    "weighting_from_times",
]

Weighting = Literal["t1", "t2", "other"]

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

_NEITHER = re.compile(
    r"loc|scout|survey|plan|myelo|dwi|diff|adc|ep2d|fmri|bold|asl|perf|flow|phase|map|"
    r"\bpd|proton|subtraction|swi|haste|mosaic",
)
_T2 = re.compile(r"(?<![a-z])t2|(?<=sag)t2|(?<=ax)t2|(?<=tra)t2|stir|tirm|short.?tau")
_T1 = re.compile(r"(?<![a-z])t1|(?<=sag)t1|(?<=ax)t1|(?<=tra)t1")


BRIGHT_FLUID = 0.75
"""Logarithm of fluid over its surroundings from which an image is T2-weighted."""

DARK_FLUID = 0.9
"""Logarithm of surroundings over fluid from which an image without bright fluid is T1-weighted."""

APART = 0.25
"""Difference in fluid contrast that tells two sagittal series of a study apart."""


class Answer(NamedTuple):
    """A weighting with the reason for it."""

    weighting: Weighting
    reason: str


def from_table(protocol: Protocol, plane: Plane) -> tuple[Protocol, str] | None:
    """Return the protocol of the challenge's table, and the reason; None where the slices deny it.

    Args:
        protocol: What the table says of a series.
        plane: Plane of the slices, from their orientation. Axial slices tilted beyond 45 degrees
            are nearest to coronal, so only sagittal slices deny an axial protocol.
    """
    if _DENIED_BY.get(protocol) == plane:
        return None
    if protocol is Protocol.OTHER:
        return protocol, "the challenge's table describes it as none of the three"
    return protocol, f"the challenge's table describes it as {description_from_protocol(protocol)}"


def recognize(plane: Plane, acquisition: Acquisition) -> tuple[Protocol, str] | None:
    """Return the protocol that the header gives, and the reason; None where it does not tell.

    Args:
        plane: Plane of the slices, from their orientation.
        acquisition: What the header of a slice says.
    """
    if plane == "coronal":
        return Protocol.OTHER, "coronal slices"
    if "LOCALIZER" in acquisition.image_type:
        return Protocol.OTHER, f"{plane} slices of a localizer (ImageType)"
    answer = weighting_from_name(acquisition.description) or weighting_from_times(acquisition)
    return None if answer is None else _protocol(plane, answer)


def recognize_named(plane: Plane, name: str) -> tuple[Protocol, str] | None:
    """Return the protocol that a file's name gives, and the reason; None where it does not tell."""
    answer = weighting_from_name(name)
    if plane == "coronal" or answer is None:
        return (Protocol.OTHER, "coronal slices") if plane == "coronal" else None
    reason = answer.reason.replace("its description", "its file name")
    return _protocol(plane, Answer(answer.weighting, reason))


def recognize_images(unknown: Sequence[Sequence[Stack]]) -> list[tuple[Protocol, str]]:
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


def _protocol(plane: Plane, answer: Answer) -> tuple[Protocol, str]:
    protocol = _PROTOCOLS.get((plane, answer.weighting), Protocol.OTHER)
    return protocol, f"{plane} slices by orientation; {answer.reason}"


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


def weighting_from_name(name: str) -> Answer | None:
    """Return the weighting that a series' name states; None where it states none.

    The name itself is not repeated: free text may hold anything.

    Example:
        >>> weighting_from_name("SAG T2 TSE").weighting, weighting_from_name("series 4")
        ('t2', None)
    """
    text = name.lower()
    if _NEITHER.search(text):
        return Answer("other", "its description names another kind of image")
    is_t1, is_t2 = bool(_T1.search(text)), bool(_T2.search(text))
    if is_t1 == is_t2:
        return None
    return Answer("t1", "its description says T1") if is_t1 else Answer("t2", _t2_reason(text))


def _t2_reason(text: str) -> str:
    return "its description says T2" if "t2" in text else "its description says STIR"


def weighting_from_times(acquisition: Acquisition) -> Answer | None:
    """Return the weighting that echo, repetition and inversion times give; None where unsaid.

    Spin-echo rules of thumb (Bernstein et al., Handbook of MRI Pulse Sequences, 2004): a long echo
    is T2-weighted; short echo and short repetition are T1-weighted; an inversion time of 100 to
    300 ms nulls fat (STIR); 500 to 1200 ms with a short echo is a T1 FLAIR.
    """
    echo, repetition = acquisition.echo_time, acquisition.repetition_time
    inversion = acquisition.inversion_time or 0.0
    if echo is None:
        return None
    said = f"TE {echo:.0f} ms" + (f", TR {repetition:.0f} ms" if repetition else "")
    if 100 <= inversion <= 300:
        return Answer("t2", f"TI {inversion:.0f} ms is STIR")
    if echo >= 60:
        return Answer("t2", f"{said} is T2-weighted")
    if echo <= 35 and repetition is not None:
        is_flair = 500 <= inversion <= 1200
        if repetition <= 1200 or is_flair:
            return Answer("t1", f"{said} is T1-weighted")
    return Answer("other", f"{said} is neither T1- nor T2-weighted")

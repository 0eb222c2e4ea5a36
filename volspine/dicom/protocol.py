"""Protocol: which series is which, and why we think so.

Asked in this order, the first that answers wins: the challenge's table; what the series is called;
its echo, repetition and inversion times; the contrast of the image itself. The plane comes from the
orientation of the slices, never from a name.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from volspine.anatomy import Protocol
from volspine.challenge import description_from_protocol
from volspine.dicom.contrast import weighting_from_image
from volspine.dicom.instance import Acquisition
from volspine.errors import VolspineError
from volspine.geometry.axes import Plane
from volspine.geometry.stack import Stack

__all__ = [
    "Answer",
    "Weighting",
    "from_table",
    "recognize",
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

_NEITHER = re.compile(
    r"loc|scout|survey|plan|myelo|dwi|diff|adc|ep2d|fmri|bold|asl|perf|flow|phase|map|"
    r"\bpd|proton|subtraction|swi|haste|mosaic",
)
_T2 = re.compile(r"(?<![a-z])t2|(?<=sag)t2|(?<=ax)t2|(?<=tra)t2|stir|tirm|short.?tau")
_T1 = re.compile(r"(?<![a-z])t1|(?<=sag)t1|(?<=ax)t1|(?<=tra)t1")


class Answer(NamedTuple):
    """A weighting with the reason for it."""

    weighting: Weighting
    reason: str


def from_table(protocol: Protocol) -> tuple[Protocol, str]:
    """Return the protocol of the challenge's table, with its reason."""
    if protocol is Protocol.OTHER:
        return protocol, "the challenge's table describes it as none of the three"
    return protocol, f"the challenge's table describes it as {description_from_protocol(protocol)}"


def recognize(
    plane: Plane, acquisitions: Sequence[Acquisition], stacks: Sequence[Stack]
) -> tuple[Protocol, str]:
    """Return the protocol of a series and the reason.

    Args:
        plane: Plane of its slices.
        acquisitions: What the headers of its slices say.
        stacks: Its stacks; decoded only if the headers say nothing.
    """
    if plane == "coronal":
        return Protocol.OTHER, "coronal slices"
    first = acquisitions[0]
    if "LOCALIZER" in first.image_type:
        return Protocol.OTHER, f"{plane} slices of a localizer (ImageType)"
    answer = weighting_from_name(first.description) or weighting_from_times(first)
    answer = answer or _from_image(plane, stacks)
    protocol = _PROTOCOLS.get((plane, answer.weighting), Protocol.OTHER)
    return protocol, f"{plane} slices by orientation; {answer.reason}"


def recognize_named(plane: Plane, name: str, stacks: Sequence[Stack]) -> tuple[Protocol, str]:
    """Return the protocol of a volume without header, from its file's name or its contrast."""
    answer = weighting_from_name(name) or _from_image(plane, stacks)
    reason = answer.reason.replace("its description", "its file name")
    return _PROTOCOLS.get((plane, answer.weighting), Protocol.OTHER), reason


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


def _from_image(plane: Plane, stacks: Sequence[Stack]) -> Answer:
    try:
        weighting, contrast = weighting_from_image(plane, stacks)
    except VolspineError:
        return Answer("other", "nothing in its header tells, and its pixels cannot be read")
    if weighting is None:
        return Answer("other", "neither its header nor its contrast tells the weighting")
    kind = "bright" if weighting == "t2" else "dark"
    return Answer(
        weighting,
        f"the header does not tell, but a {kind} band behind the vertebrae (contrast "
        f"{contrast:+.1f}) looks like fluid in a {weighting.upper()} image",
    )

"""Weighting: what the name and the physics of an acquisition say of its contrast.

Rules of thumb for spin echoes (Bernstein et al., Handbook of MRI Pulse Sequences, 2004):

    TE >= 60 ms                                T2
    TE <= 35 ms, TR <= 1200 ms                 T1
    TE <= 35 ms, TI 500 to 1200 ms             T1 (FLAIR)
    TE <  60 ms, TR above that                 proton density: neither
    TI 100 to 300 ms                           STIR: fat is nulled, fluid is bright, read as T2
    TI >= 1500 ms, TE >= 60 ms                 fluid is nulled (FLAIR): neither
    gradient echo, TE >= 12 ms                 T2*: neither
    echo planar                                diffusion, perfusion or function: neither

A name is what a technologist typed and times are what the scanner did: where both say T1 or T2 and
disagree, the times are believed, and the confidence says so.
"""

import re
from typing import Literal, NamedTuple

from volspine.dicom.instance import Acquisition

__all__ = [
    "Answer",
    "Weighting",
    "drawbacks_of",
    "weighting_from_header",
    "weighting_from_name",
    "weighting_from_times",
]

Weighting = Literal["t1", "t2", "other"]

BOTH, NAMED, TIMED, CONTRADICTED = 0.95, 0.9, 0.85, 0.6
"""Confidence where name and times agree, where one of them speaks, and where they disagree."""

_NEITHER = re.compile(
    r"loc|scout|survey|plan|myelo|dwi|diff|adc|ep2d|fmri|bold|asl|perf|flow|phase|map|"
    r"\bpd|proton|subtraction|swi|haste|mosaic|\bt2_?star|\bt2\*|\bmedic\b|\bmerge\b",
)
_T2 = re.compile(r"(?<![a-z])t2|(?<=sag)t2|(?<=ax)t2|(?<=tra)t2|stir|tirm|short.?tau")
_T1 = re.compile(r"(?<![a-z])t1|(?<=sag)t1|(?<=ax)t1|(?<=tra)t1")
_AGENT = re.compile(r"(?<![a-z])(post|gad\w*|gd|km|contrast|ce|\+ ?c)(?![a-z])")
_BEFORE_AGENT = re.compile(r"(?<![a-z])(pre|without|w/?o|non?|native?)(?![a-z])")
_FAT_NULLED = re.compile(
    r"stir|tirm|short.?tau|(?<![a-z])(fs|fatsat|spair|spir|water)(?![a-z])|fat.?s"
)

_NO_AGENT = {"", "none", "no", "n", "0", "null"}
_REFORMATTED = {"MPR", "REFORMATTED", "PROJECTION IMAGE", "RESAMPLED"}
_WATER = {"WATER", "W"}
_NOT_ANATOMY = {
    "LOCALIZER": "a localizer", "P": "a phase image", "PHASE": "a phase image",
    "PHASE MAP": "a phase image", "ADC": "a diffusion map", "DIFFUSION": "a diffusion image",
    "TRACEW": "a diffusion image", "SUBTRACTION": "a subtraction", "T1 MAP": "a map",
    "T2 MAP": "a map", "FAT": "a fat image", "F": "a fat image", "OUT_PHASE": "out of phase",
    "OPP_PHASE": "out of phase", "SCREEN SAVE": "a screenshot",
}  # fmt: skip


class Answer(NamedTuple):
    """A weighting with the reason for it, and how sure it is (0 to 1)."""

    weighting: Weighting
    reason: str
    confidence: float = NAMED


def weighting_from_header(acquisition: Acquisition) -> Answer | None:
    """Return the weighting that image type, name and times give together; None where unsaid."""
    for value in acquisition.image_type:
        if value.upper() in _NOT_ANATOMY:
            kind = _NOT_ANATOMY[value.upper()]
            return Answer("other", f"{kind} (ImageType)", BOTH)
    named, timed = weighting_from_name(acquisition.description), weighting_from_times(acquisition)
    if named is None or timed is None:
        return named or timed
    if named.weighting == timed.weighting:
        return Answer(named.weighting, f"{named.reason}, and {timed.reason}", BOTH)
    if "other" in (named.weighting, timed.weighting):
        # Times cannot tell every T1 and T2 apart from the rest; names of other kinds are plain.
        confidence = NAMED if named.weighting == "other" else CONTRADICTED
        return Answer(named.weighting, named.reason, confidence)
    return Answer(timed.weighting, f"{timed.reason}, although {named.reason}", CONTRADICTED)


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
    """Return the weighting that echo, repetition and inversion times give; None where unsaid."""
    inversion = acquisition.inversion_time or 0.0
    if 100 <= inversion <= 300:
        return Answer("t2", f"TI {inversion:.0f} ms is STIR", TIMED)
    if acquisition.echo_time is None:
        return None
    return _of_other_sequence(acquisition) or _of_spin_echo(acquisition, acquisition.echo_time)


def _of_other_sequence(acquisition: Acquisition) -> Answer | None:
    said, kinds = _said(acquisition), set(acquisition.sequence.upper().replace("\\", " ").split())
    if "EP" in kinds:
        return Answer("other", f"echo planar, {said}", TIMED)
    if "GR" in kinds and "SE" not in kinds and (acquisition.echo_time or 0.0) >= 12:
        return Answer("other", f"gradient echo, {said} is T2*-weighted", TIMED)
    return None


def _of_spin_echo(acquisition: Acquisition, echo: float) -> Answer:
    said, inversion = _said(acquisition), acquisition.inversion_time or 0.0
    if echo < 60:
        return _of_short_echo(acquisition, echo, inversion)
    if inversion >= 1500:
        return Answer("other", f"TI {inversion:.0f} ms nulls fluid (FLAIR)", TIMED)
    return Answer("t2", f"{said} is T2-weighted", TIMED)


def _of_short_echo(acquisition: Acquisition, echo: float, inversion: float) -> Answer:
    said, repetition = _said(acquisition), acquisition.repetition_time
    is_flair = 500 <= inversion <= 1200
    if echo <= 35 and repetition is not None and (repetition <= 1200 or is_flair):
        return Answer("t1", f"{said} is T1-weighted", TIMED)
    if repetition is not None and repetition > 1200:
        return Answer("other", f"{said} is proton density-weighted", TIMED)
    return Answer("other", f"{said} is neither T1- nor T2-weighted", CONTRADICTED)


def _said(acquisition: Acquisition) -> str:
    echo, repetition = acquisition.echo_time, acquisition.repetition_time
    return f"TE {echo or 0:.0f} ms" + (f", TR {repetition:.0f} ms" if repetition else "")


def drawbacks_of(acquisition: Acquisition) -> tuple[str, ...]:
    """Return what makes another series of the same protocol the better choice, the worst first."""
    name = acquisition.description.lower()
    is_named = _AGENT.search(name) and not _BEFORE_AGENT.search(name)
    has_agent = acquisition.contrast_agent.lower() not in _NO_AGENT or is_named
    kinds = {value.upper() for value in acquisition.image_type}
    options = acquisition.options.upper().replace("\\", " ").split()
    inversion = acquisition.inversion_time or 0.0
    is_fat_nulled = (
        100 <= inversion <= 300 or "FS" in options or _FAT_NULLED.search(name) or kinds & _WATER
    )
    found = {
        "after a contrast agent": has_agent,
        "reformatted from another series": kinds & _REFORMATTED,
        "fat suppressed": is_fat_nulled,
    }
    return tuple(drawback for drawback, is_there in found.items() if is_there)

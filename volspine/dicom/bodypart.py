"""Body part: whether a header says that an image shows something other than the lumbar spine.

Asked in this order, the first that names a part decides: the series' name, BodyPartExamined, the
study's description. A header that names no part is no reason to doubt. What is returned is this
library's own word, never the header's text, which may hold anything.
"""

import re

from volspine.dicom.instance import Acquisition

__all__ = ["named_part", "names_lumbar", "why_not_lumbar_mr"]

LUMBAR = "lumbar spine"

_MODALITIES = {
    "CT": "a CT image", "PT": "a PET image", "NM": "a nuclear medicine image",
    "US": "an ultrasound image", "CR": "a radiograph", "DX": "a radiograph",
    "XA": "an angiogram", "RF": "a fluoroscopy", "MG": "a mammogram",
    "OT": "an image of no modality",
}  # fmt: skip

_PARTS = {
    # First, since "cervical and lumbar spine" includes what is sought.
    LUMBAR: r"lumb|(?<![a-z])(l|ls|tl)[ _-]?(spine|sp)(?![a-z])|(?<![a-z])(lws|lsspine|lendenw)",
    "cervical spine": r"cervic|(?<![a-z])c[ _-]?(spine|sp)(?![a-z])|(?<![a-z])hws(?![a-z])",
    "thoracic spine": r"thoracic|(?<![a-z])t[ _-]?(spine|sp)(?![a-z])|(?<![a-z])bws(?![a-z])",
    "brain": r"(?<![a-z])(brain|cerebr\w*|skull|pituitary|orbit|kopf|sch[aä]del)",
    "knee": r"(?<![a-z])(knee|knie|genou)",
    "shoulder": r"(?<![a-z])(shoulder|schulter)",
    "ankle or foot": r"(?<![a-z])ankle",
    "wrist or hand": r"(?<![a-z])(wrist|elbow)",
    "prostate": r"(?<![a-z])prostat",
    "breast": r"(?<![a-z])(breast|mamma)",
    "heart": r"(?<![a-z])(heart|cardiac)",
    "liver": r"(?<![a-z])(liver|mrcp)",
}
_FIELD_ONLY = {
    "brain": {"HEAD", "IAC", "EAR", "EYE", "JAW", "TMJ"},
    "cervical spine": {"NECK", "CSPINE"},
    "thoracic spine": {"TSPINE"},
    "chest": {"CHEST", "LUNG"},
    "hip or thigh": {"HIP", "FEMUR", "THIGH"},
    "lower leg": {"LEG", "CALF", "TIBIA"},
    "ankle or foot": {"FOOT", "TOE", "HEEL"},
    "wrist or hand": {"HAND", "FINGER", "THUMB", "ARM", "FOREARM"},
}
"""Values of BodyPartExamined that mean nothing in free text ("head first")."""


def why_not_lumbar_mr(acquisition: Acquisition) -> str | None:
    """Return why a header cannot be that of a lumbar MR image; None where it may be one."""
    modality = acquisition.modality.upper()
    if modality not in ("", "MR"):
        return f"{_MODALITIES.get(modality, 'an image of another modality')}, not MR"
    field = acquisition.body_part.upper()
    from_field = next((part for part, words in _FIELD_ONLY.items() if field in words), None)
    found = (
        (named_part(acquisition.description), "its description"),
        (from_field or named_part(acquisition.body_part), "BodyPartExamined"),
        (named_part(acquisition.study_description), "the study's description"),
    )
    part, source = next(((p, s) for p, s in found if p is not None), (LUMBAR, ""))
    return None if part == LUMBAR else f"it shows the {part} ({source})"


def names_lumbar(acquisition: Acquisition) -> bool:
    """Return whether a header names the lumbar spine, in whichever of its texts."""
    said = (acquisition.description, acquisition.body_part, acquisition.study_description)
    return any(named_part(text) == LUMBAR for text in said)


def named_part(text: str) -> str | None:
    """Return the part of the body that a text names, as a word of this library; None if none.

    Example:
        >>> named_part("SAG T2 C-SPINE"), named_part("LSPINE"), named_part("SAG T2")
        ('cervical spine', 'lumbar spine', None)
    """
    lower = text.lower()
    return next((part for part, words in _PARTS.items() if re.search(words, lower)), None)

"""Coded terms of the structured report: a target or a grade -> what DICOM calls it.

Wherever a context group of DICOM PS3.16 has the concept, its code is used:

    finding      Stenosis                                SCT 415582006   (CID 3810)
    where        Vertebral canal                         SCT 61853006    (CID 6115)
    level        Level of L4/L5 intervertebral disc      SCT 243923001   (CID 1001), five of them
    side         Left, Right                             SCT             (CID 244)
    severity     Moderate, Severe                        SCT             (CID 3716)
    procedure    MRI unspecified body region             LN 25056-3      (CID 100)

No context group has the neural foramen, the subarticular zone, one grade for normal and mild, or
the probability of a grade. Those are in the private scheme `99VOLSPINE`, whose whole list is
`PRIVATE_TERMS`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from volspine.anatomy import Finding, Grade, Level, Side, Target

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

__all__ = [
    "PRIVATE_TERMS",
    "SCHEME",
    "grade_code",
    "level_code",
    "private_code",
    "probability_code",
    "side_code",
    "site_code",
]

SCHEME = "99VOLSPINE"
"""Coding scheme of our own terms; what begins with 99 is private in DICOM."""

PRIVATE_TERMS: Mapping[str, str] = MappingProxyType(
    {
        "neural_foramen": "Neural foramen",
        "subarticular": "Subarticular zone",
        "normal_mild": "Normal/Mild",
        "p_normal_mild": "Probability of Normal/Mild",
        "p_moderate": "Probability of Moderate",
        "p_severe": "Probability of Severe",
        "basis": "Basis",
        "imputed": "Not measured; frequency in the training data",
    }
)
"""Value and meaning of every private term; a value has at most 16 characters, as DICOM asks."""

_LEVELS = {
    Level.L1_L2: "LevelOfL1L2IntervertebralDisc",
    Level.L2_L3: "LevelOfL2L3IntervertebralDisc",
    Level.L3_L4: "LevelOfL3L4IntervertebralDisc",
    Level.L4_L5: "LevelOfL4L5IntervertebralDisc",
    Level.L5_S1: "LevelOfL5S1IntervertebralDisc",
}


def private_code(value: str) -> "Code":
    """Return one of `PRIVATE_TERMS`."""
    from pydicom.sr.coding import Code

    return Code(value, SCHEME, PRIVATE_TERMS[value])


def site_code(target: Target) -> "Code":
    """Return the structure that is narrowed, without its side and level."""
    from pydicom.sr.codedict import codes

    if target.finding is Finding.CANAL:
        canal: Code = codes.SCT.VertebralCanal
        return canal
    return private_code("neural_foramen" if target.finding is Finding.FORAMEN else "subarticular")


def level_code(level: Level) -> "Code":
    """Return the level of an intervertebral disc."""
    from pydicom.sr.codedict import codes

    found: Code = getattr(codes.SCT, _LEVELS[level])
    return found


def side_code(side: Side | None) -> "Code | None":
    """Return the patient's side; None on the midline, which has no laterality."""
    from pydicom.sr.codedict import codes

    sides: dict[Side, Code] = {Side.LEFT: codes.SCT.Left, Side.RIGHT: codes.SCT.Right}
    return None if side is None else sides[side]


def grade_code(grade: Grade) -> "Code":
    """Return the severity."""
    from pydicom.sr.codedict import codes

    standard: dict[Grade, Code] = {
        Grade.MODERATE: codes.SCT.Moderate,
        Grade.SEVERE: codes.SCT.Severe,
    }
    return standard.get(grade) or private_code("normal_mild")


def probability_code(grade: Grade) -> "Code":
    """Return what names the probability of a grade."""
    return private_code(f"p_{grade.name.lower()}")

"""The vocabulary: five conditions at five levels, each with three ordered grades.

A *target* is one thing that is graded, such as the left neural foramen at L4/L5. `TARGETS` lists
all 25 in the one canonical order of this library: by condition as in `Condition`, then from L1/L2
down to L5/S1. Arrays with a target axis are always in this order.

Left and right are the patient's, never the image's. Mirroring a patient swaps left and right
targets; `MIRRORED_INDEX[t]` is the target that target `t` becomes.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum

__all__ = [
    "LEVELS",
    "MIRRORED_INDEX",
    "PROTOCOLS",
    "TARGETS",
    "Condition",
    "Finding",
    "Grade",
    "Level",
    "Protocol",
    "Side",
    "Target",
]


class Protocol(StrEnum):
    """Plane and weighting of a series; `OTHER` is everything that is not graded."""

    SAGITTAL_T1 = "sagittal_t1"
    SAGITTAL_T2 = "sagittal_t2"
    AXIAL_T2 = "axial_t2"
    OTHER = "other"

    @property
    def label(self) -> str:
        """As written in a sentence: `sagittal T1`."""
        if self is Protocol.OTHER:
            return "other series"
        plane, weighting = self.value.split("_")
        return f"{plane} {weighting.upper()}"


PROTOCOLS = (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2, Protocol.AXIAL_T2)
"""The three graded protocols, in the channel order of every tensor."""


class Side(StrEnum):
    """The patient's side."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


class Level(StrEnum):
    """An intervertebral level, from cranial to caudal."""

    L1_L2 = "l1_l2"
    L2_L3 = "l2_l3"
    L3_L4 = "l3_l4"
    L4_L5 = "l4_l5"
    L5_S1 = "l5_s1"

    @property
    def label(self) -> str:
        """As written in a report: `L4/L5`."""
        return self.value.upper().replace("_", "/")


LEVELS = tuple(Level)
"""The five graded levels, cranial to caudal."""


class Finding(Enum):
    """A kind of stenosis whatever its side, with the protocols that show it best.

    A target can be graded when one of its `primary_views` covers it.
    """

    CANAL = ("spinal_canal_stenosis", (Protocol.SAGITTAL_T2, Protocol.AXIAL_T2))
    FORAMEN = ("neural_foraminal_narrowing", (Protocol.SAGITTAL_T1,))
    RECESS = ("subarticular_stenosis", (Protocol.AXIAL_T2,))

    def __init__(self, term: str, primary_views: tuple[Protocol, ...]) -> None:
        self.term = term
        self.primary_views = primary_views


class Condition(Enum):
    """A finding together with its side, in canonical order."""

    SPINAL_CANAL_STENOSIS = (Finding.CANAL, None)
    LEFT_NEURAL_FORAMINAL_NARROWING = (Finding.FORAMEN, Side.LEFT)
    RIGHT_NEURAL_FORAMINAL_NARROWING = (Finding.FORAMEN, Side.RIGHT)
    LEFT_SUBARTICULAR_STENOSIS = (Finding.RECESS, Side.LEFT)
    RIGHT_SUBARTICULAR_STENOSIS = (Finding.RECESS, Side.RIGHT)

    def __init__(self, finding: Finding, side: Side | None) -> None:
        self.finding = finding
        self.side = side

    @property
    def term(self) -> str:
        """Snake-case name, as in the challenge's tables: `left_subarticular_stenosis`."""
        return self.name.lower()

    @property
    def label(self) -> str:
        """As written in a report: `Left subarticular stenosis`."""
        return self.term.replace("_", " ").capitalize()

    @property
    def mirrored(self) -> "Condition":
        """What this condition becomes when the patient is mirrored left to right."""
        return next(
            c
            for c in Condition
            if c.finding is self.finding and c.side is (self.side and self.side.opposite)
        )


class Grade(IntEnum):
    """Severity, ordered."""

    NORMAL_MILD = 0
    MODERATE = 1
    SEVERE = 2

    @property
    def label(self) -> str:
        """As written in a report and in the challenge's tables: `Normal/Mild`."""
        return ("Normal/Mild", "Moderate", "Severe")[self]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that is graded: a condition at a level.

    Example:
        >>> TARGETS[0].name
        'spinal_canal_stenosis_l1_l2'
        >>> TARGETS[5].mirrored.name
        'right_neural_foraminal_narrowing_l1_l2'
    """

    condition: Condition
    level: Level

    @property
    def name(self) -> str:
        """Column name in the challenge's `train.csv`: `spinal_canal_stenosis_l1_l2`."""
        return f"{self.condition.term}_{self.level.value}"

    @property
    def label(self) -> str:
        """As written in a report: `Spinal canal stenosis L4/L5`."""
        return f"{self.condition.label} {self.level.label}"

    @property
    def finding(self) -> Finding:
        """The kind of stenosis, whatever its side."""
        return self.condition.finding

    @property
    def side(self) -> Side | None:
        """The patient's side; None on the midline."""
        return self.condition.side

    @property
    def index(self) -> int:
        """Position in `TARGETS`."""
        return tuple(Condition).index(self.condition) * len(LEVELS) + LEVELS.index(self.level)

    @property
    def mirrored(self) -> "Target":
        """The target that this one becomes when the patient is mirrored left to right."""
        return Target(self.condition.mirrored, self.level)


TARGETS = tuple(Target(condition, level) for condition in Condition for level in LEVELS)
"""All 25 targets in canonical order."""

MIRRORED_INDEX = tuple(target.mirrored.index for target in TARGETS)
"""Where each target goes when the patient is mirrored; its own inverse."""

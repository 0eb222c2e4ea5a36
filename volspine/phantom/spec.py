"""Spec: the few numbers from which a synthetic study follows, whatever the machine or worker.

Every stage draws from a random stream of its own, spawned from (root seed, cohort, study index), so
a change of noise never changes the anatomy, and studies do not depend on one another.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from volspine.anatomy import Target
from volspine.errors import ConfigurationError

__all__ = ["Cohort", "Header", "Noise", "Pair", "Size", "Spec", "Stage", "parse_choice"]


class Cohort(StrEnum):
    """What population the studies stand for."""

    RSNA_LIKE = "rsna_like"
    """Published prevalence and correlation, acquisition variety, missing labels."""
    PROBE = "probe"
    """All 25 grades independent and in thirds: a fault of side or level cannot hide."""
    PAIRS = "pairs"
    """Neighbours differ in one grade and in nothing else."""
    CLEAN = "clean"
    """As `rsna_like`, without image noise, artefact or missing label."""
    SHIFT = "shift"
    """Randomised contrast, resolution, field strength and anatomy."""


class Noise(StrEnum):
    """How unlike the truth a reader's labels are."""

    NONE = "none"
    CONSENSUS = "consensus"
    SINGLE_READER = "single_reader"


class Header(StrEnum):
    """How much the DICOM headers say."""

    RSNA = "rsna"
    FULL = "full"


class Size(StrEnum):
    """How large the images are; `SMALL` is for tests."""

    FULL = "full"
    SMALL = "small"


class Stage(StrEnum):
    """Stages with a random stream each."""

    SEVERITY = "severity"
    SUBJECT = "subject"
    LABELS = "labels"
    PLAN = "plan"
    NOISE = "noise"
    LESIONS = "lesions"
    FILES = "files"
    ARTEFACTS = "artefacts"


@dataclass(frozen=True)
class Pair:
    """How a study of the `pairs` cohort differs from its neighbour.

    Attributes:
        partner: Study id of the neighbour.
        target: The one target whose grade differs.
        grades: Grade of that target here and there.
    """

    partner: str
    target: Target
    grades: tuple[int, int]


@dataclass(frozen=True)
class Spec:
    """What to synthesise.

    Attributes:
        seed: Root seed of the cohort, not negative.
        index: Position of the study in the cohort.
        cohort: Population.
        noise: Reader noise; None takes the cohort's default.
        header: DICOM header profile.
        size: Image size.
        distractors: Whether there are findings that decide no grade.
        transitional: Whether the last lumbar vertebra is ambiguous: S1 lumbarised or L5 sacralised.
    """

    seed: int = 0
    index: int = 0
    cohort: Cohort = Cohort.RSNA_LIKE
    noise: Noise | None = None
    header: Header = Header.RSNA
    size: Size = Size.FULL
    distractors: bool = True
    transitional: bool = False

    @property
    def reader(self) -> Noise:
        """Reader noise, with the cohort's default resolved."""
        noisy = self.cohort in (Cohort.RSNA_LIKE, Cohort.SHIFT)
        return self.noise or (Noise.SINGLE_READER if noisy else Noise.NONE)

    @property
    def study_id(self) -> str:
        """Decimal name of the study: four digits of cohort and seed, five of the index."""
        return f"{_prefix(self.seed, self.cohort)}{self.index:05d}"

    @property
    def is_clean(self) -> bool:
        """Whether images carry no noise and no artefact."""
        return self.cohort is Cohort.CLEAN

    @property
    def anatomy_index(self) -> int:
        """Index that the random streams use: the two studies of a pair share one."""
        return self.index // 2 if self.cohort is Cohort.PAIRS else self.index

    def stream(self, stage: Stage) -> np.random.Generator:
        """Return the random stream of a stage; the same at every call."""
        root = [self.seed, list(Cohort).index(self.cohort), self.anatomy_index]
        children = np.random.SeedSequence(root).spawn(len(Stage))
        return np.random.default_rng(children[list(Stage).index(stage)])


def _prefix(seed: int, cohort: Cohort) -> int:
    digest = hashlib.sha256(f"{seed}/{cohort.value}".encode()).digest()
    return 1000 + int.from_bytes(digest[:4], "big") % 9000


def parse_choice(kind: type[StrEnum], text: str, option: str) -> StrEnum:
    """Return the member of an enumeration that an option names.

    Raises:
        ConfigurationError: If it names none.
    """
    try:
        return kind(text)
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise ConfigurationError(
            f"{option} {text[:40]!r} is not known",
            remedy=f"choose one of {names}",
            code="VS-CFG-041",
        ) from None

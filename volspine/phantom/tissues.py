"""Tissues and the signal each gives in a spin-echo sequence.

Relaxation times and proton densities at 1.5 T follow published quantitative lumbar MRI (SyMRI of
the spine, PMC7410772; de Bazelaire 2004; Marinelli 2010; Ruschke 2021); ligament, cortex and blood
are priors. At 3 T the T1 is 21 % longer on average. Signal of a turbo spin echo:

    S = PD (1 - exp(-TR / T1)) exp(-TE / T2) g,      g = 1.4 for fat (J-coupling), 1 otherwise

and of inversion recovery (magnitude): S = PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2) g.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from volspine.types import FloatArray

__all__ = ["FAT_GAIN", "Sequence", "Tissue", "relaxation", "signals"]

FAT_GAIN = 1.4
"""How much brighter fat is on a turbo spin echo than its relaxation times say."""


class Tissue(IntEnum):
    """What a point of the model is made of; the value is its label in a label map."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    ORGAN = 4
    BOWEL = 5
    BLOOD = 6
    CORTEX = 7
    MARROW = 8
    ANNULUS = 9
    NUCLEUS = 10
    LIGAMENT = 11
    EPIDURAL_FAT = 12
    CSF = 13
    ROOT = 14
    CORD = 15
    CAPSULE = 16
    JOINT = 17
    VEIN = 18
    ENDPLATE_CHANGE = 19


_TABLE: dict[Tissue, tuple[float, float, float]] = {
    # T1 ms, T2 ms at 1.5 T, proton density relative to water
    Tissue.AIR: (1000.0, 1.0, 0.0),
    Tissue.SKIN: (600.0, 35.0, 0.55),
    Tissue.FAT: (300.0, 68.0, 1.0),
    Tissue.MUSCLE: (880.0, 38.0, 0.80),
    Tissue.ORGAN: (780.0, 60.0, 0.80),
    Tissue.BOWEL: (1000.0, 90.0, 0.80),
    Tissue.BLOOD: (1400.0, 4.0, 0.30),
    Tissue.CORTEX: (200.0, 1.0, 0.15),
    Tissue.MARROW: (600.0, 60.0, 0.85),
    Tissue.ANNULUS: (620.0, 38.0, 0.62),
    Tissue.NUCLEUS: (1165.0, 150.0, 0.79),
    Tissue.LIGAMENT: (550.0, 16.0, 0.38),
    Tissue.EPIDURAL_FAT: (300.0, 68.0, 0.97),
    Tissue.CSF: (4273.0, 900.0, 1.07),
    Tissue.ROOT: (820.0, 85.0, 0.62),
    Tissue.CORD: (820.0, 100.0, 0.60),
    Tissue.CAPSULE: (580.0, 24.0, 0.42),
    Tissue.JOINT: (1500.0, 180.0, 0.75),
    Tissue.VEIN: (1300.0, 130.0, 0.80),
    Tissue.ENDPLATE_CHANGE: (600.0, 60.0, 0.85),
}
_FATTY = (Tissue.FAT, Tissue.EPIDURAL_FAT)


@dataclass(frozen=True)
class Sequence:
    """Timing of a turbo spin echo, milliseconds; an inversion time makes it a STIR.

    Attributes:
        name: `T1`, `T2` or `STIR`.
        repetition_ms: TR less the length of the echo train.
        echo_ms: Effective TE.
        inversion_ms: TI, or None.
        field_t: 1.5 or 3.
    """

    name: str
    repetition_ms: float
    echo_ms: float
    inversion_ms: float | None = None
    field_t: float = 1.5


def relaxation(marrow_fat: float, jitter: FloatArray) -> FloatArray:
    """Return T1, T2 and proton density of each tissue of one subject, shape (tissues, 3).

    Args:
        marrow_fat: Fat fraction of the marrow, 0 to 1.
        jitter: Shape (tissues, 2); log-normal factors of T1 and T2.
    """
    table = np.array([_TABLE[tissue] for tissue in Tissue], dtype=np.float64)
    # Two pools make one voxel: the mean of their rates weighted by their share is close enough.
    water, fat = np.array([900.0, 40.0, 0.85]), np.array([300.0, 68.0, FAT_GAIN])
    table[Tissue.MARROW] = (1 - marrow_fat) * water + marrow_fat * fat
    table[:, :2] *= jitter
    return table


def signals(table: FloatArray, sequence: Sequence) -> FloatArray:
    """Return the signal of each tissue, shape (tissues,), from `relaxation`'s table."""
    t1 = table[:, 0] * (1.21 if sequence.field_t > 2 else 1.0)
    t2, density = table[:, 1], table[:, 2].copy()
    density[list(_FATTY)] *= FAT_GAIN
    recovered = 1.0 - np.exp(-sequence.repetition_ms / t1)
    if sequence.inversion_ms is not None:
        recovered = np.abs(1.0 - 2.0 * np.exp(-sequence.inversion_ms / t1)
                           + np.exp(-sequence.repetition_ms / t1))  # fmt: skip
    return np.asarray(density * recovered * np.exp(-sequence.echo_ms / t2), dtype=np.float64)

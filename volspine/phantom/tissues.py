"""Tissues and the signal each gives in a pulse sequence.

Relaxation times and proton densities at 1.5 T follow published quantitative lumbar MRI (SyMRI of
the spine, PMC7410772; de Bazelaire 2004; Marinelli 2010; Ruschke 2021); ligament, cortex and blood
are priors. T1 grows with the field as a power of it that takes the 1.5 T value to the 3 T one (de
Bazelaire 2004: 21 % on average). A voxel is a pool of water and a pool of fat:

    S      = (1 - f) S_water + f S_fat
    S_pool = PD R exp(-TE / T2) g,           g = 1.4 for fat (J-coupling), 1 otherwise
    R      = 1 - exp(-W / T1),               W = TR - ETL ESP      (turbo spin echo)
    R      = |1 - 2 exp(-TI / T1) + exp(-W / T1)|                  (inversion recovery)
    R      = sin(a) (1 - E) / (1 - E cos(a)),  E = exp(-TR / T1)   (spoiled gradient echo)
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from volspine.types import FloatArray

__all__ = ["FAT_GAIN", "Sequence", "Tissue", "fat_signals", "relaxation", "signals"]

FAT_GAIN = 1.4
"""How much brighter fat is on a turbo spin echo than its relaxation times say."""


class Tissue(IntEnum):
    """What a point of the model is made of; the value is what `render_labels` gives it."""

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
    FATTY_CHANGE = 20
    HAEMANGIOMA = 21


_TABLE: dict[Tissue, tuple[float, float, float]] = {
    # T1 ms, T2 ms at 1.5 T, proton density relative to water; fat's own pool is shared by all
    Tissue.AIR: (1000.0, 1.0, 0.0),
    Tissue.SKIN: (600.0, 35.0, 0.55),
    Tissue.FAT: (300.0, 68.0, 1.0),
    Tissue.MUSCLE: (880.0, 38.0, 0.80),
    Tissue.ORGAN: (780.0, 60.0, 0.80),
    Tissue.BOWEL: (1000.0, 90.0, 0.80),
    Tissue.BLOOD: (1400.0, 4.0, 0.30),
    Tissue.CORTEX: (200.0, 1.0, 0.15),
    Tissue.MARROW: (900.0, 40.0, 0.85),
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
    Tissue.ENDPLATE_CHANGE: (1150.0, 92.0, 0.90),
    Tissue.FATTY_CHANGE: (900.0, 60.0, 0.85),
    Tissue.HAEMANGIOMA: (1000.0, 130.0, 1.0),
}
_FAT_SHARE = {
    Tissue.FAT: 1.0,
    Tissue.EPIDURAL_FAT: 0.97,
    Tissue.FATTY_CHANGE: 0.85,
    Tissue.HAEMANGIOMA: 0.5,
}
"""Share of a tissue's protons that are fat's; marrow's differs between people."""

_AVERAGE_GROWTH = 0.275
_GROWTH: dict[Tissue, float] = {
    # T1 grows as the field to this power: log2 of its value at 3 T over that at 1.5 T.
    Tissue.CSF: 0.01,
    Tissue.CORD: 0.22,
    Tissue.ROOT: 0.22,
    Tissue.NUCLEUS: 0.16,
    Tissue.ANNULUS: 0.22,
    Tissue.LIGAMENT: 0.13,
    Tissue.CAPSULE: 0.13,
    Tissue.CORTEX: 0.32,
}
_FAT_GROWTH = 0.35


@dataclass(frozen=True)
class Sequence:
    """Timing of a sequence, milliseconds: a turbo spin echo unless it says otherwise.

    Attributes:
        name: `T1`, `T2` or `STIR`: what the image is read as.
        repetition_ms: TR.
        echo_ms: Effective TE.
        inversion_ms: TI of an inversion recovery, or None.
        field_t: Field strength, tesla.
        echoes: Length of the echo train, ETL.
        spacing_ms: Between its echoes, ESP.
        flip_rad: Flip angle of a spoiled gradient echo, or None.
        gains: Factor of each tissue's signal, or None; a contrast that no equation gives.
    """

    name: str
    repetition_ms: float
    echo_ms: float
    inversion_ms: float | None = None
    field_t: float = 1.5
    echoes: int = 1
    spacing_ms: float = 0.0
    flip_rad: float | None = None
    gains: tuple[float, ...] | None = None

    @property
    def recovery_ms(self) -> float:
        """From the last echo of a train to the next excitation."""
        return self.repetition_ms - self.echoes * self.spacing_ms


def relaxation(marrow_fat: float, jitter: FloatArray) -> FloatArray:
    """Return T1, T2 and proton density of each tissue's water, and its share of fat.

    Shape (tissues, 4); times in milliseconds at 1.5 T. The row of fat itself holds the times of
    the fat pool, which every tissue's fat shares.

    Args:
        marrow_fat: Fat fraction of the marrow, 0 to 1.
        jitter: Shape (tissues, 2); log-normal factors of T1 and T2.
    """
    table = np.zeros((len(Tissue), 4))
    table[:, :3] = [_TABLE[tissue] for tissue in Tissue]
    table[Tissue.MARROW, 3] = marrow_fat
    for tissue, share in _FAT_SHARE.items():
        table[tissue, 3] = share
    table[:, :2] *= jitter
    return table


def signals(table: FloatArray, sequence: Sequence) -> FloatArray:
    """Return the signal of each tissue, shape (tissues,), from `relaxation`'s table."""
    share = table[:, 3]
    both = (1.0 - share) * _water(table, sequence) + fat_signals(table, sequence)
    return np.asarray(both * _gains(sequence), dtype=np.float64)


def fat_signals(table: FloatArray, sequence: Sequence) -> FloatArray:
    """Return the part of each tissue's signal that its fat gives, shape (tissues,)."""
    t1, t2, density = table[Tissue.FAT, :3]
    t1 = t1 * (sequence.field_t / 1.5) ** _FAT_GROWTH
    pool = (
        FAT_GAIN * density * _recovered(np.array([t1]), sequence) * np.exp(-sequence.echo_ms / t2)
    )
    return np.asarray(table[:, 3] * pool, dtype=np.float64)


def _water(table: FloatArray, sequence: Sequence) -> FloatArray:
    growth = np.array([_GROWTH.get(tissue, _AVERAGE_GROWTH) for tissue in Tissue])
    t1 = table[:, 0] * (sequence.field_t / 1.5) ** growth
    decay = np.exp(-sequence.echo_ms / table[:, 1])
    return np.asarray(table[:, 2] * _recovered(t1, sequence) * decay)


def _gains(sequence: Sequence) -> FloatArray:
    return np.ones(len(Tissue)) if sequence.gains is None else np.array(sequence.gains)


def _recovered(t1: FloatArray, sequence: Sequence) -> FloatArray:
    """Return the share of the magnetisation that a pulse finds along the field."""
    left = np.exp(-sequence.recovery_ms / t1)
    if sequence.inversion_ms is not None:
        return np.asarray(np.abs(1.0 - 2.0 * np.exp(-sequence.inversion_ms / t1) + left))
    if sequence.flip_rad is not None:
        sine, cosine = np.sin(sequence.flip_rad), np.cos(sequence.flip_rad)
        return np.asarray(sine * (1.0 - left) / (1.0 - left * cosine))
    return np.asarray(1.0 - left)

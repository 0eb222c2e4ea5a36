"""Contrast: how bright each tissue is in a series that no one has planned.

Most series are a T1, T2, STIR, proton-density or fat-saturated weighting of the physical table,
jittered; in the rest some or all tissues have any brightness, so that what names a level is where
things lie and not how bright they are.
"""

import numpy as np

from volspine.phantom.tissues import Sequence, Tissue, relaxation, signals
from volspine.types import FloatArray

__all__ = ["draw_contrast", "draw_sequence_of"]

_JITTER = 0.22
"""Spread of each tissue's signal, log-normal."""

_VARIED = (Tissue.BLOOD, Tissue.BOWEL, Tissue.ORGAN, Tissue.VEIN)
"""Tissues whose signal depends on flow, content or contrast agent: anything is possible."""

_FAT = (Tissue.FAT, Tissue.EPIDURAL_FAT)


def draw_contrast(rng: np.random.Generator) -> FloatArray:
    """Return the signal of each tissue, shape (tissues,); air gives none."""
    marrow = float(rng.uniform(0.15, 0.7))
    table = relaxation(marrow, np.exp(rng.normal(0, 0.12, (len(Tissue), 2))))
    values = signals(table, draw_sequence_of(rng)) * np.exp(rng.normal(0, _JITTER, len(Tissue)))
    if rng.random() < 0.12:
        suppressed = rng.uniform(0.08, 0.4)
        values[list(_FAT)] *= suppressed
        values[Tissue.MARROW] *= 1.0 - marrow * (1.0 - suppressed)
    for tissue in _VARIED:
        if rng.random() < 0.4:
            values[tissue] = rng.uniform(0.0, 1.0) * float(values[1:].max())
    return _anything(values, rng)


def draw_sequence_of(rng: np.random.Generator) -> Sequence:
    """Return the timing of a series of any common weighting."""
    field = 3.0 if rng.random() < 0.45 else 1.5
    kind = rng.choice(["T2", "T1", "STIR", "PD", "FLAIR"], p=[0.42, 0.33, 0.15, 0.05, 0.05])
    low, high = {
        "T2": ((2200.0, 70.0), (6000.0, 125.0)),
        "T1": ((380.0, 7.0), (850.0, 18.0)),
        "STIR": ((2800.0, 25.0), (5500.0, 90.0)),
        "PD": ((1500.0, 12.0), (3500.0, 45.0)),
        "FLAIR": ((1700.0, 8.0), (2600.0, 30.0)),
    }[str(kind)]
    repetition, echo = rng.uniform(low, high)
    inversion = {"STIR": rng.uniform(135.0, 195.0), "FLAIR": rng.uniform(700.0, 900.0)}
    return Sequence(
        str(kind), float(repetition), float(echo),
        inversion_ms=inversion.get(str(kind)), field_t=field,
    )  # fmt: skip


def _anything(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Give all tissues any brightness in 12 %, and a third of them in another 15 %."""
    kind, some = rng.random(), rng.random(len(values)) < 0.33
    free = float(values.max()) * rng.uniform(0.02, 1.0, len(values))
    chosen = np.ones(len(values), dtype=bool) if kind < 0.12 else some & (kind < 0.27)
    if rng.random() < 0.7:
        chosen[Tissue.CORTEX] = False
    chosen[Tissue.AIR] = False
    result = np.where(chosen, free, values)
    result[Tissue.AIR] = 0.0
    return result

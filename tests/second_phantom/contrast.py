"""From tissues to signal: tables for T1, T2 and fat-suppressed series, and texture."""

import numpy as np

from tests.second_phantom.canvas import Tissue, smooth_noise

T = Tissue
# Fraction of the brightest fat of a T1 series, or of the brightest fluid of a T2 series.
TABLE = {
    #              T1    T2    STIR  texture
    T.AIR: (0.00, 0.00, 0.00, 0.0),
    T.SKIN: (0.45, 0.30, 0.25, 0.1),
    T.FAT: (1.00, 0.80, 0.06, 0.08),
    T.MUSCLE: (0.36, 0.16, 0.22, 0.18),
    T.BELLY_FAT: (0.95, 0.75, 0.06, 0.12),
    T.MARROW: (0.60, 0.42, 0.16, 0.14),
    T.CORTEX: (0.08, 0.05, 0.03, 0.0),
    T.DISC_RIM: (0.30, 0.13, 0.14, 0.1),
    T.DISC_CORE: (0.36, 0.55, 0.55, 0.12),
    T.FLUID: (0.16, 1.00, 0.95, 0.05),
    T.CORD: (0.42, 0.42, 0.38, 0.03),
    T.ROOT: (0.38, 0.36, 0.36, 0.05),
    T.CANAL_FAT: (0.95, 0.78, 0.06, 0.05),
    T.LIGAMENT: (0.16, 0.12, 0.08, 0.1),
    T.BLOOD: (0.08, 0.06, 0.08, 0.2),
    T.VEIN: (0.40, 0.70, 0.45, 0.1),
    T.GUT_WALL: (0.36, 0.28, 0.32, 0.15),
    T.GUT_WET: (0.25, 0.75, 0.75, 0.3),
    T.GUT_SOLID: (0.45, 0.30, 0.25, 0.35),
    T.GAS: (0.02, 0.02, 0.02, 0.0),
    T.LIVER: (0.50, 0.24, 0.24, 0.07),
    T.KIDNEY: (0.38, 0.48, 0.60, 0.12),
    T.URINE: (0.14, 1.05, 1.00, 0.03),
    T.ORGAN: (0.38, 0.38, 0.42, 0.18),
    T.LUNG: (0.05, 0.05, 0.06, 0.3),
    T.OEDEMA: (0.32, 0.46, 0.70, 0.15),
    T.FATTY: (0.85, 0.66, 0.10, 0.12),
    T.TUMOUR: (0.28, 0.40, 0.62, 0.15),
    T.JOINT: (0.20, 0.80, 0.80, 0.0),
}
KINDS = ("t1", "t2", "stir")


def draw_signal(rng, build, kind):
    """Return the signal and the texture of each tissue in one series, two arrays."""
    column = KINDS.index(kind)
    signal = np.zeros(len(Tissue), np.float32)
    texture = np.zeros(len(Tissue), np.float32)
    for tissue, row in TABLE.items():
        signal[tissue] = row[column] * np.exp(rng.normal(0, 0.14))
        texture[tissue] = row[3] * rng.uniform(0.6, 1.6)
    dry = float(np.mean(build.worn[5:10]))
    if kind != "t1":
        signal[Tissue.DISC_CORE] *= 1.25 - 0.95 * dry
        signal[Tissue.GAS] = 0.01
    signal[Tissue.CANAL_FAT] = signal[Tissue.FAT] * rng.uniform(0.85, 1.05)
    if rng.random() < 0.25:
        signal[Tissue.BLOOD] = signal[Tissue.MUSCLE] * rng.uniform(0.8, 2)
    return signal, texture


def draw_texture(rng, shape):
    """Return a fractal field of about unit spread: three octaves of smooth noise."""
    parts = [(30, 1.0), (11, 0.8), (5, 0.7)]
    field = sum(np.float32(a) * smooth_noise(rng, shape, (mm, mm, mm)) for mm, a in parts)
    return field / np.float32(np.sqrt(sum(a * a for _, a in parts)))

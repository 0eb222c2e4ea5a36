"""Subject: everything that varies between people and does not decide a grade.

Sizes are means of published morphometry (Panjabi 1992; Cook and Baker 2021; Onishi 2019; Daniels
2015) around one size factor; the canal has a factor of its own, since it hardly follows stature
(Griffith 2016). Pitch and spacing are set so that the canal points of the public label tables are
reproduced on average.

Shapes: K = 15 vertebrae T8 to S5, K - 1 discs; sides are (left, right).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from volspine.phantom.frame import VERTEBRAE
from volspine.phantom.tissues import Tissue
from volspine.types import FloatArray

__all__ = ["Subject", "draw_subject", "open_behind"]

_HEIGHT = (20, 21, 22, 23, 25, 26.3, 27.5, 28, 27.3, 26, 26.5, 23, 20, 17, 14)
_DEPTH = (28, 29, 30, 31, 32.8, 34.1, 34.6, 35.2, 35.5, 34.7, 31, 22, 17, 13, 10)
_WIDTH = (29, 31, 33, 36, 39, 41.2, 42.6, 44.1, 46.6, 48, 52, 44, 38, 32, 26)
_DISC = (4.5, 4.8, 5.2, 5.8, 6.8, 8.2, 9.2, 9.9, 10.8, 10.2, 3.0, 1.4, 1.2, 1.0)
_BEND = (-4, -4, -3.5, -2.5, 0, 2, 6.3, 10.5, 16, 20, -9, -13, -16, -18)
_WEDGE = (-2, -2, -2, -2, -1.5, -1, 0, 0.5, 1.5, 6.5, 0, -5, -8, -9, -9)
_CANAL_DEPTH = (15, 15, 15.5, 16, 17, 18, 17.6, 17.2, 17.8, 17.5, 14, 9, 6, 4, 2.5)
_CANAL_WIDTH = (18, 18, 18.5, 19.5, 21.5, 23, 23.5, 24.3, 25.4, 27.5, 30, 24, 16, 10, 6)
_PEDICLE = (6, 6.5, 7, 7.5, 7.5, 8.4, 8.5, 10, 12.5, 16, 14, 10, 8, 6, 5)
_SAC = (150, 155, 160, 170, 190, 192, 188, 180, 172, 165, 95, 30, 6, 3, 2)
_SPINE = (20, 20, 20, 21, 23, 26, 28, 28, 26, 20, 10, 7, 5, 3, 2)
_FACET = (15, 15, 15, 18, 22, 25, 30, 37, 45, 50, 40, 40, 40, 40)

PITCH_DEG = 7.1
"""Mean tilt of L3."""

LEAST_BEHIND_MM = 4.0
"""Least height of a lumbar disc at its back."""

WAVES = 10
"""Plane waves whose sum is a tissue's texture."""


@dataclass(frozen=True)
class Subject:
    """One person; lengths in millimetres, angles in radians.

    Attributes:
        age: Years.
        female: Women are smaller.
        size: Common length factor.
        heights: (K,) of the vertebrae.
        depths: (K,) front to back.
        widths: (K,) side to side.
        wedges: (K,) radians; how much higher a vertebra is in front.
        discs: (K - 1,) heights at the middle.
        bends: (K - 1,) lordosis of each segment.
        pitch: Tilt of L3.
        canal_depths: (K,) of the bony canal.
        canal_widths: (K,) between the pedicles.
        pedicles: (K,) widths.
        spines: (K,) reach of the spinous processes behind the laminae.
        sac_areas: (K,) mm2, of the dural sac at the middle of each vertebra.
        facet_angles: (K - 1, 2) to the sagittal plane.
        joints: (K - 1, 2) width of the facet joints' space; an effusion widens it.
        slips: (K - 1,) how far each vertebra has slipped forwards on the next.
        sac_aspect: Width over depth of the uncompressed dural sac.
        transition: +1 where S1 is lumbarised, -1 where L5 is sacralised, else 0.
        hydration: (K - 1,) of the nuclei, 0 to 1.
        sway: Amplitude and phase of the lateral curve, and its period: (mm, rad, mm).
        lean: Residual roll and yaw of the spine against the slices: (mm per mm, mm per mm).
        marrow_fat: Fat fraction of the marrow.
        muscle_fat: Fat fraction of the back muscles.
        dorsal_fat: Thickness of the fat under the skin of the back.
        conus: Segment coordinate of the tip of the cord (arc in vertebrae from T8).
        jitter: (tissues, 2) factors of T1 and T2.
        waves: (WAVES, 4) wave vector (u, s, v) in rad/mm and phase of the tissues' grain.
        folds: (WAVES, 4) the same, longer, of bowel and muscle bundles.
        roots: (2, R, 2) places of the cauda equina's roots in the unit disc, at L1 and at S1.
        raised: How much higher than usual against the spine the vessels divide, and kidneys and
            iliac bones lie, mm.
    """

    age: float
    female: bool
    size: float
    heights: FloatArray
    depths: FloatArray
    widths: FloatArray
    wedges: FloatArray
    discs: FloatArray
    bends: FloatArray
    pitch: float
    canal_depths: FloatArray
    canal_widths: FloatArray
    pedicles: FloatArray
    spines: FloatArray
    sac_areas: FloatArray
    facet_angles: FloatArray
    joints: FloatArray
    slips: FloatArray
    sac_aspect: float
    transition: int
    hydration: FloatArray
    sway: tuple[float, float, float]
    lean: tuple[float, float]
    marrow_fat: float
    muscle_fat: float
    dorsal_fat: float
    conus: float
    jitter: FloatArray
    waves: FloatArray
    folds: FloatArray
    roots: FloatArray
    raised: tuple[float, float, float] = (0.0, 0.0, 0.0)


def draw_subject(
    rng: np.random.Generator, load: float, contrast: float = 1.0, *, spread: float = 1.0
) -> Subject:
    """Draw one person, without any distractor.

    Args:
        rng: Stream of the subject stage.
        load: Mean latent severity; worn spines are older and their discs drier.
        contrast: Factor of the spread of relaxation times between people.
        spread: Factor of the spread of size, shape, age and fat between people.
    """
    k = len(VERTEBRAE)
    age = float(np.clip(57 + 15 * spread * (0.35 * load + 0.94 * rng.standard_normal()), 20, 92))
    wear = (age - 20) / 70
    female = bool(rng.random() < 0.52)
    sex = -1.0 if female else 1.0
    size = _factor(rng, 0.045, spread)
    canal = _factor(rng, 0.10, min(spread, 1.3))
    discs, hydration = _discs(rng, wear, load, spread)
    wide, tall = size * (1.0 + 0.047 * sex), size * (1.0 + 0.02 * sex)
    subject = Subject(
        age=age,
        female=female,
        size=size,
        heights=np.array(_HEIGHT) * tall * _vary(rng, 0.05 * spread, k),
        depths=np.array(_DEPTH) * wide * _vary(rng, 0.025, k),
        widths=np.array(_WIDTH) * wide * _vary(rng, 0.025, k),
        wedges=np.deg2rad(np.array(_WEDGE) + rng.normal(0, 1.0, k)),
        discs=discs * size,
        bends=_bends(rng, spread),
        pitch=float(np.deg2rad(rng.normal(PITCH_DEG, 5.5))),
        canal_depths=np.array(_CANAL_DEPTH) * canal,
        canal_widths=np.array(_CANAL_WIDTH) * np.sqrt(size * canal),
        pedicles=np.array(_PEDICLE) * wide,
        spines=np.array(_SPINE) * size * _vary(rng, 0.08, k),
        sac_areas=np.array(_SAC) * canal**1.2 * (1.0 - 0.12 * wear),
        facet_angles=np.deg2rad(np.array(_FACET)[:, None] + rng.normal(0, 4.0, (k - 1, 1)))
        + np.deg2rad(rng.normal(0, 2.0, (k - 1, 2))),
        joints=np.clip(rng.normal(1.0, 0.25, (k - 1, 2)), 0.4, 1.6),
        slips=np.zeros(k - 1),
        sac_aspect=float(np.clip(rng.normal(1.35, 0.07), 1.15, 1.55)),
        transition=0,
        hydration=np.where(np.arange(k - 1) > 9, 0.15, hydration),
        sway=_sway(rng, spread),
        lean=(float(rng.normal(0, 0.02)), float(rng.normal(0, 0.02))),
        **_soft_parts(rng, wear, spread),
        **_grain(rng, contrast),
    )
    return replace(subject, bends=open_behind(subject))


def _soft_parts(rng: np.random.Generator, wear: float, spread: float) -> dict[str, Any]:
    fat = np.clip(0.25 + 0.28 * wear + rng.normal(0, 0.06 * spread), 0.15, 0.7)
    streaks = np.clip(0.05 + 0.3 * wear + rng.normal(0, 0.08 * spread), 0.03, 0.6)
    return {
        "marrow_fat": float(fat),
        "muscle_fat": float(streaks),
        "dorsal_fat": float(np.clip(rng.lognormal(np.log(16), 0.5 * spread), 4, 55)),
        "conus": float(np.clip(rng.normal(5.3, 0.5), 4.0, 6.8)),
    }


def _grain(rng: np.random.Generator, contrast: float) -> dict[str, Any]:
    return {
        "jitter": np.exp(rng.normal(0, 1, (len(Tissue), 2)) * np.array([0.05, 0.07]) * contrast),
        "waves": _waves(rng, 3.0, 14.0),
        "folds": _waves(rng, 22.0, 70.0),
        "roots": _roots(rng),
    }


def _factor(rng: np.random.Generator, deviation: float, spread: float) -> float:
    return float(1.0 + deviation * spread * np.clip(rng.standard_normal(), -2.2, 2.2))


def _bends(rng: np.random.Generator, spread: float) -> FloatArray:
    lordosis = float(np.clip(rng.normal(1.0, 0.2 * spread), 0.4, 1.6))
    return np.deg2rad(np.array(_BEND) * lordosis + rng.normal(0, 3.0, len(_BEND)))


def open_behind(subject: Subject) -> FloatArray:
    """Return the bends, none so strong that the vertebrae meet behind their disc."""
    lean, half = np.tan(subject.wedges / 2), (subject.depths[:-1] + subject.depths[1:]) / 4
    most = lean[:-1] + lean[1:] + (subject.discs - LEAST_BEHIND_MM) / half
    lumbar = [VERTEBRAE[n][0] == "L" for n in range(len(subject.bends))]
    return np.asarray(np.where(lumbar, np.minimum(subject.bends, most), subject.bends))


def _vary(rng: np.random.Generator, deviation: float, count: int) -> FloatArray:
    return np.asarray(1.0 + deviation * np.clip(rng.standard_normal(count), -2.5, 2.5))


def _discs(
    rng: np.random.Generator, wear: float, load: float, spread: float
) -> tuple[FloatArray, FloatArray]:
    """Heights and hydration: dry discs lose up to a third of their height."""
    weight = np.array([0.3] * 5 + [0.5, 0.6, 0.8, 1.15, 1.1] + [0.4] * 4)
    dryness = weight * (0.15 + 0.6 * wear + 0.12 * load + rng.normal(0, 0.22, weight.size))
    dryness = np.clip(dryness, 0.02, 1.0)
    heights = np.array(_DISC) * (1.08 - 0.33 * dryness) * _vary(rng, 0.14 * spread, weight.size)
    return heights, 1.0 - dryness


def _sway(rng: np.random.Generator, spread: float) -> tuple[float, float, float]:
    deviation = 12.0 if rng.random() < 0.08 else 4.0
    cobb = np.deg2rad(np.clip(rng.normal(0, deviation * spread), -20, 20))
    period = float(rng.uniform(220, 400))
    return float(np.tan(cobb / 2) * period / (2 * np.pi)), float(rng.uniform(0, 2 * np.pi)), period


def _waves(rng: np.random.Generator, shortest: float, longest: float) -> FloatArray:
    direction = rng.standard_normal((WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    wavelength = np.exp(rng.uniform(np.log(shortest), np.log(longest), (WAVES, 1)))
    phase = rng.uniform(0, 2 * np.pi, (WAVES, 1))
    return np.concatenate([2 * np.pi * direction / wavelength, phase], axis=1)


def _roots(rng: np.random.Generator, count: int = 18) -> FloatArray:
    """Roots lie in the back of the sac high up and spread as they descend (low discrepancy)."""
    turn = np.pi * (3 - np.sqrt(5))
    n = np.arange(count)
    radius = np.sqrt((n + 0.5) / count) * 0.86
    angle = n * turn + rng.uniform(0, 2 * np.pi)
    spread = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    spread += rng.normal(0, 0.05, spread.shape)
    layered = np.stack([spread[:, 0], 0.5 + 0.38 * spread[:, 1]], axis=1)
    return np.stack([layered, 0.92 * spread])

"""Protocols: timings, rasters and slice spacings, drawn as public lumbar studies have them.

Matrices, pixel sizes, slice distances and counts follow the shapes of about 2,000 public studies;
timings follow common protocols at 1.5 and 3 T. The cohort `shift` draws everything wider: fields
from 0.3 to 3 T, pixels of 0.4 to 1.4 mm, slices of 2.5 to 7 mm, and contrasts that mix weightings
and turn each tissue's signal up or down (after SynthSeg, Billot 2023).
"""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from volspine.anatomy import Protocol
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.tissues import Sequence, Tissue

__all__ = ["Raster", "draw_field", "draw_rasters", "draw_sequence", "draw_snr", "draw_spacing"]

_MATRICES = {
    Protocol.SAGITTAL_T1: {512: 0.44, 384: 0.17, 320: 0.15, 256: 0.05, 448: 0.04, 640: 0.03,
                           576: 0.02, 352: 0.03, 288: 0.02},
    Protocol.SAGITTAL_T2: {512: 0.26, 320: 0.21, 448: 0.13, 384: 0.11, 640: 0.10, 256: 0.05,
                           576: 0.05, 768: 0.04, 352: 0.02},
    Protocol.AXIAL_T2: {320: 0.27, 512: 0.25, 640: 0.18, 384: 0.09, 256: 0.06, 448: 0.05,
                        352: 0.04, 288: 0.03, 768: 0.01},
}  # fmt: skip
_OBLONG_SAGITTAL = {(760, 640): 0.6, (512, 448): 0.2, (640, 512): 0.2}
_OBLONG_AXIAL = {(320, 384): 0.5, (448, 512): 0.5}
_OBLONG = {Protocol.SAGITTAL_T1: 0.065, Protocol.SAGITTAL_T2: 0.065, Protocol.AXIAL_T2: 0.02}

_Choice = TypeVar("_Choice")

SMALL_SIDE = 96
"""Side of the images that tests use."""


@dataclass(frozen=True)
class Raster:
    """How a series' plane is sampled.

    Attributes:
        acquired: Rows and columns measured.
        acquired_mm: Distance between the centres of measured pixels.
        matrix: Rows and columns stored.
        phase_axis: Axis of phase encoding: 0 along a column, 1 along a row.
        phase_share: Share of the phase-encoding lines that are measured; the rest is zero.
    """

    acquired: tuple[int, int]
    acquired_mm: float
    matrix: tuple[int, int]
    phase_axis: int = 0
    phase_share: float = 1.0


def draw_field(rng: np.random.Generator, cohort: Cohort) -> float:
    """Return a field strength, tesla."""
    high, wide = rng.random() < 0.35, rng.uniform(np.log(0.3), np.log(3.0))
    if cohort is Cohort.SHIFT:
        return float(np.exp(wide))
    return 3.0 if high else 1.5


def draw_snr(rng: np.random.Generator, spec: Spec, field_t: float) -> float:
    """Signal-to-noise ratio before zero filling; 3 % of series are much poorer."""
    least, most = (8, 60) if spec.cohort is Cohort.SHIFT else (14, 40)
    value = np.exp(rng.uniform(np.log(least), np.log(most))) * (1.6 if field_t > 2 else 1.0)
    poor = 0.5 if rng.random() < 0.03 else 1.0
    return 0.0 if spec.is_clean else float(value * poor)


def draw_spacing(rng: np.random.Generator, spec: Spec, protocol: Protocol) -> tuple[float, float]:
    """Return slice thickness and the distance between slice centres, mm."""
    sagittal = protocol is not Protocol.AXIAL_T2
    if spec.size is Size.SMALL:
        return (5.85, 6.5) if sagittal else (4.0, 4.4)
    if spec.cohort is Cohort.SHIFT:
        thickness = float(rng.uniform(2.5, 7.0))
        return thickness, thickness * float(rng.uniform(1.0, 1.25))
    mean, deviation = (4.52, 0.56) if sagittal else (4.59, 0.8)
    spacing = float(np.clip(rng.normal(mean, deviation), 3.0, 6.5))
    return spacing * float(rng.uniform(0.82, 0.95)), spacing


def draw_rasters(rng: np.random.Generator, spec: Spec, protocols: list[Protocol]) -> list[Raster]:
    """Return the rasters of series that share their slices: one measured grid, a matrix each."""
    if spec.size is Size.SMALL:
        return _small(rng, protocols)
    field, matrices = _matrices(rng, spec, protocols)
    step = _step(matrices)
    wanted = int(rng.choice([224, 240, 256, 288] if protocols[0] is Protocol.AXIAL_T2
                            else [256, 272, 288, 320]))  # fmt: skip
    shape = matrices[0][0] // step, matrices[0][1] // step
    most = min(m[0] // shape[0] for m in matrices)
    # An even factor keeps both sides even, so that the middle of k-space is that of the image.
    factor = min(2 * round(wanted / min(shape) / 2), most - most % 2)
    acquired = shape[0] * factor, shape[1] * factor
    pixel = field / min(acquired)
    return [Raster(acquired, pixel, m, *_phase(rng, spec, p))
            for p, m in zip(protocols, matrices, strict=True)]  # fmt: skip


def _small(rng: np.random.Generator, protocols: list[Protocol]) -> list[Raster]:
    axial = protocols[0] is Protocol.AXIAL_T2
    side = (SMALL_SIDE, SMALL_SIDE)
    field = float(rng.uniform(165, 200) if axial else rng.uniform(265, 305))
    return [Raster(side, field / SMALL_SIDE, side) for _ in protocols]


def _step(matrices: list[tuple[int, int]]) -> int:
    """Return the largest number of pixels that divides both sides of the first matrix."""
    return int(np.gcd(*matrices[0]))


def _matrices(
    rng: np.random.Generator, spec: Spec, protocols: list[Protocol]
) -> tuple[float, list[tuple[int, int]]]:
    """Return the shorter side of the field of view, mm, and the stored matrices."""
    axial = protocols[0] is Protocol.AXIAL_T2
    mean, deviation, least, most = (190, 22, 145, 250) if axial else (285, 18, 245, 340)
    field = float(np.clip(rng.normal(mean, deviation), least, most))
    oblong = rng.random() < _OBLONG[protocols[0]]
    if spec.cohort is Cohort.SHIFT:
        field = float(rng.uniform(150, 260) if axial else rng.uniform(230, 360))
        pixels = np.exp(rng.uniform(np.log(0.4), np.log(1.4), len(protocols)))
        return field, [_even_square(field / pixel) for pixel in pixels]
    if oblong:
        shape = _pick(rng, _OBLONG_AXIAL if axial else _OBLONG_SAGITTAL)
        return field * (1.0 if axial else 0.92), [shape] * len(protocols)
    sides = [_pick(rng, _MATRICES[p]) for p in protocols]
    return field, [(side, side) for side in sides]


def _even_square(side: float) -> tuple[int, int]:
    even = int(np.clip(2 * round(side / 2), 128, 768))
    return even, even


def _pick(rng: np.random.Generator, table: dict[_Choice, float]) -> _Choice:
    weights = np.array(list(table.values()))
    return list(table)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _phase(rng: np.random.Generator, spec: Spec, protocol: Protocol) -> tuple[int, float]:
    """Phase runs along a column of most series: head to feet, or front to back on axial ones."""
    axis = int(rng.random() < (0.4 if protocol is Protocol.AXIAL_T2 else 0.3))
    share = float(rng.uniform(0.65, 1.0))
    return axis, 1.0 if spec.is_clean else share


def draw_sequence(
    rng: np.random.Generator, spec: Spec, protocol: Protocol, field_t: float
) -> Sequence:
    """Return the timing of a series."""
    if spec.cohort is Cohort.SHIFT:
        return _shifted(rng, protocol, field_t)
    if protocol is Protocol.SAGITTAL_T1:
        return _t1(rng, field_t)
    varied = spec.cohort is Cohort.RSNA_LIKE and protocol is Protocol.SAGITTAL_T2
    if rng.random() < 0.08 and varied:
        return _stir(rng, field_t)
    return _t2(rng, protocol, field_t)


def _t1(rng: np.random.Generator, field_t: float) -> Sequence:
    """At 3 T a quarter are inversion recoveries that darken fluid (T1 FLAIR)."""
    strong = field_t > 2.0
    echo, echoes, spacing = rng.uniform(8, 14), int(rng.integers(3, 6)), rng.uniform(7, 10)
    short, flair = rng.uniform(600, 900) if strong else rng.uniform(450, 700), rng.random() < 0.25
    if strong and flair:
        return Sequence("T1", rng.uniform(1900, 2200), echo, rng.uniform(780, 900), field_t,
                        echoes, spacing)  # fmt: skip
    return Sequence("T1", short, echo, None, field_t, echoes, spacing)


def _t2(rng: np.random.Generator, protocol: Protocol, field_t: float) -> Sequence:
    least, most = (3000, 6000) if protocol is Protocol.AXIAL_T2 else (2500, 4500)
    later = 500.0 if field_t > 2.0 else 0.0
    return Sequence("T2", rng.uniform(least, most) + later, rng.uniform(86, 120), None, field_t,
                    int(rng.integers(15, 26)), rng.uniform(8, 12))  # fmt: skip


def _stir(rng: np.random.Generator, field_t: float) -> Sequence:
    inversion = rng.uniform(205, 230) if field_t > 2.0 else rng.uniform(150, 170)
    return Sequence("STIR", rng.uniform(3000, 5500), rng.uniform(30, 70), inversion, field_t,
                    int(rng.integers(8, 16)), rng.uniform(8, 12))  # fmt: skip


def _shifted(rng: np.random.Generator, protocol: Protocol, field_t: float) -> Sequence:
    """Return a weighting from a wide mixture, and a factor for each tissue."""
    gains = tuple(float(g) for g in np.exp(rng.normal(0.0, 0.25, len(Tissue))))
    make = _shifted_t1 if protocol is Protocol.SAGITTAL_T1 else _shifted_t2
    return replace(make(rng, field_t), field_t=field_t, gains=gains)


def _shifted_t1(rng: np.random.Generator, field_t: float) -> Sequence:
    kind, echo = rng.random(), rng.uniform(5, 25)
    if kind < 0.2:
        flip = np.deg2rad(rng.uniform(45, 90))
        return Sequence("T1", rng.uniform(120, 400), rng.uniform(4, 10), flip_rad=float(flip))
    if kind < 0.35:
        # The null of fluid lies near TR / 2 ... TR ln 2 / 2 for T1 far above TR.
        repetition = rng.uniform(1600, 2400)
        return Sequence("T1", repetition, echo, repetition * rng.uniform(0.36, 0.45))
    repetition = float(np.exp(rng.uniform(np.log(350), np.log(1100)))) * (field_t / 1.5) ** 0.2
    return Sequence("T1", repetition, echo, echoes=3, spacing_ms=8.0)


def _shifted_t2(rng: np.random.Generator, field_t: float) -> Sequence:
    kind, repetition = rng.random(), rng.uniform(1800, 6500)
    if kind < 0.3:
        null = 300.0 * (field_t / 1.5) ** 0.35 * np.log(2) * rng.uniform(0.75, 1.1)
        return Sequence("STIR", repetition, rng.uniform(25, 80), float(null))
    if kind < 0.42:
        return Sequence("T2", repetition, rng.uniform(18, 45))
    if kind < 0.57:
        flip = np.deg2rad(rng.uniform(15, 30))
        return Sequence("T2", rng.uniform(400, 900), rng.uniform(14, 28), flip_rad=float(flip))
    return Sequence("T2", repetition, rng.uniform(60, 150), echoes=15, spacing_ms=9.0)

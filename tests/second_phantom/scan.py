"""From a map of tissues to a series as a scanner would store it: slices, coil, noise, counts.

A series is rendered on its own slices: signal is averaged over the thickness of a slice, sampled
in its plane, blurred by the width of a pixel, shaded by the coil, and made noisy as a magnitude.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates, uniform_filter1d

from tests.second_phantom.canvas import SPACING
from tests.second_phantom.contrast import draw_signal
from volspine.anatomy import Protocol
from volspine.dicom.study import Series
from volspine.geometry.stack import Stack

PROTOCOLS = {"t1": Protocol.SAGITTAL_T1, "t2": Protocol.SAGITTAL_T2, "stir": Protocol.OTHER}


@dataclass(frozen=True)
class Protocol2:
    """How a series is planned.

    Attributes:
        kind: "t1", "t2" or "stir".
        slices, gap_mm: How many, and from middle to middle.
        matrix, field_mm: Pixels and millimetres of a square picture.
        middle_mm: (3,) middle of the picture.
        turn: Degrees about the long axis.
        reach_mm: Distance at which the coil's signal has fallen to 1 / e.
        snr: Of the brightest hundredth of the picture.
        band: Whether signal in front of the spine is saturated.
    """

    kind: str
    slices: int
    gap_mm: float
    matrix: int
    field_mm: float
    middle_mm: np.ndarray
    turn: float
    reach_mm: float
    snr: float
    band: bool


def draw_plans(rng, kinds=("t1", "t2")):
    """Return the plans of the series of one study, alike but not the same."""
    middle = np.array([rng.normal(0, 3), rng.normal(-12, 14), rng.normal(-8, 11)])
    slices, gap = int(rng.integers(13, 18)), rng.uniform(4.0, 5.0)
    field, matrix = rng.uniform(255, 325), int(rng.choice([256, 288, 320]))
    reach, snr = np.exp(rng.uniform(np.log(55), np.log(220))), rng.uniform(30, 110)
    return [
        Protocol2(
            kind=kind,
            slices=slices,
            gap_mm=gap,
            matrix=matrix,
            field_mm=field,
            middle_mm=middle + rng.normal(0, 0.7, 3),
            turn=rng.normal(0, 2.5),
            reach_mm=reach,
            snr=snr * rng.uniform(0.8, 1.25),
            band=bool(rng.random() < 0.4),
        )
        for kind in kinds
    ]


def acquire(canvas, column, plan, rng, texture):
    """Return a series of a map of tissues; `texture` is a fractal field over the map."""
    affine = _affine(plan)
    volume = _signal(canvas, draw_signal(rng, column.build, plan.kind), texture)
    thick = max(round(plan.gap_mm * 0.9 / SPACING[0]), 1)
    volume = uniform_filter1d(volume, thick, axis=0)
    shape = (plan.matrix, plan.matrix, plan.slices)
    index = np.indices(shape, dtype=np.float32).reshape(3, -1)
    places = affine[:3, :3].astype(np.float32) @ index + affine[:3, 3:].astype(np.float32)
    found = canvas.index(places.T.astype(np.float32)).T
    picture = map_coordinates(volume, found, order=1, mode="constant").reshape(shape)
    picture *= _shade(canvas, column, places, plan, rng).reshape(shape)
    stack = Stack.from_array(_noisy(picture, plan, rng), affine)
    return Series(
        uid=f"2.25.{rng.integers(1, 2**62)}",
        name=f"sagittal {plan.kind}",
        protocol=PROTOCOLS[plan.kind],
        reason="known",
        stacks=[stack],
    )


def _signal(canvas, tables, texture):
    """Return the signal of every voxel, rough as its tissue is."""
    signal, rough = tables
    volume = texture * rough[canvas.labels]
    volume += 1
    np.clip(volume, 0.2, 2.5, out=volume)
    volume *= signal[canvas.labels]
    return volume


def _affine(plan):
    """Return voxel to millimetres: columns run backwards, rows down, slices to the left."""
    pixel, turn = plan.field_mm / plan.matrix, np.deg2rad(plan.turn)
    back = np.array([-np.sin(turn), np.cos(turn), 0])
    left = np.array([np.cos(turn), np.sin(turn), 0])
    affine = np.eye(4)
    affine[:3, :3] = np.stack([back * pixel, [0, 0, -pixel], left * plan.gap_mm], 1)
    last = np.array([plan.matrix - 1, plan.matrix - 1, plan.slices - 1])
    affine[:3, 3] = plan.middle_mm - affine[:3, :3] @ last / 2
    return affine


def _shade(canvas, column, places, plan, rng):
    """Return what coil, end of the magnet and saturation leave of the signal."""
    x, y, z = places
    skin = _skin(canvas, z)
    coil = np.exp(-np.maximum(skin - y, 0) / np.float32(plan.reach_mm))
    half = plan.field_mm / 2
    end = 1 - 0.45 * np.abs((z - plan.middle_mm[2]) / half) ** np.float32(rng.uniform(3, 8))
    slope = rng.normal(0, 0.12, 3) / half
    shade = coil * end * np.exp(slope[0] * x + slope[1] * y + slope[2] * (z - plan.middle_mm[2]))
    if plan.band:
        edge = column.centres[:, 1].min() - rng.uniform(28, 50)
        shade *= 0.12 + 0.88 / (1 + np.exp(-(y - edge) / 4))
    return shade.astype(np.float32)


def _skin(canvas, z):
    """Return how far back the skin is at heights z."""
    tissue = canvas.labels[canvas.labels.shape[0] // 2] > 0
    last = tissue.shape[0] - 1 - np.argmax(tissue[::-1], axis=0)
    return np.interp(z, canvas.axis(2), canvas.axis(1)[last]).astype(np.float32)


def _noisy(picture, plan, rng):
    """Return whole counts of a magnitude, blurred to the width of a pixel before the noise."""
    for axis in (0, 1):
        picture = gaussian_filter1d(picture, rng.uniform(0.4, 0.75), axis=axis)
    level = np.percentile(picture[::2, ::2], 99)
    spread = level / plan.snr
    real = picture + spread * rng.standard_normal(picture.shape, dtype=np.float32)
    other = spread * rng.standard_normal(picture.shape, dtype=np.float32)
    counts = np.sqrt(real * real + other * other) * (rng.uniform(500, 1800) / level)
    return np.rint(counts).astype(np.float32)

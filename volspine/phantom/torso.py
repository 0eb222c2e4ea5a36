"""The rest of the trunk: skin, fat, muscles, vessels and bowel around the spine.

Points are given by x (left), the distance `back` behind the spine's curve at the same height, and
z. Everything here varies slowly along the body, so it is painted once a slice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.painting import Canvas
from volspine.phantom.tissues import Tissue

__all__ = ["Surroundings", "paint_torso", "texture"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Surroundings:
    """Points of a slice in the trunk; arrays that broadcast, millimetres, body frame.

    Attributes:
        x: Left of the body's middle.
        back: Behind the spine's curve at the same height.
        z: Height above the middle of L3.
    """

    x: Array
    back: Array
    z: Array

    @classmethod
    def at(cls, anatomy: Anatomy, x: Array, y: Array, z: Array) -> "Surroundings":
        """Return the points seen from the spine's curve."""
        centres = anatomy.frame.centres_mm[::-1]
        # The back's surface follows the spine only in part: smooth the curve before use.
        heights = np.linspace(-180.0, 260.0, 45)
        curve = np.interp(heights, centres[:, 1], centres[:, 0])
        kernel = np.hanning(9) / np.hanning(9).sum()
        curve = np.convolve(np.pad(curve, 4, mode="edge"), kernel, mode="valid")
        return cls(x, (y - np.interp(z, heights, curve)).astype(np.float32), z)


def texture(waves: NDArray[np.float64], u: Array, s: Array, v: Array) -> Array:
    """Return a smooth random field of mean 0 and variance 1/2 a wave: a sum of plane waves."""
    total = np.zeros(np.broadcast_shapes(u.shape, s.shape), dtype=np.float32)
    for ku, ks, kv, phase in waves.astype(np.float32):
        total += np.cos(ku * u + (ks * s + kv * v + phase))
    return total


def paint_torso(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint skin, fat, the abdomen, muscles and vessels."""
    subject = anatomy.subject
    far, size = np.abs(p.x), subject.size
    rear = 72.0 * size + 6.0 * np.exp(-((far / 30.0 - 1.2) ** 2)) - (far / 150.0) ** 4 * 60.0
    skin = np.maximum(p.back - rear - subject.dorsal_fat, far - 175.0 * size)
    skin = np.maximum(skin, -p.back - 165.0 * size)
    canvas.paint(skin, Tissue.SKIN)
    canvas.paint(skin + 2.5, Tissue.FAT)
    inner = np.maximum(p.back - rear, np.maximum(far - 150.0 * size, -p.back - 140.0 * size))
    canvas.paint(inner, Tissue.ORGAN)
    canvas.paint(inner + 2.0, Tissue.FAT, 0.85)
    _paint_bowel(canvas, p, anatomy)
    _paint_muscles(canvas, p, anatomy)
    _paint_vessels(canvas, p, anatomy)


def _paint_bowel(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    waves = anatomy.subject.waves
    lumps = texture(waves * np.array([0.3, 0.3, 0.3, 1.0]), p.x, p.z, p.back)
    front = p.back + 38.0
    canvas.paint(np.maximum(front, 1.2 - lumps) * 3.0, Tissue.BOWEL)
    canvas.paint(np.maximum(front + 6.0, 3.2 - lumps) * 3.0, Tissue.BLOOD)


def _oval(x: Array, y: Array, a: Array | float, b: Array | float) -> Array:
    radius = np.sqrt((x / a) ** 2 + (y / b) ** 2) + 1e-6
    return (radius - 1.0) * np.minimum(a, b)


def _paint_muscles(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    subject = anatomy.subject
    far, size = np.abs(p.x), subject.size
    low = np.clip((60.0 - p.z) / 140.0, 0.0, 1.0)  # psoas grows from T12 downwards
    psoas = _oval(far - (30.0 + 10.0 * low) * size, p.back + 4.0 + 14.0 * low * low,
                  (7.0 + 13.0 * low) * size, (11.0 + 11.0 * low) * size)  # fmt: skip
    canvas.paint(psoas, Tissue.MUSCLE)
    canvas.paint(_oval(far - 68.0 * size, p.back - 14.0, 18.0, 9.0), Tissue.MUSCLE)
    fat = subject.muscle_fat
    waves = subject.waves * np.array([1.0, 0.25, 1.0, 1.0])
    streaks = texture(waves, far, p.z, p.back)
    tapering = np.clip((p.z + 150.0) / 90.0, 0.25, 1.0)
    multifidus = _oval(far - 15.0 * size, p.back - 47.0 * size, 14.5 * size, 21.0 * size)
    erector = _oval(far - 47.0 * size, p.back - 41.0 * size, 22.0 * size * tapering,
                    25.0 * size)  # fmt: skip
    for muscle, share in ((erector, 0.6 * fat), (multifidus, fat)):
        canvas.paint(muscle, Tissue.MUSCLE)
        level = 3.4 - 6.0 * share
        canvas.paint(np.maximum(muscle + 1.0, (level - streaks) * 1.2), Tissue.FAT, 0.8)
    canvas.paint(np.abs(erector) - 0.5, Tissue.LIGAMENT, 0.5)


def _paint_vessels(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint aorta (left) and vena cava (right), which divide in front of L4."""
    subject, size = anatomy.subject, anatomy.subject.size
    x = p.x * anatomy.handed
    front = p.back + float(subject.depths[7]) / 2
    split = np.clip((-p.z - 25.0) / 90.0, 0.0, 1.0)
    for place, radius in ((9.0, 9.0), (-17.0, 10.5)):
        wide = radius * size * (1.0 - 0.35 * np.minimum(split * 4.0, 1.0))
        for spread in (-26.0, 22.0):
            centre = place * size + (spread + place * -0.2) * split
            vessel = _oval(x - centre, front + 11.0 * size - 8.0 * split, wide, 0.85 * wide)
            canvas.paint(vessel, Tissue.CORTEX, 0.6)
            canvas.paint(vessel + 1.2, Tissue.BLOOD)

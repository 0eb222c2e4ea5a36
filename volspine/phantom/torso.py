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
    """Paint loops of bowel and what is in them, kidneys beside the upper lumbar spine."""
    subject = anatomy.subject
    front = p.back + 42.0
    lumps = texture(subject.folds, p.x, p.z, p.back)
    inside = np.clip(-0.1 * front, 0.0, 1.0)
    whole = np.full(np.broadcast_shapes(p.x.shape, p.back.shape), -99.0, np.float32)
    canvas.paint(whole, Tissue.BOWEL, inside * np.clip(0.8 * lumps, 0.0, 0.75))
    canvas.paint(whole, Tissue.BLOOD, inside * np.clip(1.2 * (lumps - 3.0), 0.0, 0.9))
    canvas.paint(whole, Tissue.MUSCLE, inside * np.clip(-0.9 * (lumps + 1.2), 0.0, 0.7))
    far = np.abs(p.x)
    tall = ((p.z - 65.0) / 55.0) ** 2
    kidney = np.sqrt(((far - 66.0) / 24.0) ** 2 + ((p.back + 4.0) / 21.0) ** 2 + tall)
    canvas.paint((kidney - 1.0) * 20.0, Tissue.ORGAN)


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
    loin = _oval(far - 66.0 * size, p.back - 17.0 - 0.25 * (far - 66.0), 22.0, 8.0)
    canvas.paint(loin, Tissue.MUSCLE)
    _paint_back(canvas, p, anatomy)
    # The wing of the ilium slants outwards and forwards at both sides of the sacrum.
    slant = far - 62.0 - 0.55 * (34.0 - p.back)
    ilium = np.maximum(np.abs(slant) - 7.0, np.maximum(p.z + 52.0, np.abs(p.back - 8.0) - 34.0))
    canvas.paint(ilium, Tissue.CORTEX)
    canvas.paint(ilium + 1.2, Tissue.MARROW)


def _paint_back(canvas: Canvas, p: Surroundings, anatomy: Anatomy) -> None:
    """Paint multifidus and erector spinae under their fascia, streaked with fat."""
    subject = anatomy.subject
    far, size = np.abs(p.x), subject.size
    low = np.clip((-p.z - 60.0) / 60.0, 0.0, 1.0)
    a, b = ((far - 35.0 * size) / (33.0 * size * (1.0 - 0.35 * low))) ** 4, (
        (p.back - 46.0 * size) / (25.0 * size)) ** 4  # fmt: skip
    radius = np.sqrt(np.sqrt(a + b)) + 1e-6
    mass = np.maximum((radius - 1.0) * 24.0 * size, 3.2 - far)
    canvas.paint(mass, Tissue.MUSCLE)
    septum = far - 27.0 * size - 0.25 * (p.back - 46.0 * size)
    inside = mass < -0.5
    medial = np.clip(0.5 - 0.2 * septum, 0.0, 1.0)
    deep = np.clip(1.2 - (p.back - 30.0) / 30.0, 0.4, 1.2)
    fat = subject.muscle_fat * (0.5 + medial) * deep
    streaks = texture(subject.waves * np.array([1.0, 0.2, 0.7, 1.0]), p.x, p.z, p.back)
    patches = texture(subject.folds, p.x, p.z, p.back)
    share = np.clip(0.28 * streaks + 0.2 * patches - 0.8 + 2.6 * fat, 0.0, 0.85)
    canvas.paint(np.where(inside, -99.0, 99.0), Tissue.FAT, share)
    seam = np.maximum(np.abs(septum) - 0.8, mass + 1.0)
    canvas.paint(seam, Tissue.FAT, 0.7)
    canvas.paint(np.abs(mass) - 0.5, Tissue.LIGAMENT, 0.6)


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

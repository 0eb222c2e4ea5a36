"""Surroundings: the points of a slice as the trunk around the spine sees them.

Points are given by x (left), the distance `back` behind the spine's curve at the same height, and
z. Everything here varies slowly along the body, so it is painted once a slice. Random fields are
sums of plane waves split into a factor of x and a factor of the rest, of which a sagittal series
needs the latter once.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.painting import box_of, span

__all__ = ["Surroundings", "cut", "oval", "texture"]

Array = NDArray[np.floating]

_GRAIN = 10
"""Plane waves in the texture of muscle."""

_ROWS = 64
"""Rows of a product at one go: so few that the linear algebra wakes no threads, which then spin."""


@dataclass(frozen=True)
class Surroundings:
    """Points of a slice in the trunk; arrays that broadcast, millimetres, body frame.

    Attributes:
        x: Left of the body's middle.
        back: Behind the spine's curve at the same height.
        z: Height above the middle of L3.
        waves: (waves, ...) cosine and sine of each wave's part along back and z.
    """

    x: Array
    back: Array
    z: Array
    waves: tuple[Array, Array]

    @classmethod
    def at(cls, anatomy: Anatomy, x: Array, y: Array, z: Array) -> "Surroundings":
        """Return the points seen from the spine's curve."""
        centres = anatomy.frame.centres_mm[::-1]
        # The back's surface follows the spine only in part: smooth the curve before use.
        heights = np.linspace(-180.0, 260.0, 45)
        curve = np.interp(heights, centres[:, 1], centres[:, 0])
        kernel = np.hanning(9) / np.hanning(9).sum()
        curve = np.convolve(np.pad(curve, 4, mode="edge"), kernel, mode="valid")
        back = (y - np.interp(z, heights, curve)).astype(np.float32)
        grain = anatomy.subject.waves[:_GRAIN].astype(np.float32)
        phases = [0.15 * ks * z + 0.95 * kv * back + phase for _, ks, kv, phase in grain]
        phase = np.stack(phases).astype(np.float32)
        return cls(x, back, z, (np.cos(phase), np.sin(phase)))

    def moved(self, x: float) -> "Surroundings":
        """Return the points of the parallel sagittal slice at `x`."""
        return replace(self, x=np.full((1, 1), x, np.float32))

    @cached_property
    def far(self) -> Array:
        """Distance from the body's middle."""
        return np.abs(self.x)

    def within(self, low: float, high: float, reach: float) -> tuple[slice, ...] | None:
        """Return the box of the points between two depths and less than `reach` to the side."""
        if float(self.far.min()) > reach:
            return None
        box = box_of((self.back > low) & (self.back < high))
        if box is None or self.x.shape[-1] == 1:
            return box
        across = box_of(self.far < reach)
        return None if across is None else (box[0], across[1])

    def beside(self, low: float, high: float, near: float, reach: float) -> list[tuple[slice, ...]]:
        """Return the boxes, one a side, of points between two depths and two distances aside."""
        boxes = []
        for side in (self.x < 0, self.x >= 0):
            columns = span((side & (self.far >= near) & (self.far < reach))[0])
            if columns.stop:
                box = box_of((self.back > low) & (self.back < high))
                if box is not None:
                    boxes.append(box if self.x.shape[-1] == 1 else (box[0], columns))
        return boxes

    def part(self, box: tuple[slice, ...]) -> "Surroundings":
        """Return the points of a box."""
        waves = (cut(self.waves[0], box), cut(self.waves[1], box))
        return Surroundings(cut(self.x, box), cut(self.back, box), cut(self.z, box), waves)

    def grain(self, anatomy: Anatomy) -> Array:
        """Return a random field of mean 0 and variance 1, long along the body."""
        if self.back.shape[-1] == 1:
            return self._product(np.float32(0.95) * anatomy.subject.waves[:_GRAIN, :1] * self.x)
        total = np.zeros(np.broadcast_shapes(self.x.shape, self.back.shape), dtype=np.float32)
        part = np.empty_like(total)
        for n, ku in enumerate(anatomy.subject.waves[:_GRAIN, 0].astype(np.float32)):
            across = np.float32(0.95) * ku * self.x
            np.multiply(np.cos(across), self.waves[0][n], out=part)
            total += part
            np.multiply(np.sin(across), self.waves[1][n], out=part)
            total -= part
        return total * np.float32(np.sqrt(2.0 / _GRAIN))

    def _product(self, across: Array) -> Array:
        """Return the field of an axial slice, whose waves are of rows times of columns."""
        rows = np.concatenate([wave[..., 0] for wave in self.waves]).astype(np.float64)
        columns = np.concatenate([np.cos(across), -np.sin(across)])
        columns *= np.sqrt(2.0 / _GRAIN)
        field = np.empty((rows.shape[1], columns.shape[1]), dtype=np.float32)
        for first in range(0, len(field), _ROWS):
            part = slice(first, first + _ROWS)
            field[part] = rows[:, part].T @ columns
        return field


def cut(values: Array, box: tuple[slice, ...]) -> Array:
    """Return the part of values within a box; an axis of length 1 stays as it is."""
    whole = slice(None)
    rows, columns = (
        part if side > 1 else whole for part, side in zip(box, values.shape[-2:], strict=True)
    )
    return values[..., rows, columns]


def texture(waves: NDArray[np.float64], u: Array, s: Array, v: Array) -> Array:
    """Return a smooth random field of mean 0 and variance 1/2 a wave: a sum of plane waves."""
    total = np.zeros(np.broadcast_shapes(u.shape, s.shape), dtype=np.float32)
    for ku, ks, kv, phase in waves.astype(np.float32):
        total += np.cos(ku * u + (ks * s + kv * v + phase))
    return total


def oval(x: Array, y: Array, a: Array | float, b: Array | float) -> Array:
    """Return the distance to an ellipse, exact on its axes, negative inside."""
    radius = np.sqrt((x / a) ** 2 + (y / b) ** 2)
    return np.asarray((radius - 1.0) * np.minimum(a, b, dtype=np.float32))

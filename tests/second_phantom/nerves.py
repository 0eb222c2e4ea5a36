"""The canal and what is in it: fat, sac, cord, roots; and the foramina on both sides.

The canal is painted in thin slabs across its course. Left is +1. Depths v are backwards from the
canal's middle.
"""

import numpy as np

from tests.second_phantom.build import L1, L5, S1, T12
from tests.second_phantom.canvas import SPACING, Tissue, local

STEP = 1.4
LOWEST_ROOT = S1 + 2


def paint_nerves(canvas, column, rng):
    """Paint canal and foramina; return the 27 marks in the order of `landmarks.POINTS`."""
    profile = _Profile(column, rng)
    places = _stations(column)
    for place, middle, axes in zip(places, *column.frame(places), strict=True):
        _slab(canvas, profile, place, (middle, axes))
    _cauda(canvas, column, profile, rng)
    foramina = [
        _foramen(canvas, column, profile, n, side) for side in (1, -1) for n in range(L1, S1)
    ]
    for n in range(S1, S1 + 3):
        for side in (-1, 1):
            _sacral_hole(canvas, column, n, side)
    canal = [profile.mark(n + 0.5, 0) for n in range(T12, S1 + 1)]
    recess = [profile.mark(n + 0.5, side) for side in (1, -1) for n in range(L1, S1)]
    return np.array(canal + foramina + recess)


def _stations(column):
    places = np.linspace(0, S1 + 4, 2000)
    steps = np.linalg.norm(np.diff(column.course(places), axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])
    return np.interp(np.arange(0, along[-1], STEP), along, places)


class _Profile:
    """Half sizes of canal and sac along the column, from knots at bodies and discs."""

    def __init__(self, column, rng):
        build = column.build
        knots = np.arange(35) / 2
        self.column, self.knots, self.rng = column, knots, rng
        wide, deep = (np.interp(knots, np.arange(18), build.canal[:, n] / 2) for n in (0, 1))
        gaps = np.zeros(35)
        gaps[1::2] = build.bulge
        slips = np.zeros(35)
        slips[1::2] = np.abs(build.slip) * 0.5
        self.front = gaps
        self.wide, self.deep = wide, deep
        self.roof = rng.uniform(5.5, 9, 35) + 2.5 * (knots < L1 + 2)
        sac = np.clip(deep * rng.normal(0.84, 0.04), 0, 7.8)
        room = np.maximum(deep - gaps / 2 - slips / 2 - 0.5, 1.6)
        self.sac_deep = np.minimum(sac, room) * self._end(build)
        self.sac_wide = np.minimum(wide * 0.8, 10.5) * self._end(build) * (1 - 0.04 * gaps)
        lean = np.where(np.arange(35) % 2 == 1, -0.85, 0.1) * (knots > T12)
        lean[knots >= L5] = 0.35
        self.offset = lean * (deep - gaps / 2 - self.sac_deep) + gaps / 2
        self.disc = np.arange(35) % 2 == 1

    def _end(self, build):
        end = np.clip((build.sac_end + 0.4 - self.knots) / 1.6, 0, 1)
        return np.sqrt(end) * np.where(self.knots > L5 + 0.4, 0.92, 1)

    def at(self, place, table):
        """Return a table's value at one place or several along the column."""
        return np.interp(place, self.knots, table).astype(np.float32)

    def mark(self, place, side):
        """Return the middle of the sac, or of a recess, at a disc."""
        middle, axes = self.column.frame(place)
        if side == 0:
            return middle + axes[:, 1] * self.at(place, self.offset)
        u = 0.68 * self.at(place, self.wide)
        front, back = self.edges(place, u)
        return middle + axes[:, 0] * side * u + axes[:, 1] * (front + back) / 2

    def edges(self, place, u):
        """Return the front and the back of the bony canal u away from its midline."""
        deep, wide = self.at(place, self.deep), self.at(place, self.wide)
        front = -deep * np.sqrt(np.clip(1 - (np.abs(u) / wide) ** 3.5, 0, 1))
        front = front + self.at(place, self.front) * np.exp(-((u / 9) ** 2))
        slope = 2 * deep - self.at(place, self.roof)
        back = deep - slope * np.clip((np.abs(u) - 2.5) / (0.68 * wide - 2.5), 0, 1.6)
        return front, back


def _slab(canvas, profile, place, frame):
    middle, axes = frame
    wide, deep = profile.at(place, profile.wide), profile.at(place, profile.deep)
    reach = np.abs(axes) @ np.array([wide + 3, deep + 4, STEP])
    view, grid = canvas.box(middle - reach, middle + reach)
    if view.size == 0:
        return
    u, v, w = local(grid, middle, axes)
    slab = np.abs(w) <= STEP * 0.75
    front, back = profile.edges(place, u)
    for swell, tissue in ((2.8, Tissue.LIGAMENT), (0, Tissue.CANAL_FAT)):
        room = (np.abs(u) < wide + swell * 0.4) & (v > front - swell * 0.3) & (v < back + swell)
        np.copyto(view, np.uint8(tissue), where=room & slab)
    a, b = profile.at(place, profile.sac_wide), profile.at(place, profile.sac_deep)
    if a < 1 or b < 0.8:
        return
    depth = v - np.float32(profile.at(place, profile.offset))
    sac = (u / a) ** 2 + (depth / b) ** 2 < 1
    sac &= slab & (v > front + 0.4) & (v < back - 0.2)
    np.copyto(view, np.uint8(Tissue.FLUID), where=sac)
    cord = _cord(profile.column.build, place)
    if cord > 0.5:
        inner = (u / (1.25 * cord)) ** 2 + ((depth - 0.6) / cord) ** 2 < 1
        np.copyto(view, np.uint8(Tissue.CORD), where=inner & sac)


def _cord(build, place):
    """Return the half depth of the cord: swollen at the conus, then a point."""
    swell = 0.6 * np.exp(-(((place - build.conus + 1.6) / 0.8) ** 2))
    return (3.3 + swell) * np.clip((build.conus - place) / 1.3, 0, 1) ** 0.6


def _cauda(canvas, column, profile, rng):
    """Roots within the sac, sunk to its back, each to its own way out."""
    for n in range(L1, LOWEST_ROOT + 1):
        for side in (-1, 1):
            for _ in range(3):
                _strand(canvas, column, profile, (n, side, rng))


def _strand(canvas, column, profile, root):
    n, side, rng = root
    start, stop = column.build.conus - 0.9, n - 0.05
    if stop <= start:
        return
    places = np.linspace(start, stop, int(60 * (stop - start)) + 2)
    late = np.clip((places - (n - 1.0)) / 0.95, 0, 1)
    inward = 0.1 + 0.16 * max(4 - (n - L1), 0) * rng.uniform(0.4, 1)
    across = side * (inward + (0.86 - inward) * late) + rng.normal(0, 0.06)
    depth = (
        rng.uniform(0.05, 0.75) * np.clip((places - start) / 0.6, 0, 1) * (1 - late) - 0.3 * late
    )
    middle, axes = column.frame(places)
    left = across * profile.at(places, profile.sac_wide) * 0.9
    back = depth * profile.at(places, profile.sac_deep) + profile.at(places, profile.offset)
    points = middle + axes[..., 0] * left[:, None] + axes[..., 1] * back[:, None]
    _dots(canvas, points, Tissue.ROOT)


def _dots(canvas, points, tissue):
    index = np.rint((points - canvas.low) / SPACING).astype(int)
    index = index[((index >= 0) & (index < canvas.labels.shape)).all(1)]
    canvas.labels[tuple(index.T)] = tissue


def _foramen(canvas, column, profile, n, side):
    """Paint fat and root between bone n and the next; return the root's middle.

    The root lies in the upper third, under the pedicle; the foramen reaches from the back of the
    body, which is further forward here than at the midline, to the joint: 8 mm.
    """
    build, wall = column.build, column.wall(n, -1)
    h, gap = build.height[n] / 2, build.gap[n]
    inner = profile.at(n, profile.wide)
    roomy = 1 - 0.35 * build.worn[n] - 0.03 * build.bulge[n]
    tall = 6.5 * build.size
    for depth, height, deep in ((1.8, 3.5, 5.2), (1.4, -gap * 0.6 - 2, 3.6)):
        middle = column.at(n, side * 17, wall + depth, -h + height)
        half = (9, deep * roomy, tall)
        canvas.quadric(middle, half, Tissue.CANAL_FAT, axes=column.axes[n], power=2.6)
    start = column.at(n, side * (inner - 2.5), wall + 6, h * 0.05)
    root = column.at(n, side * 17, wall + 1.6, -h + 4.5)
    far = column.at(n, side * 34, wall - 12, -h - 12)
    thick = (1.7 + 0.1 * (n - L1)) * build.size
    canvas.cone((start, root), (thick * 0.8, thick), Tissue.ROOT)
    canvas.cone((root, far), (thick, thick), Tissue.ROOT)
    canvas.quadric(root, (4.5, thick + 0.9, thick + 1.2), Tissue.ROOT, axes=column.axes[n])
    return root


def _sacral_hole(canvas, column, n, side):
    h, wall = column.build.height[n] / 2, column.wall(n)
    wide = max(12 - 2.2 * (n - S1), 6) * column.build.size
    start = column.at(n, side * wide * 0.8, wall + 3, -h * 0.3)
    stop = column.at(n, side * wide * 1.6, -wall - 6, -h - 5)
    canvas.cone((start, stop), (4.5, 5), Tissue.CANAL_FAT)
    canvas.cone((start, stop), (1.9, 1.9), Tissue.ROOT)

"""Soft tissue: an outline, walls of muscle, organs of ellipsoids, bowel of smooth noise, vessels.

Everything here is painted before the bones. Curves along the body are functions of z alone.
"""

from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from tests.second_phantom.bones import spinous_tip
from tests.second_phantom.build import L1, L3, L5, S1
from tests.second_phantom.canvas import Tissue, smooth_noise


class Trunk:
    """Curves of one trunk along z, each an array over the canvas's voxels along z.

    Attributes:
        front, back: Skin on the belly and on the back.
        fascia: What covers the muscles of the back.
        spine: Front of the bodies.
    """

    def __init__(self, canvas, column, rng):
        build, self.z = column.build, canvas.axis(2)
        bones = range(S1 + 5)
        front = np.array([column.at(n, 0, -column.wall(n), 0) for n in bones])
        tips = [spinous_tip(column, n) for n in range(S1)]
        tips += [
            column.at(n, 0, column.wall(n) + 22 - 2.5 * (n - S1), 0) for n in range(S1, S1 + 5)
        ]
        self.spine = self._along(front)
        self.fascia = gaussian_filter1d(self._along(np.array(tips)), 22) + 5
        fat = self._wave(rng, 0.25) * build.fat
        fat *= 1 + 0.7 * np.exp(-(((self.z + 85) / 45) ** 2))
        self.back = self.fascia + 2 + fat
        bulge = rng.uniform(-0.15, 0.25) * np.exp(-(((self.z + 10) / 80) ** 2))
        depth = build.belly * (self._wave(rng, 0.06) + bulge)
        self.front = gaussian_filter1d(self.spine, 60) - depth
        self.belly_fat = np.maximum(build.fat * 0.8 * self._wave(rng, 0.3), 3)

    def _along(self, points):
        order = np.argsort(points[:, 2])
        z, y = points[order, 2], points[order, 1]
        keep = np.concatenate([[True], np.diff(z) > 1])
        inside = np.clip(self.z, z[0], z[-1])
        return PchipInterpolator(z[keep], y[keep])(np.minimum(inside, z[keep][-1]))

    def _wave(self, rng, spread):
        knots = np.linspace(self.z[0], self.z[-1], 7)
        return np.interp(self.z, knots, rng.lognormal(0, spread, 7)).astype(np.float32)


def paint_flesh(canvas, column, rng):
    """Paint everything but bones, discs and nerves."""
    trunk = Trunk(canvas, column, rng)
    coarse = smooth_noise(rng, canvas.labels.shape, (16, 17, 19))
    _trunk(canvas, column, trunk, rng)
    _bowel(canvas, trunk, coarse, rng)
    _organs(canvas, column, trunk, coarse * 0.06)
    _pelvis(canvas, column, rng)
    _back_muscles(canvas, column, trunk, rng)
    _psoas(canvas, column, rng)
    _vessels(canvas, column, rng)


def _trunk(canvas, column, trunk, rng):
    """Paint skin, the fat under it, the wall of the belly, and the fat inside."""
    wide = rng.uniform(135, 185) * column.build.size
    x, y = canvas.axis(0)[:, None, None], canvas.axis(1)[None, :, None]
    middle, half = (trunk.front + trunk.back) / 2, (trunk.back - trunk.front) / 2
    power = np.float32(rng.uniform(2.3, 3.2))
    side = np.abs(x / np.float32(wide)) ** power
    edge = (1 - side) ** (1 / power)
    middle, half = middle.astype(np.float32), half.astype(np.float32)
    inset = half - np.abs(y - middle) - (1 - edge) * half
    wall = np.where(y < middle, trunk.belly_fat, 1e6).astype(np.float32)
    thick = np.float32(rng.uniform(7, 12))
    labels = canvas.labels
    np.copyto(labels, np.uint8(Tissue.SKIN), where=inset > 0)
    np.copyto(labels, np.uint8(Tissue.FAT), where=inset > 2)
    np.copyto(labels, np.uint8(Tissue.MUSCLE), where=inset > wall)
    inner = (inset > wall + thick) | ((y > middle) & (inset > 2) & (y < trunk.spine + 20))
    np.copyto(labels, np.uint8(Tissue.BELLY_FAT), where=inner)


def _slab(canvas, low, high):
    """Return which voxels along y lie between two depths, as a slice."""
    y = canvas.axis(1)
    return slice(int(np.searchsorted(y, low)), int(np.searchsorted(y, high)))


def _bowel(canvas, trunk, coarse, rng):
    """Loops where smooth noise is high, in front of the spine and below the liver."""
    cut = _slab(canvas, trunk.front.min(), trunk.spine.max() - 22)
    labels, field = canvas.labels[:, cut], coarse[:, cut]
    kind = smooth_noise(rng, labels.shape, (30, 34, 40))
    y, z = canvas.axis(1)[None, cut, None], trunk.z[None, None, :]
    room = (
        (labels == Tissue.BELLY_FAT)
        & (y < trunk.spine - 24)
        & (z < rng.uniform(40, 75) + 18 * kind)
    )
    fill = rng.uniform(-0.5, 0.5)
    np.copyto(labels, np.uint8(Tissue.GUT_WALL), where=room & (field > fill))
    inside = room & (field > fill + 0.28)
    np.copyto(labels, np.uint8(Tissue.GUT_SOLID), where=inside)
    np.copyto(labels, np.uint8(Tissue.GUT_WET), where=inside & (kind > 0.5))
    np.copyto(labels, np.uint8(Tissue.GAS), where=inside & (kind < -0.9))


def _organs(canvas, column, trunk, rough):
    """Lungs, heart, liver, stomach, pancreas and kidneys."""
    size = column.build.size
    over = (Tissue.BELLY_FAT, Tissue.GUT_WALL, Tissue.GUT_WET, Tissue.GUT_SOLID, Tissue.GAS)
    front = float(trunk.spine[np.searchsorted(trunk.z, 90)])

    def put(place, half, tissue, tilt=0.0):
        t = np.deg2rad(tilt)
        axes = np.array([[1, 0, 0], [0, np.cos(t), -np.sin(t)], [0, np.sin(t), np.cos(t)]])
        where = np.array(place) * size + [0, front, 0]
        canvas.quadric(where, np.array(half) * size, tissue, axes=axes, over=over, rough=rough)

    top = 150 + (column.build.belly - 110) * 0.1
    for side in (-1, 1):
        put((side * 62, 0, top + 75), (52, 80, 100), Tissue.LUNG, 12 * side)
    put((18, -62, top + 28), (48, 46, 52), Tissue.ORGAN)
    put((-50, -52, top - 38), (74, 62, 66), Tissue.LIVER, 15)
    put((44, -50, top - 55), (40, 32, 46), Tissue.GUT_WALL, -20)
    put((44, -50, top - 55), (36, 28, 42), Tissue.GUT_WET, -20)
    put((8, -26, 68), (70, 11, 12), Tissue.ORGAN, 8)
    for side in (-1, 1):
        put((side * 55, 26, 60 - 6 * (side < 0)), (23, 27, 52), Tissue.KIDNEY, 18)
        put((side * 47, 22, 60 - 6 * (side < 0)), (9, 9, 26), Tissue.BELLY_FAT, 18)


def _pelvis(canvas, column, rng):
    """Bladder, an organ behind it, the rectum along the sacrum."""
    size = column.build.size
    floor = column.at(S1 + 4, 0, 0, 0)
    full = rng.uniform(0.6, 1.3)
    bladder = floor + np.array([0, -72, 12]) * size
    half = np.array([42, 30, 26]) * size * full
    canvas.quadric(bladder, half + 3, Tissue.GUT_WALL)
    canvas.quadric(bladder, half, Tissue.URINE)
    organ = floor + np.array([rng.normal(0, 6), -44, 18]) * size
    canvas.quadric(organ, rng.uniform((18, 13, 24), (30, 22, 40)) * size, Tissue.ORGAN)
    path = [column.at(n, rng.normal(0, 5), -column.wall(n) - 15, 0) for n in range(S1 + 1, S1 + 6)]
    inside = [Tissue.GUT_SOLID, Tissue.GAS, Tissue.GUT_WALL][rng.integers(3)]
    for radius, tissue in ((13, Tissue.GUT_WALL), (9.5, inside)):
        for start, stop in pairwise(path):
            canvas.cone((start, stop), (radius, radius), tissue)


def _back_muscles(canvas, column, trunk, rng):
    """Muscle between spine and fascia, streaked with fat that grows downwards."""
    cut = _slab(canvas, trunk.spine.min() + 10, trunk.back.max())
    labels = canvas.labels[:, cut]
    streaks = smooth_noise(rng, labels.shape, (3.5, 3.2, 17))
    x, y = canvas.axis(0)[:, None, None], canvas.axis(1)[None, cut, None]
    room = (y > trunk.spine + 22) & (y < trunk.fascia + 1 - (x / 30) ** 2)
    room &= (labels != Tissue.AIR) & (labels != Tissue.SKIN)
    np.copyto(labels, np.uint8(Tissue.MUSCLE), where=room)
    low = np.clip(-trunk.z / 120, -0.6, 1).astype(np.float32)
    inward = np.exp(-np.abs(x) / np.float32(14))
    least = 1.9 - 2.4 * column.build.streaks - 0.9 * low - 0.9 * inward
    np.copyto(labels, np.uint8(Tissue.FAT), where=room & (streaks > least))
    middle = (np.abs(x) < 3.2) & room
    np.copyto(labels, np.uint8(Tissue.FAT), where=middle & (streaks > 0.2))
    np.copyto(labels, np.uint8(Tissue.LIGAMENT), where=middle & (streaks < -0.6))
    fascia = (np.abs(y - trunk.fascia - 1 + (x / 30) ** 2) < 1.0) & (labels == Tissue.FAT)
    np.copyto(labels, np.uint8(Tissue.LIGAMENT), where=fascia)


def _psoas(canvas, column, rng):
    size = column.build.size * rng.uniform(0.8, 1.2)
    radii = (5, 10, 15, 18, 19, 17)
    for side in (-1, 1):
        path = [
            column.at(n, side * (26 + 5.0 * m), -3 - 4.5 * m, 0)
            for m, n in enumerate(range(L1, S1 + 1))
        ]
        path = [p if n < 5 else np.add(p, (side * 6, -12, 0)) for n, p in enumerate(path)]
        for m in range(5):
            ends = np.array(radii[m : m + 2]) * size
            canvas.cone(path[m : m + 2], ends, Tissue.MUSCLE, squash=(1.1, 1, 1))


def _vessels(canvas, column, rng):
    """Aorta, cava, their branches; muscle of the diaphragm; the artery to the gut."""
    fork, size = L5 - 1 + rng.normal(0, 0.5), column.build.size
    wide, sway = rng.uniform(8, 12), rng.normal(0, 4)
    for m, n in enumerate(range(3, L3)):
        for side in (-1, 1):
            ends = [column.at(b, side * 11, -column.wall(b) - 5, 0) for b in (n, n + 1)]
            canvas.cone(ends, np.array([7 - m, 6 - m]) * 1.0, Tissue.MUSCLE)
    for place, width, tissue in ((9 + sway, wide, Tissue.BLOOD), (-15, wide * 1.05, Tissue.VEIN)):
        tube = [place, -width - 3.5]
        if tissue == Tissue.VEIN:
            _tube(canvas, column, (L1, int(fork)), tube, (width, Tissue.BLOOD))
        else:
            _tube(canvas, column, (0, int(fork)), tube, (width, Tissue.BLOOD))
        split = column.at(int(fork), place, -column.wall(int(fork)) - width - 3.5, 0)
        for side in (-1, 1):
            far = column.at(S1 + 1, side * 44, -column.wall(S1) - 28, 0)
            canvas.cone((split, far), (width * 0.65, width * 0.5), Tissue.BLOOD)
    root = column.at(L1, 6, -column.wall(L1) - 2 * wide, 0)
    canvas.cone((root, root + np.array([0, -22, -85]) * size), (4, 3), Tissue.BLOOD)


def _tube(canvas, column, bones, tube, kind):
    (place, back), (width, tissue) = tube, kind
    first, last = bones
    path = [column.at(n, place, -column.wall(n) + back, 0) for n in range(first, last + 1)]
    for start, stop in pairwise(path):
        canvas.cone((start, stop), (width, width), tissue)

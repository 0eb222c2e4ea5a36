"""Bones and discs: waisted bodies with hollow plates, arches of round cones, a fused sacrum.

Bodies are superquadrics in (u, v) and w whose outline is narrowest at mid-height; discs are painted
first, wide and deep, and what the bodies leave of them is the disc.
"""

from itertools import pairwise

import numpy as np

from tests.second_phantom.build import BONES, L1, S1, S2
from tests.second_phantom.canvas import Tissue, local

SHELL = 0.9
COCCYX = S1 + 5


def paint_discs(canvas, column, rng):
    """Paint every disc, its core and its bulge."""
    build = column.build
    for n in range(COCCYX):
        _disc(canvas, column, n)
        if build.bulge[n] > 1:
            wall = column.wall(n + 1, 1)
            side = rng.normal(0, 3.5)
            middle = column.at(n + 1, side, wall - 2.5, build.height[n + 1] / 2 + build.gap[n] / 2)
            half = (rng.uniform(7, 14), 2.5 + build.bulge[n], 2 + build.gap[n] * 0.6)
            canvas.quadric(middle, half, Tissue.DISC_RIM, axes=column.axes[n + 1])


def _disc(canvas, column, n):
    build = column.build
    axes = _between(column.axes[n], column.axes[n + 1])
    low = column.at(n, 0, 0, -build.height[n] / 2)
    high = column.at(n + 1, 0, 0, build.height[n + 1] / 2)
    middle = (low + high) / 2
    width, depth = build.width[n, 1], (build.depth[n, 1] + build.depth[n + 1, 0]) / 2
    fused = n > S1
    tall = build.gap[n] / 2 + (2 if fused else 5.5)
    rim = 1.0 if not fused else -1.0
    half = (width / 2 + rim, depth / 2 + rim, tall)
    canvas.quadric(middle, half, Tissue.DISC_RIM, axes=axes, power=3.2)
    if n >= S1 and build.gap[n] < 2:
        return
    core = np.array([0.66 * half[0], 0.66 * half[1], (0.55 - 0.25 * build.worn[n]) * build.gap[n]])
    place = middle + axes[:, 1] * 1.2
    canvas.quadric(place, np.add(core, (0, 0, 0.8)), Tissue.DISC_CORE, axes=axes, power=2.6)
    if build.worn[n] > 0.25:
        cleft = np.add(core * (0.8, 0.8, 0.1), (0, 0, 0.5))
        canvas.quadric(place, cleft, Tissue.DISC_RIM, axes=axes)


def _between(one, other):
    """Return axes halfway between two rotations that differ little."""
    mean = one + other
    up = mean[:, 2] / np.linalg.norm(mean[:, 2])
    left = mean[:, 0] - up * (mean[:, 0] @ up)
    left /= np.linalg.norm(left)
    return np.stack([left, np.cross(up, left), up], 1)


def paint_bodies(canvas, column):
    """Paint every body over the discs."""
    for n in range(len(BONES)):
        _body(canvas, column, n)
    for n in range(S1, COCCYX - 1):
        _fuse(canvas, column, n)


def _body(canvas, column, n):
    build = column.build
    reach = np.hypot(np.hypot(*build.width[n]), build.height[n]) / 2 + 4
    view, grid = canvas.box(column.centres[n] - reach, column.centres[n] + reach)
    if view.size == 0:
        return
    u, v, w = local(grid, column.centres[n], column.axes[n])
    u, v, ratio = _section(build, n, (u, v, w))
    inside = np.minimum((1 - ratio) * build.depth[n].mean() / 2, _under_plates(build, n, v, w, u))
    marrow = Tissue.MARROW
    np.copyto(view, np.uint8(Tissue.CORTEX), where=inside > 0)
    np.copyto(view, np.uint8(marrow), where=inside > SHELL)
    if n < S1:
        vein = (np.abs(u) < 0.35) & (np.abs(w) < 2.2 * v - 0.8) & (inside > 0)
        np.copyto(view, np.uint8(Tissue.VEIN), where=vein)


def _fuse(canvas, column, n):
    """Bridge two sacral bodies with marrow, but for what is left of their disc."""
    build, axes = column.build, _between(column.axes[n], column.axes[n + 1])
    low = column.at(n, 0, 0, -build.height[n] / 2)
    middle = (low + column.at(n + 1, 0, 0, build.height[n + 1] / 2)) / 2
    wide, deep = build.width[n, 1] / 2 - 1, (build.depth[n, 1] + build.depth[n + 1, 0]) / 4 - 1
    half, left = build.gap[n] / 2, build.rest[n - S1]
    canvas.quadric(middle, (wide, deep, half + 2.5), Tissue.MARROW, axes=axes, power=4)
    if left > 0:
        plate, core = (wide * left, deep * left, half + SHELL), (wide * left, deep * left, half)
        canvas.quadric(middle, plate, Tissue.CORTEX, axes=axes, power=3)
        canvas.quadric(middle, core, Tissue.DISC_RIM, axes=axes, power=3)


def _section(build, n, place):
    """Return u and v as shares of the outline at their height, and the size of both together."""
    u, v, w = place
    high = np.clip(w / build.height[n] + 0.5, 0, 1)
    waist = 1 - (0.09 if n < S1 else 0.03) * (1 - (2 * high - 1) ** 2)
    u = u / (waist * (build.width[n, 1] + high * (build.width[n, 0] - build.width[n, 1])) / 2)
    half = (build.depth[n, 1] + high * (build.depth[n, 0] - build.depth[n, 1])) / 2
    kidney = 1 - 0.1 * (1 - np.minimum(u * u, 1))
    v = v / np.where(v > 0, half * kidney * np.sqrt(waist), half * waist)
    return u, v, (np.abs(u) ** 2.4 + np.abs(v) ** 2.4) ** np.float32(1 / 2.4)


def _under_plates(build, n, v, w, u):
    """Return how far below the upper and above the lower plate a place is."""
    slope = np.tan(np.deg2rad(build.wedge[n]) / 2) * build.depth[n].mean() / 2
    hollow = build.dent[n] * np.clip(1 - u * u - v * v, 0, 1)
    lip = (1.5 if n < S1 else 0.3) * np.clip(u * u + v * v - 0.75, 0, 1)
    half = build.height[n] / 2 - slope * v - hollow - lip
    return half - np.abs(w)


def paint_arches(canvas, column, rng):
    """Paint pedicles, joints, laminae and processes from T8 to L5."""
    for n in range(S1):
        thick = rng.uniform(3.2, 4.2)
        parts = [_spine(column, n, thick)]
        for side in (-1, 1):
            parts += _half_arch(column, n, side)
            parts += _rib(column, n, side) if n < L1 else []
        _bone(canvas, column, n, parts)


def _bone(canvas, column, n, parts):
    """Paint cones between places in a bone's own axes, grown together: one shell around all."""
    for less, tissue in ((0, Tissue.CORTEX), (SHELL, Tissue.MARROW)):
        for start, stop, radii, squash in parts:
            ends = (column.at(n, *start), column.at(n, *stop))
            thin = [max(radius - less, 0.1) for radius in radii]
            canvas.cone(ends, thin, tissue, axes=column.axes[n], squash=squash)


def _half_arch(column, n, side):
    build, wall = column.build, column.wall(n)
    h, deep = build.height[n] / 2, build.canal[n, 1]
    out = side * (build.canal[n, 0] / 2 + 3.5 + (1.5 if n == S1 - 1 else 0))
    pillar = out + side * (1.0 if n >= L1 else -1.0)
    back = wall + deep * 0.62
    thick = 3.2 + 0.35 * max(n - 4, 0)
    round_, tall = (1, 1, 1), (1, 1, 0.62)
    parts = [
        ((out, wall - 4, 0.42 * h), (out, back, 0.35 * h), (thick, thick), (1.1, 1, 0.62)),
        ((pillar, back, 0.4 * h), (pillar, back + 2.5, h + 7), (5, 4), (0.9, 1.1, 1)),
        ((pillar, back + 1, 0.3 * h), (side * 11.5, back + 7, -h * 0.7), (4.5, 4.5), round_),
        ((side * 11.5, back + 7, -h * 0.7), (side * 12.5, back + 8.5, -h - 9), (4.8, 3.8), round_),
        ((side * 10, back + 6.5, -0.2 * h), (0, wall + deep + 5, -0.4 * h), (3, 3), (1, 1, 0.42)),
    ]
    if n >= L1:
        tip = (side * 43, back + 2, 0.55 * h)
        parts.append(((pillar, back, 0.3 * h), tip, (4, 3), tall))
    else:
        parts.append(((pillar, back, 0), (side * 30, back + 14, 2), (5, 4), tall))
    return parts


def _rib(column, n, side):
    wall, h = column.wall(n), column.build.height[n] / 2
    knots = [(16, wall - 3, h), (32, wall + 19, h - 5), (60, wall + 24, h - 20)]
    return [
        ((side * a, b, c), (side * d, e, f), (4, 4), (1, 1, 0.7))
        for (a, b, c), (d, e, f) in pairwise(knots)
    ]


def _tip(column, n):
    """Return where a spinous process ends, in its bone's own axes."""
    behind = column.wall(n) + column.build.canal[n, 1]
    h, size = column.build.height[n] / 2, column.build.size
    if n < L1 - 1:
        return (0, behind + 24 * size, -h - 17 * size + 3 * (n - 3))
    return (0, behind + (31 if n < S1 - 1 else 24) * size, -0.75 * h)


def spinous_tip(column, n):
    """Return the LPS millimetres of the end of a spinous process."""
    return column.at(n, *_tip(column, n))


def _spine(column, n, thick):
    behind, h = column.wall(n) + column.build.canal[n, 1], column.build.height[n] / 2
    tall = 0.38 if n >= L1 else 0.6
    return (0, behind + 5, -0.4 * h), _tip(column, n), (thick * 0.8, thick), (1, 1, tall)


def paint_sacrum(canvas, column):
    """Paint the wings and the roof of the sacrum, then the hip bones; bodies come after."""
    shells = [_hip(column, side) for side in (-1, 1)]
    shells.append(
        [cone for side in (-1, 1) for n in range(S1, S1 + 4) for cone in _wing(column, n, side)]
    )
    shells[-1] += [cone for n in range(S1, S1 + 4) for cone in _roof(column, n)]
    for cones in shells:
        for less, tissue in ((0, Tissue.CORTEX), (SHELL, Tissue.MARROW)):
            for ends, radii, axes, squash in cones:
                thin = np.maximum(np.array(radii) - less, 0.1)
                canvas.cone(ends, thin, tissue, axes=axes, squash=squash)


def _roof(column, n):
    """Return the laminae and the crest behind one piece of the sacrum."""
    deep = np.maximum(column.build.canal[n : n + 2, 1], 4)
    roof = column.at(n, 0, column.wall(n) + deep[0] + 3.5, 0)
    below = column.at(n + 1, 0, column.wall(n + 1) + deep[1] + 3, 0)
    crest = column.at(n, 0, column.wall(n) + deep[0] + (13 - 2 * (n - S1)) * column.build.size, -2)
    return [
        ((roof, below), (3, 2.5), column.axes[n], (0.25, 1, 1)),
        ((roof, crest), (3.5, 3.5), column.axes[n], (1, 1, 0.5)),
    ]


def _wing(column, n, side):
    """Return a wedge swept sideways from one sacral body, thinner below."""
    size, m = column.build.size, n - S1
    reach, thick = np.array([52, 45, 35, 25, 16]), np.array([13, 11, 8.5, 6.5, 4.5])
    cones = []
    for share in (0.0, 0.35, 0.7):
        a, b = (t[m] + share * (t[m + 1] - t[m]) for t in (reach, thick))
        h = column.build.height[n] * (0.5 - share) - b * 0.4
        start = column.at(n, side * column.build.width[n].mean() * 0.3, 2, h)
        stop = column.at(n, side * a * size, 9 * size, h - 3)
        cones.append(((start, stop), (b * 0.8 * size, b * size), column.axes[n], (1, 1, 1)))
    return cones


def _hip(column, side):
    """Return a plate from behind the sacroiliac joint out to the crest, cones side by side."""
    size = column.build.size
    rear = column.at(S2, side * 40 * size, 38 * size, -4)
    joint = column.at(S1, side * 62 * size, 6, -8)
    low = column.at(S2, side * 58 * size, 0, -34 * size)
    crest = column.centres[S1 - 1] + np.array([side * 78, 8, 8]) * size
    pairs = [(rear, crest), (rear, joint), (joint, crest), (rear, low), (joint, low)]
    return [(pair, np.array([7, 6.5]) * size, np.eye(3), (1, 1, 1)) for pair in pairs]


def paint_lesion(canvas, column, rng):
    """Paint what is wrong within a body, and fat or oedema beside worn discs."""
    build, over = column.build, (Tissue.MARROW,)
    kind, n = build.sick
    if kind:
        tissue = {"fracture": Tissue.OEDEMA, "tumour": Tissue.TUMOUR}.get(kind, Tissue.FATTY)
        half = build.height[n] * rng.uniform(0.25, 0.8 if kind == "fracture" else 0.5)
        middle = column.at(n, rng.normal(0, 6), rng.normal(0, 5), rng.normal(2, 4))
        canvas.quadric(middle, (half * 1.4, half * 1.2, half), tissue, over=over)
    for n in np.flatnonzero(build.worn[:S1] > 0.72):
        tissue = Tissue.FATTY if rng.random() < 0.6 else Tissue.OEDEMA
        for bone, sign in ((n, -1), (n + 1, 1)):
            middle = column.at(
                bone, rng.normal(0, 8), rng.normal(0, 8), sign * build.height[bone] / 2
            )
            canvas.quadric(
                middle,
                rng.uniform((9, 6, 4), (20, 16, 9)),
                tissue,
                axes=column.axes[bone],
                over=over,
            )

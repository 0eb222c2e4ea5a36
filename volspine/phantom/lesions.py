"""Lesions: findings of bone and disc that decide no grade, drawn and painted.

Modic changes, Schmorl's nodes, haemangiomas, fissures of the annulus, anterior osteophytes and
sacral nerve-root cysts are ellipsoids in the spine's own coordinates, each within one segment. They
keep clear of what is measured: bone lesions stay inside the bodies, fissures inside the annulus,
osteophytes in front, cysts below the last graded level.

Frequencies are priors near those in print: Modic changes in a quarter of patients, mostly at the
two lowest discs and more often fatty (Jensen 2008); Schmorl's nodes in a third; haemangiomas in a
tenth; high-intensity zones at one disc in nine; sacral cysts in one person in twenty.

Shapes: N lesions; points as in `section`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Lesion, Lesions
from volspine.phantom.canal import clamp, smooth_max
from volspine.phantom.frame import FIRST_SEGMENT, VERTEBRAE
from volspine.phantom.painting import Canvas
from volspine.phantom.section import Section
from volspine.phantom.subject import Subject
from volspine.phantom.tissues import Tissue
from volspine.types import FloatArray

__all__ = ["RATES", "draw_lesions", "paint_lesions"]

Array = NDArray[np.floating]

RATES: dict[Lesion, tuple[float, ...]] = {
    Lesion.MODIC_1: (0.01, 0.012, 0.018, 0.035, 0.04),
    Lesion.MODIC_2: (0.02, 0.03, 0.04, 0.075, 0.09),
    Lesion.SCHMORL: (0.09, 0.08, 0.06, 0.04, 0.02),
    Lesion.HAEMANGIOMA: (0.03, 0.03, 0.03, 0.025, 0.02),
    Lesion.FISSURE: (0.03, 0.05, 0.09, 0.16, 0.14),
    Lesion.OSTEOPHYTE: (0.12, 0.14, 0.16, 0.16, 0.12),
    Lesion.CYST: (0.0, 0.0, 0.0, 0.0, 0.05),
}
"""Chance at each graded disc; a cyst's is that of a person. Osteophytes grow with age."""

_SACRAL = VERTEBRAE.index("S2")
"""Segment of sacral cysts: S2/S3."""

_BANDS: dict[Lesion, tuple[tuple[float, float], ...]] = {
    # left, height, depth as a share of the half depth; then the radii
    Lesion.MODIC_1: ((-9, 9), (-1.5, -0.5), (-0.6, 0.4), (9, 17), (4, 8), (7, 13)),
    Lesion.MODIC_2: ((-9, 9), (-1.5, -0.5), (-0.6, 0.4), (9, 18), (3.5, 8), (7, 14)),
    Lesion.SCHMORL: ((-7, 7), (-2.5, -1.0), (-0.4, 0.3), (3, 6), (2.5, 4.5), (3, 6)),
    Lesion.HAEMANGIOMA: ((-10, 10), (-7.5, -6.5), (-0.35, 0.35), (4, 7), (4, 5.5), (4, 7)),
    Lesion.FISSURE: ((-5, 5), (-1.2, 1.2), (0.84, 0.88), (1.6, 3.2), (0.9, 1.5), (0.9, 1.3)),
    Lesion.OSTEOPHYTE: ((-7, 7), (-2.2, -0.8), (-1.02, -0.96), (8, 15), (2.6, 4.0), (3, 5.5)),
    Lesion.CYST: ((6, 10), (-4, 4), (1.15, 1.5), (4, 7), (5, 8), (3.5, 5.5)),
}


def draw_lesions(subject: Subject, rng: np.random.Generator) -> Lesions:
    """Draw a person's lesions at their frequencies.

    Args:
        subject: Whose spine.
        rng: Stream of the lesion stage.
    """
    rows: list[tuple[FloatArray, FloatArray]] = []
    for kind, rates in RATES.items():
        wear = (subject.age - 20) / 37 if kind is Lesion.OSTEOPHYTE else 1.0
        for level, rate in enumerate(rates):
            found, both = rng.random(2) < (rate * wear, 0.7)
            shape = np.array([rng.uniform(*band) for band in _BANDS[kind]])
            side, anchor = (int(n) for n in rng.choice([-1, 1], 2))
            segment = _SACRAL if kind is Lesion.CYST else FIRST_SEGMENT + level
            if found:
                anchors = _anchors(kind, anchor, both=bool(both))
                rows += [_row(subject, (kind, segment, a), side, shape) for a in anchors]
    names = np.array([name for name, _ in rows], dtype=np.int64).reshape(-1, 3)
    shapes = np.array([shape for _, shape in rows], dtype=np.float64).reshape(-1, 6)
    return Lesions(names[:, 0], names[:, 1], names[:, 2], shapes[:, :3], shapes[:, 3:])


def _anchors(kind: Lesion, anchor: int, *, both: bool) -> tuple[int, ...]:
    """Return which endplates a lesion takes: one, or both that face each other."""
    if kind in (Lesion.FISSURE, Lesion.CYST):
        return (0,)
    paired = kind in (Lesion.MODIC_1, Lesion.MODIC_2, Lesion.OSTEOPHYTE)
    return (-1, 1) if both and paired else (anchor,)


def _row(
    subject: Subject, name: tuple[Lesion, int, int], side: int, shape: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return one line of the table: names, then centre and radii in millimetres."""
    kind, segment, _ = name
    depth = float(subject.depths[segment] + subject.depths[segment + 1]) / 4
    placed = shape.copy()
    placed[0] *= side if kind is Lesion.CYST else 1
    placed[2] *= depth
    return np.array(name, dtype=np.float64), placed


def paint_lesions(
    values: NDArray[Any],
    zone: tuple[Any, Section],
    u: Array,
    what: tuple[Lesions, Callable[[NDArray[Any]], Canvas]],
    *,
    cysts: bool = False,
) -> None:
    """Paint lesions over what is there, in place.

    Args:
        values: Shape (C, ...).
        zone: Where along the first axis of the points, and the section there.
        u: Distance left of the midline, of all points.
        what: The lesions, and what makes a canvas of values.
        cysts: Paint those of the canal, not those of bodies and discs.
    """
    (lesions, make), (where, section) = what, zone
    if not lesions.kind.size or not u.size:
        return
    sides = lesions.centre[:, 0]
    reach = lesions.radii[:, 0] + _EDGE_MM
    wanted = (sides - reach < u.max()) & (sides + reach > u.min())
    for n in np.flatnonzero(wanted & ((lesions.kind == Lesion.CYST) == cysts)):
        near = _near(lesions, int(n), section)
        if near.size:
            rows = near + where.start if isinstance(where, slice) and where.start else near
            rows = rows if isinstance(where, slice) else where[near]
            part = values[:, rows]
            _paint_one(make(part), section.take(near), u[rows], (lesions, int(n)))
            values[:, rows] = part


_EDGE_MM = 3.0
"""How far beyond a lesion's radius its edge can reach."""


def _height(lesions: Lesions, n: int, c: Section) -> Array:
    return {-1: c.under, 0: c.w, 1: c.over}[int(lesions.anchor[n])]


def _near(lesions: Lesions, n: int, c: Section) -> NDArray[np.int64]:
    """Return which points, along the first axis, may hold a part of a lesion."""
    _, height, depth = lesions.centre[n]
    _, tall, deep = lesions.radii[n] + _EDGE_MM
    inside = (c.segment == lesions.segment[n]) & (np.abs(c.v - depth) < deep)
    inside &= np.abs(_height(lesions, n, c) - height) < tall
    return np.flatnonzero(inside.any(axis=1) if inside.ndim == 2 else inside)


def _paint_one(canvas: Canvas, c: Section, u: Array, which: tuple[Lesions, int]) -> None:
    lesions, n = which
    kind, height = Lesion(int(lesions.kind[n])), _height(lesions, n, c)
    (left, up, back), (wide, tall, deep) = (x[n].astype(np.float32) for x in
                                            (lesions.centre, lesions.radii))  # fmt: skip
    x, y, z = (u - left) / wide, (height - up) / tall, (c.v - back) / deep
    radius = np.sqrt(x * x + y * y + z * z) + np.float32(1e-6)
    blob = (radius - 1.0) * min(wide, tall, deep)
    # Points of the neighbouring segments are not in the lesion's coordinates.
    blob = np.maximum(blob, np.where(c.segment == lesions.segment[n], -99.0, 99.0))
    _PAINTERS[kind](canvas, blob, _bone(c, u), height)


def _bone(c: Section, u: Array) -> Array:
    """Return roughly the signed distance to the surface of the dished bodies."""
    p, q = np.abs(u) / c.half_width, np.abs(c.v) / c.half_depth
    radius = np.cbrt(p * p * p + q * q * q)
    outline = np.sqrt(u * u + c.v * c.v) * (1.0 - 1.0 / np.maximum(radius, 0.05))
    dish = 1.1 * clamp(1.0 - p * p - q * q, 0.0, 1.0)
    return np.asarray(np.maximum(outline + 1.0, np.minimum(c.under, c.over) + dish))


def _paint_oedema(canvas: Canvas, blob: Array, bone: Array, height: Array) -> None:
    del height
    canvas.paint(smooth_max(blob, bone + 0.9, 1.0), Tissue.ENDPLATE_CHANGE, 0.85)


def _paint_fatty(canvas: Canvas, blob: Array, bone: Array, height: Array) -> None:
    del height
    canvas.paint(smooth_max(blob, bone + 0.9, 1.0), Tissue.FATTY_CHANGE, 0.85)


def _paint_node(canvas: Canvas, blob: Array, bone: Array, height: Array) -> None:
    """Paint disc that has sunk through an endplate, with its hard rim."""
    del bone
    canvas.paint(np.maximum(blob - 1.0, height + 0.8), Tissue.CORTEX)
    canvas.paint(np.maximum(blob, height - 0.2), Tissue.ANNULUS)


def _paint_haemangioma(canvas: Canvas, blob: Array, bone: Array, height: Array) -> None:
    del height
    canvas.paint(np.maximum(blob, bone + 1.5), Tissue.HAEMANGIOMA, 0.9)


def _paint_fissure(canvas: Canvas, blob: Array, bone: Array, height: Array) -> None:
    del bone, height
    canvas.paint(blob, Tissue.JOINT)


def _paint_osteophyte(canvas: Canvas, blob: Array, bone: Array, height: Array) -> None:
    """Paint a spur in front of a body; what lies inside the body or the disc stays as it is."""
    canvas.paint(np.maximum(blob, -0.3 - bone), Tissue.CORTEX)
    canvas.paint(np.maximum(blob + 0.9, height + 0.9), Tissue.MARROW)


def _paint_cyst(canvas: Canvas, blob: Array, bone: Array, height: Array) -> None:
    del bone, height
    canvas.paint(blob - 0.5, Tissue.CAPSULE)
    canvas.paint(blob, Tissue.CSF)


_PAINTERS: dict[Lesion, Callable[[Canvas, Array, Array, Array], None]] = {
    Lesion.MODIC_1: _paint_oedema,
    Lesion.MODIC_2: _paint_fatty,
    Lesion.SCHMORL: _paint_node,
    Lesion.HAEMANGIOMA: _paint_haemangioma,
    Lesion.FISSURE: _paint_fissure,
    Lesion.OSTEOPHYTE: _paint_osteophyte,
    Lesion.CYST: _paint_cyst,
}

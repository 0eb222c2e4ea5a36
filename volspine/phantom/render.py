"""Render: from anatomy and plan to noise-free images, one array a series.

Sagittal T1 and T2 share their slices and are painted together. The spine is averaged over a few
sub-slices across the slice's profile, all of one weight; the surroundings, which vary slowly, are
painted once. Layers, such as the share of fat, are painted like one more sequence's signal.

Sub-slices, and axial slices of a stack, can be painted at one go, as neighbouring points of a list
or as neighbouring rows, since calls cost as much as arithmetic there. Each of these layers is
painted in boxes of its own, so it looks as it would alone but for rounding.

Shapes: C sequences, N slices, H rows, W columns (acquired pixels).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.arch import paint_arch
from volspine.phantom.foramen import paint_foramina
from volspine.phantom.lesions import paint_lesions
from volspine.phantom.painting import Canvas, LabelCanvas, SignalCanvas, box_of, span
from volspine.phantom.plan import SeriesPlan
from volspine.phantom.sacrum import paint_sacrum
from volspine.phantom.section import Section, build_section
from volspine.phantom.spine import paint_canal, paint_cauda, paint_column, paint_cord
from volspine.phantom.sub_slices import slice_offsets
from volspine.phantom.tissues import relaxation, signals
from volspine.phantom.torso import Surroundings, paint_torso, texture
from volspine.phantom.zones import Zone, on_zone, spans, zones_of
from volspine.types import FloatArray

__all__ = ["paint_spine", "render_labels", "render_series"]

Array = NDArray[np.float32]
MakeCanvas = Callable[[NDArray[Any]], Canvas]
How = tuple[MakeCanvas, list[FloatArray], int]

FRONT_MM, REAR_MM, SIDE_MM = -26.0, 62.0, 50.0
"""Box around the spine, in depth v and to both sides, outside which only the trunk is painted."""


def render_series(anatomy: Anatomy, plans: list[SeriesPlan], *, at_once: int = 0) -> Array:
    """Render series that share their slices, shape (C, N, H, W).

    Args:
        anatomy: Whose spine.
        plans: One plan a sequence; they differ in sequence and stored matrix only.
        at_once: See `render_layers`.
    """
    table = relaxation(anatomy.subject.marrow_fat, anatomy.subject.jitter)
    weights = np.array([signals(table, p.sequence) for p in plans])
    return render_layers(anatomy, plans[0], weights, at_once=at_once)


def render_layers(
    anatomy: Anatomy, plan: SeriesPlan, weights: FloatArray, *, at_once: int = 0
) -> Array:
    """Render any value that each tissue has, such as a signal, shape (C, N, H, W).

    Args:
        anatomy: Whose spine.
        plan: Slices and grid; its sequence does not matter.
        weights: Value of each tissue in each layer, shape (C, tissues).
        at_once: Points up to which sub-slices, and axial slices, are painted at one go.
    """
    values = weights.astype(np.float32)
    images = np.zeros((len(values), len(plan.centres_mm), *plan.acquired), dtype=np.float32)

    def canvas(part: NDArray[Any]) -> Canvas:
        return SignalCanvas(part, values, plan.acquired_mm)

    _paint_slices(anatomy, plan, images, (canvas, slice_offsets(plan), at_once))
    return images


def render_labels(anatomy: Anatomy, plan: SeriesPlan) -> NDArray[np.int16]:
    """Render the tissue at the middle of every acquired voxel, shape (N, H, W)."""
    images = np.zeros((1, len(plan.centres_mm), *plan.acquired), dtype=np.int16)

    def canvas(values: NDArray[Any]) -> Canvas:
        return LabelCanvas(values[0])

    _paint_slices(anatomy, plan, images, (canvas, [np.zeros(1)], 0))
    return np.asarray(images[0])


def _paint_slices(
    anatomy: Anatomy,
    plan: SeriesPlan,
    images: NDArray[Any],
    how: How,
) -> None:
    if plan.is_sagittal:
        plane = _SagittalPlane(anatomy, plan)
        for index in range(len(plan.centres_mm)):
            plane.paint(images[:, index], float(plan.centres_mm[index, 0]), how)
        return
    for several in _together(plan, how):
        _paint_axial(anatomy, (plan, several), images[:, several], how)


def _together(plan: SeriesPlan, how: How) -> list[slice]:
    """Return neighbouring axial slices that are painted at one go."""
    points = plan.acquired[0] * plan.acquired[1] * sum(len(pair) for pair in how[1])
    ends = np.flatnonzero((np.diff(plan.tilts) != 0) | (np.diff(plan.centres_mm[:, 0]) != 0)) + 1
    parts = np.split(np.arange(len(plan.centres_mm)), ends)
    most = max(how[2] // points, 1)
    return [
        slice(int(part[n]), int(part[min(n + most, len(part)) - 1]) + 1)
        for part in parts
        for n in range(0, len(part), most)
    ]


def pixel_offsets(plan: SeriesPlan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places of acquired rows and columns, from the middle of the slice, mm."""
    rows, columns = (
        (np.arange(side, dtype=np.float64) - (side - 1) / 2) * plan.acquired_mm
        for side in plan.acquired
    )
    return rows, columns


class _SagittalPlane:
    """Everything that the slices of a sagittal series share: only `u` differs between them."""

    def __init__(self, anatomy: Anatomy, plan: SeriesPlan) -> None:
        self.anatomy = anatomy
        down, across = pixel_offsets(plan)
        y = np.broadcast_to(plan.centres_mm[0, 1] + across, plan.acquired)
        z = np.broadcast_to(plan.centres_mm[0, 2] - down[:, None], plan.acquired)
        placed = anatomy.frame.place(y, z)
        inside = (placed.depth > FRONT_MM) & (placed.depth < REAR_MM)
        self.rows, self.columns = np.nonzero(inside)
        section = build_section(anatomy, placed.at(inside))
        # From front to back, each zone is a run of points, which needs no copy.
        order = np.argsort(section.v - section.half_depth, kind="stable")
        self.rows, self.columns = self.rows[order], self.columns[order]
        self.section = section.take(order)
        self.zones: dict[int, list[Zone]] = {}
        self.around = Surroundings.at(
            anatomy,
            np.zeros((1, 1), np.float32),
            y[:1].astype(np.float32),
            z[:, :1].astype(np.float32),
        )

    def paint(self, image: NDArray[Any], x: float, how: How) -> None:
        """Paint one slice at `x`, shape (C, H, W), averaged over sub-slices."""
        make = how[0]
        paint_torso(make(image), self.around.moved(x), self.anatomy)
        base = image[:, self.rows, self.columns]

        def layers(shifts: FloatArray) -> NDArray[Any]:
            values = np.empty((*base.shape, len(shifts)), dtype=base.dtype)
            for alike in self._alike(x + shifts):
                zones, places = self._zones_of(len(alike)), np.float32((x + shifts)[alike])
                part = np.repeat(base, len(alike), axis=1)
                across = np.tile(places, base.shape[1]) - zones[0][1].midline
                paint_spine(part, zones, across, (self.anatomy, make))
                values[..., alike] = part.reshape(*base.shape, -1)
            return values.reshape(len(base), -1)

        mean, c = _mean(layers, how, base[0].size), self.section
        _add_grain(mean, c, np.float32(x) - c.midline, self.anatomy)
        image[:, self.rows, self.columns] = mean

    def _alike(self, places: FloatArray) -> list[list[int]]:
        """Group the numbers of sub-slices that reach the same structures."""
        found: dict[tuple[bool, ...], list[int]] = {}
        whole, *_, canal = (zone[1].midline for zone in self._zones_of(1))
        for number, x in enumerate(places.astype(np.float32)):
            key = _reaches(x - whole)[:2] + _reaches(x - canal)[2:]
            found.setdefault(key, []).append(number)
        return list(found.values())

    def _zones_of(self, many: int) -> list[Zone]:
        """Return the zones of the points, each of them repeated for as many sub-slices."""
        if many not in self.zones:
            self.zones[many] = zones_of(self.section.repeated(many))
        return self.zones[many]


def _paint_axial(
    anatomy: Anatomy,
    which: tuple[SeriesPlan, slice],
    images: NDArray[Any],
    how: How,
) -> None:
    """Paint axial slices of a stack, shape (C, N, H, W), their rows side by side.

    Place along the spine depends on the row only.
    """
    plan, several = which
    make, many = how[0], images.shape[1]
    image = images.swapaxes(1, 2).reshape(len(images), -1, images.shape[-1])
    rows_mm, columns_mm = pixel_offsets(plan)
    centres, (_, down) = plan.centres_mm[several], plan.axes(several.start)
    x = (centres[0, 0] + columns_mm).astype(np.float32)[None]
    y, z = ((centres[:, n] + rows_mm[:, None] * down[n]).ravel() for n in (1, 2))
    around = Surroundings.at(anatomy, x, y[:, None], z[:, None].astype(np.float32))
    paint_torso(make(image), around, anatomy)
    placed = anatomy.frame.place(y[:, None], z[:, None])
    layer = np.tile(np.arange(many), len(rows_mm))
    rows = spans(((placed.depth > FRONT_MM) & (placed.depth < REAR_MM))[:, 0], layer)
    columns = span(np.abs(x[0]) < SIDE_MM + 12.0)
    base = image[:, rows, columns]
    normal = np.array([-down[2], down[1]])

    def section_at(shifts: FloatArray) -> Section:
        moved = (
            (place[rows, None] + shifts * part).reshape(-1, 1)
            for place, part in zip((y, z), normal, strict=True)
        )
        layers = layer[rows, None] * len(shifts) + np.arange(len(shifts))
        return build_section(anatomy, anatomy.frame.place(*moved), layers.reshape(-1, 1))

    def layers(shifts: FloatArray) -> NDArray[Any]:
        values, section = np.repeat(base, len(shifts), axis=1), section_at(shifts)
        paint_spine(values, zones_of(section), x[:, columns] - section.midline, (anatomy, make))
        return values

    mean, c = _mean(layers, how, base[0].size), build_section(anatomy, placed.at(rows))
    _add_grain(mean, c, x[:, columns] - c.midline, anatomy)
    image[:, rows, columns] = mean
    images[...] = image.reshape(len(images), -1, many, images.shape[-1]).swapaxes(1, 2)


def _mean(layers: Callable[[FloatArray], NDArray[Any]], how: How, points: int) -> NDArray[Any]:
    """Average sub-slices; labels, of which there is one only, stay as they are.

    Args:
        layers: Paints sub-slices at offsets, side by side along the second axis.
        how: With the offsets of each symmetric pair, and of the middle.
        points: In one sub-slice.
    """
    _, offsets, at_once = how
    many = sum(len(pair) for pair in offsets)
    if many == 1:
        return layers(offsets[0])
    if many * points <= at_once:
        painted = layers(np.concatenate(offsets))
        apart = painted.reshape(len(painted), -1, many, *painted.shape[2:])
        parts = iter(apart[:, :, n] for n in range(many))
    else:
        parts = iter(layers(np.array([offset])) for offset in np.concatenate(offsets))
    total = np.zeros(0)
    for number, pair in enumerate(offsets):
        both = np.array(next(parts))
        if len(pair) == 2:
            both += next(parts)
        total = total + both if number else both
    total *= np.float32(1.0 / many)
    return total


def paint_spine(
    values: NDArray[Any], zones: list[Zone], u: Array, what: tuple[Anatomy, MakeCanvas]
) -> None:
    """Paint the whole spine on points, shape (C, ...), in place."""
    anatomy, make = what
    near_spine, near_canal, *_ = _reaches(u)
    if not near_spine:
        return
    whole, column, arch, canal = zones
    on_zone(values, whole, u, lambda p, c, w: paint_sacrum(make(p), c, w))
    on_zone(values, column, u, lambda p, c, w: paint_column(make(p), c, w))
    paint_lesions(values, column, u, (anatomy.lesions, make))
    on_zone(values, arch, u, lambda p, c, w: paint_arch(make(p), c, w))
    if not near_canal:
        return
    on_zone(values, canal, u, lambda p, c, w: _paint_canal_zone(make(p), c, w, anatomy))
    paint_lesions(values, canal, u, (anatomy.lesions, make), cysts=True)


def _reaches(u: Array) -> tuple[bool, ...]:
    """Whether points come near the spine, the canal and its foramina, and reach out to the latter.

    Then whether they come near the canal alone, and the roots and the cord.

    Args:
        u: Distance left of the midline.
    """
    far = np.abs(u) if u.size else np.full(1, 99.0)
    least = float(far.min())
    return least <= SIDE_MM, least <= 35.0, float(far.max()) > 8.0, least < 17.0, least < 11.0


def _paint_canal_zone(canvas: Canvas, c: Section, u: Array, anatomy: Anatomy) -> None:
    *_, out_to_foramina, near_sac, near_roots = _reaches(u)
    if out_to_foramina:
        paint_foramina(canvas, c, u, anatomy)
    if near_sac:
        paint_canal(canvas, c, u)
    if near_roots:
        paint_cauda(canvas, c, u, anatomy.subject)
        paint_cord(canvas, c, u, anatomy.subject)


def _add_grain(mean: NDArray[Any], c: Section, u: Array, anatomy: Anatomy) -> None:
    """Add the grain of the marrow to an image, in place; labels have none."""
    inside = 1.0 - (u / c.half_width) ** 2 - (c.v / c.half_depth) ** 2
    box = box_of(inside > 0.0)
    if box is None or mean.dtype.kind != "f":
        return
    part = c.take(box[0])
    weight = np.clip(2.0 * inside[box], 0.0, 1.0) * np.float32(0.03)
    mean[:, *box] *= 1.0 + weight * texture(anatomy.subject.waves, u[box], part.arc, part.v)

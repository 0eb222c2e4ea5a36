"""Section: what the anatomy's tables say at each point of an image plane.

The plane's points are placed in the frame once; every table of vertebrae is interpolated along the
segment and every table of discs is gathered, so that painting is arithmetic on broadcast arrays.
A sagittal series shares one section for all its slices; an axial slice needs one row of it.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import ROOT_PLANE_MM, Anatomy, sideways
from volspine.phantom.canal import WAIST, CanalSection, plateau
from volspine.phantom.frame import Placed
from volspine.types import FloatArray

__all__ = ["L5_S1", "PEDICLE_BOTTOM_MM", "Section", "build_section"]

Array = NDArray[np.float32]

PEDICLE_BOTTOM_MM = 2.0
"""Lower edge of a pedicle, below the middle of its vertebra."""

L5_S1 = 9
"""Segment above the sacrum."""

ROOT_RADIUS_MM = 2.3

ROOT_BELOW_MM = PEDICLE_BOTTOM_MM + 2.0 + ROOT_RADIUS_MM
"""Axis of an exiting root, below the middle of its vertebra."""


@dataclass
class Section:
    """Tables at points; arrays of one shape, float32, millimetres.

    Attributes:
        segment: Index of the segment.
        below: Below the middle of the upper vertebra.
        above: Above the middle of the lower vertebra.
        v: Depth.
        arc: Along the centre curve.
        under: Below the lower endplate of the upper vertebra; negative inside the body.
        over: Above the upper endplate of the lower vertebra; negative inside the body.
        w: Below the middle of the disc.
        at_disc: 1 in the middle of the disc, 0 near the middle of a vertebra.
        midline: How far left of x = 0 the midline runs.
        half_depth: Of body or disc.
        half_width: Of body or disc.
        canal_depth: Of the bony canal.
        canal_half_width: Between the pedicles.
        pedicle: Width of a pedicle.
        spinous: Reach of the spinous process behind the lamina.
        height: Of the nearer vertebra.
        sac_area: Uncompressed.
        hydration: Of the disc's nucleus.
        disc_height: At the middle.
        bulge: Of the disc.
        flavum: Thickening.
        shrink: Of the sac's ellipse.
        recess_place: From the midline.
        recess_left: Depth.
        recess_right: Depth.
        push_left: How far a thick facet pushes the canal's roof.
        push_right: How far.
        focus: How far left of the midline the bulge is largest.
        sac_aspect: Width over depth of the uncompressed sac.
        joint_left: Width of the facet joint's space; an effusion widens it.
        joint_right: Width.
        facet_left: Angle to the sagittal plane.
        facet_right: Angle.
        root_below: Place of the exiting root under its pedicle, 17 mm from the midline.
        root_v: Depth of the exiting root there.
        root_lean: Sine of the angle from the lean of its vertebra to that of the spine there.
        layer: Which of the slices and sub-slices that are painted side by side it belongs to.
    """

    segment: NDArray[np.int64]
    below: Array
    above: Array
    v: Array
    arc: Array
    under: Array
    over: Array
    w: Array
    at_disc: Array
    midline: Array
    half_depth: Array
    half_width: Array
    canal_depth: Array
    canal_half_width: Array
    pedicle: Array
    spinous: Array
    height: Array
    sac_area: Array
    hydration: Array
    disc_height: Array
    bulge: Array
    flavum: Array
    shrink: Array
    recess_place: Array
    recess_left: Array
    recess_right: Array
    push_left: Array
    push_right: Array
    focus: Array
    sac_aspect: Array
    joint_left: Array
    joint_right: Array
    facet_left: Array
    facet_right: Array
    root_below: Array
    root_v: Array
    root_lean: Array
    layer: NDArray[np.int64]

    def take(self, where: slice | NDArray[np.int64]) -> "Section":
        """Return the section at some of its points (first axis); tables are cut when asked for."""
        part = object.__new__(Section)
        part.__dict__["_origin"] = self, where
        return part

    def repeated(self, many: int) -> "Section":
        """Return the section of a list of points, each of them once for so many layers."""
        count = len(self.segment)
        part = self.take(np.arange(count).repeat(many))
        part.layer = np.tile(np.arange(many), count)
        return part

    def __getattr__(self, name: str) -> Any:
        """Cut a table of the section that this one is a part of."""
        if name not in _NAMES or "_origin" not in self.__dict__:
            raise AttributeError(name)
        whole, where = self.__dict__["_origin"]
        values = self.__dict__[name] = getattr(whole, name)[where]
        return values

    @cached_property
    def sacral(self) -> NDArray[np.bool_]:
        """Where the lateral masses of the sacrum can be, however far to the side."""
        low = (self.segment > L5_S1) | ((self.segment == L5_S1) & (self.over < 3.0))
        return np.asarray(low & (np.abs(self.v) < 40.0))

    def canal(self) -> CanalSection:
        """Return the canal's cross-section at the points."""
        return self._canal

    @cached_property
    def _canal(self) -> CanalSection:
        return CanalSection(
            at_disc=self.at_disc,
            half_depth=self.half_depth,
            half_width=self.half_width,
            canal_depth=self.canal_depth,
            sac_area=self.sac_area,
            bulge=self.bulge,
            flavum=self.flavum,
            shrink=self.shrink,
            recess_place=self.recess_place,
            recess=(self.recess_left, self.recess_right),
            facet=(self.push_left, self.push_right),
            focus=self.focus,
            aspect=self.sac_aspect,
        )


_NAMES = frozenset(f.name for f in fields(Section))


def build_section(
    anatomy: Anatomy, placed: Placed, layer: NDArray[np.int64] | None = None
) -> Section:
    """Look up the anatomy's tables at placed points, which are of one layer unless it is given."""
    subject = anatomy.subject
    tables = _Tables.at(placed)
    under, over = _from_endplates(anatomy, placed, tables)
    w = ((under - over) / 2).astype(np.float32)
    at_disc = plateau(w, 4.0, 12.0).astype(np.float32)
    return Section(
        segment=placed.segment,
        below=placed.below,
        above=placed.above,
        v=placed.depth,
        arc=placed.arc,
        under=under.astype(np.float32),
        over=over.astype(np.float32),
        w=w,
        at_disc=at_disc,
        midline=sideways(subject, placed.arc, placed.depth).astype(np.float32),
        root_below=np.full_like(placed.arc, ROOT_BELOW_MM),
        root_v=tables.pick(_root_depths(anatomy)),
        root_lean=tables.pick(np.sin(_root_shares(anatomy) * anatomy.subject.bends)),
        layer=np.zeros_like(placed.segment) if layer is None else layer,
        **_of_vertebrae(anatomy, placed, tables, at_disc),
        **_of_discs(anatomy, tables),
    )


def _root_shares(anatomy: Anatomy) -> FloatArray:
    """Return how far along each segment the root leaves, 0 to 1, shape (S,)."""
    return np.asarray(ROOT_BELOW_MM / np.diff(anatomy.frame.arcs_mm), dtype=np.float64)


def _root_depths(anatomy: Anatomy) -> FloatArray:
    """Return the depth of each segment's exiting root, behind the body it leaves, shape (S,).

    One number a segment: if it followed the bend of the wall, the root would not be round.
    """
    subject, share = anatomy.subject, _root_shares(anatomy)
    depth, width = (
        (values[:-1] * (1 - share) + values[1:] * share) / 2
        for values in (subject.depths, subject.widths)
    )
    across = np.minimum(ROOT_PLANE_MM / width, 0.99)
    return np.asarray(depth * np.cbrt(1.0 - across**3) + 1.9 + ROOT_RADIUS_MM)


@dataclass(frozen=True)
class _Tables:
    """How tables are read at placed points."""

    segment: NDArray[np.int64]
    share: Array

    @classmethod
    def at(cls, placed: Placed) -> "_Tables":
        way = placed.below / np.maximum(placed.below + placed.above, 1.0)
        return cls(placed.segment, np.clip(way, 0.0, 1.0))

    def blend(self, table: FloatArray) -> Array:
        """Interpolate a table of vertebrae from the one above a point to the one below it."""
        upper, lower = table[self.segment], table[self.segment + 1]
        return np.asarray(upper * (1 - self.share) + lower * self.share, dtype=np.float32)

    def pick(self, table: FloatArray) -> Array:
        """Read a table of segments."""
        return np.asarray(table[self.segment], dtype=np.float32)


def _from_endplates(anatomy: Anatomy, placed: Placed, tables: _Tables) -> tuple[Array, Array]:
    """Return the distances below the upper and above the lower vertebra's endplate."""
    heights, wedge = anatomy.subject.heights, np.tan(anatomy.subject.wedges / 2)
    under = placed.below - tables.pick(heights / 2) + placed.depth * tables.pick(wedge[:-1])
    over = placed.above - tables.pick(heights[1:] / 2) + placed.depth * tables.pick(wedge[1:])
    return under, over


def _of_vertebrae(
    anatomy: Anatomy, placed: Placed, tables: _Tables, at_disc: Array
) -> dict[str, Array]:
    subject, blend, seg = anatomy.subject, tables.blend, tables.segment
    nearer = np.where(placed.below < placed.above, subject.heights[seg], subject.heights[seg + 1])
    waist = 1.0 - WAIST * (1.0 - at_disc)
    return {
        "half_depth": (blend(subject.depths) / 2).astype(np.float32),
        "half_width": (blend(subject.widths) / 2 * waist).astype(np.float32),
        "canal_depth": blend(subject.canal_depths),
        "canal_half_width": (blend(subject.canal_widths) / 2).astype(np.float32),
        "pedicle": blend(subject.pedicles),
        "spinous": blend(subject.spines),
        "height": nearer.astype(np.float32),
        "sac_area": blend(subject.sac_areas),
    }


def _of_discs(anatomy: Anatomy, tables: _Tables) -> dict[str, Array]:
    subject, shapes, pick = anatomy.subject, anatomy.narrowing, tables.pick
    return {
        "hydration": pick(subject.hydration),
        "disc_height": pick(subject.discs),
        "bulge": pick(shapes.bulge),
        "flavum": pick(shapes.flavum),
        "shrink": pick(shapes.shrink),
        "recess_place": pick(anatomy.recess_place()),
        "recess_left": pick(shapes.recess[:, 0]),
        "recess_right": pick(shapes.recess[:, 1]),
        "push_left": pick(shapes.facet[:, 0]),
        "push_right": pick(shapes.facet[:, 1]),
        "focus": pick(shapes.focus),
        "sac_aspect": pick(np.full(len(subject.discs), subject.sac_aspect)),
        "joint_left": pick(subject.joints[:, 0]),
        "joint_right": pick(subject.joints[:, 1]),
        "facet_left": pick(subject.facet_angles[:, 0]),
        "facet_right": pick(subject.facet_angles[:, 1]),
    }

"""Plan: which series are acquired, where every slice lies, and in which order they are numbered.

Slices are planned in the body frame, as a technologist plans them on the patient, and the whole
body is then turned and shifted in the scanner. The distributions are those of public lumbar
studies: 83 % have one series of each protocol and 15 % two axial ones; sagittal series of about 17
slices run right to left in 64 %, axial ones from feet to head in 12 %. Only `rsna_like` and `shift`
leave levels out or have more or fewer series than one of each.

Legend:
    body frame     x left, y posterior, z cranial; origin at the middle of L3
    patient frame  LPS millimetres of the scanner
"""

from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import Protocol
from volspine.phantom.anatomy import Anatomy
from volspine.phantom.piles import centred, disc_plane, draw_piles
from volspine.phantom.protocols import (
    Raster,
    draw_field,
    draw_rasters,
    draw_sequence,
    draw_snr,
    draw_spacing,
)
from volspine.phantom.spec import Cohort, Size, Spec, Stage
from volspine.phantom.tissues import Sequence
from volspine.types import FloatArray

__all__ = ["Plan", "Pose", "SeriesPlan", "disc_plane", "draw_plan"]

_SAGITTAL = [Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2]
_PROTOCOLS = (*_SAGITTAL, Protocol.AXIAL_T2)
_FEET_FIRST = 0.04


@dataclass(frozen=True)
class Pose:
    """Where the body lies in the scanner.

    Attributes:
        rotation: (3, 3), body to patient.
        shift_mm: (3,), patient position of the body's origin.
    """

    rotation: FloatArray
    shift_mm: FloatArray

    def to_patient(self, points_mm: FloatArray) -> FloatArray:
        """Take points (..., 3) from the body frame to the patient frame."""
        return np.asarray(points_mm @ self.rotation.T + self.shift_mm)


@dataclass(frozen=True)
class SeriesPlan:
    """One series; slices in their instance order.

    Attributes:
        series_id: Decimal name.
        protocol: Plane and weighting.
        sequence: Timing.
        centres_mm: (N, 3) centre of each slice, body frame.
        tilts: (N,) radians; how far an axial slice's upward normal leans backwards. 0 for sagittal.
        stacks: (N,) stack that each slice belongs to.
        thickness_mm: Of a slice.
        spacing_mm: Between slice centres of a stack.
        acquired: Rows and columns measured; their pixels are square.
        acquired_mm: Distance between the centres of measured pixels.
        matrix: Rows and columns stored, in the ratio of the measured ones.
        snr: Signal-to-noise ratio; 0 adds no noise.
        sub_slices: How many are averaged across a slice: a few, whose error is below the noise, or
            1, which is quick.
        phase_axis: Axis of phase encoding: 0 along a column, 1 along a row.
        phase_share: Share of the phase-encoding lines that are measured; the rest is zero.
        bias: Factor of how far the coil's sensitivity spreads.
    """

    series_id: str
    protocol: Protocol
    sequence: Sequence
    centres_mm: FloatArray
    tilts: FloatArray
    stacks: tuple[int, ...]
    thickness_mm: float
    spacing_mm: float
    acquired: tuple[int, int]
    acquired_mm: float
    matrix: tuple[int, int]
    snr: float
    sub_slices: int = 3
    phase_axis: int = 0
    phase_share: float = 1.0
    bias: float = 1.0

    @property
    def is_sagittal(self) -> bool:
        """Whether the plane is sagittal."""
        return self.protocol is not Protocol.AXIAL_T2

    @property
    def pixel_mm(self) -> float:
        """Distance between the centres of stored pixels."""
        return self.acquired_mm * self.acquired[0] / self.matrix[0]

    @property
    def field_mm(self) -> tuple[float, float]:
        """Height and width of the field of view."""
        return self.acquired[0] * self.acquired_mm, self.acquired[1] * self.acquired_mm

    @property
    def lines(self) -> tuple[int, int]:
        """Frequencies measured down a column and along a row, half of them of either sign."""
        rows, columns = self.acquired
        if self.phase_share >= 1:
            return rows, columns
        fewer = 2 * round(self.acquired[self.phase_axis] * self.phase_share / 2)
        return (fewer, columns) if self.phase_axis == 0 else (rows, fewer)

    def axes(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Return a slice's image axes x and y (along a row, down a column), body frame."""
        if self.is_sagittal:
            return np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])
        tilt = float(self.tilts[index])
        return np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(tilt), -np.sin(tilt)])

    def normal(self, index: int) -> FloatArray:
        """Return the direction across a slice, the cross product of its axes, body frame."""
        if self.is_sagittal:
            return np.array([-1.0, 0.0, 0.0])
        tilt = float(self.tilts[index])
        return np.array([0.0, np.sin(tilt), np.cos(tilt)])

    def first_pixel(self, index: int) -> FloatArray:
        """Return the centre of a slice's first pixel, body frame; zero filling leaves it alone."""
        across, down = self.axes(index)
        high, wide = ((side - 1) / 2 * self.acquired_mm for side in self.acquired)
        return np.asarray(self.centres_mm[index] - wide * across - high * down)


@dataclass(frozen=True)
class Plan:
    """All series of a study, and where the body lies.

    Attributes:
        series: In the order in which they are listed.
        pose: Body to patient.
        covered: (5,) whether axial slices cover a level.
        position: How the patient lies in the scanner, `HFS` or `FFS`; axes of the patient frame
            belong to the patient and do not depend on it.
    """

    series: tuple[SeriesPlan, ...]
    pose: Pose
    covered: tuple[bool, ...]
    position: str = "HFS"


def draw_plan(spec: Spec, anatomy: Anatomy) -> Plan:
    """Plan the acquisition of one study."""
    rng = spec.stream(Stage.PLAN)
    pose = _pose(rng)
    position = "FFS" if rng.random() < _FEET_FIRST else "HFS"
    draw = _Drawer(spec, anatomy, rng, draw_field(rng, spec.cohort))
    names = rng.choice(2**32 - 10**9, size=8, replace=False) + 10**9
    first = _first_level(rng, spec)
    sagittal = draw.sagittal(_SAGITTAL)
    # Whoever lies with the feet first is mostly scanned from the feet.
    upwards = 0.6 if position == "FFS" else 0.1
    axial = [draw.axial(levels, upwards) for levels in _axial_ranges(rng, spec, first)]
    series = _kept(rng, spec, [*sagittal, *axial])
    if rng.random() < 0.004 and spec.cohort is Cohort.RSNA_LIKE:
        series += draw.sagittal([Protocol.SAGITTAL_T1])
    named = [replace(s, series_id=str(names[n])) for n, s in enumerate(series)]
    return Plan(tuple(named), pose, tuple(level >= first for level in range(5)), position)


def _pose(rng: np.random.Generator) -> Pose:
    yaw, roll = np.deg2rad(np.clip(rng.normal(0, 2.5, 2), -6, 6))
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    about_y = np.array(
        [[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]]
    )
    shift = rng.normal(0, 1, 3) * np.array([4.0, 12.0, 15.0])
    return Pose(about_z @ about_y, shift)


def _is_varied(spec: Spec) -> bool:
    return spec.cohort in (Cohort.RSNA_LIKE, Cohort.SHIFT)


def _first_level(rng: np.random.Generator, spec: Spec) -> int:
    """Return the highest level that axial slices cover."""
    draw = rng.random()
    if not _is_varied(spec):
        return 0
    return 2 if draw < 0.042 else 1 if draw < 0.083 else 0


def _axial_ranges(rng: np.random.Generator, spec: Spec, first: int) -> list[range]:
    """Return the levels of each axial series: one series, or two or three that share or repeat."""
    draw, split, cut = rng.random(), rng.random() < 0.6, int(rng.integers(first + 1, 5))
    whole = range(first, 5)
    if not _is_varied(spec) or spec.size is Size.SMALL or draw >= 0.168:
        return [whole]
    parts = [range(first, cut), range(cut, 5)] if split else [whole, whole]
    return [*parts, whole] if draw < 0.014 else parts


def _kept(rng: np.random.Generator, spec: Spec, series: list[SeriesPlan]) -> list[SeriesPlan]:
    """Leave a protocol out of a few studies in a thousand."""
    draw, missing = rng.random(), _PROTOCOLS[int(rng.integers(0, 3))]
    if draw >= 0.006 or spec.cohort is not Cohort.RSNA_LIKE or spec.size is Size.SMALL:
        return series
    return [s for s in series if s.protocol is not missing]


@dataclass(frozen=True)
class _Drawer:
    """Draws the series of one study."""

    spec: Spec
    anatomy: Anatomy
    rng: np.random.Generator
    field_t: float

    def sagittal(self, protocols: list[Protocol]) -> list[SeriesPlan]:
        """Series that share their slices, as T1 and T2 are mostly planned once."""
        rng, spec = self.rng, self.spec
        thickness, spacing = draw_spacing(rng, spec, protocols[0])
        count = _sagittal_count(rng, spec, spacing)
        reach = centred(count, spacing)
        middle, runs_right_to_left = float(rng.normal(0, 1.5)), rng.random() < 0.64
        centres = np.zeros((count, 3))
        # Left is +x, so right to left means growing x.
        centres[:, 0] = middle + (reach if runs_right_to_left else -reach)
        centres[:, 1] = self.anatomy.frame.centres_mm[5:11, 0].mean() + rng.normal(4, 8)
        centres[:, 2] = np.clip(rng.normal(0, 12), -25, 25) - 8
        slices = (centres, np.zeros(count), (0,) * count)
        rasters = draw_rasters(rng, spec, protocols)
        return [self._series(p, slices, (thickness, spacing), r)
                for p, r in zip(protocols, rasters, strict=True)]  # fmt: skip

    def axial(self, levels: range, upwards: float) -> SeriesPlan:
        """One series; `upwards` is the chance that it runs from feet to head."""
        rng, spec = self.rng, self.spec
        thickness, spacing = draw_spacing(rng, spec, Protocol.AXIAL_T2)
        small = spec.size is Size.SMALL
        piles = draw_piles(self.anatomy, rng, levels, spacing, small=small)
        if rng.random() < upwards:
            piles = [pile.reversed() for pile in piles[::-1]]
        tilts = np.concatenate([np.full(len(p.centres_mm), p.tilt) for p in piles])
        centres = np.concatenate([p.centres_mm for p in piles])
        aside, back = rng.normal(0, 4.0), 8.0 + rng.normal(0, 4.0)
        # Moved within its own plane, a slice still passes through its disc.
        centres += np.stack([np.full(len(tilts), aside), back * np.cos(tilts),
                             -back * np.sin(tilts)], axis=1)  # fmt: skip
        stacks = tuple(n for n, p in enumerate(piles) for _ in range(len(p.centres_mm)))
        raster = draw_rasters(rng, spec, [Protocol.AXIAL_T2])[0]
        return self._series(
            Protocol.AXIAL_T2, (centres, tilts, stacks), (thickness, spacing), raster
        )

    def _series(
        self,
        protocol: Protocol,
        slices: tuple[FloatArray, FloatArray, tuple[int, ...]],
        depth: tuple[float, float],
        raster: Raster,
    ) -> SeriesPlan:
        centres, tilts, stacks = slices
        # Against 21 sub-slices, 3 err by 0.6 to 0.9 % of the tissues' signal and 5 by 0.3 to 0.4 %;
        # the best series has noise of 1.6 %.
        many = 5 if self.spec.is_clean else 3
        return SeriesPlan(
            series_id="",
            protocol=protocol,
            sequence=draw_sequence(self.rng, self.spec, protocol, self.field_t),
            centres_mm=centres,
            tilts=tilts,
            stacks=stacks,
            thickness_mm=depth[0],
            spacing_mm=depth[1],
            acquired=raster.acquired,
            acquired_mm=raster.acquired_mm,
            matrix=raster.matrix,
            snr=draw_snr(self.rng, self.spec, self.field_t),
            sub_slices=1 if self.spec.size is Size.SMALL else many,
            phase_axis=raster.phase_axis,
            phase_share=raster.phase_share,
            bias=2.0 if self.spec.cohort is Cohort.SHIFT else 1.0,
        )


def _sagittal_count(rng: np.random.Generator, spec: Spec, spacing: float) -> int:
    """Slices reach beyond both foramina, whatever their distance."""
    if spec.size is Size.SMALL:
        return 9
    wanted = rng.normal(75.0, 9.0) / spacing
    return int(np.clip(round(max(wanted, 56.0 / spacing)), 9 if spacing > 6.5 else 12, 21))

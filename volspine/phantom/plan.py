"""Plan: which series are acquired, where every slice lies, and in which order they are numbered.

Slices are planned in the body frame, as a technologist plans them on the patient, and the whole
body is then turned and shifted in the scanner. The distributions are those of public lumbar
studies: sagittal series of about 17 slices run right to left in 64 %; two thirds of the axial
series hold one tilted stack a disc, and 12 % run from feet to head.

Legend:
    body frame     x left, y posterior, z cranial; origin at the middle of L3
    patient frame  LPS millimetres of the scanner
"""

from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import Protocol
from volspine.phantom.anatomy import Anatomy
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.spec import Cohort, Size, Spec, Stage
from volspine.phantom.tissues import Sequence
from volspine.types import FloatArray

__all__ = ["Plan", "Pose", "SeriesPlan", "draw_plan"]


_SAGITTAL_MATRICES = (
    {512: 0.44, 384: 0.17, 320: 0.15, 640: 0.04, 256: 0.05, 448: 0.04},
    {512: 0.26, 320: 0.21, 448: 0.13, 384: 0.11, 640: 0.06, 256: 0.05},
)
_AXIAL_MATRIX = {320: 0.30, 512: 0.25, 640: 0.08, 384: 0.20, 256: 0.08}


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
        sub_slices: How many are averaged across a slice: 3, whose error is far below the noise, or
            1, which is quick.
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

    def axes(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Return a slice's image axes x and y (along a row, down a column), body frame."""
        if self.is_sagittal:
            return np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])
        tilt = float(self.tilts[index])
        return np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(tilt), -np.sin(tilt)])

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
    field_t = 3.0 if rng.random() < 0.35 else 1.5
    names = rng.choice(2**32 - 10**9, size=8, replace=False) + 10**9
    first = _first_level(rng, spec)
    sagittal = _sagittal_pair(spec, anatomy, rng, field_t)
    axial = _axial_series(spec, anatomy, rng, (field_t, first))
    series = [replace(s, series_id=str(names[n])) for n, s in enumerate([*sagittal, *axial])]
    return Plan(tuple(series), pose, tuple(level >= first for level in range(5)))


def _pose(rng: np.random.Generator) -> Pose:
    yaw, roll = np.deg2rad(np.clip(rng.normal(0, 2.0, 2), -5, 5))
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    about_y = np.array(
        [[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]]
    )
    shift = rng.normal(0, 1, 3) * np.array([4.0, 12.0, 15.0])
    return Pose(about_z @ about_y, shift)


def _first_level(rng: np.random.Generator, spec: Spec) -> int:
    """Return the highest level that axial slices cover."""
    draw = rng.random()
    if spec.cohort not in (Cohort.RSNA_LIKE, Cohort.SHIFT):
        return 0
    return 2 if draw < 0.042 else 1 if draw < 0.083 else 0


def _snr(rng: np.random.Generator, spec: Spec, field_t: float) -> float:
    """Signal-to-noise ratio before zero filling; 3 % of series are much poorer."""
    value = np.exp(rng.uniform(np.log(14), np.log(40))) * (1.6 if field_t > 2 else 1.0)
    poor = 0.5 if rng.random() < 0.03 else 1.0
    return 0.0 if spec.is_clean else float(value * poor)


def _choose(rng: np.random.Generator, table: dict[int, float]) -> int:
    weights = np.array(list(table.values()))
    return int(rng.choice(list(table), p=weights / weights.sum()))


def _square(side: int) -> tuple[int, int]:
    return side, side


def _sagittal_pair(
    spec: Spec, anatomy: Anatomy, rng: np.random.Generator, field_t: float
) -> list[SeriesPlan]:
    """T1 and T2 share their slices, as they are mostly planned once."""
    small = spec.size is Size.SMALL
    count = 9 if small else int(np.clip(round(rng.normal(16.5, 2.2)), 12, 21))
    spacing = 6.5 if small else float(np.clip(rng.normal(4.5, 0.4), 3.8, 5.6))
    reach = _centred(count, spacing)
    middle = float(rng.normal(0, 1.5))
    runs_right_to_left = rng.random() < 0.64
    # Left is +x, so right to left means growing x.
    x = middle + (reach if runs_right_to_left else -reach)
    centres = np.zeros((count, 3))
    centres[:, 0] = x
    field = float(np.clip(rng.normal(285, 15), 255, 320))
    centres[:, 1] = anatomy.frame.centres_mm[5:11, 0].mean() + rng.normal(4, 8)
    centres[:, 2] = np.clip(rng.normal(0, 12), -25, 25) - 8
    acquired = 96 if small else int(rng.choice([256, 272, 288, 320]))
    timing = (
        Sequence("T1", rng.uniform(450, 680), rng.uniform(8, 14), None, field_t),
        _fluid_sensitive(spec, rng, field_t),
    )
    return [
        SeriesPlan(
            series_id="",
            protocol=protocol,
            sequence=sequence,
            centres_mm=centres,
            tilts=np.zeros(count),
            stacks=(0,) * count,
            thickness_mm=spacing * 0.9,
            spacing_mm=spacing,
            acquired=(acquired, acquired),
            acquired_mm=field / acquired,
            matrix=(96, 96) if small else _square(_choose(rng, table)),
            snr=_snr(rng, spec, field_t),
            sub_slices=1 if small else 3,
        )
        for protocol, sequence, table in zip(
            (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2), timing, _SAGITTAL_MATRICES, strict=True
        )
    ]


def _fluid_sensitive(spec: Spec, rng: np.random.Generator, field_t: float) -> Sequence:
    """Return a T2, or in half of the `shift` cohort a STIR."""
    times = rng.uniform(2600, 4200), rng.uniform(88, 118)
    if spec.cohort is Cohort.SHIFT and rng.random() < 0.5:
        return Sequence("STIR", times[0], 0.5 * times[1], 215.0 if field_t > 2 else 160.0, field_t)
    return Sequence("T2", *times, None, field_t)


def _axial_series(
    spec: Spec, anatomy: Anatomy, rng: np.random.Generator, where: tuple[float, int]
) -> list[SeriesPlan]:
    """One axial series: a stack a disc, or one block."""
    field_t, first = where
    small = spec.size is Size.SMALL
    thickness = 4.0 if small else float(np.clip(rng.normal(4.0, 0.4), 3.2, 5.0))
    spacing = thickness * float(rng.uniform(1.05, 1.2))
    per_disc = 3 if small else _choose(rng, {4: 0.2, 5: 0.5, 6: 0.2, 7: 0.1})
    if rng.random() < 0.33 and not small:
        stacks = [_block(anatomy, rng, first, spacing)]
    else:
        stacks = [_stack(anatomy, rng, level, (per_disc, spacing)) for level in range(first, 5)]
    if rng.random() < 0.12:
        stacks = [(c[::-1], t[::-1]) for c, t in stacks[::-1]]
    centres = np.concatenate([c for c, _ in stacks])
    centres[:, 0] += rng.normal(0, 2.0)
    centres[:, 1] += 8.0 + rng.normal(0, 4.0)
    field = float(np.clip(rng.normal(180, 14), 150, 215))
    acquired = 96 if small else int(rng.choice([224, 256, 288]))
    return [
        SeriesPlan(
            series_id="",
            protocol=Protocol.AXIAL_T2,
            sequence=Sequence("T2", rng.uniform(3000, 5500), rng.uniform(92, 118), None, field_t),
            centres_mm=centres,
            tilts=np.concatenate([t for _, t in stacks]),
            stacks=tuple(n for n, (c, _) in enumerate(stacks) for _ in range(len(c))),
            thickness_mm=thickness,
            spacing_mm=spacing,
            acquired=(acquired, acquired),
            acquired_mm=field / acquired,
            matrix=(96, 96) if small else _square(_choose(rng, _AXIAL_MATRIX)),
            snr=_snr(rng, spec, field_t),
            sub_slices=1 if small else 3,
        )
    ]


def disc_plane(anatomy: Anatomy, level: int) -> tuple[FloatArray, float]:
    """Return the middle of a disc, (y, z), and how far its upward normal leans backwards."""
    segment = FIRST_SEGMENT + level
    frame = anatomy.frame
    tilt = float(frame.tilts[segment] + frame.tilts[segment + 1]) / 2
    return frame.locate(segment, 0.5, 0.0), tilt


def _stack(
    anatomy: Anatomy, rng: np.random.Generator, level: int, size: tuple[int, float]
) -> tuple[FloatArray, FloatArray]:
    count, spacing = size
    middle, tilt = disc_plane(anatomy, level)
    tilt += float(np.deg2rad(np.clip(rng.normal(0, 3.0), -8, 8)))
    return _pile(middle, tilt, _centred(count, spacing))


def _centred(count: int, spacing: float) -> FloatArray:
    return (np.arange(count, dtype=np.float64) - (count - 1) / 2) * spacing


def _pile(middle: FloatArray, tilt: float, offsets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slices along the plane's normal, from cranial to caudal."""
    normal = np.array([0.0, np.sin(tilt), np.cos(tilt)])
    centre = np.array([0.0, middle[0], middle[1]])
    return centre - offsets[:, None] * normal, np.full(len(offsets), tilt)


def _block(
    anatomy: Anatomy, rng: np.random.Generator, first: int, spacing: float
) -> tuple[FloatArray, FloatArray]:
    """One pile of parallel slices from above the first level to below L5/S1."""
    ends = [disc_plane(anatomy, level)[0] for level in (first, 4)]
    tilts = [disc_plane(anatomy, level)[1] for level in (2, 3)]
    tilt = sum(tilts) / 2 + float(np.deg2rad(rng.uniform(-5, 5)))
    normal = np.array([np.sin(tilt), np.cos(tilt)])
    middle = (ends[0] + ends[1]) / 2
    reach = float((ends[0] - ends[1]) @ normal) / 2 + 12.0
    count = int(np.ceil(2 * reach / spacing)) + 1
    return _pile(middle, tilt, _centred(count, spacing))

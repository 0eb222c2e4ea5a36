"""Anatomy: one subject's spine as plain arrays, with every narrowing already built in.

`build_anatomy` chains the vertebrae into a frame and asks `narrowing` for canals, recesses and
foramina that measure what was asked for. `mirrored` is the same person seen in a mirror, made by
swapping the sides of the tables, which is a strong test of whatever reads them.

Shapes: K vertebrae, S = K - 1 segments (discs), sides (left, right).
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.frame import Frame, build_frame
from volspine.phantom.subject import Subject
from volspine.types import FloatArray, IntArray

__all__ = [
    "Anatomy",
    "Lesion",
    "Lesions",
    "Narrowing",
    "assemble",
    "mirrored",
    "no_lesions",
    "sideways",
]

ROOT_PLANE_MM = 17.0
"""Distance from the midline at which foramina are measured: the middle of their tunnel."""


@dataclass(frozen=True)
class Narrowing:
    """Shapes that decide the grades; lengths in millimetres.

    Attributes:
        bulge: (S,) of the disc into the canal on the midline.
        flavum: (S,) thickening of the ligamentum flavum.
        shrink: (S,) factor of the sac's own ellipse at the disc.
        facet: (S, 2) how far a thick facet pushes the roof of the canal forwards.
        focus: (S,) how far left of the midline the bulge is largest.
        recess: (S, 2) depth of the lateral recess.
        clearance: (S, 2, A) of fat around the exiting root; angle 0 is posterior, pi/2 caudal.
        plug: (S, 2, A) reach of the tissue that takes the place of lost fat.
        flatness: (S, 2) axis ratio of the exiting root.
    """

    bulge: FloatArray
    flavum: FloatArray
    shrink: FloatArray
    facet: FloatArray
    focus: FloatArray
    recess: FloatArray
    clearance: FloatArray
    plug: FloatArray
    flatness: FloatArray


class Lesion(IntEnum):
    """Findings of bone and disc that decide no grade."""

    MODIC_1 = 0
    MODIC_2 = 1
    SCHMORL = 2
    HAEMANGIOMA = 3
    FISSURE = 4
    OSTEOPHYTE = 5
    CYST = 6


@dataclass(frozen=True)
class Lesions:
    """Ellipsoids that are painted over the spine and touch no measure; N of them.

    Attributes:
        kind: (N,) values of `Lesion`.
        segment: (N,) in which segment each lies, wholly.
        anchor: (N,) where heights count from: -1 the endplate above the disc, +1 the one below it,
            growing towards the disc in both; 0 the middle of the disc, growing caudally.
        centre: (N, 3) mm: left of the midline, height from the anchor, depth v.
        radii: (N, 3) mm, in the same order.
    """

    kind: IntArray
    segment: IntArray
    anchor: IntArray
    centre: FloatArray
    radii: FloatArray


def no_lesions() -> Lesions:
    """Return an empty table."""
    none = np.zeros(0, dtype=np.int64)
    return Lesions(none, none, none, np.zeros((0, 3)), np.zeros((0, 3)))


@dataclass(frozen=True)
class Anatomy:
    """A subject, the frame of the spine, its narrowings and what else is seen.

    `handed` is +1, or -1 for a mirrored person, whose aorta lies on the right.
    """

    subject: Subject
    frame: Frame
    narrowing: Narrowing
    handed: int = 1
    lesions: Lesions = field(default_factory=no_lesions)

    def recess_place(self) -> FloatArray:
        """Distance from the midline at which each segment's recess is measured, shape (S,), mm."""
        return recess_place(self.subject)


def recess_place(subject: Subject) -> FloatArray:
    """Distance from the midline at which each segment's recess is measured, shape (S,), mm."""
    step = np.clip(np.arange(len(subject.discs)) - 5, -2, 5)
    return np.asarray((7.7 + 0.32 * step) * subject.size)


def assemble(subject: Subject, narrowing: Narrowing, lesions: Lesions | None = None) -> Anatomy:
    """Chain a subject's vertebrae into a frame and join the narrowings and lesions."""
    frame = build_frame(
        subject.heights, subject.discs, subject.bends, subject.pitch, slips_mm=subject.slips
    )
    return Anatomy(subject, frame, narrowing, lesions=lesions or no_lesions())


def sideways(
    subject: Subject, arc: NDArray[np.floating], depth: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return how far left of x = 0 the spine's midline runs, mm.

    Args:
        subject: Whose lateral curve.
        arc: Arc length s.
        depth: Depth v.
    """
    amplitude, phase, period = subject.sway
    roll, yaw = subject.lean
    middle = arc - 220.0
    curve = amplitude * np.sin(middle * (2 * np.pi / period) + phase)
    return np.asarray(curve + roll * middle + yaw * depth)


def mirrored(anatomy: Anatomy) -> Anatomy:
    """Return the same person seen in a mirror: left and right swapped, nothing else."""
    subject, narrowing, lesions = anatomy.subject, anatomy.narrowing, anatomy.lesions
    amplitude, phase, period = subject.sway
    flip = np.array([-1.0, 1.0])
    return replace(
        anatomy,
        subject=replace(
            subject,
            facet_angles=subject.facet_angles[:, ::-1],
            joints=subject.joints[:, ::-1],
            sway=(-amplitude, phase, period),
            lean=(-subject.lean[0], -subject.lean[1]),
            waves=subject.waves * np.array([-1.0, 1.0, 1.0, 1.0]),
            folds=subject.folds * np.array([-1.0, 1.0, 1.0, 1.0]),
            roots=subject.roots * flip,
        ),
        narrowing=replace(
            narrowing,
            facet=narrowing.facet[:, ::-1],
            focus=-narrowing.focus,
            recess=narrowing.recess[:, ::-1],
            clearance=narrowing.clearance[:, ::-1],
            plug=narrowing.plug[:, ::-1],
            flatness=narrowing.flatness[:, ::-1],
        ),
        handed=-anatomy.handed,
        lesions=replace(lesions, centre=lesions.centre * np.array([-1.0, 1.0, 1.0])),
    )

"""Reader: a classical grader that measures what it sees at 25 given places, and nothing else.

Study, points -> one number a target -> grade by two fitted cuts. It is crude on purpose. It is
the alarm of the pipeline: what mirrors, shifts, reorders or mixes up images or places takes its
agreement with the truth away. And it is the least that a trained model should reach on phantoms.

    canal     axial T2: area of the bright fluid that grows from the sac's middle, mm2
    recess    axial T2: area that is not dark around the middle between disc and facet, mm2
    foramen   sagittal T1: how much of a ring around the exiting root is bright as fat, 0 to 1

Intensities are relative to the study's own fluid and fat, found at the same places. A target that
no slice passes near is not measured (NaN) and gets the commonest grade.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volspine.anatomy import TARGETS, Finding, Protocol
from volspine.dicom.study import Study
from volspine.geometry.stack import Stack
from volspine.types import FloatArray, IntArray

__all__ = ["NEAR_MM", "Reader", "fit_reader", "measure_seen"]

NEAR_MM = 6.0
"""A slice farther than this from a point does not show it."""

STEP_MM = 0.5
"""Between the places at which a patch is sampled."""

ROUND_MM = 4.5
"""Radius around the middle of a recess."""

FLUID, DARK, FAT = 0.62, 0.20, (0.40, 0.95)
"""Shares: of fluid's intensity that is fluid; that is not dark; of fat's that is no fat and fat."""

Array = NDArray[np.floating]


def measure_seen(study: Study, points_mm: FloatArray) -> FloatArray:
    """Return what is seen at each target's place, shape (25,); larger is wider, NaN is not seen.

    Args:
        study: As read.
        points_mm: (25, 3) places in canonical order, LPS millimetres.
    """
    axial, sagittal = (
        [stack for series in study.by_protocol(protocol) for stack in series.stacks]
        for protocol in (Protocol.AXIAL_T2, Protocol.SAGITTAL_T1)
    )
    fluid = [_patch(axial, point, _square(11.0)) for point in points_mm[:5]]
    rings = [_patch(sagittal, point, _ring()) for point in points_mm[5:15]]
    gaps = [_patch(axial, point, _square(ROUND_MM)) for point in points_mm[15:]]
    # Fat is the brightest on T1; where the sac is brighter, the image is no T1 and nothing is fat.
    sacs = [_patch(sagittal, point, _square(2.0)) for point in points_mm[:5]]
    water, fat = _level(fluid, 97), max(_level(rings, 85), _level(sacs, 85))
    seen = [_area(patch / water) for patch in fluid]
    seen += [_brightness(ring / fat) for ring in rings]
    seen += [_bright(gap / water) for gap in gaps]
    return np.array(seen)


def _level(patches: list[Array], percentile: float) -> float:
    """Return the intensity of what is brightest in patches, the median over the better half."""
    levels = sorted(float(np.percentile(p, percentile)) for p in patches if np.isfinite(p).all())
    return max(float(np.median(levels[len(levels) // 2 :])), 1e-6) if levels else np.nan


def _square(reach: float) -> Array:
    steps = np.arange(-reach, reach + STEP_MM / 2, STEP_MM)
    return np.stack(np.meshgrid(steps, steps, indexing="xy"))


def _ring() -> Array:
    """Places on 32 rays around a root, from its surface outwards, shape (2, 5, 32)."""
    radius, angle = np.arange(2.5, 3.75, 0.25)[:, None], np.arange(32) * (np.pi / 16)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)])


def _patch(stacks: list[Stack], point: FloatArray, offsets: Array) -> Array:
    """Sample the nearest slice around a point; NaN where no slice is near.

    Args:
        stacks: To choose the slice from.
        point: (3,), LPS millimetres.
        offsets: (2, ...) millimetres along the slice's axes: to the left and back of an axial
            slice, to the back and feet of a sagittal one.
    """
    best = min(
        ((abs(gap), n, k) for n, s in enumerate(stacks) for k, gap in enumerate(_gaps(s, point))),
        default=(np.inf, 0, 0),
    )
    if best[0] > NEAR_MM:
        return np.full(offsets.shape[1:], np.nan)
    stack, slice_index = stacks[best[1]], best[2]
    axes = stack.affine_lps[:3, :2] / stack.spacing_mm[:2]
    place = (point - stack.slice_origins_mm[slice_index]) @ axes
    across, down = _anatomical(axes)
    i, j = (
        (place[n] + across[n] * offsets[0] + down[n] * offsets[1]) / stack.spacing_mm[n]
        for n in range(2)
    )
    image = stack.voxels[:, :, slice_index]
    return np.asarray(ndimage.map_coordinates(image, [i, j], order=1, mode="nearest"))


def _gaps(stack: Stack, point: FloatArray) -> FloatArray:
    """Return each slice's distance from a point, mm; infinite where it lies beside the slices."""
    x = np.linalg.solve(stack.affine_lps[:3, :3], point - stack.slice_origins_mm[0])
    inside = all(0 <= x[n] <= stack.shape[n] - 1 for n in range(2))
    gaps = (point - stack.slice_origins_mm) @ stack.normal
    return np.asarray(gaps if inside else np.full(len(gaps), np.inf))


def _anatomical(axes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two anatomical directions in terms of a slice's axes: left, back; or back, feet."""
    normal = np.cross(axes[:, 0], axes[:, 1])
    wanted = np.array(
        [[0.0, 1, 0], [0, 0, -1]] if abs(normal[0]) > 0.7 else [[1.0, 0, 0], [0, 1, 0]]
    )
    across, down = wanted @ axes
    return across / np.linalg.norm(across), down / np.linalg.norm(down)


def _area(patch: Array) -> float:
    """Area of the fluid that grows from the middle; roots in it belong to it."""
    if np.isnan(patch).any():
        return np.nan
    smooth = ndimage.gaussian_filter(patch, 1.0)
    parts, count = ndimage.label(smooth > FLUID)
    if count == 0:
        return 0.0
    middle = len(patch) // 2
    near = parts[middle - 5 : middle + 6, middle - 5 : middle + 6]
    sac = ndimage.binary_fill_holes((parts == np.bincount(near[near > 0], minlength=1).argmax())
                                    & (parts > 0))  # fmt: skip
    return float(np.count_nonzero(sac)) * STEP_MM**2


def _bright(patch: Array) -> float:
    """Area that is not dark around the middle: fat, root and fluid between disc and facet."""
    if np.isnan(patch).any():
        return np.nan
    across, back = _square(ROUND_MM)
    near = across**2 + back**2 < ROUND_MM**2
    return float(np.count_nonzero(near & (ndimage.gaussian_filter(patch, 0.7) > DARK))) * STEP_MM**2


def _brightness(ring: Array) -> float:
    if np.isnan(ring).any():
        return np.nan
    low, high = FAT
    return float(np.clip((ring - low) / (high - low), 0.0, 1.0).mean())


@dataclass(frozen=True)
class Reader:
    """Cuts between grades for each finding.

    Attributes:
        cuts: For each finding, the largest measure of a moderate and of a severe level.
        commonest: Grade of what is not seen.
    """

    cuts: dict[Finding, tuple[float, float]]
    commonest: dict[Finding, int]

    def grade(self, seen: FloatArray) -> IntArray:
        """Return the grades of measures, shape (..., 25)."""
        cuts = np.array([self.cuts[t.finding] for t in TARGETS])
        common = np.array([self.commonest[t.finding] for t in TARGETS])
        grades = (np.asarray(seen)[..., None] < cuts).sum(axis=-1)
        return np.asarray(np.where(np.isnan(seen), common, grades), dtype=np.int64)


def fit_reader(seen: FloatArray, grades: IntArray) -> Reader:
    """Fit two cuts a finding so that grades are missed by as few steps as possible.

    Args:
        seen: (studies, 25) from `measure_seen`.
        grades: (studies, 25); negative where there is none.
    """
    cuts, commonest = {}, {}
    for finding in Finding:
        columns = [t.index for t in TARGETS if t.finding is finding]
        x, y = seen[:, columns].ravel(), grades[:, columns].ravel()
        known = np.isfinite(x) & (y >= 0)
        cuts[finding] = _cuts(x[known], y[known])
        commonest[finding] = int(np.bincount(y[y >= 0], minlength=3).argmax())
    return Reader(cuts, commonest)


def _cuts(x: FloatArray, grades: IntArray) -> tuple[float, float]:
    """Return the two places, from large to small, at which the grade had better change."""
    order = np.argsort(-x)
    x, y = x[order], grades[order]
    places = np.concatenate([[np.inf], (x[:-1] + x[1:]) / 2, [-np.inf]])
    # Steps missed by calling the first n of them normal, moderate and severe.
    missed = [np.concatenate([[0], np.cumsum(np.abs(y - grade))]) for grade in range(3)]
    total = missed[2][-1]
    first = missed[0] - missed[1]  # what ending the normal ones at n adds
    second = missed[1] - missed[2]
    best = np.minimum.accumulate(first)
    last = int(np.argmin(best + second + total))
    begin = int(np.argmin(first[: last + 1]))
    return float(places[begin]), float(places[last])

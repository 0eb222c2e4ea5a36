"""A study -> one grid: three images and three masks of what was measured.

Every stack is interpolated linearly at the true place of its slices. Within a series, stacks that
overlap (tilted axial blocks) are averaged, each weighted by how many slices deep inside it a point
lies, so that no seam shows; nothing is interpolated between stacks. Of several series of a protocol
one is taken (`choose`); another one fills in only where it adds a good part. Series that lie in
different frames of reference are never fused (`frames`). What was taken, and why, is recorded.
Instead of being interpolated a series can also go as a cloud of points (`cloud_grid`).

Shapes:
    X, Y, Z  voxels of the grid, RAS order      3  protocols, in the order of `PROTOCOLS`
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import ConfigurationError
from volspine.geometry.stack import Stack
from volspine.types import BoolArray, FloatArray, VoxelArray
from volspine.volume.choose import Candidate, ranked, why_first
from volspine.volume.cloud_grid import grid_of_series
from volspine.volume.frames import in_one_frame, series_apart
from volspine.volume.grid import Grid, coverage_mm, graded_stacks
from volspine.volume.image import linear_at, resample_where
from volspine.volume.normalize import normalize as normalized
from volspine.volume.placement import even_affine, measured, uneven_index
from volspine.volume.reach import reached, rim_of

__all__ = [
    "SAMPLINGS",
    "Choice",
    "SampledStudy",
    "Sampling",
    "check_sampling",
    "sample_series",
    "sample_stack",
    "sample_study",
]

Sampling = Literal["resample", "cloud"]
"""`resample` interpolates at the middle of each voxel of the grid; `cloud` averages the points that
land in it."""

MIN_GAIN = 0.2
"""A further series is merged if it adds at least this part of what the first one measured."""

APART = "; others lie in another frame of reference and are not fused with it"

_MIN_WEIGHT = 1e-4
"""Beyond a stack's outermost slice centres, where its values are only repeated: any other stack
that measured there wins, and where none did the value stays."""


@dataclass(frozen=True)
class Choice:
    """Which series of a protocol were used and why; names are safe to print."""

    protocol: Protocol
    used: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class SampledStudy:
    """A study on one grid.

    Attributes:
        images: Float32, shape (3, X, Y, Z), in the order of `PROTOCOLS`; zero where not measured.
        masks: Shape (3, X, Y, Z); what was measured.
        grid: With its centre.
        choices: For each protocol, which series were used and why.
    """

    images: VoxelArray
    masks: BoolArray
    grid: Grid
    choices: tuple[Choice, Choice, Choice]

    @property
    def present(self) -> tuple[bool, bool, bool]:
        """For each protocol, whether any of its series reaches into the grid."""
        return (bool(self.masks[0].any()), bool(self.masks[1].any()), bool(self.masks[2].any()))

    @property
    def volume(self) -> VoxelArray:
        """What a grader takes: three images, then three masks as 0 and 1; (6, X, Y, Z)."""
        return np.concatenate([self.images, self.masks.astype(np.float32)])


def sample_study(
    study: Study,
    grid: Grid | None = None,
    *,
    normalize: bool = False,
    sampling: Sampling = "resample",
) -> SampledStudy:
    """Return the three protocols of a study on one grid.

    Args:
        study: With at least one stack, of whatever protocol.
        grid: Placed in the middle of what the study covers if it has no centre.
        normalize: Scale each series by itself (see `volspine.volume.normalize`); else raw values.
        sampling: How the voxels of a series become those of the grid.

    Raises:
        ConfigurationError: If there is no such sampling.
        GeometryError: If the grid has no centre and the study no stack.
        PixelError: If a series cannot be decoded.
    """
    on_grid = SAMPLINGS[check_sampling(sampling)]
    apart = {series.protocol for series in series_apart(study)}
    together = in_one_frame(study)
    for stack in graded_stacks(together):
        _ = stack.voxels  # Decoding may drop slices, and with them coverage.
    placed = (grid or Grid()).centered_on(together)
    layers = [
        _layer(
            [Candidate(series, *on_grid(series, placed)) for series in together.by_protocol(each)],
            each,
            placed.shape,
            normalize=normalize,
            has_more=each in apart,
        )
        for each in PROTOCOLS
    ]
    return SampledStudy(
        images=np.stack([image for image, _, _ in layers]),
        masks=np.stack([mask for _, mask, _ in layers]),
        grid=placed,
        choices=(layers[0][2], layers[1][2], layers[2][2]),
    )


def check_sampling(name: str) -> Sampling:
    """Return the name of a sampling if it is one.

    Raises:
        ConfigurationError: If it is not.
    """
    for known in SAMPLINGS:
        if name == known:
            return known
    raise ConfigurationError(
        f"there is no sampling {name[:20]!r}",
        remedy=f"choose one of {', '.join(SAMPLINGS)}",
        code="VS-CFG-230",
    )


def _layer(
    candidates: list[Candidate],
    protocol: Protocol,
    shape: tuple[int, int, int],
    *,
    normalize: bool,
    has_more: bool,
) -> tuple[VoxelArray, BoolArray, Choice]:
    """Return the image, the mask and the choice of one protocol."""
    order = ranked(candidates)
    image, mask = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.bool_)
    used: list[str] = []
    first_size = 0
    for candidate in order:
        new = candidate.inside & ~mask if used else candidate.inside
        gain = int(np.count_nonzero(new))
        if gain == 0 or (used and gain < MIN_GAIN * first_size):
            continue
        values = candidate.values
        if normalize:
            values = normalized(values, candidate.inside)
        if used:
            np.copyto(image, values, where=new)
            mask = mask | new  # What the first measured is asked for once more.
        else:
            image, mask, first_size = values, candidate.inside, gain
        used.append(candidate.series.name)
    return image, mask, Choice(protocol, tuple(used), _reason(used, order) + has_more * APART)


def _reason(used: list[str], order: list[Candidate]) -> str:
    if not order:
        return "the study has no such series"
    if not used:
        return "no such series reaches into the grid"
    if len(order) == 1:
        return "the only one"
    if len(used) == 1:
        return why_first(order)
    return f"{len(used)} of {len(order)} series fill the grid; the first {why_first(order)}"


def sample_series(series: Series, grid: Grid) -> tuple[VoxelArray, BoolArray]:
    """Return the stacks of a series merged on a grid with a centre, and where they measured.

    Returns:
        Raw values, float32, zero where not measured; and the mask; both (X, Y, Z).
    """
    reaching = [(stack, part) for stack in series.stacks if (part := _covered_part(stack, grid))]
    if len(reaching) == 1:
        return sample_stack(reaching[0][0], grid)
    total = np.zeros(grid.shape, dtype=np.float32)
    weight = np.zeros(grid.shape, dtype=np.float32)
    for stack, part in reaching:
        values, share = _sample_part(stack, grid, part)
        values *= share
        total[part] += values
        weight[part] += share
    mask = weight > 0
    np.divide(total, weight, out=total, where=mask)
    return total, mask


SAMPLINGS: Mapping[Sampling, Callable[[Series, Grid], tuple[VoxelArray, BoolArray]]] = (
    MappingProxyType({"resample": sample_series, "cloud": grid_of_series})
)


def sample_stack(stack: Stack, grid: Grid) -> tuple[VoxelArray, BoolArray]:
    """Return one stack on a grid with a centre, and where it measured; both (X, Y, Z)."""
    values, mask = np.zeros(grid.shape, dtype=np.float32), np.zeros(grid.shape, dtype=np.bool_)
    part = _covered_part(stack, grid)
    if part is None:
        return values, mask
    even = even_affine(stack)
    if even is None:
        values[part], share = _sample_uneven(stack, *_box(grid, part))
        mask[part] = share > 0
        values[~mask] = 0.0
    else:
        mask[part] = _sample_even(stack, even, grid, part, values[part])
    return values, mask


_Part = tuple[slice, slice, slice]


def _covered_part(stack: Stack, grid: Grid) -> _Part | None:
    """Return the box of grid voxels that a stack reaches into; None if there is none."""
    _ = stack.voxels  # Decoding may drop slices.
    corners = grid.index_from_mm(np.stack(coverage_mm([stack])))
    low = np.maximum(np.ceil(corners.min(axis=0) - 0.01).astype(int), 0)
    high = np.minimum(np.floor(corners.max(axis=0) + 0.01).astype(int), np.array(grid.shape) - 1)
    if np.any(high < low):
        return None
    i, j, k = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return i, j, k


def _box(grid: Grid, part: _Part) -> tuple[FloatArray, tuple[int, int, int]]:
    """Return the affine of a part of a grid, index to LPS millimetres, and its shape."""
    i, j, k = part
    affine = grid.affine_lps @ _shift([i.start, j.start, k.start])
    return affine, (i.stop - i.start, j.stop - j.start, k.stop - k.start)


def _sample_even(
    stack: Stack, even: FloatArray, grid: Grid, part: _Part, out: VoxelArray
) -> BoolArray:
    """Write the values of a stack of even slices into a part of a grid; return where they are."""
    mm_from_part, shape = _box(grid, part)
    index = np.asarray(np.linalg.solve(even, mm_from_part), dtype=np.float64)
    inside = reached(index, stack.shape, shape)
    resample_where(out, stack.voxels, index, inside)
    rim, places = rim_of(index, stack.shape, shape)
    if len(rim):
        out[tuple(rim.T)] = linear_at(stack.voxels, places)
    return inside


def _sample_part(stack: Stack, grid: Grid, part: _Part) -> tuple[VoxelArray, VoxelArray]:
    """Return values and their weights: 0 outside, 1 from one slice inside the stack's ends on."""
    mm_from_part, shape = _box(grid, part)
    even = even_affine(stack)
    if even is None:
        return _sample_uneven(stack, mm_from_part, shape)
    values = np.zeros(shape, dtype=np.float32)
    inside = _sample_even(stack, even, grid, part, values)
    index = np.asarray(np.linalg.solve(even, mm_from_part)[2], dtype=np.float64)
    weight = np.clip(measured(index, stack.shape[2], shape) - 0.5, _MIN_WEIGHT, 1.0)
    return values, (weight * inside).astype(np.float32)


def _sample_uneven(
    stack: Stack, mm_from_part: FloatArray, shape: tuple[int, int, int]
) -> tuple[VoxelArray, VoxelArray]:
    from scipy.ndimage import map_coordinates  # A quarter of a second that few stacks need.

    lattice = np.indices(shape).reshape(3, -1).T
    points = lattice @ mm_from_part[:3, :3].T + mm_from_part[:3, 3]
    index, inside = uneven_index(stack, points)
    values = np.zeros(len(points), dtype=np.float32)
    values[inside] = map_coordinates(stack.voxels, index[inside].T, order=1, mode="nearest")
    size = stack.shape[2]
    depth = (size - 1) / 2 - np.abs(index[:, 2] - (size - 1) / 2)
    weight = np.clip(depth, _MIN_WEIGHT, 1.0) * inside
    return values.reshape(shape), weight.reshape(shape).astype(np.float32)


def _shift(offset: list[int]) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix

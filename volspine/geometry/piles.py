"""Piles: from loose slices to the regular stacks that they were scanned as.

One DICOM series may hold several stacks: tilted ones, one for each disc, or parallel blocks with a
gap. Slices are told apart by three questions, each answered from position and orientation alone:

1. Do they have the same orientation?               `orientation_groups`
2. Do they lie behind one another, on one line?     `lines`
3. Are they evenly spaced, up to missing slices?    `runs`

Within a stack the step from slice to slice may be oblique to the slices (a sheared stack, as from a
tilted gantry); it is the same for all of them.

Shapes:
    N  slices of a series      K  slices of a stack
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from volspine.geometry.axes import positive_normal
from volspine.types import FloatArray

__all__ = ["Pile", "is_even", "lines", "measure", "orientation_groups", "runs"]

SAME_DIRECTION = 1e-3
"""Direction cosines that differ by less belong to one stack."""

SAME_LINE_MM = 1.0
"""In-plane scatter of the positions of one stack: jitter of the table, rounding in the file."""

_CELL_MM = 0.7 * SAME_LINE_MM
"""Two points of one square of this side are always nearer than `SAME_LINE_MM`."""

_NEAR_CELLS = [(x, y) for x in range(3) for y in range(-2, 3) if x > 0 or y > 0]
"""Steps to the squares that may hold a linked point; the other half sees the pair from there."""

SAME_PLACE_MM = 0.05
"""Slices closer than this show the same place."""

LARGEST_GAP = 3.25
"""A step of more than this many slice spacings (three or more missing) ends a stack."""

UNEVEN = 0.2
"""Steps off by more than this fraction of the spacing make a stack irregular."""

SHEARED = 0.02
"""A step this oblique to the slices (tangent of the angle to their normal) is called sheared."""


@dataclass(frozen=True)
class Pile:
    """How the slices of one stack lie.

    Attributes:
        spacing_mm: Distance between neighbouring slices along their normal.
        step_mm: Shape (3,); from a slice to the next, `spacing_mm` apart along the normal.
        missing: How many slices are missing inside.
        is_uneven: Whether the steps vary by more than a fifth of the spacing.
        jitter: Largest deviation of a position from even spacing, as a fraction of the spacing.
        shear: Tangent of the angle between step and normal.
    """

    spacing_mm: float
    step_mm: FloatArray
    missing: int
    is_uneven: bool
    jitter: float
    shear: float

    @property
    def is_sheared(self) -> bool:
        """Whether slices are shifted in their own plane from one to the next."""
        return self.shear > SHEARED


def orientation_groups(directions: Float[np.ndarray, "N 2 3"]) -> list[list[int]]:
    """Return indices of slices with the same row and column directions, a list a group.

    A slice joins the first group whose first member is near enough, so the order of the input
    decides ties; give it in an order that does not depend on file names.
    """
    groups: list[list[int]] = []
    first = np.empty_like(directions)  # Of each group, its first member.
    for index, direction in enumerate(directions):
        off = np.abs(first[: len(groups)] - direction).max(axis=(1, 2), initial=0.0)
        near = np.flatnonzero(off < SAME_DIRECTION)
        if len(near):
            groups[near[0]].append(index)
        else:
            first[len(groups)] = direction
            groups.append([index])
    return groups


def lines(
    origins_mm: Float[np.ndarray, "N 3"], directions: Float[np.ndarray, "2 3"]
) -> list[list[int]]:
    """Return indices of parallel slices that lie behind one another, ordered along the normal.

    Positions of one stack, seen along the normal, fall on one spot. In a sheared stack they wander
    evenly; the drift is then estimated from neighbours and taken out first.

    Args:
        origins_mm: Position of each slice's voxel (0, 0).
        directions: Row and column directions that all the slices share.
    """
    depth = origins_mm @ positive_normal(directions)
    order = np.argsort(depth, kind="stable")
    spots = (origins_mm @ directions.T)[order]  # N 2, where each is in its own plane
    plain = _clusters(spots)
    if len(plain) > 1 and min(map(len, plain)) == 1:
        straightened = _clusters(spots - _drift(spots, depth[order]))
        if len(straightened) < len(plain):
            plain = straightened
    return [[int(order[i]) for i in cluster] for cluster in plain]


def _drift(spots: FloatArray, depth: FloatArray) -> FloatArray:
    """Return the in-plane shift of each slice under the commonest shift a millimetre."""
    apart = np.diff(depth) > SAME_PLACE_MM
    if not apart.any():
        return np.zeros_like(spots)
    slopes = np.diff(spots, axis=0)[apart] / np.diff(depth)[apart, None]
    return np.asarray(np.median(slopes, axis=0) * (depth - depth[0])[:, None], dtype=np.float64)


def _clusters(spots: FloatArray) -> list[list[int]]:
    """Return connected groups of points, linked when nearer than `SAME_LINE_MM`.

    Work grows with the number of points, not its square: points in one cell of a fine grid are
    linked, and a cell is compared with the few near enough.
    """
    # Most slices share one spot: compare the few different ones.
    places, of_place = np.unique(np.round(spots, 2), axis=0, return_inverse=True)
    cells, of_cell = np.unique(np.floor(places / _CELL_MM), axis=0, return_inverse=True)
    group = _linked_cells(cells, [places[rows] for rows in _rows_of(of_cell.ravel())])
    found = _rows_of(group[of_cell.ravel()][of_place.ravel()])
    return sorted(rows.tolist() for rows in found)


def _rows_of(labels: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return where each label stands, a rising array a label, in order of label."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _linked_cells(cells: FloatArray, points: Sequence[FloatArray]) -> NDArray[np.intp]:
    """Return a group for each cell; cells that hold linked points share it."""
    numbers = {(x, y): number for number, (x, y) in enumerate(cells.tolist())}
    parent = list(range(len(cells)))
    for (x, y), number in numbers.items():
        for right, up in _NEAR_CELLS:
            other = numbers.get((x + right, y + up))
            if other is None or _root(parent, number) == _root(parent, other):
                continue
            if _is_linked(points[number], points[other]):
                parent[_root(parent, other)] = _root(parent, number)
    return np.array([_root(parent, number) for number in range(len(cells))], dtype=np.intp)


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]  # Halves the way for the next time.
        number = parent[number]
    return number


def _is_linked(some: FloatArray, others: FloatArray) -> bool:
    offs = (others - point for point in some)
    return any(bool(np.any(np.einsum("na,na->n", off, off) < SAME_LINE_MM**2)) for off in offs)


def runs(depth_mm: Float[np.ndarray, " K"]) -> list[list[int]]:
    """Return slices of one line, cut where more than two neighbours are missing.

    Args:
        depth_mm: Position of each slice along the normal, increasing.

    Example:
        >>> runs(np.array([0.0, 4, 8, 12, 60, 64, 68]))
        [[0, 1, 2, 3], [4, 5, 6]]
    """
    steps = np.diff(depth_mm)
    if not len(steps):
        return [list(range(len(depth_mm)))]
    cuts = np.flatnonzero(steps > LARGEST_GAP * _usual(steps)) + 1
    return [part.tolist() for part in np.split(np.arange(len(depth_mm)), cuts)]


def _usual(steps: FloatArray) -> float:
    """Return the lower median: with few slices, one gap must not pass for the spacing."""
    return float(np.sort(steps)[(len(steps) - 1) // 2])


def is_even(depth_mm: Float[np.ndarray, " K"]) -> bool:
    """Return whether steps are whole slice spacings, to a fifth; two slices at least.

    Example:
        >>> is_even(np.array([0.0, 4, 12, 16])), is_even(np.array([0.0, 4, 7, 11]))
        (True, False)
    """
    steps = np.diff(depth_mm)
    usual = _usual(steps)
    return bool(np.all(np.abs(steps - _whole(steps, usual) * usual) <= UNEVEN * usual))


def _whole(steps: FloatArray, usual: float) -> FloatArray:
    """Return how many slices each step travels, one at least."""
    return np.maximum(np.rint(steps / usual), 1.0)


def measure(origins_mm: Float[np.ndarray, "K 3"], directions: Float[np.ndarray, "2 3"]) -> Pile:
    """Return how the slices of one stack lie; two at least, ordered along their normal.

    Evenly spaced slices give the mean step, which spreads the rounding of the file over the stack;
    with missing slices the step is the usual one.
    """
    normal = positive_normal(directions)
    depth = origins_mm @ normal
    steps = np.diff(depth)
    usual = _usual(steps)
    counts = _whole(steps, usual)  # K-1
    is_uneven = not is_even(depth)
    if not is_uneven:
        usual = float(steps.sum() / counts.sum())
    index = np.concatenate([[0.0], np.cumsum(counts)])
    travel = (origins_mm[-1] - origins_mm[0]) / (depth[-1] - depth[0])
    return Pile(
        spacing_mm=usual,
        step_mm=travel * usual,
        missing=0 if is_uneven else int(counts.sum()) - len(steps),
        is_uneven=is_uneven,
        jitter=float(np.abs(depth - depth[0] - index * usual).max() / usual),
        shear=float(np.linalg.norm(travel - normal)),
    )

"""Example: one study as the tensors that a network sees, and its mirror image.

Points are voxel indices (i, j, k) of the grid, fractional, voxel centres. Index i grows to the
patient's right, so the mirror image reverses i, and every left target becomes a right one:

    volume'[:, i] = volume[:, I - 1 - i]
    grade'[t], point'[t] = grade[m(t)], mirror of point[m(t)],   m = MIRRORED_INDEX, or `partner`.

Shapes:
    I, J, K  voxels to the right, to the front and to the head      T  the 25 targets, or own ones
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from volspine.models.mirror import mirror_batch

__all__ = ["NUM_VIEWS", "Example", "mirrored", "within"]

NUM_VIEWS = 3
"""Image channels come first, then as many masks of what was measured."""


class Example(NamedTuple):
    """One study, ready for a network.

    Attributes:
        volume: Three normalised images in the order of `PROTOCOLS`, then their three masks.
        grades: -1 where missing.
        points: Voxel indices of each target; anything where `has_point` is False.
        has_point: Whether the target was marked and lies inside the grid.
        partner: Of own targets: which becomes which when the patient is mirrored.
    """

    volume: Float[Tensor, "6 I J K"]
    grades: Int[Tensor, " T"]
    points: Float[Tensor, "T 3"]
    has_point: Bool[Tensor, " T"]
    partner: Int[Tensor, " T"] | None = None


def mirrored(example: Example) -> Example:
    """Return the mirror image of a patient: volume, grades and points with their sides swapped."""
    given = example._asdict().items()
    batch = {name: tensor[None] for name, tensor in given if tensor is not None}
    return Example(**{name: tensor[0] for name, tensor in mirror_batch(batch).items()})


def within(points: Float[Tensor, "T 3"], shape: tuple[int, int, int]) -> Bool[Tensor, " T"]:
    """Return which points lie in a grid, half a voxel around the outermost centres included."""
    size = torch.tensor(shape, dtype=points.dtype)
    return ((points >= -0.5) & (points <= size - 0.5)).all(dim=1)

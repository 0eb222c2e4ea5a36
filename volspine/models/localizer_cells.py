"""Cells: where the cells of a localizer are, which lie around a point, and what is written there.

A cell spans one or two voxels along each axis, so cell c of an axis of stride s has its centre at
voxel index s c + (s - 1) / 2.

Shapes:
    B  series    P  points    M  cells around a point    N  all cells    i j k  cells
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Around", "around", "as_list", "cells_from_voxels", "read_at", "voxels_from_cells"]


class Around(NamedTuple):
    """The cells around some points.

    Attributes:
        place: Of each cell in the list of all cells; of some other cell where not `inside`.
        cells: Cell coordinates.
        inside: Whether there is such a cell.
    """

    place: Int[Tensor, "B P M"]
    cells: Float[Tensor, "B P M 3"]
    inside: Bool[Tensor, "B P M"]

    def distance_mm(
        self, points: Float[Tensor, "B P 3"], cell_mm: Sequence[float]
    ) -> Float[Tensor, "B P M 3"]:
        """Return the way from each cell's centre to its point, mm along i, j, k.

        Args:
            points: Cell coordinates.
            cell_mm: Size of a cell.
        """
        size = torch.tensor(tuple(cell_mm), device=points.device, dtype=points.dtype)
        return (points[:, :, None] - self.cells) * size


def around(
    points: Float[Tensor, "B P 3"],
    shape: Sequence[int],
    *,
    radius_mm: float,
    cell_mm: Sequence[float],
) -> Around:
    """Return all cells in the box of that half side around the cell of each point.

    Args:
        points: Cell coordinates; they may lie outside.
        shape: Cells along i, j, k.
        radius_mm: Half side of the box; it is rounded up to whole cells.
        cell_mm: Size of a cell.
    """
    reach = [math.ceil(radius_mm / step - 1e-6) for step in cell_mm]
    steps = list(itertools.product(*(range(-n, n + 1) for n in reach)))
    device = points.device
    cells = points.round()[:, :, None] + torch.tensor(steps, device=device, dtype=points.dtype)
    limits = torch.tensor(tuple(shape), device=device)
    inside = ((cells >= 0) & (cells < limits)).all(dim=-1)
    whole = torch.where(inside[..., None], cells, 0.0).long()
    _, columns, rows = shape
    place = (whole[..., 0] * columns + whole[..., 1]) * rows + whole[..., 2]
    return Around(place, cells, inside)


def as_list(maps: Float[Tensor, "B C i j k"]) -> Float[Tensor, "B N C"]:
    """Return the cells as one list; a view where channels are last in memory."""
    return maps.permute(0, 2, 3, 4, 1).reshape(maps.shape[0], -1, maps.shape[1])


def read_at(
    cells: Float[Tensor, "B N C"], place: Int[Tensor, "B P M"], channels: Int[Tensor, " P"]
) -> Float[Tensor, "B P M"]:
    """Return what stands at some cells, in one channel for each point."""
    batch = torch.arange(cells.shape[0], device=cells.device)[:, None, None]
    return cells[batch, place, channels[:, None]]


def cells_from_voxels(
    points: Float[Tensor, "B P 3"], stride: Sequence[int]
) -> Float[Tensor, "B P 3"]:
    """Return cell coordinates of (fractional) voxel indices."""
    steps = torch.tensor(tuple(stride), device=points.device, dtype=points.dtype)
    return (points - (steps - 1) / 2) / steps


def voxels_from_cells(
    points: Float[Tensor, "B P 3"], stride: Sequence[int]
) -> Float[Tensor, "B P 3"]:
    """Return (fractional) voxel indices of cell coordinates."""
    steps = torch.tensor(tuple(stride), device=points.device, dtype=points.dtype)
    return points * steps + (steps - 1) / 2

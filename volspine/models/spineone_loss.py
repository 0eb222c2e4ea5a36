"""Loss of a SpineOneGrader: heat by binary cross-entropy, offsets by mean absolute error.

    heat    BCE(h, y) over all cells and grades of a target, over the sum of y; y is a Gaussian of
            height 1 at the mark in the map of the true grade, and 0 in the maps of the others
    offset  |o - (mark - cell)| in cells, where the Gaussian is above a tenth, weighted by it

Both are means over the targets whose mark and grade (for offsets: whose mark) are known, and 0
where there are none. The terms of `GradingLoss` come on top: its term of grades is what makes the
pooled evidence calibrated.

Shapes:
    B  studies    T  targets    K  grades    S  conditions    i j k  cells
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from volspine.models.guidance import cell_strides, guidance_target, masked_mean
from volspine.models.losses import GradingLoss, check_weights
from volspine.models.parts import Graded
from volspine.models.spineone_maps import CONDITION_OF

__all__ = ["SpineOneLoss", "heat_loss", "mark_bumps", "offset_loss", "severity_targets"]

_NEAR = 0.1


class SpineOneLoss(GradingLoss):
    """The training loss of a grader that finds marks on a map for each grade.

    Args:
        heat: Weight of `heat_loss`; 0 leaves it out.
        offset: Weight of `offset_loss`; 0 leaves it out, as does a grader without offsets.
        **others: Of `GradingLoss`; its `sigma_voxels` is also the width of the Gaussians here.

    Raises:
        ConfigurationError: If a weight is negative.
    """

    def __init__(self, *, heat: float = 0.1, offset: float = 1.0, **others: Any) -> None:
        super().__init__(**others)
        check_weights(heat, offset)
        self.heat, self.offset = heat, offset

    def forward(
        self, graded: Graded, batch: Mapping[str, Any], mirrored: Graded | None = None
    ) -> dict[str, Tensor]:
        """Return `loss`, the weighted sum, and each part of it by name; see `GradingLoss`."""
        parts = super().forward(graded, batch, mirrored)
        if graded.extras is None or "points" not in batch:
            return parts
        known, shape = batch["has_point"], batch["volume"].shape[2:]
        points = torch.where(known[..., None], batch["points"], 0.0)
        heat, offset = graded.extras["heat"], graded.extras.get("offset")
        bumps = mark_bumps(points, shape, heat.shape[3:], sigma_voxels=self.sigma_voxels)
        if self.heat:
            parts["heat"] = heat_loss(heat, bumps, torch.where(known, batch["grades"], -1))
            parts["loss"] = parts["loss"] + self.heat * parts["heat"]
        if self.offset and offset is not None:
            cells = _in_cells(points, shape, heat.shape[3:])
            parts["offset"] = offset_loss(offset, bumps, cells, known)
            parts["loss"] = parts["loss"] + self.offset * parts["offset"]
        return parts


def mark_bumps(
    points: Float[Tensor, "B T 3"],
    shape: Sequence[int],
    cells: Sequence[int],
    *,
    sigma_voxels: Sequence[float],
) -> Float[Tensor, "B T i j k"]:
    """Return a Gaussian around each mark, 1 at the cell that is nearest to it.

    Args:
        points: Voxel indices of each target; anything finite where unknown.
        shape: Voxels of the volume along each axis.
        cells: Cells along each axis.
        sigma_voxels: Standard deviation along each axis; at least half a cell is used.
    """
    bumps = guidance_target(points, shape, cells, sigma_voxels=sigma_voxels)
    return bumps / bumps.amax(dim=(2, 3, 4), keepdim=True)


def severity_targets(
    bumps: Float[Tensor, "B T i j k"], grades: Int[Tensor, "B T"], num_grades: int
) -> Float[Tensor, "B T K i j k"]:
    """Return what the maps of each grade should be: the bump in the true one's, 0 in the others."""
    own = F.one_hot(grades.clamp_min(0), num_grades) * (grades >= 0)[..., None]
    return own[..., None, None, None] * bumps[:, :, None]


def heat_loss(
    heat: Float[Tensor, "B T K i j k"],
    bumps: Float[Tensor, "B T i j k"],
    grades: Int[Tensor, "B T"],
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of the heat for each unit of the Gaussians' mass.

    Args:
        heat: Logits.
        bumps: A Gaussian at each mark; see `mark_bumps`.
        grades: True grades; -1 where grade or mark is missing.
    """
    wanted = severity_targets(bumps, grades, heat.shape[2])
    each = F.binary_cross_entropy_with_logits(heat, wanted.to(heat.dtype), reduction="none")
    return masked_mean(each.sum(dim=(2, 3, 4, 5)) / bumps.sum(dim=(2, 3, 4)), (grades >= 0).float())


def offset_loss(
    offset: Float[Tensor, "B S 3 i j k"],
    bumps: Float[Tensor, "B T i j k"],
    marks: Float[Tensor, "B T 3"],
    known: Bool[Tensor, "B T"],
) -> Float[Tensor, ""]:
    """Return the mean absolute error of the offsets near known marks, in cells.

    Args:
        offset: Way to the mark from each cell, by condition.
        bumps: A Gaussian at each mark; see `mark_bumps`.
        marks: Cell coordinates of each target.
        known: Where a mark is known.
    """
    weight = bumps * (bumps > _NEAR) * known[..., None, None, None]
    error = torch.zeros_like(bumps)
    for axis, size in enumerate(bumps.shape[2:]):
        view = [1, 1, 1, 1, 1]
        view[axis + 2] = size
        centres = torch.arange(size, device=marks.device, dtype=marks.dtype).view(view)
        way = marks[..., axis, None, None, None] - centres
        error = error + (offset[:, CONDITION_OF, axis] - way).abs() / 3
    return masked_mean(error, weight)


def _in_cells(points: Tensor, shape: Sequence[int], cells: Sequence[int]) -> Tensor:
    steps = points.new_tensor(cell_strides(shape, cells))
    return (points - (steps - 1) / 2) / steps

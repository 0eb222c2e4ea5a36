"""SeverityMaps: from features of slices to a heat map for each target and grade, and offsets.

A slice says what it shows, not on which side of the patient it lies; the place of a cell in the
volume says that. Every cell is read twice by the same filters: with its own place u, and with the
place u' that it would have in the mirror image. Maps of left targets are those of the first
reading, maps of right targets those of the second, maps of the canal the mean of both. So the
maps of a mirrored study are the mirrored maps with sides exchanged, exactly.

    hidden = ReLU( 3x3 features + P place )
    heat[finding, level, grade] = where[finding, level] + worse[finding, grade]
                                  + own[finding, level, grade]

The sum lets rare grades be learned from all levels. An offset leads from the centre of a cell to
the mark near it, in cells, for every condition; along i it changes its sign in the mirror.

Shapes:
    B  studies    D  features    R  findings    L  levels    K  grades    T  targets
    S  conditions    i j k  cells: one along i for each slice
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.anatomy import LEVELS, TARGETS, Condition, Finding, Grade, Side
from volspine.models.convolutions import Conv2d
from volspine.models.pooling import position_code

__all__ = ["CONDITION_OF", "SeverityMaps", "TargetMaps", "decoded_points"]

CONDITION_OF = [list(Condition).index(target.condition) for target in TARGETS]
"""Condition of each target, by place in `Condition`."""

_CONDITIONS = tuple(Condition)
_FINDINGS = tuple(Finding)
_FREQUENCIES = 5
_RARE = -6.0  # Logit that heat starts from: nearly every cell is no mark.


class TargetMaps(NamedTuple):
    """What is said of every cell.

    Attributes:
        heat: Logit that the mark of a target is here and has this grade.
        offset: Way to the nearest mark of a condition, cells along i, j, k; None where not asked.
    """

    heat: Float[Tensor, "B T K i j k"]
    offset: Float[Tensor, "B S 3 i j k"] | None


class SeverityMaps(nn.Module):
    """Read the features of a study's cells.

    Args:
        num_features: Features D of a cell.
        offsets: Whether to say offsets.
    """

    def __init__(self, num_features: int, *, offsets: bool) -> None:
        super().__init__()
        findings, levels, grades = len(_FINDINGS), len(LEVELS), len(Grade)
        self.hidden = Conv2d(num_features, num_features, 3, padding=1)
        self.place = nn.Linear(6 * _FREQUENCIES, num_features, bias=False)
        self.where = Conv2d(num_features, findings * levels, 1)
        self.worse = Conv2d(num_features, findings * grades, 1)
        self.own = Conv2d(num_features, findings * levels * grades, 1)
        self.offset = Conv2d(num_features, findings * 3, 1) if offsets else None
        nn.init.constant_(self.where.bias, _RARE)  # type: ignore[arg-type]  # it has one
        for conv in (self.worse, self.own):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "Bi D j k"], slices: int) -> TargetMaps:
        """Return the maps of every target.

        Args:
            features: Of all slices, those of one study after one another, from left to right.
            slices: How many there are of each study.
        """
        shape = (slices, int(features.shape[2]), int(features.shape[3]))
        place = self.place(position_code(shape, _FREQUENCIES).to(features))
        code = place.view(*shape, -1).permute(0, 3, 1, 2)  # i D j k
        hidden = self.hidden(features).unflatten(0, (-1, slices))
        readings = [self._read(F.relu(hidden + c)) for c in (code, code.flip(0))]
        (left, left_way), (right, right_way) = readings
        heat = torch.stack([_of_side(left, right, s) for s in _CONDITIONS], dim=1)
        if left_way is None or right_way is None:
            return TargetMaps(heat.flatten(1, 2), None)
        turned = right_way * right_way.new_tensor([-1.0, 1.0, 1.0]).view(3, 1, 1, 1)
        offset = torch.stack([_of_side(left_way, turned, s) for s in _CONDITIONS], dim=1)
        return TargetMaps(heat.flatten(1, 2), offset)

    def _read(
        self, hidden: Float[Tensor, "B i D j k"]
    ) -> tuple[Float[Tensor, "B R L K i j k"], Float[Tensor, "B R 3 i j k"] | None]:
        """Return heat and offsets of one reading, for every finding on the left."""
        slices, flat = hidden.shape[1], hidden.flatten(0, 1)
        sizes = (len(_FINDINGS), len(LEVELS), len(Grade))
        where = self.where(flat).float().unflatten(1, (*sizes[:2], 1))
        worse = self.worse(flat).float().unflatten(1, (sizes[0], 1, sizes[2]))
        heat = where + worse + self.own(flat).float().unflatten(1, sizes)
        heat = heat.unflatten(0, (-1, slices)).movedim(1, 4)
        if self.offset is None:
            return heat, None
        way = self.offset(flat).float().unflatten(1, (sizes[0], 3))
        return heat, way.unflatten(0, (-1, slices)).movedim(1, 3)


def decoded_points(
    attention: Float[Tensor, "B T i j k"],
    offset: Float[Tensor, "B S 3 i j k"] | None,
    strides: Sequence[int],
) -> Float[Tensor, "B T 3"]:
    """Return where each target is: the centre of the cell of most attention, and its offset.

    Args:
        attention: Where each target is, over the cells.
        offset: Way to the mark from every cell, in cells; none if omitted.
        strides: Voxels of a cell along i, j, k; the centre of cell c is voxel s c + (s - 1) / 2.

    Returns:
        Fractional voxel indices.
    """
    place = attention.flatten(2).argmax(dim=-1)  # B T
    sizes = attention.shape[2:]
    cells = torch.stack(torch.unravel_index(place, sizes), dim=-1).to(attention.dtype)
    if offset is not None:
        ways = offset.flatten(3)[:, CONDITION_OF]  # B T 3 cells
        there = place[:, :, None, None].expand(-1, -1, 3, 1)
        cells = cells + ways.gather(-1, there)[..., 0].to(cells.dtype)
    steps = cells.new_tensor(tuple(strides))
    return cells * steps + (steps - 1) / 2


def _of_side(left: Tensor, right: Tensor, condition: Condition) -> Tensor:
    """Return the maps of a condition from both readings, (B, R, ...)."""
    finding = _FINDINGS.index(condition.finding)
    if condition.side is None:
        return (left[:, finding] + right[:, finding]) / 2
    return (left if condition.side is Side.LEFT else right)[:, finding]

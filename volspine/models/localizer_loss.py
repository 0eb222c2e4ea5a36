"""Loss of a localizer: where each visible point is, whether it is there, and how far from a cell.

    where     D(g || softmax(h)): divergence of the softmax over all cells from a Gaussian g of
              4 mm around the point; visible points only
    presence  binary, of log sum exp(h) - log N: the logits themselves say whether a point is there
    any       |y - p|^2 BCE(p, y) a cell, y the Gaussian of the nearest disc of the chain (quality
              focal loss: Li et al., "Generalized Focal Loss", 2020), over the number of discs;
              cells above the chain are not judged, as the discs there are not known
    offset    smooth L1 within 6 mm of each visible point, mm

Canal points weigh 1, lateral ones less, as they are more and follow from the canal.

Shapes:
    B  series    P  points    Q  kinds of points    N  all cells    i j k  cells
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.errors import ConfigurationError
from volspine.landmarks import CHAIN, POINTS
from volspine.models.guidance import masked_mean
from volspine.models.localizer import KIND_OF_POINT, STEM, Maps
from volspine.models.localizer_blocks import row_length
from volspine.models.localizer_cells import Around, around, as_list, cells_from_voxels, read_at

__all__ = ["LocalizerLoss", "log_mass"]

_REACH = 3.5  # Standard deviations of the Gaussian that are kept.
_NEAR_MM = 6.0
_ABOVE_MM = 12.0


class LocalizerLoss(nn.Module):
    """The training loss of a localizer.

    Args:
        sigma_mm: Of the Gaussian around each point.
        lateral: Weight of a lateral point beside that of a canal point, 1.
        presence: Weight of whether a point is in view.
        any_disc: Weight of the map of discs whatever their name.
        offset: Weight of the offsets, for one mm.
        cell_mm: Size of the localizer's cells.

    Raises:
        ConfigurationError: If a weight is negative or a size not positive.
    """

    def __init__(
        self,
        *,
        sigma_mm: float = 4.0,
        lateral: float = 0.35,
        presence: float = 0.3,
        any_disc: float = 0.5,
        offset: float = 0.2,
        cell_mm: Sequence[float] = (4.0, 4.0, 4.0),
    ) -> None:
        super().__init__()
        if min(lateral, presence, any_disc, offset) < 0 or min(sigma_mm, *cell_mm) <= 0:
            raise ConfigurationError(
                "a weight of the loss is negative or a size not positive",
                remedy="give weights of zero or more and sizes above zero",
                code="VS-CFG-102",
            )
        self.sigma_mm, self.cell_mm = float(sigma_mm), tuple(float(mm) for mm in cell_mm)
        self.weights = {"where": 1.0, "presence": presence, "any": any_disc, "offset": offset}
        sides = [lateral] * (len(POINTS) - len(CHAIN))
        self.register_buffer("points", torch.tensor([1.0] * len(CHAIN) + sides), persistent=False)
        self.register_buffer("kinds", torch.tensor(KIND_OF_POINT), persistent=False)

    points: Tensor
    kinds: Tensor

    def forward(
        self,
        maps: Maps,
        points_index: Float[Tensor, "B P 3"],
        visible: Bool[Tensor, "B P"],
    ) -> dict[str, Tensor]:
        """Return `loss`, the weighted sum, and each part of it by name.

        Args:
            maps: What the localizer said.
            points_index: Fractional voxel indices of the points, in view or not.
            visible: Which of them are in view.
        """
        cells = cells_from_voxels(points_index.float(), STEM)
        heat = as_list(maps.heat)
        mass = log_mass(heat[..., : len(POINTS)])
        weight = self.points * visible
        near = around(
            cells, maps.heat.shape[2:], radius_mm=_REACH * self.sigma_mm, cell_mm=self.cell_mm
        )
        told = self.points.expand_as(weight)
        gauss = self._gaussian(cells, near)
        presence = F.binary_cross_entropy_with_logits(
            mass - math.log(heat.shape[1]), visible.float(), reduction="none"
        )
        parts = {
            "where": masked_mean(self._where(heat, mass, gauss, near), weight),
            "presence": masked_mean(presence, told),
            "any": self._any(maps, cells, gauss * visible[..., None], near),
            "offset": masked_mean(self._offset(maps, cells), weight),
        }
        total = torch.stack([self.weights[name] * part for name, part in parts.items()]).sum()
        return {"loss": total, **parts}

    def _gaussian(self, cells: Tensor, near: Around) -> Float[Tensor, "B P M"]:
        """Return exp(-d^2 / 2 sigma^2) at the cells around each point; 0 outside."""
        way = near.distance_mm(cells, self.cell_mm) / self.sigma_mm
        return torch.exp(-0.5 * (way**2).sum(dim=-1)) * near.inside

    def _where(
        self, heat: Tensor, mass: Tensor, gauss: Tensor, near: Around
    ) -> Float[Tensor, "B P"]:
        share = gauss / gauss.sum(dim=-1, keepdim=True).clamp_min(1e-12)
        channels = torch.arange(len(POINTS), device=heat.device)
        logits = read_at(heat, near.place, channels).float() - mass[..., None]
        return (share * (share.clamp_min(1e-12).log() - logits)).sum(dim=-1)

    def _any(self, maps: Maps, cells: Tensor, gauss: Tensor, near: Around) -> Float[Tensor, ""]:
        logits = maps.heat[:, len(POINTS)].float()
        count = len(CHAIN)
        target = (
            torch.zeros_like(logits)
            .flatten(1)
            .scatter_reduce(
                1, near.place[:, :count].flatten(1), gauss[:, :count].flatten(1), "amax"
            )
        )
        target = target.view_as(logits)
        height = torch.arange(logits.shape[-1], device=logits.device)
        limit = cells[:, 0, 2] + _ABOVE_MM / self.cell_mm[2]
        judged = (height <= limit[:, None])[:, None, None]
        doubt = (target - logits.sigmoid()).square()
        each = doubt * F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        discs = (gauss[:, :count].amax(dim=-1) > 0).sum().clamp_min(1)
        return (each * judged).sum() / discs

    def _offset(self, maps: Maps, cells: Tensor) -> Float[Tensor, "B P"]:
        near = around(cells, maps.heat.shape[2:], radius_mm=_NEAR_MM, cell_mm=self.cell_mm)
        way = near.distance_mm(cells, self.cell_mm)
        counted = near.inside & ((way**2).sum(dim=-1) < _NEAR_MM**2)
        offsets = as_list(maps.offset.flatten(1, 2))
        told = torch.stack([read_at(offsets, near.place, 3 * self.kinds + a) for a in range(3)], -1)
        errors = F.smooth_l1_loss(told.float(), way, reduction="none")
        return (errors.sum(dim=-1) * counted).sum(dim=-1) / counted.sum(dim=-1).clamp_min(1)


def log_mass(cells: Float[Tensor, "B N C"]) -> Float[Tensor, "B C"]:
    """Return log sum exp over the cells, in float32; long rows are faster than columns."""
    size, count, channels = cells.shape
    row = row_length(count)
    highest = cells.detach().amax(dim=1).float()
    rows = cells.float().reshape(size, -1, row * channels)
    sums = (rows - highest.repeat(1, row)[:, None]).exp().sum(dim=1)
    return sums.view(size, row, channels).sum(dim=1).log() + highest

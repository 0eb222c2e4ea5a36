"""Patches -> a few numbers each that say what kind of picture they are, whatever it shows.

    brightness   mean
    contrast     log of the standard deviation
    asymmetry    (q90 + q10 - 2 q50) / (q90 - q10)
    grain        log of the mean distance of a pixel from the mean of its four neighbours
    edges        log of the mean step from a pixel to the next, over the contrast
    likeness     correlation of a slice with the next
    cover        share of the patch that was measured

Noise raises grain, blur lowers it and the edges, another contrast changes the first three, slices
out of order lower the likeness. They are the same for a patch and its mirror image.

Shapes:
    B studies    T  tokens of a view    D  slices    S  pixels along either edge
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from volspine.types import Float

__all__ = ["STATISTICS", "patch_statistics"]

STATISTICS = ("brightness", "contrast", "asymmetry", "grain", "edges", "likeness", "cover")
"""Names of the numbers."""

_LEAST_COVER = 0.5  # Of a slice that is looked at.
_TINY = 1e-3
_QUANTILES = (0.1, 0.5, 0.9)


def patch_statistics(
    images: Float[Tensor, "B T D S S"], covered: Float[Tensor, "B T D"]
) -> Float[Tensor, "B T 7"]:
    """Return the numbers of `STATISTICS` of each patch; NaN where no slice is half measured.

    Args:
        images: Of one view, as in `views.Patches`.
        covered: Likewise.
    """
    there = covered > _LEAST_COVER
    x = images.float()
    mean, contrast = x.mean(dim=(-2, -1)), x.flatten(-2).std(dim=-1) + _TINY
    low, middle, high = torch.quantile(
        x.flatten(-2), torch.tensor(_QUANTILES, dtype=x.dtype, device=x.device), dim=-1
    )
    inner = x[..., 1:-1, 1:-1]
    around = x[..., 2:, 1:-1] + x[..., :-2, 1:-1] + x[..., 1:-1, 2:] + x[..., 1:-1, :-2]
    grain = (inner - around / 4).abs().mean(dim=(-2, -1))
    steps = x.diff(dim=-1).abs().mean(dim=(-2, -1)) + x.diff(dim=-2).abs().mean(dim=(-2, -1))
    of_slices = torch.stack(
        [
            mean,
            contrast.log(),
            (high + low - 2 * middle) / (high - low + _TINY),
            (grain + _TINY).log(),
            (steps / contrast + _TINY).log(),
        ],
        dim=-1,
    )
    both = there[..., 1:] & there[..., :-1]
    return torch.cat(
        [
            _mean(of_slices, there),
            _mean(_likeness(x)[..., None], both),
            covered.float().mean(dim=-1, keepdim=True)
            + torch.where(there.any(dim=-1, keepdim=True), 0.0, torch.nan),
        ],
        dim=-1,
    )


def _likeness(x: Tensor) -> Tensor:
    """Return the correlation of each slice with the next, (B, T, D - 1)."""
    flat = F.normalize(x.flatten(-2) - x.mean(dim=(-2, -1))[..., None], dim=-1)
    return (flat[..., 1:, :] * flat[..., :-1, :]).sum(dim=-1)


def _mean(values: Tensor, there: Tensor) -> Tensor:
    """Return the mean over slices (..., D, C) that are there; NaN without any."""
    weight = there[..., None].to(values.dtype)
    return (values * weight).sum(dim=-2) / weight.sum(dim=-2)

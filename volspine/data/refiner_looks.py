"""Looks of the patches that a point refiner learns from: as if of any scanner and sequence.

A point refiner is to work on pictures that no phantom shows, so brightness is changed beyond what
any sequence does, in the way of SynthSeg (Billot 2023): with b the brightness over that of the
brightest hundredth,

    b' = f(b) 2^(slope . place) + noise     f one of: b^gamma, 1 - b^gamma, a random broken line

then slices and edges are taken away.

Shapes: N patches; D slices; S pixels along either edge.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["any_contrast", "with_gaps"]

_RANDOM, _INVERTED = 0.35, 0.1
"""Shares of the patches with a random broken line, and inverted."""

_KNOTS = 7
_GAMMA, _SLOPE, _NOISE = 0.4, 0.35, 0.12
"""Deviation of log gamma and of the slope in doublings from middle to edge; largest noise."""

_BLURRED, _SLICE_GONE, _EDGE_GONE = 0.3, 0.06, 0.1
_WIDEST_EDGE = 7
_TOP = 1.3
"""Brightness above which all is as bright."""


def any_contrast(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Return patches (N, D, S, S) with brightness of any kind; what was not measured stays 0.

    Args:
        patches: As `volume.patches.cut_patches` gives them.
        generator: Where chance comes from.
    """
    measured = patches != 0
    bright = torch.where(measured, patches + 1.0, 0.0).clamp(min=0.0)
    top = torch.quantile(bright.flatten(1)[:, ::7], 0.99, dim=1).clamp(min=1e-3)
    share = (bright / top[:, None, None, None]).clamp(max=_TOP) / _TOP
    drawn = torch.rand(len(patches), 1, 1, 1, generator=generator)
    gamma = (_GAMMA * torch.randn(len(patches), 1, 1, 1, generator=generator)).exp()
    curved = share.clamp(min=1e-4) ** gamma
    curved = torch.where(drawn > 1 - _INVERTED, 1.0 - curved, curved)
    knots = torch.rand(len(patches), _KNOTS, generator=generator)
    looked = torch.where(drawn < _RANDOM, _broken_line(share, knots), curved)
    return torch.where(measured, _scanned(looked, generator), 0.0)


def _broken_line(share: Tensor, knots: Tensor) -> Tensor:
    """Return values from 0 to 1 mapped by the line through knots at even distances."""
    place = share.flatten(1) * (knots.shape[1] - 1)
    first = place.floor().clamp(max=knots.shape[1] - 2).long()
    low, high = knots.gather(1, first), knots.gather(1, first + 1)
    return (low + (high - low) * (place - first)).view_as(share)


def _scanned(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return values blurred in some patches, shaded and noisy."""
    count, edge = len(values), values.shape[-1]
    is_blurred = torch.rand(count, 1, 1, 1, generator=generator) < _BLURRED
    values = torch.where(is_blurred, F.avg_pool2d(values, 3, stride=1, padding=1), values)
    slope = _SLOPE * torch.randn(count, 2, 1, 1, 1, generator=generator)
    line = torch.linspace(-1.0, 1.0, edge)
    values = values * torch.exp2(slope[:, 0] * line[:, None] + slope[:, 1] * line)
    amount = _NOISE * torch.rand(count, 1, 1, 1, generator=generator).square()
    return values + amount * torch.randn(values.shape, generator=generator)


def with_gaps(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Return patches (N, D, S, S) of which slices other than the middle one, and edges, are gone.

    Edges tell where in a crop a patch was cut, which is no knowledge of the body; so they are
    often put elsewhere.
    """
    count, slices, edge = len(patches), patches.shape[1], patches.shape[-1]
    gone = torch.rand(count, slices, generator=generator) < _SLICE_GONE
    gone[:, slices // 2] = False
    widths = torch.randint(1, _WIDEST_EDGE, (count, 4), generator=generator)
    widths = widths * (torch.rand(count, 4, generator=generator) < _EDGE_GONE)
    line = torch.arange(edge)
    rows, columns = (
        (line >= widths[:, [2 * n]]) & (line < edge - widths[:, [2 * n + 1]]) for n in (0, 1)
    )
    kept = (rows[:, :, None] & columns[:, None, :])[:, None] & ~gone[:, :, None, None]
    return patches * kept

"""Zoom: what a network said of a magnified or shrunk patient, laid back on the cells of the study.

A network sees people of one size best. Shown the same series on a grid whose voxels are z times as
large, it sees the patient 1 / z times as large; what it says of each cell belongs z times as far
from the middle of the grid, and its offsets are z times as long. Where the smaller grid of z < 1
ends, nothing was told.

Shapes:
    P  27 points    A, B, C  cells to the right, to the front and to the head
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from volspine.errors import ConfigurationError
from volspine.models.chain_fuse import Told
from volspine.volume.grid import Grid

__all__ = ["unzoomed", "zoomed_grid"]


def zoomed_grid(grid: Grid, zoom: float) -> Grid:
    """Return a grid of as many voxels about the same centre, each `zoom` times as large.

    Args:
        grid: Of the study.
        zoom: Above 0.

    Raises:
        ConfigurationError: If the zoom is not.
    """
    if not zoom > 0:
        raise ConfigurationError(
            f"a zoom of {zoom}", remedy="give a number above 0", code="VS-CFG-150"
        )
    a, b, c = grid.spacing_mm
    return replace(grid, spacing_mm=(zoom * a, zoom * b, zoom * c))


def unzoomed(told: Told, zoom: float) -> Told:
    """Return what was told of the cells of a zoomed grid, for the cells of the grid itself.

    Values between cells are interpolated linearly; a cell whose own place was not measured was not
    told of.

    Args:
        told: Of the cells of `zoomed_grid(grid, zoom)`.
        zoom: As given there.
    """
    if zoom == 1:
        return told
    shape = told.inside.shape
    points = _places(shape, zoom)
    channels = np.concatenate([told.logits, told.offset_mm.reshape(-1, *shape)])
    laid = _sample(torch.from_numpy(channels.astype(np.float32)), points, "border").numpy()
    inside = _sample(torch.from_numpy(told.inside[None].astype(np.float32)), points, "zeros")
    logits, offsets = np.split(laid, [len(told.logits)])
    return Told(
        logits=logits,
        offset_mm=(zoom * offsets).reshape(told.offset_mm.shape).astype(np.float32),
        inside=np.asarray(inside[0].numpy() > 0.5),
    )


def _places(shape: tuple[int, ...], zoom: float) -> Tensor:
    """Where the cells lie in the zoomed grid, -1 to 1 from outer edge to outer edge, (A B C 3)."""
    axes = [((2 * torch.arange(n) + 1) / n - 1) / zoom for n in shape]
    a, b, c = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([c, b, a], dim=-1)


def _sample(channels: Tensor, points: Tensor, padding: str) -> Tensor:
    return F.grid_sample(
        channels[None], points[None], mode="bilinear", padding_mode=padding, align_corners=False
    )[0]

"""Resampling of training volumes: images between voxels, masks to the nearest, on all threads.

Shapes:
    B  studies    C  channels, images first, then as many masks    I, J, K  voxels
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from volspine.data.example import NUM_VIEWS

__all__ = ["resampled"]

_SLABS = 8  # A single volume is worked on in parts, for PyTorch has one thread for each volume.


def resampled(
    volume: Float[Tensor, "B C I J K"], theta: Float[Tensor, "B 3 4"]
) -> Float[Tensor, "B C I J K"]:
    """Return volumes seen through an affine map, zero beyond what they hold.

    Args:
        volume: Images, interpolated linearly, then masks, of which the nearest voxel is taken.
        theta: From a place in the result to one in the volume, both -1 to 1 from edge to edge,
            along (k, j, i) as in `torch.nn.functional.affine_grid`.
    """
    places = _places(theta, (volume.shape[2], volume.shape[3], volume.shape[4]))
    result = torch.empty_like(volume)
    for channels, mode in ((slice(NUM_VIEWS), "bilinear"), (slice(NUM_VIEWS, None), "nearest")):
        _sample(volume[:, channels], places, mode=mode, into=result[:, channels])
    return result


def _places(theta: Tensor, shape: tuple[int, int, int]) -> Float[Tensor, "B I J K 3"]:
    """Return what `affine_grid` does, by one addition a voxel instead of a product of matrices."""
    i, j, k = (_centres(n, theta)[:, None] * theta[:, None, :, 2 - axis]
               for axis, n in enumerate(shape))  # fmt: skip
    plane = j[:, :, None] + (k + theta[:, None, :, 3])[:, None]
    return i[:, :, None, None] + plane[:, None]


def _centres(count: int, like: Tensor) -> Tensor:
    """Return where the voxels of an axis lie between its edges, -1 and 1."""
    return (2 * torch.arange(count, device=like.device, dtype=like.dtype) + 1) / count - 1


def _sample(volume: Tensor, places: Tensor, *, mode: str, into: Tensor) -> None:
    slabs = math.gcd(places.shape[1], _SLABS) if len(volume) == 1 else 1
    parts = places.view(-1, places.shape[1] // slabs, *places.shape[2:])
    same = volume.expand(len(parts), *volume.shape[1:])
    seen = F.grid_sample(same, parts, mode=mode, align_corners=False)
    whole = into.view(*into.shape[:2], slabs, -1, *into.shape[3:])
    whole.copy_(seen.view(-1, slabs, *seen.shape[1:]).transpose(1, 2))

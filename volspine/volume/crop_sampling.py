"""A crop's lattice in a stack -> its values, in two ways that agree to 1e-3 of the values' range.

    reference    SimpleITK's linear resampling, a slice at a time
    fast         torch's grid_sample, all slices at once, on any device

Both interpolate linearly within a slice (native slices) or between all eight neighbours (windows),
and repeat the outermost voxels up to half a voxel out. What lies further out is zero.

Shapes:
    D, H, W  slices, rows and columns of a crop      I, J, K  voxels of a stack
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import map_coordinates

from volspine.geometry.stack import Stack
from volspine.types import BoolArray, FloatArray, VoxelArray
from volspine.volume.cutting import Cut
from volspine.volume.image import resample
from volspine.volume.placement import even_affine, uneven_index

__all__ = ["sample_fast", "sample_reference"]


def sample_reference(cut: Cut, mask: BoolArray) -> VoxelArray:
    """Return the values of a crop, shape (D, H, W), by SimpleITK; zero outside the stack.

    Args:
        cut: The crop.
        mask: Its `measured()`.

    Raises:
        PixelError: If the stack cannot be decoded.
    """
    if cut.slices is None:
        return _resampled(cut) * mask
    image = np.zeros(cut.shape, dtype=np.float32)
    voxels = cut.place.stack.voxels
    lines = np.broadcast_to(cut.in_plane(), (len(cut.shown), 2, 3))
    for (d, k), line in zip(cut.shown, lines, strict=True):
        source = np.eye(4)
        source[:2] = np.insert(line, 2, 0.0, axis=1)
        image[d] = resample(voxels[:, :, k : k + 1], source, (*cut.shape[1:], 1))[:, :, 0]
    return image * mask


def _resampled(cut: Cut) -> VoxelArray:
    stack = cut.place.stack
    even = even_affine(stack)
    if even is not None:
        index = np.linalg.solve(even, cut.affine_lps)
        return resample(stack.voxels, np.asarray(index, dtype=np.float64), cut.shape)
    values = map_coordinates(stack.voxels, _uneven(stack, cut).T, order=1, mode="nearest")
    return np.asarray(values, dtype=np.float32).reshape(cut.shape)


def _uneven(stack: Stack, cut: Cut) -> FloatArray:
    """Return the index in an uneven stack of every point of a crop, shape (D H W, 3)."""
    lattice = np.indices(cut.shape).reshape(3, -1).T
    points = lattice @ cut.affine_lps[:3, :3].T + cut.affine_lps[:3, 3]
    return uneven_index(stack, points)[0]


def sample_fast(
    cut: Cut, mask: BoolArray, voxels: Float[torch.Tensor, "K J I"]
) -> Float[torch.Tensor, "D H W"]:
    """Return the values of a crop on the device of the stack's voxels; zero outside the stack.

    Args:
        cut: The crop.
        mask: Its `measured()`.
        voxels: Of its stack, slices first.
    """
    if cut.slices is None:
        image = _sampled(voxels[None, None], _lattice(cut, voxels)[None])[0, 0]
    elif cut.shown:
        image = torch.zeros(cut.shape, device=voxels.device)
        image[[d for d, _ in cut.shown]] = _in_slices(cut, voxels)
    else:
        image = torch.zeros(cut.shape, device=voxels.device)
    return image * torch.from_numpy(mask).to(voxels.device)


def _in_slices(cut: Cut, voxels: torch.Tensor) -> torch.Tensor:
    """Return the slices shown, (shown, H, W): as channels where they share one lattice."""
    index = _index_in_plane(cut)
    low, high = _box(index, cut.place.stack.shape[:2])
    part = voxels[:, low[1] : high[1], low[0] : high[0]][[k for _, k in cut.shown]]
    sizes = (high[0] - low[0], high[1] - low[1])
    lattice = _scaled(index - torch.tensor(low, dtype=torch.float64), sizes, voxels)
    if len(lattice) == 1:
        return _sampled(part[None], lattice)[0]
    return _sampled(part[:, None], lattice)[:, 0]


def _box(index: torch.Tensor, sizes: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return the first pixel and the one behind the last that a lattice needs, of each axis."""
    flat = index.reshape(-1, 2)
    lowest, highest = flat.amin(dim=0).floor().tolist(), flat.amax(dim=0).ceil().tolist()
    low = [min(max(int(n) - 1, 0), size - 1) for n, size in zip(lowest, sizes, strict=True)]
    high = [max(min(int(n) + 2, size), 1) for n, size in zip(highest, sizes, strict=True)]
    return low, [max(end, start + 1) for start, end in zip(low, high, strict=True)]


def _sampled(values: torch.Tensor, lattice: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.grid_sample(
        values, lattice, padding_mode="border", align_corners=True
    )


def _scaled(index: torch.Tensor, sizes: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Return indices as `grid_sample` counts them, from -1 at the first voxel to 1 at the last."""
    last = torch.tensor([max(size - 1, 1) for size in sizes], dtype=torch.float64)
    return (2.0 * index / last - 1.0).to(device=like.device, dtype=like.dtype)


def _index_in_plane(cut: Cut) -> torch.Tensor:
    """Return column and row for every pixel of the slices shown, (shown or 1, H, W, 2)."""
    line = torch.from_numpy(cut.in_plane())[:, None, None]  # shown or 1, 1, 1, 2, 3
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in cut.shape[1:])
    return line[..., 0] * rows[:, None, None] + line[..., 1] * columns[:, None] + line[..., 2]


def _lattice(cut: Cut, like: torch.Tensor) -> torch.Tensor:
    """Return column, row and slice for every voxel of a window, shape (D, H, W, 3)."""
    stack = cut.place.stack
    even = even_affine(stack)
    if even is None:
        index = torch.from_numpy(_uneven(stack, cut)).reshape(*cut.shape, 3)
        return _scaled(index, stack.shape, like)
    map_ = torch.from_numpy(np.linalg.solve(even, cut.affine_lps)[:3])
    axes = [torch.arange(n, dtype=torch.float64) for n in cut.shape]
    lattice = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return _scaled(lattice @ map_[:, :3].T + map_[:, 3], stack.shape, like)

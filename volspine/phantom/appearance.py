"""Appearance: from a tissue map to one series as a scanner would deliver it, on a localizer's grid.

    tissues -> signals -> sub-slices of the series -> slices -> coil, noise -> `MAP_GRID`

Everything that may differ between scanners and patients is drawn anew for every sample, further
than it differs in truth: a network that has seen all of it takes a real scan for one more draw
(Billot 2023, SynthSeg). Draws follow from a generator alone.

Shapes: (I, J, K) = (24, 96, 128) voxels of the grid; N slices.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from volspine.landmarks import MIRRORED_POINT
from volspine.phantom.appearance_contrast import draw_contrast
from volspine.phantom.appearance_place import MAP_GRID, Placement, Slab, draw_placement
from volspine.phantom.appearance_scan import Scanner, draw_scanner, scan
from volspine.phantom.tissue_map import TissueMap
from volspine.phantom.tissues import Tissue
from volspine.types import FloatArray

__all__ = ["Look", "Sample", "draw_look", "sample_generator", "sample_map", "show"]


class Look(NamedTuple):
    """How one person is seen once.

    Attributes:
        placed: Where the person lies and what is covered.
        contrast: (tissues,) signals.
        scanner: Coil, noise and the rest.
    """

    placed: Placement
    contrast: FloatArray
    scanner: Scanner


class Sample(NamedTuple):
    """One series on `MAP_GRID`; a batch of them collates.

    Attributes:
        image: (1, I, J, K) float32, not below 0; 0 where not measured.
        mask: (1, I, J, K) bool; what was measured.
        points_index: (27, 3) float32; fractional voxel indices in the order of `POINTS`, of a
            mirrored person those of its own left and right.
        visible: (27,) bool; which points lie in what was measured.
    """

    image: torch.Tensor
    mask: torch.Tensor
    points_index: torch.Tensor
    visible: torch.Tensor


def sample_generator(
    seed: int, epoch: int, index: int, *, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return the random stream of one sample of one epoch; the same at every call on a device."""
    state = np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)
    generator = torch.Generator(device=device)
    return generator.manual_seed(int(state[0] >> np.uint64(1)))


def sample_map(made: TissueMap, generator: torch.Generator) -> Sample:
    """Return one series of a person, whatever its look.

    Args:
        made: Whose map.
        generator: Where it lives, the sample is made: on the CPU or a CUDA device.
    """
    start = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    return show(made, draw_look(made, np.random.default_rng(int(start.item()))), generator)


def draw_look(made: TissueMap, rng: np.random.Generator) -> Look:
    """Draw how a person is seen."""
    placed = draw_placement(made, rng)
    return Look(placed, draw_contrast(rng), draw_scanner(rng, placed.column_mm))


def show(made: TissueMap, look: Look, generator: torch.Generator) -> Sample:
    """Return one series of a person as seen in one way.

    Args:
        made: Whose map.
        look: How it is seen.
        generator: Of noise and grain, on the device where the sample is made.
    """
    placed, device = look.placed, generator.device
    part = _part(placed)
    where = _ruler(1, device)[part[0]], _ruler(2, device)[part[1]]
    slices = _slices(made, placed, look.contrast, where)
    slices = scan(slices, look.scanner, where, generator)
    image, mask = _on_grid(slices, placed.slab, where, part)
    points = placed.to_grid(made.points_index)
    if placed.mirrored:
        points = points[list(MIRRORED_POINT)]
    index = torch.from_numpy(points).float().to(device)
    return Sample(image[None], mask[None], index, _visible(index, mask))


def _ruler(axis: int, device: torch.device) -> torch.Tensor:
    """Return the mm of the grid's voxels along an axis, from its middle."""
    count, spacing = MAP_GRID.shape[axis], MAP_GRID.spacing_mm[axis]
    return (torch.arange(count, device=device, dtype=torch.float32) - (count - 1) / 2) * spacing


def _part(placed: Placement) -> tuple[slice, slice]:
    """Return the columns and rows of the grid within the field of view."""
    found = []
    for axis, low, high in zip((1, 2), placed.low_mm, placed.high_mm, strict=True):
        count, spacing = MAP_GRID.shape[axis], MAP_GRID.spacing_mm[axis]
        first = int(np.clip(np.ceil(low / spacing + (count - 1) / 2), 0, count - 8))
        last = int(np.clip(np.floor(high / spacing + (count - 1) / 2), first + 7, count - 1))
        found.append(slice(first, last + 1))
    return found[0], found[1]


def _slices(
    made: TissueMap,
    placed: Placement,
    contrast: FloatArray,
    where: tuple[torch.Tensor, ...],
) -> torch.Tensor:
    """Return the noise-free slices, (N, J, K), averaged over their sub-slices."""
    device = where[0].device
    tissues = torch.from_numpy(made.tissues).to(device)
    table = torch.from_numpy(contrast).float().to(device)
    volume = table[tissues.int()]
    # Beyond the map its outermost nodes go on; behind the back there is nothing but air.
    volume[:, 0] = table[Tissue.AIR]
    places = placed.slab.places_mm
    x = torch.from_numpy(places.reshape(-1)).float().to(device)
    lattice = _lattice(made, placed, (x, *where))
    values = functional.grid_sample(
        volume[None, None], lattice[None], padding_mode="border", align_corners=True
    )[0, 0]
    return values.reshape(*places.shape, *values.shape[1:]).mean(dim=1)


def _lattice(made: TissueMap, placed: Placement, rulers: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return where sub-slices lie in the map, as `grid_sample` counts, (S, J, K, 3)."""
    sides = np.asarray(made.tissues.shape, dtype=np.float64) - 1
    # `grid_sample` names the last axis first.
    scale = (2.0 / sides)[::-1]
    matrix = placed.matrix[::-1] * scale[:, None]
    start = placed.start[::-1] * scale - 1.0
    device = rulers[0].device
    columns = torch.from_numpy(np.ascontiguousarray(matrix.T)).float().to(device)
    x, y, z = _broadcast(rulers)
    lattice = y[..., None] * columns[1] + z[..., None] * columns[2]
    lattice = lattice + torch.from_numpy(start.copy()).float().to(device)
    lattice = lattice + x[..., None] * columns[0]
    for wave in placed.waves:
        height = torch.ones((), device=device)
        for ruler, f, g in zip((x, y, z), wave.frequency, wave.phase, strict=True):
            height = height * torch.cos(ruler * float(f) + float(g))
        amplitude = torch.from_numpy(matrix @ wave.amplitude_mm).float().to(device)
        lattice.addcmul_(height[..., None], amplitude)
    return lattice


def _broadcast(rulers: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return rulers[0][:, None, None], rulers[1][None, :, None], rulers[2][None, None]


def _on_grid(
    slices: torch.Tensor, slab: Slab, where: tuple[torch.Tensor, ...], part: tuple[slice, slice]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Interpolate linearly between slices; nothing is known half a slice beyond the ends."""
    device = slices.device
    x, y, z = _broadcast((_ruler(0, device), *where))
    a, b = slab.shear
    place = (x + a * y + b * z - slab.first_mm) / slab.spacing_mm
    inside = (place >= -0.5) & (place <= slab.count - 0.5)
    lower = place.floor().clamp(0, slab.count - 2)
    share = (place - lower).clamp(0.0, 1.0)
    index = lower.long()
    below, above = slices.gather(0, index), slices.gather(0, index + 1)
    values = torch.lerp(below, above, share) * inside
    image = torch.zeros(MAP_GRID.shape, device=device)
    mask = torch.zeros(MAP_GRID.shape, dtype=torch.bool, device=device)
    image[:, part[0], part[1]] = values
    mask[:, part[0], part[1]] = inside
    return image, mask


def _visible(index: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return which points' nearest voxels were measured, (27,)."""
    sizes = torch.tensor(mask.shape, device=index.device)
    nearest = index.round().long()
    inside = ((nearest >= 0) & (nearest < sizes)).all(dim=1)
    i, j, k = nearest.clamp_min(0).minimum(sizes - 1).unbind(dim=1)
    return inside & mask[i, j, k]

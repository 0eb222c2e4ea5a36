"""Augmentation on a CPU budget: from one example to another of the same patient, differently seen.

What happens is drawn into a plain record first (`draw`), then applied (`apply`), so that a record
says everything and the same record gives the same result. All geometry is one affine map about
the middle of the grid, in millimetres,

    p' = scale * R(degrees) p + shift,        R = Rk Rj Ri,

applied to the voxels by a single interpolation and to the points by the map itself. A mirror
swaps sides in volume, grades and points together (`example.mirrored`). Needs no TorchIO; the
TorchIO pipeline with the same interface is in `torchio_transforms`.

Shapes:
    I, J, K  voxels to the right, to the front and to the head      T  the 25 targets
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from volspine.data.example import NUM_VIEWS, Example, mirrored, within
from volspine.data.resampling import resampled
from volspine.types import FloatArray
from volspine.volume.normalize import CEILING

__all__ = [
    "Augment",
    "LightAugment",
    "LightRecord",
    "Triple",
    "affine_matrix",
    "apply",
    "apply_affine",
    "draw_within",
    "triple",
    "without_views",
]

Triple = tuple[float, float, float]
"""One number for each axis (i, j, k) or for each view."""


@runtime_checkable
class Augment(Protocol):
    """Anything that turns an example into another, with all randomness from `rng`."""

    def __call__(self, example: Example, rng: np.random.Generator, spacing_mm: Triple) -> Example:
        """Return the augmented example; the input is left as it was."""
        ...


@dataclass(frozen=True, kw_only=True)
class LightRecord:
    """What one augmentation does.

    Attributes:
        mirror: Whether left and right are exchanged.
        degrees: Rotation about the axes i, j and k.
        scale: Above 1 makes the patient larger.
        shift_mm: Towards right, front and head.
        gamma: Exponent of each image.
        gain: Slope of brightness along each axis, for each image; +-1 doubles or halves it from
            one end of the grid to the other.
        noise: Standard deviation of added noise for each image, where 1 is the bright end.
        seed: Of the noise itself.
        dropped: Views that are taken away.
    """

    mirror: bool = False
    degrees: Triple = (0.0, 0.0, 0.0)
    scale: float = 1.0
    shift_mm: Triple = (0.0, 0.0, 0.0)
    gamma: Triple = (1.0, 1.0, 1.0)
    gain: tuple[Triple, Triple, Triple] = ((0.0,) * 3, (0.0,) * 3, (0.0,) * 3)
    noise: Triple = (0.0, 0.0, 0.0)
    seed: int = 0
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LightAugment:
    """Mirror, affine map, gamma, bias field, noise and view dropout in pure torch.

    Attributes:
        mirror: Probability.
        degrees: Largest rotation about each of the axes i, j and k.
        scale: Largest relative change of size.
        shift_mm: Largest shift along each axis.
        gamma: Largest change of the exponent's logarithm.
        bias: Largest slope of brightness, as in `LightRecord.gain`.
        noise: Largest standard deviation of the noise.
        drop_view: Probability that one of several views is taken away.
    """

    mirror: float = 0.5
    degrees: Triple = (5.0, 3.0, 3.0)
    scale: float = 0.08
    shift_mm: Triple = (4.0, 8.0, 8.0)
    gamma: float = 0.2
    bias: float = 0.3
    noise: float = 0.05
    drop_view: float = 0.0

    def draw(self, rng: np.random.Generator) -> LightRecord:
        """Return what to do, drawn uniformly within the limits."""
        return LightRecord(
            mirror=bool(rng.random() < self.mirror),
            degrees=draw_within(rng, self.degrees),
            scale=float(np.exp(rng.uniform(-1, 1) * np.log1p(self.scale))),
            shift_mm=draw_within(rng, self.shift_mm),
            gamma=triple(np.exp(rng.uniform(-self.gamma, self.gamma, 3))),
            gain=(
                draw_within(rng, (self.bias,) * 3),
                draw_within(rng, (self.bias,) * 3),
                draw_within(rng, (self.bias,) * 3),
            ),
            noise=triple(rng.uniform(0, self.noise, 3)),
            seed=int(rng.integers(2**31)),
            dropped=(int(rng.integers(NUM_VIEWS)),) if rng.random() < self.drop_view else (),
        )

    def __call__(self, example: Example, rng: np.random.Generator, spacing_mm: Triple) -> Example:
        """Return the augmented example."""
        return apply(example, self.draw(rng), spacing_mm)


def apply(example: Example, record: LightRecord, spacing_mm: Triple) -> Example:
    """Return what a record makes of an example.

    Args:
        example: Left as it was.
        record: What to do.
        spacing_mm: Of the grid.
    """
    seen = mirrored(example) if record.mirror else example
    if record.scale != 1.0 or any(record.degrees) or any(record.shift_mm):
        matrix = affine_matrix(record.degrees, record.scale)
        seen = apply_affine(seen, matrix, record.shift_mm, spacing_mm=spacing_mm)
    if seen is example:
        seen = example._replace(volume=example.volume.clone())
    images, masks = seen.volume[:NUM_VIEWS], seen.volume[NUM_VIEWS:]  # From here on in place.
    for view in _dropped(masks, record.dropped):
        masks[view] = 0
    _change_intensities(images, record)
    images *= masks
    return seen


def affine_matrix(degrees: Triple, scale: float = 1.0) -> FloatArray:
    """Return scale * Rk Rj Ri, shape (3, 3), for rotations about the grid's axes.

    Rotations are right-handed in (i, j, k): 90 degrees about i take j (front) to k (head).
    """
    total = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[a, a] = step[b, b] = np.cos(angle)
        step[b, a], step[a, b] = np.sin(angle), -np.sin(angle)
        total = step @ total
    return scale * total


def apply_affine(
    example: Example, matrix: FloatArray, shift_mm: Triple, *, spacing_mm: Triple
) -> Example:
    """Return the example moved by p' = matrix p + shift about the middle of the grid.

    Args:
        example: Left as it was.
        matrix: Shape (3, 3), in millimetres along (i, j, k).
        shift_mm: Towards right, front and head.
        spacing_mm: Of the grid.

    Returns:
        Images interpolated linearly, masks from the nearest voxel, images zero outside them,
        points moved with them; points that leave the grid are marked as absent.
    """
    shape = (example.volume.shape[1], example.volume.shape[2], example.volume.shape[3])
    theta = _sampling_matrix(matrix, shift_mm, spacing_mm, shape)
    volume = resampled(example.volume[None], torch.tensor(theta, dtype=torch.float32)[None])[0]
    volume[:NUM_VIEWS] *= volume[NUM_VIEWS:]
    spacing = torch.tensor(spacing_mm)
    middle = (torch.tensor(shape, dtype=torch.float32) - 1) / 2
    offsets_mm = (example.points - middle) * spacing
    moved_mm = offsets_mm @ torch.tensor(matrix.T, dtype=torch.float32) + torch.tensor(shift_mm)
    points = moved_mm / spacing + middle
    return example._replace(
        volume=volume,
        points=points,
        has_point=example.has_point & within(points, shape),
    )


def _sampling_matrix(
    matrix: FloatArray, shift_mm: Triple, spacing_mm: Triple, shape: tuple[int, int, int]
) -> FloatArray:
    """Output place -> input place, both -1 to 1 from edge to edge along (k, j, i)."""
    half_mm = np.asarray(shape) / 2 * np.asarray(spacing_mm)
    inverse = np.linalg.inv(matrix)
    linear = inverse * half_mm / half_mm[:, None]
    offset = -(inverse @ np.asarray(shift_mm)) / half_mm
    return np.concatenate([linear[::-1, ::-1], offset[::-1, None]], axis=1)


def _change_intensities(images: Float[Tensor, "3 I J K"], record: LightRecord) -> None:
    images.clamp_(min=0).pow_(torch.tensor(record.gamma)[:, None, None, None])
    for axis in range(3):
        slopes = torch.tensor([gain[axis] for gain in record.gain])
        ramp = torch.linspace(-0.5, 0.5, images.shape[axis + 1])
        field = torch.exp2(slopes[:, None] * ramp)  # 3 views x voxels along this axis
        images *= field.reshape([3, *(-1 if a == axis else 1 for a in range(3))])
    if any(record.noise):
        generator = torch.Generator().manual_seed(record.seed)
        noise = torch.randn(images.shape, generator=generator)
        images += noise.mul_(torch.tensor(record.noise)[:, None, None, None])
    images.clamp_(0.0, CEILING)


def without_views(images: Tensor, masks: Tensor, dropped: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return images and masks, each (3, I, J, K), without some views; never without all.

    Args:
        images: Of the three views.
        masks: What was measured.
        dropped: Which are taken away, unless nothing would be left.
    """
    gone = _dropped(masks, dropped)
    if not gone:
        return images, masks
    kept = torch.ones(NUM_VIEWS, 1, 1, 1)
    kept[list(gone)] = 0.0
    return images * kept, masks * kept


def _dropped(masks: Tensor, dropped: tuple[int, ...]) -> tuple[int, ...]:
    """Return which views to take away: none where the rest would show nothing."""
    rest = [view for view in range(NUM_VIEWS) if view not in dropped]
    return dropped if dropped and bool(masks[rest].any()) else ()


def draw_within(rng: np.random.Generator, limits: Triple) -> Triple:
    """Return three numbers drawn uniformly from -limit to limit."""
    return triple(rng.uniform(-1, 1, 3) * np.asarray(limits))


def triple(values: FloatArray) -> Triple:
    """Return an array of three numbers as plain floats."""
    return float(values[0]), float(values[1]), float(values[2])

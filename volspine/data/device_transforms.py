"""Augmentation where the batch is: many studies at once, on the CPU or on CUDA.

What happens to a study is drawn into numbers when it is fetched, from its own generator, as the
other pipelines draw it: it depends on seed, epoch and study, neither on workers nor on the device.
The numbers travel with the batch and are applied after it has been moved, to all studies together:

    places    v'(p) = v(M A^-1 (p - s)), one interpolation; A = scale R, s a shift, M the mirror
    targets   where M mirrors, left and right targets change grades and points
    points    p' = A M p + s, about the middle of the grid, in mm
    colours   gamma, contrast about the mean of what was measured, a bias field, noise
    views     a protocol is taken away, image and mask, but never the last

`DeviceAugment` without contrast is `transforms.LightAugment`, to rounding. Noise is drawn on the
device, so a run is repeated bit for bit on the same kind of device.

Shapes:
    B  studies    T  targets    I, J, K  voxels to the right, to the front and to the head
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from volspine.anatomy import MIRRORED_INDEX
from volspine.data.example import NUM_VIEWS, Example, within
from volspine.data.resampling import resampled
from volspine.data.transforms import LightAugment, Triple, affine_matrix
from volspine.errors import ConfigurationError
from volspine.models.mirror import mirror_points, mirror_targets
from volspine.types import FloatArray
from volspine.volume.normalize import CEILING

__all__ = ["DeviceAugment", "DeviceLook", "see", "stacked"]


class DeviceLook(NamedTuple):
    """How a study is seen once; with a leading axis of B for a batch.

    Attributes:
        mirror: () bool.
        matrix: (3, 3), A above, along (i, j, k) in mm.
        shift_mm: (3,) towards right, front and head.
        gamma: (3,) exponent of each image.
        contrast: (3,) factor of what differs from the mean.
        gain: (3, 3) slope of brightness along each axis (columns) of each image (rows).
        noise: (3,) standard deviation.
        kept: (3,) bool, False for a view that is taken away.
        seed: () int64, of the noise.
    """

    mirror: Tensor
    matrix: Tensor
    shift_mm: Tensor
    gamma: Tensor
    contrast: Tensor
    gain: Tensor
    noise: Tensor
    kept: Tensor
    seed: Tensor


@dataclass(frozen=True, kw_only=True)
class DeviceAugment(LightAugment):
    """Mirror, affine map, gamma, contrast, bias field, noise and view dropout, on the device.

    Attributes:
        contrast: Largest change of the contrast's logarithm; the others are of `LightAugment`.

    Raises:
        ConfigurationError: If a probability or an amount is impossible.
    """

    contrast: float = 0.2

    def __post_init__(self) -> None:
        chances = self.mirror, self.drop_view
        sizes = (
            *self.degrees, *self.shift_mm, self.scale, self.gamma, self.bias, self.noise,
            self.contrast,
        )  # fmt: skip
        if min(*chances, *sizes) < 0 or max(chances) > 1:
            raise ConfigurationError(
                "an augmentation with a probability outside 0 to 1, or a negative amount",
                remedy="use 0 for what is not wanted",
                code="VS-CFG-420",
            )

    def look(self, rng: np.random.Generator) -> DeviceLook:
        """Return how a study is seen once, drawn uniformly within the limits."""
        record = self.draw(rng)
        contrast = np.exp(rng.uniform(-self.contrast, self.contrast, NUM_VIEWS))
        kept = [view not in record.dropped for view in range(NUM_VIEWS)]
        return DeviceLook(
            mirror=torch.tensor(record.mirror),
            matrix=_numbers(affine_matrix(record.degrees, record.scale)),
            shift_mm=_numbers(record.shift_mm),
            gamma=_numbers(record.gamma),
            contrast=_numbers(contrast),
            gain=_numbers(record.gain),
            noise=_numbers(record.noise),
            kept=torch.tensor(kept),
            seed=torch.tensor(record.seed),
        )

    def __call__(self, example: Example, rng: np.random.Generator, spacing_mm: Triple) -> Example:
        """Return one augmented example, where it is."""
        given = {name: t[None] for name, t in example._asdict().items() if t is not None}
        seen = see(given, stacked([self.look(rng)]), spacing_mm)
        return Example(**{name: tensor[0] for name, tensor in seen.items()})


def stacked(looks: Sequence[DeviceLook]) -> DeviceLook:
    """Return the looks of a batch in one."""
    return DeviceLook(*(torch.stack(parts) for parts in zip(*looks, strict=True)))


def see(batch: dict[str, Any], look: DeviceLook, spacing_mm: Triple) -> dict[str, Any]:
    """Return a batch as it is seen this time; the input is left as it was.

    Args:
        batch: As `dataset.collate` makes it, on any device.
        look: Batched.
        spacing_mm: Of the grid.
    """
    volume: Tensor = batch["volume"]
    shape = (volume.shape[2], volume.shape[3], volume.shape[4])
    look = DeviceLook(*(part.to(volume.device) for part in look))
    moved = _moved(volume, look, spacing_mm)
    images, masks = moved[:, :NUM_VIEWS], moved[:, NUM_VIEWS:] > 0.5
    masks = masks & _kept(masks, look.kept)[..., None, None, None]
    seen = {**batch, "volume": torch.cat([_coloured(images * masks, masks, look), masks], dim=1)}
    for name in ("grades", "has_point", "points"):
        if name in batch:
            seen[name] = _swapped(batch, name, look.mirror)
    if "points" in batch:
        seen["points"] = _carried(seen["points"], look, shape, spacing_mm)
        flat = within(seen["points"].flatten(0, 1), shape)
        seen["has_point"] = seen["has_point"] & flat.view_as(seen["has_point"])
    return seen


def _moved(volume: Tensor, look: DeviceLook, spacing_mm: Triple) -> Tensor:
    """Return volumes after mirror and affine map, by one interpolation."""
    half_mm = torch.tensor(volume.shape[2:], dtype=torch.float64) / 2
    half_mm = (half_mm * torch.tensor(spacing_mm, dtype=torch.float64)).to(volume.device)
    inverse = torch.linalg.inv(look.matrix)
    back = torch.cat([inverse, -(inverse @ look.shift_mm[..., None])], dim=-1)
    back[:, 0] *= torch.where(look.mirror, -1.0, 1.0)[:, None]  # Along i, to the right.
    linear, offset = back[..., :3] * half_mm / half_mm[:, None], back[..., 3] / half_mm
    # From edge to edge is -1 to 1, along (k, j, i).
    theta = torch.cat([linear.flip(1, 2), offset.flip(1)[..., None]], dim=-1).to(volume.dtype)
    return resampled(volume, theta)


def _swapped(batch: dict[str, Any], name: str, mirror: Tensor) -> Tensor:
    """Return what is known of targets, with left and right exchanged where that is mirrored."""
    values: Tensor = batch[name]
    order = batch["partner"][0] if "partner" in batch else MIRRORED_INDEX
    if name == "points":
        other = mirror_points(values, batch["volume"].shape[2], order=order)
    else:
        other = mirror_targets(values, order=order)
    return torch.where(mirror.view(-1, *[1] * (values.ndim - 1)), other, values)


def _carried(points: Tensor, look: DeviceLook, shape: Sequence[int], spacing_mm: Triple) -> Tensor:
    """Return voxel indices, mirrored already, after the affine map."""
    spacing = points.new_tensor(spacing_mm)
    middle = (points.new_tensor(shape) - 1) / 2
    away_mm = (points - middle) * spacing
    moved_mm = away_mm @ look.matrix.mT.to(points) + look.shift_mm[:, None].to(points)
    return moved_mm / spacing + middle


def _kept(masks: Tensor, kept: Tensor) -> Tensor:
    """Return which views are kept, (B, 3): all where the rest would show nothing."""
    has_some = (masks.flatten(2).any(dim=-1) & kept).any(dim=-1, keepdim=True)
    return torch.where(has_some, kept, torch.ones_like(kept))


def _coloured(images: Tensor, masks: Tensor, look: DeviceLook) -> Tensor:
    """Return images (B, 3, I, J, K) with other brightness; what was not measured stays 0."""
    numbers = look._replace(**{n: getattr(look, n).to(images) for n in ("gamma", "contrast")})
    changed = images.clamp(min=0).pow(numbers.gamma[..., None, None, None])
    changed = _contrasted(changed, masks, numbers.contrast)
    for axis in range(3):
        ramp = torch.linspace(-0.5, 0.5, images.shape[axis + 2], device=images.device)
        field = torch.exp2(look.gain[..., axis, None].to(images) * ramp)
        view = [-1 if a == axis else 1 for a in range(3)]
        changed = changed * field.reshape([*field.shape[:2], *view])
    if look.noise.any():
        drawn = torch.empty_like(changed)
        for one, seed in zip(drawn, look.seed.tolist(), strict=True):
            one.normal_(generator=torch.Generator(drawn.device).manual_seed(seed))
        changed = changed + drawn * look.noise.to(images)[..., None, None, None]
    return changed.clamp(0.0, CEILING) * masks


def _contrasted(images: Tensor, masks: Tensor, contrast: Tensor) -> Tensor:
    count = masks.flatten(2).sum(dim=-1).clamp(min=1)
    mean = ((images * masks).flatten(2).sum(dim=-1) / count)[..., None, None, None]
    factor = contrast[..., None, None, None]
    # At a factor of 1 nothing is computed that rounding could change.
    return torch.where(factor == 1, images, mean + factor * (images - mean))


def _numbers(values: FloatArray | Sequence[Any]) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float64))

"""Colours: how bright patches are -> patches of another scanner, or with a protocol less.

    v' = gain v^gamma 2^(slope . place) + noise         v brightness in units of the crop's mean

Runs where the patches are, on the CPU or on CUDA. What was not measured stays 0.

Shapes: B studies; N = 40 tokens; T tokens of a view; D slices; S pixels along either edge.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from volspine.views import Patches
from volspine.volume.patches import tokens_of

__all__ = ["Colours", "coloured"]


class Colours(NamedTuple):
    """How brightness changes; each (N,), or (B, N) of a batch.

    Attributes:
        gain: Factor.
        gamma: Exponent.
        slope: (N, 2) logarithms to base 2 of the change from edge to edge, along rows and columns.
        noise: Standard deviation.
        kept: 1, or 0 for what is taken away.
        seed: () int64, of the noise.
    """

    gain: Tensor
    gamma: Tensor
    slope: Tensor
    noise: Tensor
    kept: Tensor
    seed: Tensor


def coloured(patches: Patches, colours: Colours) -> Patches:
    """Return patches with other colours; what was not measured stays 0.

    Args:
        patches: Of B studies; left as they were.
        colours: Batched. If nothing would be left of a study, nothing of it is taken away.
    """
    device = patches.images[0].device
    generator = torch.Generator(device).manual_seed(int(colours.seed.sum()) % 2**62)
    colours = Colours(*(part.to(device) for part in colours))
    colours = colours._replace(kept=_some_kept(patches, colours.kept))
    images, covered = [], []
    for number, (image, share) in enumerate(zip(*patches, strict=True)):
        tokens = [part[:, tokens_of(number)] for part in colours[:-1]]
        mine = Colours(*[*tokens, colours.seed])
        images.append(_coloured(image, mine, generator))
        covered.append(share * mine.kept[..., None])
    return Patches(tuple(images), tuple(covered))


def _some_kept(patches: Patches, kept: Tensor) -> Tensor:
    """Return what is kept, (B, N): everything where the rest would not show anything."""
    seen = torch.cat([share.sum(dim=-1) for share in patches.covered], dim=1)
    return torch.where((seen * kept).sum(dim=1, keepdim=True) > 0, kept, 1.0)


def _coloured(image: Tensor, colours: Colours, generator: torch.Generator) -> Tensor:
    """Return the patches (B, T, D, S, S) of one view."""
    measured = (image != 0) & (colours.kept > 0)[..., None, None, None]
    gain, gamma, noise = (
        part[..., None, None, None] for part in (colours.gain, colours.gamma, colours.noise)
    )
    line = torch.linspace(-0.5, 0.5, image.shape[-1], device=image.device)
    rows, columns = (torch.exp2(s[..., None] * line) for s in colours.slope.unbind(-1))
    field = gain * rows[..., None, :, None] * columns[..., None, None, :]
    value = (image + 1.0).clamp_(min=0.0).pow_(gamma).mul_(field).sub_(1.0)
    drawn = torch.empty_like(image).normal_(generator=generator)
    return torch.where(measured, value.addcmul_(drawn, noise), 0.0)

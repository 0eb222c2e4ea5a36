"""Mixup: a batch -> one in which every study lies over another, and who lies there.

    image'  = share image + (1 - share) other image            share ~ Beta(a, a), one a batch
    mask'   = mask or other mask
    loss'   = share loss(own targets) + (1 - share) loss(other's targets)

Grades are ordered, and a label between two of them is no grade: the losses of both targets are
mixed, never the labels. That is the same where a loss is linear in its target, and sound where it
is not. Marks go with their study: each loss looks where its own study was marked.
Share and partners follow from a seed, the step and the studies.

Reference: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.

Shapes: B studies; C channels: images, then as many masks.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from volspine.data.seeds import rng_for
from volspine.errors import ConfigurationError
from volspine.views import Patches

__all__ = ["Mix", "draw_mix", "mixed_losses", "mixed_patches", "mixed_volume", "partners_of"]

_INPUTS = ("volume", "patches")


class Mix(NamedTuple):
    """What lies over what.

    Attributes:
        share: Of a study itself, 0 to 1.
        order: Its partner for each study of the batch; never itself.
    """

    share: float
    order: list[int]


def draw_mix(alpha: float, names: list[str], *, seed: int, step: int) -> Mix:
    """Return how a batch is mixed.

    Args:
        alpha: Of the Beta distribution: small ones hardly mix, 1 mixes evenly.
        names: Studies of the batch.
        seed: Of the run.
        step: Of the run.

    Raises:
        ConfigurationError: If there is nothing to mix with.
    """
    if len(names) < 2:
        raise ConfigurationError(
            "mixup has nothing to mix a batch of one study with",
            remedy="use batches of at least two studies, or set model.craft.mixup to 0",
            code="VS-CFG-412",
        )
    rng = rng_for(seed, step, "\n".join(["mixup", *names]))
    share, turn = float(rng.beta(alpha, alpha)), int(rng.integers(1, len(names)))
    return Mix(share, [(n + turn) % len(names) for n in range(len(names))])


def mixed_volume(volume: Tensor, mix: Mix) -> Tensor:
    """Return volumes (B, C, I, J, K) with their partners over them."""
    images, masks = volume.chunk(2, dim=1)
    return torch.cat([_over(images, mix), torch.maximum(masks, masks[mix.order])], dim=1)


def mixed_patches(patches: Patches, mix: Mix) -> Patches:
    """Return patches with those of the partners' same targets over them."""
    return Patches(
        tuple(_over(image, mix) for image in patches.images),
        tuple(torch.maximum(share, share[mix.order]) for share in patches.covered),
    )


def partners_of(batch: dict[str, Any], mix: Mix) -> dict[str, Any]:
    """Return the batch with the partners' grades, marks and names, and its own pictures."""
    return {
        name: value if name in _INPUTS else _picked(value, mix.order)
        for name, value in batch.items()
    }


def mixed_losses(own: dict[str, Tensor], others: dict[str, Tensor], mix: Mix) -> dict[str, Tensor]:
    """Return the losses by own and by the partners' targets as one."""
    return {name: mix.share * own[name] + (1 - mix.share) * others[name] for name in own}


def _over(image: Tensor, mix: Mix) -> Tensor:
    return mix.share * image + (1 - mix.share) * image[mix.order]


def _picked(value: Any, order: list[int]) -> Any:
    return [value[n] for n in order] if isinstance(value, list) else value[order]

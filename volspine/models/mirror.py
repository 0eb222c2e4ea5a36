"""Mirror: a study and its reflection in the midline, with every side swapped along.

Reflection flips the first spatial axis (i grows to the patient's right), so what was left is then
right: targets change places as in `anatomy.MIRRORED_INDEX`, and a point at index i moves to
I - 1 - i. All of it belongs to one act; `mirror_batch` does it whole.

Shapes:
    B  studies    C  channels    I J K  voxels right-left, front-back, up-down    T  targets
"""

from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from volspine.anatomy import MIRRORED_INDEX

__all__ = ["mirror_batch", "mirror_points", "mirror_targets", "mirror_volume"]


def mirror_volume(volume: Shaped[Tensor, "*batch I J K"]) -> Shaped[Tensor, "*batch I J K"]:
    """Return the volume reflected in the midline: its first spatial axis reversed."""
    return volume.flip(-3)


def mirror_targets(values: Shaped[Tensor, "..."], dim: int = 1) -> Shaped[Tensor, "..."]:
    """Return values of the 25 targets after a reflection: left and right exchanged.

    Args:
        values: Anything with an axis of targets in the order of `anatomy.TARGETS`.
        dim: That axis.

    Example:
        >>> mirror_targets(torch.arange(25)[None])[0, 5:15].tolist()
        [10, 11, 12, 13, 14, 5, 6, 7, 8, 9]
    """
    return values.index_select(dim, torch.tensor(MIRRORED_INDEX, device=values.device))


def mirror_points(points: Float[Tensor, "B T 3"], size_i: int) -> Float[Tensor, "B T 3"]:
    """Return the points of the targets after a reflection of a grid of `size_i` voxels.

    Args:
        points: Voxel indices (i, j, k) of each target.
        size_i: Number of voxels along i.
    """
    swapped = mirror_targets(points)
    return torch.cat([size_i - 1 - swapped[..., :1], swapped[..., 1:]], dim=-1)


def mirror_batch(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch reflected as a whole: volume, grades, points and what is known of them.

    Args:
        batch: `volume`, and where there, `grades`, `points` and `has_point`; the rest is kept.
    """
    mirrored = {**batch, "volume": mirror_volume(batch["volume"])}
    for name in ("grades", "has_point"):
        if name in batch:
            mirrored[name] = mirror_targets(batch[name])
    if "points" in batch:
        mirrored["points"] = mirror_points(batch["points"], batch["volume"].shape[-3])
    return mirrored

"""Mirror: a study and its reflection in the midline, with every side swapped along.

Reflection flips the first spatial axis (i grows to the patient's right), so what was left is then
right: targets change places as in `anatomy.MIRRORED_INDEX`, and a point at index i moves to
I - 1 - i. All of it belongs to one act; `mirror_batch` does it whole.

Shapes:
    B  studies    C  channels    I J K  voxels right-left, front-back, up-down    T  targets
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding, Protocol, Side
from volspine.views import VIEWS, Patches, View

__all__ = [
    "mirror_batch",
    "mirror_patches",
    "mirror_points",
    "mirror_targets",
    "mirror_volume",
    "turn_right_sides",
]


def mirror_volume(volume: Shaped[Tensor, "*batch I J K"]) -> Shaped[Tensor, "*batch I J K"]:
    """Return the volume reflected in the midline: its first spatial axis reversed."""
    return volume.flip(-3)


def mirror_targets(
    values: Shaped[Tensor, "..."], dim: int = 1, *, order: Sequence[int] | Tensor = MIRRORED_INDEX
) -> Shaped[Tensor, "..."]:
    """Return values of the 25 targets after a reflection: left and right exchanged.

    Args:
        values: Anything with an axis of targets in the order of `anatomy.TARGETS`.
        dim: That axis.
        order: Of own targets: where each goes, `Vocabulary.mirrored_index`.

    Example:
        >>> mirror_targets(torch.arange(25)[None])[0, 5:15].tolist()
        [10, 11, 12, 13, 14, 5, 6, 7, 8, 9]
    """
    return values.index_select(dim, torch.as_tensor(order, device=values.device))


def mirror_points(
    points: Float[Tensor, "B T 3"],
    size_i: int,
    *,
    order: Sequence[int] | Tensor = MIRRORED_INDEX,
) -> Float[Tensor, "B T 3"]:
    """Return the points of the targets after a reflection of a grid of `size_i` voxels.

    Args:
        points: Voxel indices (i, j, k) of each target.
        size_i: Number of voxels along i.
        order: See `mirror_targets`.
    """
    swapped = mirror_targets(points, order=order)
    return torch.cat([size_i - 1 - swapped[..., :1], swapped[..., 1:]], dim=-1)


def mirror_batch(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch reflected as a whole: volume, grades, points and what is known of them.

    Args:
        batch: `volume`, and where there, `grades`, `points` and `has_point`; the rest is kept.
            A batch of own targets brings along where each goes, `partner` (B, T).
    """
    mirrored = {**batch, "volume": mirror_volume(batch["volume"])}
    order = batch["partner"][0] if "partner" in batch else MIRRORED_INDEX
    for name in ("grades", "has_point"):
        if name in batch:
            mirrored[name] = mirror_targets(batch[name], order=order)
    if "points" in batch:
        size_i = batch["volume"].shape[-3]
        mirrored["points"] = mirror_points(batch["points"], size_i, order=order)
    return mirrored


def mirror_patches(patches: Patches) -> Patches:
    """Return the patches of a study's mirror image.

    Left and right change places; since patches of right sides are mirrored already, that is all.
    Those of the canal are reflected.
    """
    return Patches(
        tuple(_mirrored(each, view) for each, view in zip(patches.images, VIEWS, strict=True)),
        tuple(_mirrored(each, view) for each, view in zip(patches.covered, VIEWS, strict=True)),
    )


def turn_right_sides(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return images or shares of slices with those of right sides as the scanner saw them.

    Args:
        parts: One entry a view, (B, T, D, ...); right sides mirrored, as in `Patches`. Given those
            that are not, it mirrors them.
    """
    turned = []
    for part, view in zip(parts, VIEWS, strict=True):
        right = [n for n, t in enumerate(view.targets) if TARGETS[t].side is Side.RIGHT]
        where = torch.tensor(right, dtype=torch.long, device=part.device)
        turned.append(part.index_copy(1, where, _reflected(part[:, right], view)))
    return tuple(turned)


def _mirrored(part: Tensor, view: View) -> Tensor:
    if view.finding is Finding.CANAL:
        return _reflected(part, view)
    first = view.targets[0]
    return part[:, [MIRRORED_INDEX[t] - first for t in view.targets]]


def _reflected(part: Tensor, view: View) -> Tensor:
    """Return patches, (B, T, D, S, S), or shares, (B, T, D), with left and right exchanged."""
    if view.protocol is not Protocol.AXIAL_T2:
        return part.flip(2)
    return part.flip(4) if part.ndim > 3 else part

"""Shown: did the study measure the place where a target was looked for?

A grader that looks somewhere says so: its attention is a map for each target that sums to one. With
a[cell] that map, and m[cell] whether a primary view of the target measured any voxel of the cell,

    share = sum over cells of  a[cell] * m[cell]

is the part of its look that fell on something. Where no axial slice runs through a level, the map
of its recesses still lies where they should be, and most of it on nothing; a grade would be a
guess. A map that is spread over the grid looks nowhere in particular and tells nothing: all is
taken as shown then.

Shapes:
    T  targets    i j k  feature cells    X Y Z  voxels    3  protocols, as in `PROTOCOLS`
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import adaptive_max_pool3d

from volspine.anatomy import PROTOCOLS, TARGETS, Target
from volspine.models.mirror import mirror_targets, mirror_volume

__all__ = [
    "MAX_SPREAD",
    "MIN_SHARE",
    "as_seen",
    "mean_look",
    "seen_share",
    "unseen_targets",
    "why_unseen",
]

MIN_SHARE = 0.6
"""Least part of a look that must have fallen on what was measured. On 40 phantoms covered targets
have 0.9 and more, with few exceptions, and others 0.55 at most, with few."""

MAX_SPREAD = 0.1
"""Most of the cells, in effect, that a look in a place may take: 1 / (N sum a^2)."""


def unseen_targets(
    attention: Float[Tensor, "T i j k"], masks: Bool[Tensor, "3 X Y Z"]
) -> tuple[bool, ...]:
    """Return for each target whether no primary view measured the place where it was looked for.

    Args:
        attention: Where each target was looked for, summing to one.
        masks: What each protocol measured; nothing where it may not be used.
    """
    spread = 1.0 / attention.flatten(1).square().sum(dim=1) / attention[0].numel()
    share = seen_share(attention, masks)
    return tuple(((spread <= MAX_SPREAD) & (share < MIN_SHARE)).tolist())


def seen_share(
    attention: Float[Tensor, "T i j k"], masks: Bool[Tensor, "3 X Y Z"]
) -> Float[Tensor, " T"]:
    """Return the part of each target's attention that fell on what its primary views measured.

    Args:
        attention: Where each target was looked for, summing to one.
        masks: What each protocol measured.
    """
    i, j, k = attention.shape[1:]
    cells = adaptive_max_pool3d(masks[None].float(), (i, j, k))[0]
    views = [[PROTOCOLS.index(view) for view in t.finding.primary_views] for t in TARGETS]
    measured = torch.stack([cells[view].amax(dim=0) for view in views])
    return (attention * measured.to(attention)).flatten(1).sum(dim=1)


def as_seen(
    parts: Sequence[Float[Tensor, "_ T i j k"] | None],
) -> Float[Tensor, "T i j k"] | None:
    """Return the mean attention of a study and its mirror image; None where there is none.

    Args:
        parts: The two in one batch, or in a batch each.
    """
    maps = [part.double().cpu() for part in parts if part is not None]
    if not maps:
        return None
    as_is, mirrored = torch.cat(maps)
    both: Tensor = (as_is + mirror_targets(mirror_volume(mirrored), dim=0)) / 2
    return both


def mean_look(looks: Sequence[Float[Tensor, "T _ _ _"] | None]) -> Tensor | None:
    """Return the mean over the members of an ensemble, if all look, in maps of one shape."""
    maps = [look for look in looks if look is not None]
    if len(maps) < len(looks) or len({look.shape for look in maps}) != 1:
        return None
    return torch.stack(maps).mean(dim=0)


def why_unseen(target: Target) -> str:
    """Return why a target is not graded of which nothing was measured.

    Example:
        >>> why_unseen(TARGETS[15])
        'no axial T2 slice covers L1/L2'
    """
    views = " or ".join(view.label for view in target.finding.primary_views)
    return f"no {views} slice covers {target.level.label}"

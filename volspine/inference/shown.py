"""Shown: did the study measure the place where a target was looked for?

A grader that looks somewhere says so: its attention is a map for each target that sums to one. With
a[cell] that map, and m[cell] whether a primary view of the target measured any voxel of the cell,

    share = sum over cells of  a[cell] * m[cell]

is the part of its look that fell on something. Where no axial slice runs through a level, the map
of its recesses still lies where they should be, and most of it on nothing; a grade would be a
guess. Where all images end before a level, its canal is looked for beside that of the next level
instead, nearer than two discs can lie; a level that is so near to the next one was not found. A map
that is spread over the grid looks nowhere in particular and tells nothing: all is taken as shown.

Shapes:
    T  targets    i j k  feature cells    X Y Z  voxels    3  protocols, as in `PROTOCOLS`
"""

from collections.abc import Container, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import adaptive_max_pool3d

from volspine.anatomy import LEVELS, PROTOCOLS, TARGETS, Finding, Protocol, Target
from volspine.models.mirror import mirror_targets, mirror_volume

__all__ = [
    "MAX_SPREAD",
    "MIN_SHARE",
    "MIN_STEP_MM",
    "Unseen",
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


MIN_STEP_MM = 20.0
"""Least distance of the canals of neighbouring levels. Those of 7 whole phantoms were looked for 25
mm apart or more, those of a level below the end of all images 8 to 14 mm from the next."""

Unseen = Literal["", "view", "place"]
"""Nothing is amiss; no primary view measured the place; the level was not found."""

_CANAL = [target.index for target in TARGETS if target.finding is Finding.CANAL]
_LAST = len(LEVELS) - 1


def unseen_targets(
    attention: Float[Tensor, "T i j k"],
    masks: Bool[Tensor, "3 X Y Z"],
    spacing_mm: tuple[float, float, float],
) -> tuple[Unseen, ...]:
    """Return for each target what is amiss with the place where it was looked for.

    Args:
        attention: Where each target was looked for, summing to one.
        masks: What each protocol measured; nothing where it may not be used.
        spacing_mm: Of their voxels.
    """
    spread = 1.0 / attention.flatten(1).square().sum(dim=1) / attention[0].numel()
    share = seen_share(attention, masks)
    outside = ((spread <= MAX_SPREAD) & (share < MIN_SHARE)).tolist()
    lost: set[int] = set()
    if bool((spread[_CANAL] <= MAX_SPREAD).all()):
        sizes = zip(masks.shape[1:], spacing_mm, strict=True)
        lost = _lost_levels(attention, [voxels * mm for voxels, mm in sizes])
    return tuple(
        "view" if is_outside else "place" if LEVELS.index(target.level) in lost else ""
        for target, is_outside in zip(TARGETS, outside, strict=True)
    )


def _lost_levels(attention: Tensor, extent_mm: Sequence[float]) -> set[int]:
    """Return the levels that were looked for beside the next one: the outer ones of each pair."""
    places = []
    for axis, extent in enumerate(extent_mm):
        others = [a + 1 for a in range(3) if a != axis]
        along = attention[_CANAL].sum(dim=others)
        centers = (torch.arange(along.shape[1]).to(along) + 0.5) * extent / along.shape[1]
        places.append(along @ centers)
    steps = torch.stack(places).diff(dim=1).norm(dim=0).tolist()
    near = [n for n, step in enumerate(steps) if step < MIN_STEP_MM]
    above = {level for n in near if n < _LAST - 1 for level in range(n + 1)}
    return above | ({_LAST} if _LAST - 1 in near else set())


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


def why_unseen(target: Target, kind: Unseen, unread: Container[Protocol] = ()) -> str:
    """Return why a target is not graded; empty where nothing is amiss.

    Args:
        target: What is not graded.
        kind: What is amiss.
        unread: Protocols that the grader does not look at, whatever they cover.

    Example:
        >>> why_unseen(TARGETS[15], "view")
        'no axial T2 slice covers L1/L2'
    """
    if kind == "place":
        return f"{target.level.label} was not found and may lie outside the images"
    views = " or ".join(v.label for v in target.finding.primary_views if v not in unread)
    return f"no {views} slice covers {target.level.label}" if kind else ""

"""Saliency: which cells of its patches a level-mode grader looked at.

*Attention*: the share of each cell in the vector that the network makes of a patch.

*Grad-CAM* (Selvaraju et al. 2017), in three dimensions: with A the feature maps of the patches of a
target, s its severity, and the sum over its views left to whoever adds them up,

    weight[f] = mean over cells of  d(sign * s) / d A[f, cell]
    heat[cell] = max(0, sum over f of  weight[f] * A[f, cell])

with sign +1 where the grade is moderate or severe and -1 where it is normal or mild: the heat is
what speaks for the grade that was given.

A study and its mirror image are looked at together, as they are graded together. Patches of a side
are the same in both, with the tokens of left and right exchanged; those of the canal are turned
back.

Shapes:
    T  targets of a view    F  features    d h w  cells    2  a study and its mirror image
"""

from collections.abc import Sequence
from typing import Any, Literal, runtime_checkable
from typing import Protocol as Interface

import torch
from jaxtyping import Float
from torch import Tensor

from volspine.anatomy import MIRRORED_INDEX, Finding, Protocol
from volspine.models.mirror import turn_right_sides
from volspine.views import VIEWS, Patches, View

__all__ = ["METHODS", "Method", "Seeing", "attention_maps", "gradcam_maps"]

Method = Literal["attention", "gradcam"]
METHODS: tuple[Method, ...] = ("attention", "gradcam")

Maps = tuple[Tensor | None, ...]


@runtime_checkable
class Seeing(Interface):
    """What a grader must do so that one can ask what it looked at; see `models.level_grader`."""

    def features(self, patches: Patches) -> Maps:
        """Return the feature map of every patch, (B, T, F, d, h, w) for each view."""
        ...

    def grade(self, maps: Maps, covered: tuple[Tensor, ...]) -> Any:
        """Return the grades that follow from feature maps."""
        ...

    def look(self, patches: Patches) -> Sequence[Tensor]:
        """Return the share of every cell of every patch, (B, T, d, h, w) for each view."""
        ...


def attention_maps(grader: Seeing, both: Patches) -> list[Tensor]:
    """Return for each view how much of each patch is read from each cell, (T, d, h, w).

    Args:
        grader: In evaluation mode.
        both: Patches of a study and of its mirror image.
    """
    looked = grader.look(both)
    return [_joined(seen.detach(), view) for seen, view in zip(looked, VIEWS, strict=True)]


def gradcam_maps(
    grader: Seeing, both: Patches, maps: Maps, *, target: int, sign: float = 1.0
) -> list[Tensor]:
    """Return for each view where what speaks for a target's grade lies, (T, d, h, w).

    Args:
        grader: In evaluation mode.
        both: Patches of a study and of its mirror image.
        maps: What `grader.features` says of them, without a gradient.
        target: Index in `TARGETS`.
        sign: 1 for what raises its severity, -1 for what lowers it.
    """
    leaves = tuple(m if m is None else m.detach().clone().requires_grad_() for m in maps)
    asked = [leaf for leaf in leaves if leaf is not None]
    with torch.enable_grad():
        severity = grader.grade(leaves, both.covered).severity
        score = sign * (severity[0, target] + severity[1, MIRRORED_INDEX[target]])
        grads = iter(torch.autograd.grad(score, asked, allow_unused=True))
    cams = tuple(
        torch.zeros(2, len(view.targets), 1, 1, 1) if leaf is None else _cam(leaf, next(grads))
        for leaf, view in zip(leaves, VIEWS, strict=True)
    )
    if not getattr(grader, "share_sides", True):
        cams = turn_right_sides(cams)  # It reads right sides as they are; patches are mirrored.
    return [_joined(cam, view) for cam, view in zip(cams, VIEWS, strict=True)]


def _cam(maps: Tensor, gradient: Tensor | None) -> Tensor:
    """Return heat (2, T, d, h, w) from maps (2, T, F, d, h, w); none if they were not asked."""
    if gradient is None:
        return torch.zeros_like(maps.detach()[:, :, 0])
    weight = gradient.mean(dim=(-3, -2, -1), keepdim=True)
    return (weight * maps.detach()).sum(dim=2).clamp(min=0.0)


def _joined(seen: Float[Tensor, "2 T d h w"], view: View) -> Float[Tensor, "T d h w"]:
    """Return the mean over a study and its mirror image, in the study's own patches."""
    as_is, mirrored = seen
    targets = list(view.targets)
    swapped = mirrored[[targets.index(MIRRORED_INDEX[t]) for t in targets]]
    if view.finding is Finding.CANAL:
        swapped = swapped.flip(-1 if view.protocol is Protocol.AXIAL_T2 else -3)
    both: Tensor = (as_is + swapped) / 2
    return both

"""Noting: a grader that keeps what its trunk saw, so that doubt costs no second look.

Shapes:
    B  studies    T  targets of a view    F  features of the trunk
"""

from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from volspine.inference.doubt import mean_features
from volspine.models.level_grader import Maps
from volspine.models.parts import Graded
from volspine.types import FloatArray
from volspine.views import Patches

__all__ = ["Noting"]


@runtime_checkable
class _InTwoSteps(Protocol):
    """A grader that sees and judges in two steps, as `LevelGrader` does."""

    def features(self, patches: Patches) -> Maps: ...

    def grade(self, maps: Maps, covered: tuple[Tensor, ...]) -> Graded: ...


class Noting(nn.Module):
    """Grades as the grader that is given.

    Args:
        grader: With `features` and `grade`.

    Attributes:
        noted: For each batch that was graded, the mean features of its patches, (B, T, F) a view.
    """

    def __init__(self, grader: nn.Module) -> None:
        super().__init__()
        self.grader = grader
        self.noted: list[tuple[Tensor, ...]] = []

    def forward(self, patches: Patches) -> Graded:
        """Return the grades."""
        grader = cast("_InTwoSteps", self.grader)
        maps = grader.features(patches)
        self.noted.append(mean_features(maps, patches.covered))
        return grader.grade(maps, patches.covered)

    def features(self) -> tuple[FloatArray, ...]:
        """Return the features of all that was noted, (B T, F) for each view."""
        views = zip(*self.noted, strict=True)
        return tuple(torch.cat(view).flatten(0, 1).double().cpu().numpy() for view in views)

"""Hearing: what a grader says of one batch after another -> what it said of all studies.

Shapes:
    B  studies of a batch    N  of all    T  the 25 targets    K  the 3 grades
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from volspine.models.attended import attended_points
from volspine.models.detect_loss import ASKED
from volspine.models.parts import Graded
from volspine.tasks.evaluation import Known, Places
from volspine.types import FloatArray, IntArray

__all__ = ["Hearing", "Said", "found_points"]


class Said(NamedTuple):
    """What was said of all studies, beside their labels.

    Attributes:
        probabilities: Shape (N, T, K).
        grades: Labels, shape (N, T); -1 where missing.
        keys: Names of the studies.
        places: Where targets were looked for, and are; None if one of the two is not known.
    """

    probabilities: FloatArray
    grades: IntArray
    keys: list[str]
    places: Places | None

    @property
    def known(self) -> Known:
        """What was said and the labels alone."""
        return Known(self.probabilities, self.grades)


@dataclass
class Hearing:
    """What was said of several batches, added up.

    Args:
        spacing_mm: Of the grid whose voxels points are given in; None where there is no grid.
    """

    spacing_mm: Sequence[float] | None = None
    _said: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    _keys: list[str] = field(default_factory=list)
    _places: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def add(self, probabilities: Tensor, graded: Graded, batch: dict[str, Any]) -> None:
        """Add a batch.

        Args:
            probabilities: Shape (B, T, K), as reported.
            graded: What the grader said of the study as it is.
            batch: As the data module makes it.
        """
        self._said.append((probabilities.double().cpu(), batch["grades"].cpu()))
        self._keys += batch["study_id"]
        found = found_points(graded, batch)
        if found is not None:
            told = batch["has_point"] & _asked(graded, like=batch["has_point"])
            true = batch["points"].masked_fill(~told[..., None], torch.nan)
            self._places.append((found.double().cpu(), true.double().cpu()))

    def said(self) -> Said:
        """Return all of it."""
        probabilities, grades = (torch.cat(each).numpy() for each in zip(*self._said, strict=True))
        return Said(probabilities, grades, list(self._keys), self._in_mm())

    def _in_mm(self) -> Places | None:
        if not self._places or self.spacing_mm is None:
            return None
        spacing = np.asarray(self.spacing_mm, dtype=np.float64)
        parts = zip(*self._places, strict=True)
        return Places(*(torch.cat(each).numpy() * spacing for each in parts))


def _asked(graded: Graded, *, like: Tensor) -> Tensor:
    """Return which targets the grader was to find, (B, T): all, unless it is of one condition."""
    asked = (graded.extras or {}).get(ASKED)
    return torch.ones_like(like) if asked is None else asked.to(like).expand_as(like)


def found_points(graded: Graded, batch: dict[str, Any]) -> Tensor | None:
    """Return where targets were found, as voxel indices (B, T, 3), or else where they were sought.

    None of a grader that says neither, or where there is no truth to compare with.
    """
    if "points" not in batch or "has_point" not in batch:
        return None
    if graded.points is not None:
        return graded.points
    if graded.attention is None:
        return None
    return attended_points(graded.attention, batch["volume"].shape[2:])

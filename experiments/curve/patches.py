"""Patches: from the crops of studies to what a small network sees of each target.

Every target is shown in the middle of its patches, as if a localizer had found it without an error,
and those of the right side are mirrored: a foramen or a recess looks like a left one, and its
network need not learn the other side. Pixels are divided by the mean of their crop.

Shapes: N studies; T targets of a finding, canonical order; D slices; S pixels along either edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from volspine.anatomy import LEVELS, PROTOCOLS, Condition, Finding, Protocol, Side

MARGIN = 3
"""Pixels around a patch, so that training can shift it."""


@dataclass(frozen=True)
class View:
    """A finding as one protocol shows it: slices, and pixels along either edge."""

    finding: Finding
    protocol: Protocol
    slices: int
    pixels: int


VIEWS = (
    View(Finding.CANAL, Protocol.SAGITTAL_T2, 5, 56),
    View(Finding.CANAL, Protocol.AXIAL_T2, 5, 48),
    View(Finding.FORAMEN, Protocol.SAGITTAL_T1, 3, 40),
    View(Finding.FORAMEN, Protocol.SAGITTAL_T2, 3, 40),
    View(Finding.RECESS, Protocol.AXIAL_T2, 5, 40),
)


@dataclass(frozen=True)
class Studies:
    """Studies as patches.

    Attributes:
        patches: One for each of `VIEWS`, (N, T, D, S + 2 margins, S + 2 margins), float16.
        labels: (N, 25) as read; -1 where missing.
        grades: (N, 25) of the measured geometry.
    """

    patches: tuple[Tensor, ...]
    labels: Tensor
    grades: Tensor

    def of(self, rows: Sequence[int] | slice) -> "Studies":
        """Return some of the studies."""
        return Studies(tuple(p[rows] for p in self.patches), self.labels[rows], self.grades[rows])


def load(paths: Sequence[Path]) -> Studies:
    """Cut the patches of studies from their files."""
    patches: list[list[Tensor]] = [[] for _ in VIEWS]
    labels, grades = [], []
    for path in paths:
        with np.load(path) as file:
            study = {name: file[name] for name in file.files}
        for found, view in zip(patches, VIEWS, strict=True):
            found.append(torch.from_numpy(cut(study, view)))
        labels.append(study["labels"].T.ravel())
        grades.append(study["grades"].T.ravel())
    read, true = (torch.from_numpy(np.array(rows)) for rows in (labels, grades))
    return Studies(tuple(torch.stack(found) for found in patches), read, true)


def cut(study: dict[str, np.ndarray], view: View) -> np.ndarray:
    """Return the patches of one study in one view, (T, D, S + 2 margins, S + 2 margins)."""
    conditions = [c for c in Condition if c.finding is view.finding]
    return np.stack(
        [
            one(study, view, level, condition)
            for condition in conditions
            for level in range(len(LEVELS))
        ]
    )


def one(study: dict[str, np.ndarray], view: View, level: int, condition: Condition) -> np.ndarray:
    """Return the patch of one target, the right side mirrored."""
    number = PROTOCOLS.index(view.protocol)
    axial = view.protocol is Protocol.AXIAL_T2
    crop = study["axial"][level] if axial else study["sagittal"][level, number]
    place = study["places"][level, number, list(Condition).index(condition)].copy()
    if condition.side is Side.RIGHT:
        axis = 2 if axial else 0  # The one that runs to the patient's left.
        crop = np.flip(crop, axis)
        place[axis] = crop.shape[axis] - 1 - place[axis]
    size = np.array([view.slices, *[view.pixels + 2 * MARGIN] * 2])
    return window(normalised(crop), np.rint(place).astype(int), size).astype(np.float16)


def normalised(crop: np.ndarray) -> np.ndarray:
    """Return a crop in units of the mean of what was measured, less one; 0 where nothing was."""
    image = crop.astype(np.float32)
    mean = image[image > 0].mean() if (image > 0).any() else 1.0
    return np.where(image > 0, np.minimum(image / mean, 5) - 1, 0)


def window(crop: np.ndarray, middle: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the part of a crop around one of its voxels; 0 outside of it."""
    low = middle - size // 2
    result = np.zeros(size, dtype=crop.dtype)
    inside = [(max(a, 0), min(a + n, m)) for a, n, m in zip(low, size, crop.shape, strict=True)]
    if all(a < b for a, b in inside):
        there = tuple(slice(a - o, b - o) for (a, b), o in zip(inside, low, strict=True))
        result[there] = crop[tuple(slice(a, b) for a, b in inside)]
    return result

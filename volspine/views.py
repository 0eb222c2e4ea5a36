"""Views: what a level-mode grader looks at, a patch for each target in each protocol that helps.

A *view* is a finding as one protocol shows it; a *token* is one target in one view. A study is cut
into *patches*, one a token: native slices of a crop, square in the plane, centred on the target's
landmark, a right side mirrored so that it looks like a left one.

Tokens are ordered by view, then as in `TARGETS`: view by view, condition by condition, level by
level.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from volspine.anatomy import TARGETS, Finding, Protocol

__all__ = ["CROPPED", "TOKENS", "TOKEN_TARGET", "TOKEN_VIEW", "VIEWS", "Patches", "StudyCrops",
           "View"]  # fmt: skip


@dataclass(frozen=True)
class View:
    """A finding as one protocol shows it.

    Attributes:
        finding: Of which targets.
        protocol: In which series.
        slices: Native slices of a patch, around the one nearest to the landmark.
        pixels: Along either edge.
        pixel_mm: Distance between their centres.
    """

    finding: Finding
    protocol: Protocol
    slices: int
    pixels: int
    pixel_mm: float

    @property
    def name(self) -> str:
        """As in `canal_sagittal_t2`."""
        return f"{self.finding.name.lower()}_{self.protocol.value}"

    @property
    def targets(self) -> tuple[int, ...]:
        """Indices in `TARGETS` of what is seen, in order."""
        return tuple(t.index for t in TARGETS if t.finding is self.finding)


VIEWS = (
    View(Finding.CANAL, Protocol.SAGITTAL_T2, 5, 56, 0.7),
    View(Finding.CANAL, Protocol.AXIAL_T2, 5, 48, 0.6),
    View(Finding.FORAMEN, Protocol.SAGITTAL_T1, 5, 40, 0.7),
    View(Finding.FORAMEN, Protocol.SAGITTAL_T2, 5, 40, 0.7),
    View(Finding.RECESS, Protocol.AXIAL_T2, 5, 40, 0.6),
)
"""Sizes are those that taught a small network on phantoms to near its ceiling: 39 mm around the
sagittal and 29 mm around the axial canal, 28 mm around a foramen, 24 mm around a recess."""

TOKENS = tuple((v, t) for v, view in enumerate(VIEWS) for t in view.targets)
"""(view, target) of each of the 40 tokens."""

TOKEN_VIEW = tuple(v for v, _ in TOKENS)
TOKEN_TARGET = tuple(t for _, t in TOKENS)

CROPPED = {"sagittal": (13, (80, 80), 0.7), "axial": (7, (80, 80), 0.6)}
"""Slices, pixels and pixel size of the crops around each level's canal that patches are cut from:
room for every target's patch and its jitter."""


class StudyCrops(NamedTuple):
    """The levels of one study in the graded protocols, around the canal; B studies where batched.

    From DICOM, from a store and straight from a phantom alike. Crops lie as those of
    `volume.crop.LevelCrop`: slices to the left (sagittal) or head (axial), rows down or back,
    columns back or to the left; patient's sides, never mirrored.

    Attributes:
        sagittal: (5, 2, D, H, W) float16, T1 and T2; stored values over the crop's mean measured
            value, at most 8; 0 where not measured.
        axial: (5, D, H, W) float16, likewise.
        sagittal_mask: (5, 2, D, H, W) bool, what was measured.
        axial_mask: (5, D, H, W) bool.
        affine_lps: (5, 3, 4, 4) float64, slice, row and column to LPS mm, by level and protocol in
            the order of `PROTOCOLS`.
        points_mm: (25, 3) float64, LPS, where each target was located; NaN where it was not.
    """

    sagittal: torch.Tensor
    axial: torch.Tensor
    sagittal_mask: torch.Tensor
    axial_mask: torch.Tensor
    affine_lps: torch.Tensor
    points_mm: torch.Tensor


class Patches(NamedTuple):
    """What a level-mode grader reads of B studies; one entry a view, in the order of `VIEWS`.

    Attributes:
        images: Each (B, T, D, S, S) float32: brightness in units of the crop's mean, less one; 0
            where not measured. Right sides are mirrored: slices of a sagittal patch then run to
            the right, columns of an axial one too.
        covered: Each (B, T, D) float32, the share of every slice of a patch that was measured; a
            patch of zeros is not there.
    """

    images: tuple[torch.Tensor, ...]
    covered: tuple[torch.Tensor, ...]

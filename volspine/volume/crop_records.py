"""Records of cropping: how levels are cropped, what a crop holds, and where it comes from.

Shapes:
    D, H, W  slices, rows and columns of a crop      5 targets of a level, in `Condition`'s order
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from volspine.anatomy import Finding
from volspine.errors import ConfigurationError
from volspine.geometry.window import AXIAL, SAGITTAL, CropShape

__all__ = ["AS_ACQUIRED", "CropHow", "CropSource", "LevelCrop"]


@dataclass(frozen=True)
class CropHow:
    """How levels are cropped.

    Attributes:
        shapes: Of sagittal and axial crops.
        aligned: Whether sagittal crops are turned within their plane so that the disc lies level.
        slice_mm: Distance of slices that are resampled along the disc; None keeps the native ones.
        center: What a crop with a side is centred on; without a side it is the canal.
        sampler: `fast` or `reference`.
        device: Where `fast` puts the tensors.
    """

    shapes: tuple[CropShape, CropShape] = (SAGITTAL, AXIAL)
    aligned: bool = False
    slice_mm: float | None = None
    center: Finding = Finding.CANAL
    sampler: Literal["fast", "reference"] = "fast"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.slice_mm is not None and not self.slice_mm > 0:
            raise ConfigurationError(
                f"a distance of slices of {self.slice_mm} mm",
                remedy="give a positive one, or None for the slices as acquired",
                code="VS-CFG-097",
            )


AS_ACQUIRED = CropHow()


@dataclass(frozen=True)
class CropSource:
    """Where a crop comes from.

    Attributes:
        series: Name of the series; empty where there is none.
        stack: Number of the stack in it; -1 where there is none.
        slices: The stack's slice in each slice of the crop, -1 where none; empty if resampled.
        gap_mm: From the middle to the nearest slice; NaN where there is no stack.
        tilt_deg: Between the slices and the frame of the level; NaN where there is no stack.
        is_covered: Whether the stack measured at the middle.
        reason: Why nothing is there; empty where something is.
    """

    series: str = ""
    stack: int = -1
    slices: tuple[int, ...] = ()
    gap_mm: float = float("nan")
    tilt_deg: float = float("nan")
    is_covered: bool = False
    reason: str = ""


class LevelCrop(NamedTuple):
    """A level seen in one protocol.

    Attributes:
        image: (D, H, W) float32, raw values; 0 where not measured. Slices run towards the
            patient's left (sagittal) or head (axial), rows downwards or backwards, columns
            backwards or towards the left; mirrored, to the right instead of the left.
        mask: (D, H, W) bool; what was measured.
        affine_lps: (4, 4) float64; slice, row and column to LPS millimetres.
        points_index: (5, 3) float32; the level's targets in slice, row and column; NaN where
            absent.
        source: Where it comes from.
    """

    image: torch.Tensor
    mask: torch.Tensor
    affine_lps: torch.Tensor
    points_index: torch.Tensor
    source: CropSource

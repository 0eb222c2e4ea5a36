"""Left and right of the landmarks, checked against the axial picture.

Two things are asked at each level:

    frame     is the left landmark of a pair further to the patient's left (LPS x) than the right?
    picture   do the two lie on either side of the line about which the axial slice is symmetric?

The line is looked for within 12 mm and 8 degrees of the canal: of all lines the one about which the
slice's mirror image is most like the slice (the largest correlation). A picture cannot tell left
from right, since people are symmetric; that is the headers' business. It can tell that a landmark
lies on the wrong side of the spine, or that a canal lies beside it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from volspine.anatomy import LEVELS, Condition, Finding, Level, Protocol
from volspine.dicom.study import Study
from volspine.geometry.window import SAGITTAL, CropShape
from volspine.landmarks import Landmarks
from volspine.types import FloatArray
from volspine.volume.crop import Cropper
from volspine.volume.crop_records import CropHow, LevelCrop

__all__ = ["LevelSides", "Symmetry", "check_sides", "symmetry_line"]

CANAL_MM = 6.0
"""How far the canal may lie from the line of symmetry."""

LEAST_LIKENESS = 0.5
"""Of a slice and its mirror image; where they are less alike nothing is concluded."""

_PIXEL_MM = 1.5
_REACH = (28.0, 28.0, 20.0)
"""What is compared: to the sides, to the front and to the back of the canal, mm."""
_SHIFTS = np.arange(-12.0, 12.1, 1.0)
_TURNS = np.deg2rad(np.arange(-8.0, 8.1, 2.0))
_SHAPE = CropShape(slices=1, pixels=(61, 61), pixel_mm=_PIXEL_MM)
_PAIRS = ((1, 2), (3, 4))
"""Left and right foramen, left and right recess: rows of a level, in `Condition`'s order."""


@dataclass(frozen=True)
class Symmetry:
    """The line about which an axial slice is symmetric.

    Attributes:
        aside_mm: How far to the left of the canal's landmark it passes.
        turn_rad: How far its rear end leans to the patient's right.
        likeness: Correlation of the slice with its mirror image about the line.
    """

    aside_mm: float
    turn_rad: float
    likeness: float


@dataclass(frozen=True)
class LevelSides:
    """What the sides of one level are found to be.

    Attributes:
        level: Which.
        verdict: Whether frame and picture agree with the landmarks; `not_seen` where there is
            nothing to ask.
        symmetry: Of the axial slice; None where there is none.
        beside_mm: (5,) distance of each target from the line, positive to the left; NaN if unknown.
        reason: What contradicts, or why nothing was seen; empty where all agrees.
    """

    level: Level
    verdict: Literal["agrees", "contradicts", "not_seen"]
    symmetry: Symmetry | None
    beside_mm: tuple[float, ...]
    reason: str = ""


def check_sides(landmarks: Landmarks, study: Study) -> tuple[LevelSides, ...]:
    """Return for each level whether left and right of its landmarks stand up to the axial picture.

    Args:
        landmarks: Of the study.
        study: The images, native.
    """
    cropper = Cropper(study, landmarks, how=CropHow(shapes=(SAGITTAL, _SHAPE)))
    return tuple(_check(landmarks, cropper, level) for level in LEVELS)


def _check(landmarks: Landmarks, cropper: Cropper, level: Level) -> LevelSides:
    points = landmarks.points_mm[LEVELS.index(level) :: len(LEVELS)]
    unknown = (float("nan"),) * len(Condition)
    crossed = [a for a, b in _PAIRS if points[a, 0] <= points[b, 0]]  # NaN is never crossed.
    if crossed:
        reason = f"the left {_name(crossed[0])} of {level.label} lies right of the right one"
        return LevelSides(level, "contradicts", None, unknown, reason)
    crop = cropper.crop(level, Protocol.AXIAL_T2)
    if not crop.source.is_covered:
        reason = crop.source.reason or f"no axial slice passes through the canal at {level.label}"
        return LevelSides(level, "not_seen", None, unknown, reason)
    found = symmetry_line(crop.image[0], crop.mask[0])
    if found.likeness < LEAST_LIKENESS:
        reason = f"the axial slice at {level.label} shows no symmetry"
        return LevelSides(level, "not_seen", found, unknown, reason)
    beside = _beside(crop, found)
    reason = _contradiction(level, beside)
    verdict: Literal["agrees", "contradicts"] = "contradicts" if reason else "agrees"
    return LevelSides(level, verdict, found, tuple(beside.tolist()), reason)


def _contradiction(level: Level, beside_mm: FloatArray) -> str:
    """Return what contradicts the picture; empty if nothing does."""
    if abs(beside_mm[0]) > CANAL_MM:
        way = "left" if beside_mm[0] > 0 else "right"
        return f"the canal of {level.label} lies {abs(beside_mm[0]):.0f} mm {way} of the middle"
    for left, right in _PAIRS:
        if beside_mm[left] <= 0 or beside_mm[right] >= 0:
            side = "left" if beside_mm[left] <= 0 else "right"
            return f"the {side} {_name(left)} of {level.label} lies on the other side of the middle"
    return ""


def _name(row: int) -> str:
    return "foramen" if tuple(Condition)[row].finding is Finding.FORAMEN else "recess"


def _beside(crop: LevelCrop, line: Symmetry) -> FloatArray:
    middle = (np.array(crop.image.shape[1:]) - 1) / 2
    back, left = ((crop.points_index[:, 1:].numpy() - middle) * _PIXEL_MM).T.astype(np.float64)
    across = (left - line.aside_mm) * np.cos(line.turn_rad) + back * np.sin(line.turn_rad)
    return np.asarray(across, dtype=np.float64)


def symmetry_line(image: torch.Tensor, mask: torch.Tensor) -> Symmetry:
    """Return the line about which a slice is most like its mirror image.

    Args:
        image: (H, W) with the canal in its middle, rows to the back, columns to the left, pixels of
            1.5 mm.
        mask: (H, W); what was measured.
    """
    sides, front, back = _REACH
    u = torch.arange(_PIXEL_MM / 2, sides, _PIXEL_MM)
    v = torch.arange(-front, back, _PIXEL_MM)
    shift, turn = (torch.from_numpy(a.ravel()).float() for a in np.meshgrid(_SHIFTS, _TURNS))
    weight = mask.float()
    smooth = torch.nn.functional.avg_pool2d(image.float()[None] * weight, 3, 1, 1)[0]
    both = torch.stack([smooth, weight]).expand(len(shift), -1, -1, -1)
    halves = [_looked_up(both, (sign * u, v), (shift, turn)) for sign in (1.0, -1.0)]
    seen = (halves[0][:, 1] > 0.99) & (halves[1][:, 1] > 0.99)
    likeness = _correlation(halves[0][:, 0], halves[1][:, 0], seen)
    best = int(likeness.argmax())
    return Symmetry(float(shift[best]), float(turn[best]), float(likeness[best]))


def _looked_up(
    image: torch.Tensor, at_mm: tuple[torch.Tensor, torch.Tensor],
    lines: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:  # fmt: skip
    """Return an image at distances (u, v) to the left of and along each line, (lines, 2, V, U)."""
    u, v = at_mm[0][None, None], at_mm[1][None, :, None]
    shift, cosine, sine = (n[:, None, None] for n in (lines[0], lines[1].cos(), lines[1].sin()))
    left, back = shift + u * cosine - v * sine, u * sine + v * cosine
    rows, columns = image.shape[-2:]
    lattice = torch.stack([left / (columns - 1), back / (rows - 1)], dim=-1) * (2 / _PIXEL_MM)
    return torch.nn.functional.grid_sample(image, lattice, align_corners=True)


def _correlation(one: torch.Tensor, other: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Return the correlation over what is seen of both, of each line; -1 where that is nothing."""
    weight = seen.float()
    size = weight.sum(dim=(1, 2)).clamp(min=1.0)
    parts = [(x - ((x * weight).sum(dim=(1, 2)) / size)[:, None, None]) * weight
             for x in (one, other)]  # fmt: skip
    spread = (parts[0].square().sum(dim=(1, 2)) * parts[1].square().sum(dim=(1, 2))).sqrt()
    found = (parts[0] * parts[1]).sum(dim=(1, 2)) / spread.clamp(min=1e-6)
    enough = size > 0.5 * weight[0].numel()
    return torch.where(enough & (spread > 1e-6), found, -torch.ones_like(found))

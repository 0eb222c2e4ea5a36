"""Crops: the levels of a synthetic study as small tensors, one a protocol, without DICOM.

A crop keeps the slices of its series and its own lattice of square pixels within them, centred on
the canal at the level's disc, or `offset_mm` beside it. Of several stacks the one with most slices
there is taken. Pixels are interpolated linearly from the stored ones, as from files.

Shapes: (D, H, W) slices, rows and columns of a crop; 5 targets of a level, in `Condition`'s order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from volspine.anatomy import LEVELS, PROTOCOLS, Condition, Level, Protocol
from volspine.errors import ConfigurationError, GeometryError
from volspine.phantom.cutout import AXIAL, SAGITTAL, CropShape, Cutout, cut_out
from volspine.phantom.scene import AS_FILED, Part, Scan, Scene
from volspine.phantom.spec import Spec
from volspine.types import FloatArray

__all__ = ["SUB_SLICES", "Crop", "LevelCrops", "fill_cutout", "level_crops", "render_cutouts",
           "study_crops"]  # fmt: skip


SUB_SLICES = 2
"""Painted across a slice of a series with noise, which hides what more of them would change."""


class Crop(NamedTuple):
    """A level seen in one series.

    Attributes:
        image: (D, H, W) float32, stored values; 0 where not measured. Slices run towards the
            patient's left (sagittal) or head (axial), rows downwards or backwards, columns
            backwards or towards the left.
        mask: (D, H, W) bool; what was measured.
        affine_lps: (4, 4) float64; slice, row and column to LPS millimetres.
        landmarks_index: (5, 3) float32; the level's targets in slice, row and column.
    """

    image: torch.Tensor
    mask: torch.Tensor
    affine_lps: torch.Tensor
    landmarks_index: torch.Tensor


class LevelCrops(NamedTuple):
    """A level in its three protocols; a batch of them collates.

    Attributes:
        level: Index in `LEVELS`, int64.
        sagittal_t1: Crop.
        sagittal_t2: Crop.
        axial_t2: Crop.
        landmarks_mm: (5, 3) float64, LPS.
        grades: (5,) int64, of the measured geometry.
        labels: (5,) int64, as read; -1 where missing.
    """

    level: torch.Tensor
    sagittal_t1: Crop
    sagittal_t2: Crop
    axial_t2: Crop
    landmarks_mm: torch.Tensor
    grades: torch.Tensor
    labels: torch.Tensor


def level_crops(
    spec: Spec,
    level: Level | str,
    *,
    offset_mm: Sequence[float] = (0.0, 0.0, 0.0),
    shapes: tuple[CropShape, CropShape] = (SAGITTAL, AXIAL),
    aligned: bool = False,
    scan: Scan = AS_FILED,
) -> LevelCrops:
    """Return one level of a study.

    Args:
        spec: Which study.
        level: Which level.
        offset_mm: LPS millimetres from the canal to the middle of the crops.
        shapes: Of sagittal and axial crops.
        aligned: Whether sagittal crops are turned within their plane so that the disc lies level.
        scan: Which draw of coil and noise, and how finely painted.

    Raises:
        ConfigurationError: If there is no such level.
        GeometryError: If the crop lies outside everything that was measured.
    """
    offsets = np.asarray(offset_mm, dtype=np.float64)[None]
    return _crops(spec, [_level(level)], offsets, (shapes, aligned, scan))[0]


def study_crops(
    spec: Spec,
    *,
    offsets_mm: FloatArray | None = None,
    shapes: tuple[CropShape, CropShape] = (SAGITTAL, AXIAL),
    aligned: bool = False,
    scan: Scan = AS_FILED,
) -> list[LevelCrops]:
    """Return all five levels of a study; quicker than one by one.

    Args:
        spec: Which study.
        offsets_mm: (5, 3) LPS millimetres from each canal to the middle of its crops.
        shapes: Of sagittal and axial crops.
        aligned: Whether sagittal crops are turned within their plane so that the disc lies level.
        scan: Which draw of coil and noise, and how finely painted.

    Raises:
        GeometryError: If a crop lies outside everything that was measured.
    """
    offsets = np.zeros((len(LEVELS), 3)) if offsets_mm is None else offsets_mm
    return _crops(spec, list(LEVELS), offsets, (shapes, aligned, scan))


def _level(level: Level | str) -> Level:
    try:
        return Level(level)
    except ValueError:
        names = ", ".join(LEVELS)
        raise ConfigurationError(
            f"{str(level)[:40]!r} is no level", remedy=f"choose one of {names}", code="VS-CFG-049"
        ) from None


def _crops(
    spec: Spec,
    levels: list[Level],
    offsets_mm: FloatArray,
    how: tuple[tuple[CropShape, CropShape], bool, Scan],
) -> list[LevelCrops]:
    shapes, aligned, scan = how
    scene = Scene(spec, scan, most=SUB_SLICES)
    cutouts = {
        (level, protocol): cut_out(scene, (level, protocol), offset, (shapes, aligned))
        for level, offset in zip(levels, offsets_mm, strict=True)
        for protocol in PROTOCOLS
    }
    for level in levels:
        _refuse_nothing(level, [cutouts[level, protocol] for protocol in PROTOCOLS])
    parts = render_cutouts(scene, cutouts)
    return [_level_crops(scene, level, cutouts, parts) for level in levels]


_Key = tuple[Level, Protocol]


def _targets(level: Level) -> list[int]:
    return [n * len(LEVELS) + LEVELS.index(level) for n in range(len(Condition))]


def _refuse_nothing(level: Level, cutouts: list[Cutout]) -> None:
    if not any(cutout.measured().any() for cutout in cutouts):
        raise GeometryError(
            f"no series reaches the crops of {level.label}",
            remedy="choose a smaller offset_mm",
            code="VS-GEO-033",
        )


def render_cutouts(scene: Scene, cutouts: dict[_Key, Cutout]) -> dict[_Key, Part]:
    """Render what the crops show; sagittal crops overlap and are rendered as one.

    Args:
        scene: The study.
        cutouts: By level and protocol; those that reach no slice get no part.
    """
    parts: dict[_Key, Part] = {}
    for jobs in _jobs(cutouts):
        boxes = [cutouts[key].box() for key in jobs]
        low = np.min([box[0] for box in boxes], axis=0)
        high = np.max([box[1] for box in boxes], axis=0)
        places = list(dict.fromkeys(cutouts[key].place for key in jobs))
        for part in scene.render(places, low, high):
            parts |= {key: part for key in jobs if cutouts[key].place is part.place}
    return parts


def _jobs(cutouts: dict[_Key, Cutout]) -> list[list[_Key]]:
    found: dict[tuple[object, ...], list[_Key]] = {}
    for (level, protocol), cutout in cutouts.items():
        if len(cutout.slices) > 0:
            alone = level if protocol is Protocol.AXIAL_T2 else None
            name = (cutout.place.group, cutout.place.members, alone)
            found.setdefault(name, []).append((level, protocol))
    return list(found.values())


def fill_cutout(cutout: Cutout, part: Part | None, points_mm: FloatArray) -> Crop:
    """Interpolate a crop; all zero if none of its slices exists.

    Args:
        cutout: Where it lies.
        part: What was rendered of its stack.
        points_mm: (5, 3) places of the level's targets, LPS.
    """
    mask = torch.from_numpy(cutout.measured())
    affine = cutout.affine_lps()
    image = torch.zeros(mask.shape)
    if part is not None:
        rows, columns = (torch.arange(n, dtype=torch.float64) for n in cutout.shape.pixels)
        column, row = (
            line[0] * rows[:, None] + line[1] * columns + line[2] for line in cutout.turn.tolist()
        )
        shown = cutout.slices
        where = slice(shown.start - cutout.first, shown.stop - cutout.first)
        image[where] = part.slices_at(column, row, shown) * mask[where]
    if cutout.place.plan.protocol is Protocol.AXIAL_T2 and affine[2, 0] < 0:
        # Slices steeper than 45 degrees are filed towards the back, which is towards the feet.
        image, mask = image.flip(0), mask.flip(0)
        affine[:3, 3] += affine[:3, 0] * (len(image) - 1)
        affine[:3, 0] *= -1.0
    index = np.linalg.solve(affine[:3, :3], (points_mm - affine[:3, 3]).T).T
    return Crop(image, mask, torch.from_numpy(affine), torch.from_numpy(index).float())


def _level_crops(
    scene: Scene, level: Level, cutouts: dict[_Key, Cutout], parts: dict[_Key, Part]
) -> LevelCrops:
    targets = _targets(level)
    points = scene.landmarks_mm[targets]
    t1, t2, axial = (
        fill_cutout(cutouts[level, p], parts.get((level, p)), points) for p in PROTOCOLS
    )
    return LevelCrops(
        level=torch.tensor(LEVELS.index(level)),
        sagittal_t1=t1,
        sagittal_t2=t2,
        axial_t2=axial,
        landmarks_mm=torch.from_numpy(points),
        grades=torch.from_numpy(np.asarray(scene.truth.grades[targets], dtype=np.int64)),
        labels=torch.from_numpy(np.asarray(scene.labels[targets], dtype=np.int64)),
    )

"""A spec -> the crops of its levels as a grader reads them, and their labels; without DICOM.

The tensors that `volume.level_study` cuts out of the same study's files, given its true landmarks.
A protocol that the study was not given is no error here: its crops are zero and not measured.
"""

from dataclasses import replace
from typing import NamedTuple

import torch

from volspine.anatomy import LEVELS, PROTOCOLS, TARGETS, Level, Protocol
from volspine.geometry.window import CropShape
from volspine.phantom.crops import SUB_SLICES, fill_cutout, render_cutouts
from volspine.phantom.cutout import Cutout, cut_out
from volspine.phantom.scene import AS_FILED, Part, Scan, Scene
from volspine.phantom.spec import Noise, Spec
from volspine.phantom.study import read_grades
from volspine.views import CROPPED, StudyCrops
from volspine.volume.study_crops import Cropped, stacked_levels

__all__ = ["PhantomLevels", "phantom_levels", "phantom_study_crops"]

_SHAPES = (CropShape(*CROPPED["sagittal"]), CropShape(*CROPPED["axial"]))
_USUAL_SLICE_MM = 4.4

_Key = tuple[Level, Protocol]


class PhantomLevels(NamedTuple):
    """A synthetic study for a level-mode grader.

    Attributes:
        crops: Around the true canal; `points_mm` are the true places.
        grades: (25,) int64, of the measured geometry.
        labels: (3, 25) int64, as read by the readers of `Noise`, in that order; -1 where missing.
    """

    crops: StudyCrops
    grades: torch.Tensor
    labels: torch.Tensor


def phantom_study_crops(
    spec: Spec, *, scan: Scan = AS_FILED
) -> tuple[StudyCrops, torch.Tensor, torch.Tensor]:
    """Return the crops of a study, its labels as read, and the grades of the measured geometry.

    Args:
        spec: Which study; its reader gives the labels.
        scan: Which draw of coil and noise, and how finely painted.

    Returns:
        Crops, not batched; labels (25,), -1 where missing; grades (25,).
    """
    made = phantom_levels(spec, scan=scan)
    return made.crops, made.labels[list(Noise).index(spec.reader)], made.grades


def phantom_levels(spec: Spec, *, scan: Scan = AS_FILED) -> PhantomLevels:
    """Return the crops of a study, and its labels by every reader.

    Args:
        spec: Which study.
        scan: Which draw of coil and noise, and how finely painted.
    """
    scene = Scene(spec, scan, most=SUB_SLICES)
    keys = [(level, protocol) for level in LEVELS for protocol in PROTOCOLS]
    cutouts = {key: _cutout(scene, key) for key in keys if scene.of(key[1])}
    parts = render_cutouts(scene, cutouts)
    cropped = [
        [_cropped(scene, (level, p), cutouts.get((level, p)), parts) for p in PROTOCOLS]
        for level in LEVELS
    ]
    read = [read_grades(replace(spec, noise=noise), scene.truth, scene.plan) for noise in Noise]
    return PhantomLevels(
        crops=stacked_levels(cropped, torch.from_numpy(scene.landmarks_mm)),
        grades=torch.tensor(scene.truth.grades, dtype=torch.int64),
        labels=torch.stack([torch.tensor(labels, dtype=torch.int64) for labels in read]),
    )


def _cutout(scene: Scene, key: _Key) -> Cutout:
    return cut_out(scene, key, _HERE, (_SHAPES, False))


_HERE = torch.zeros(3, dtype=torch.float64).numpy()


def _cropped(scene: Scene, key: _Key, cutout: Cutout | None, parts: dict[_Key, Part]) -> Cropped:
    level, protocol = key
    if cutout is None:
        return _nothing(scene, level, protocol)
    of_level = [n for n, target in enumerate(TARGETS) if target.level is level]
    crop = fill_cutout(cutout, parts.get(key), scene.landmarks_mm[of_level])
    return crop.image, crop.mask, crop.affine_lps


def _nothing(scene: Scene, level: Level, protocol: Protocol) -> Cropped:
    """Return an empty crop, upright about the canal."""
    is_axial = protocol is Protocol.AXIAL_T2
    slices, (rows, columns), pixel = CROPPED["axial" if is_axial else "sagittal"]
    left, back, head = torch.eye(3, dtype=torch.float64)
    axes = [head, back, left] if is_axial else [left, -head, back]
    steps = torch.tensor([_USUAL_SLICE_MM, pixel, pixel], dtype=torch.float64)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = torch.stack(axes, dim=1) * steps
    middle = (torch.tensor([slices, rows, columns], dtype=torch.float64) - 1) / 2
    canal = torch.from_numpy(scene.landmarks_mm[LEVELS.index(level)])
    affine[:3, 3] = canal - affine[:3, :3] @ middle
    shape = (slices, rows, columns)
    return torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), affine

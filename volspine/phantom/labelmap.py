"""Label maps: which vertebra, disc or part of the canal each voxel of a synthetic study shows.

The tissues are rendered at the middle of every stored voxel, and the swept frame tells which
vertebra or disc a point belongs to. The ids are those of TotalSpineSeg before its first packaged
release (README of August 2024); the ids of the releases since November 2024 stand beside them in
the table that is written with the maps. The dural sac with its roots is `spinal_canal`; epidural
fat, ligaments and everything outside the spine are 0; the sacrum is one label with its own
rudimentary discs, as there.

Shapes: N slices, H rows, W columns of the stored images; a NIfTI file holds (W, H, N).
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.canal import sac_distance, smooth_max
from volspine.phantom.frame import VERTEBRAE
from volspine.phantom.plan import SeriesPlan
from volspine.phantom.render import render_labels
from volspine.phantom.section import Section, build_section
from volspine.phantom.study import Acquired, stack_geometry, stack_members
from volspine.phantom.tissues import Tissue
from volspine.types import BoolArray, FloatArray

__all__ = ["LABELS", "LabelMap", "label_slices", "label_study", "label_table", "write_label_maps"]

CORD, CANAL, SACRUM = 200, 201, 92
SCHEME = "TotalSpineSeg, README of 2024-08"
SINCE = "TotalSpineSeg releases since 20241107"

_L5 = VERTEBRAE.index("L5")
_BONE = (
    Tissue.CORTEX, Tissue.MARROW, Tissue.VEIN, Tissue.ENDPLATE_CHANGE, Tissue.FATTY_CHANGE,
    Tissue.HAEMANGIOMA,
)  # fmt: skip
_DISC = (Tissue.ANNULUS, Tissue.NUCLEUS)

Array = NDArray[np.float32]


LABELS: dict[int, tuple[str, int]] = {
    18: ("vertebrae_L5", 45), 19: ("vertebrae_L4", 44), 20: ("vertebrae_L3", 43),
    21: ("vertebrae_L2", 42), 22: ("vertebrae_L1", 41), 23: ("vertebrae_T12", 32),
    24: ("vertebrae_T11", 31), 25: ("vertebrae_T10", 30), 26: ("vertebrae_T9", 29),
    27: ("vertebrae_T8", 28), 92: ("sacrum", 50), 200: ("spinal_cord", 1),
    201: ("spinal_canal", 2), 202: ("disc_L5_S", 100), 203: ("disc_L4_L5", 95),
    204: ("disc_L3_L4", 94), 205: ("disc_L2_L3", 93), 206: ("disc_L1_L2", 92),
    207: ("disc_T12_L1", 91), 208: ("disc_T11_T12", 82), 209: ("disc_T10_T11", 81),
    210: ("disc_T9_T10", 80), 211: ("disc_T8_T9", 79),
}  # fmt: skip
"""Name of each label, and its id in newer releases, by the id that the maps hold."""


@dataclass(frozen=True)
class LabelMap:
    """Labels of one stack.

    Attributes:
        name: Of its file, without the suffix.
        labels: (W, H, N) uint8.
        affine_ras: (4, 4) voxel index to RAS millimetres, as NIfTI has them.
    """

    name: str
    labels: NDArray[np.uint8]
    affine_ras: FloatArray


def write_label_maps(made: Acquired, folder: Path) -> None:
    """Write `folder/<series_id>.nii.gz`, or `<series_id>_<n>.nii.gz` for each of several stacks.

    Stacks count from 1, from head to foot. The bytes are the same at every call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for found in label_study(made):
        image: Any = nibabel.Nifti1Image(found.labels, found.affine_ras)  # type: ignore[no-untyped-call]
        image.header.set_xyzt_units("mm")
        image.header["descrip"] = SCHEME.encode()
        image.set_sform(found.affine_ras, code="scanner")
        image.set_qform(found.affine_ras, code="scanner")
        data = gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
        (folder / f"{found.name}.nii.gz").write_bytes(data)


def label_table() -> str:
    """Return the JSON table that says what the ids mean."""
    labels = {str(n): {"name": name, "newer_id": new} for n, (name, new) in LABELS.items()}
    table = {"ids": SCHEME, "newer_ids": SINCE, "synthetic": True, "labels": labels}
    return json.dumps(table, indent=1) + "\n"


def label_study(made: Acquired) -> Iterator[LabelMap]:
    """Yield the label map of every stack of a study; its pixels are not needed."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    for plan in made.plan.series:
        labels = label_slices(made.truth.anatomy, plan)
        stacks = stack_members(plan, made.plan.pose)
        for number, members in enumerate(stacks, start=1):
            affine, _ = stack_geometry(plan, members, made.plan.pose)
            yield LabelMap(
                name=plan.series_id + (f"_{number}" if len(stacks) > 1 else ""),
                labels=np.ascontiguousarray(labels[members].transpose(2, 1, 0)),
                affine_ras=flip @ affine,
            )


def label_slices(anatomy: Anatomy, plan: SeriesPlan) -> NDArray[np.uint8]:
    """Return the label at the middle of every stored voxel, shape (N, H, W)."""
    plan = _on_stored_grid(plan)
    tissues = render_labels(anatomy, plan)
    labels = np.zeros(tissues.shape, dtype=np.uint8)
    shared: Section | None = None
    for index in range(len(tissues)):
        x, y, z = _points(plan, index)
        if shared is None or not plan.is_sagittal:
            shared = build_section(anatomy, anatomy.frame.place(y, z))
        u = np.asarray(x - shared.midline, dtype=np.float32)
        labels[index] = _label(tissues[index], shared, u)
    return labels


def _on_stored_grid(plan: SeriesPlan) -> SeriesPlan:
    """Return a plan whose measured pixels are the stored ones; the first pixel stays in place."""
    shift = (plan.acquired_mm - plan.pixel_mm) / 2
    moves = [shift * np.add(*plan.axes(index)) for index in range(len(plan.centres_mm))]
    centres = plan.centres_mm + np.array(moves)
    return replace(plan, acquired=plan.matrix, acquired_mm=plan.pixel_mm, centres_mm=centres)


def _points(plan: SeriesPlan, index: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return body coordinates of a slice's pixels, each of a shape that broadcasts to (H, W)."""
    across, down = plan.axes(index)
    first = plan.first_pixel(index)
    rows = np.arange(plan.matrix[0])[:, None] * plan.pixel_mm
    columns = np.arange(plan.matrix[1])[None] * plan.pixel_mm
    points = [first[n] + rows * down[n] + columns * across[n] for n in range(3)]
    if plan.is_sagittal:
        return points[0][:1, :1], points[1], points[2]
    return points[0][:1], points[1][:, :1], points[2][:, :1]


def _label(tissue: NDArray[np.int16], c: Section, u: Array) -> NDArray[np.uint8]:
    """Return the labels of one slice, (H, W); the section's arrays broadcast to it."""
    labels = np.zeros(tissue.shape, dtype=np.uint8)

    def put(where: BoolArray, ids: NDArray[np.integer] | int) -> None:
        np.copyto(labels, np.asarray(ids).astype(np.uint8), where=where)

    vertebra = np.where(_is_of_upper(c, u), c.segment, c.segment + 1)
    bone = np.where(vertebra > _L5, SACRUM, 18 + _L5 - vertebra)
    disc = np.where(c.segment > _L5, SACRUM, 202 + _L5 - c.segment)
    put(np.isin(tissue, _BONE) & _may_be_bone(c, u), bone)
    put(np.isin(tissue, _DISC) & _may_be_disc(c, u), disc)
    in_sac = sac_distance(c.canal(), u, c.v) < 0.5
    put(np.isin(tissue, (Tissue.CSF, Tissue.ROOT)) & in_sac, CANAL)
    put(tissue == Tissue.CORD, CORD)
    return labels


def _may_be_disc(c: Section, u: Array) -> BoolArray:
    """Tell disc from what crowds the exiting roots, which is painted alike."""
    at_disc = (c.v < c.half_depth) | (np.minimum(c.under, c.over) > -2.5)
    return np.asarray(at_disc & (np.abs(u) < c.half_width + 3.0))


def _may_be_bone(c: Section, u: Array) -> BoolArray:
    """Tell bone of the spine from the ilium, from calcified vessels and from a ligament's line."""
    far = np.abs(u)
    level = c.segment.astype(np.float32) + c.below / np.maximum(c.below + c.above, np.float32(1))
    reach = np.where(level < _L5 - 0.3, 48.0, 40.0)
    # Nearer the front than its back, a lumbar vertebra is its body and the spurs on it.
    p, q = far / (c.half_width + 4.0), np.abs(c.v) / (c.half_depth + 4.0)
    is_column = (c.v < c.half_depth) & (level < _L5 + 0.4)
    beside = np.where(is_column, p * p * p + q * q * q < 1.0, far < reach)
    beside = np.where(level < _L5 + 0.4, beside, _is_of_sacrum(c, far, level - _L5 - 1.0))
    ligament = (np.minimum(c.under, c.over) > 1.5) & (np.abs(c.v - c.half_depth) < 3.0)
    return np.asarray(beside & (c.v > -c.half_depth - 4.0) & ~(ligament & (far < 12.0)))


def _is_of_sacrum(c: Section, far: Array, down: Array) -> BoolArray:
    """Whether a sacral point is on this side of the sacroiliac joint, `down` vertebrae under S1."""
    below = np.maximum(down, 0.0)
    # The joint runs outwards as it comes forwards.
    joint = c.half_width * (2.15 - 0.13 * below) - 0.22 * (c.v - 8.0)
    slab = np.abs(c.v - 0.5 * c.half_depth - 0.14 * far) - 13.5 + 2.0 * below
    top = np.where(c.segment == _L5, c.over + 0.18 * far, -9.0)
    wing = smooth_max(smooth_max(far - joint, slab, 7.0), top, 4.0)
    return np.asarray((wing < 0.5) | (far < c.half_width + 6.0))


def _is_of_upper(c: Section, u: Array) -> BoolArray:
    """Whether bone at a point belongs to the vertebra above; arches reach below their bodies."""
    behind = np.clip(c.v - c.half_depth - c.canal_depth, 0.0, None)
    down = np.where(c.v > c.half_depth, 6.0 + 0.18 * behind, 0.0)
    upper = c.below - down < c.above + down
    angle = np.where(u >= 0, c.facet_left, c.facet_right)
    x = np.abs(u) - c.canal_half_width - 3.0
    y = c.v - c.half_depth - 12.0
    in_front = x * np.cos(angle) > y * np.sin(angle)
    at_joint = (np.abs(c.w - 1.0) < 11.0) & (np.abs(x) < 12.0) & (np.abs(y) < 12.0)
    return np.asarray(np.where(at_joint, ~in_front, upper))

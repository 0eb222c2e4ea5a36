"""The studies that are read: a phantom of 17 + 17 + 40 slices, written in several ways.

Slices are painted once by the phantom, on a plan of our own: two sagittal series that share their
slices, and an axial one that is a block, or piles tilted along the discs. From the files as they
are written come copies

    raw, rle, j2k    the same pixels, uncompressed, run-length encoded, JPEG 2000 without loss
    ramp             the same places, but each voxel holds 4000 + 4x + 3y + 5z of its own place

so that a reader that puts a voxel elsewhere shows it by its value. A folder holds one folder a
series, named after its protocol, and `truth.json` says where each stack lies.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, RLELossless
from ramp import level_of

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.phantom.acquire import acquire
from volspine.phantom.dicom import write_study
from volspine.phantom.plan import SeriesPlan
from volspine.phantom.render import render_series
from volspine.phantom.spec import Cohort, Header, Spec, Stage
from volspine.phantom.study import Acquired, outline_study, shared_slices, stack_members

__all__ = ["CODINGS", "Shape", "write_all"]

CODINGS = {"raw": None, "rle": RLELossless, "j2k": JPEG2000Lossless}
_SAGITTAL_MM, _AXIAL_MM = (280.0, 4.4), (180.0, 4.0)
"""Width of the field and distance of the slices; of the axial series as far as none overlap."""

_PILES = 5


@dataclass(frozen=True)
class Shape:
    """How large a study is.

    Attributes:
        sagittal: Slices of either sagittal series.
        axial: Slices of the axial series.
        matrix: Rows and columns of each slice.
    """

    sagittal: int = 17
    axial: int = 40
    matrix: int = 256


def write_all(folder: Path, shape: Shape, *, codings: Sequence[str] = tuple(CODINGS)) -> None:
    """Write `block/<coding>`, `piles/raw` and a `ramp` beside each."""
    for name in ("block", "piles"):
        made = _acquired(shape, is_one_block=name == "block")
        raw = folder / name / "raw"
        _write(made, raw)
        for coding in codings if name == "block" else ():
            if coding != "raw":
                _copy(raw, raw.with_name(coding), coding)
        _copy(raw, raw.with_name("ramp"), "ramp")
        (folder / name / "truth.json").write_text(json.dumps(_places(made)), encoding="utf-8")


def _acquired(shape: Shape, *, is_one_block: bool) -> Acquired:
    spec = Spec(seed=7, index=3, cohort=Cohort.PROBE, header=Header.FULL)
    made = outline_study(spec)
    first, second, axial = (_of(made, protocol) for protocol in PROTOCOLS)
    height = float(np.median(axial.centres_mm[:, 2]))
    sagittal = _sagittal(first, shape)
    series = (
        sagittal,
        replace(_sagittal(second, shape), centres_mm=sagittal.centres_mm),
        _axial(axial, shape, height, is_one_block=is_one_block),
    )
    plan = replace(made.plan, series=series)
    noise, pixels = spec.stream(Stage.NOISE), []
    for group in shared_slices(plan):
        images = render_series(made.truth.anatomy, group)
        pixels += [acquire(image, p, noise) for image, p in zip(images, group, strict=True)]
    return replace(made, plan=plan, pixels=tuple(pixels))


def _of(made: Acquired, protocol: Protocol) -> SeriesPlan:
    return next(series for series in made.plan.series if series.protocol is protocol)


def _rastered(plan: SeriesPlan, shape: Shape, millimetres: tuple[float, float]) -> SeriesPlan:
    side = (shape.matrix, shape.matrix)
    return replace(
        plan,
        series_id=plan.protocol.value,
        thickness_mm=millimetres[1],
        spacing_mm=millimetres[1],
        acquired=side,
        acquired_mm=millimetres[0] / shape.matrix,
        matrix=side,
        phase_share=1.0,
        sub_slices=1,
    )


def _sagittal(plan: SeriesPlan, shape: Shape) -> SeriesPlan:
    centres = np.zeros((shape.sagittal, 3))
    centres[:, 0] = _even(shape.sagittal, 75.0 / 17 * min(17 / shape.sagittal, 1.0))
    centres[:, 1:] = plan.centres_mm[0, 1:]
    count = shape.sagittal
    width = (_SAGITTAL_MM[0], abs(float(centres[1, 0] - centres[0, 0])))
    return replace(
        _rastered(plan, shape, width),
        centres_mm=centres,
        tilts=np.zeros(count),
        stacks=(0,) * count,
    )


def _axial(plan: SeriesPlan, shape: Shape, height: float, *, is_one_block: bool) -> SeriesPlan:
    count, step = shape.axial, _AXIAL_MM[1] * min(40 / shape.axial, 1.0)
    pile = np.zeros(count, dtype=int) if is_one_block else np.arange(count) * _PILES // count
    tilts = np.zeros(count) if is_one_block else np.linspace(-0.2, 0.45, _PILES)[pile]
    along = _even(count, step)
    centres = np.full((count, 3), [*plan.centres_mm[:, :2].mean(axis=0).tolist(), height])
    middle = np.array([along[pile == n].mean() for n in range(pile.max() + 1)])[pile]
    # A pile is stacked along its own normal about its middle on the line from head to foot.
    centres[:, 2] += middle + (along - middle) * np.cos(tilts)
    centres[:, 1] += (along - middle) * np.sin(tilts)
    return replace(
        _rastered(plan, shape, (_AXIAL_MM[0], step)),
        centres_mm=centres,
        tilts=tilts,
        stacks=tuple(pile.tolist()),
    )


def _even(count: int, step: float) -> np.ndarray:
    return (np.arange(count) - (count - 1) / 2) * step


def _write(made: Acquired, folder: Path) -> None:
    write_study(made, folder)


def _places(made: Acquired) -> dict[str, list[list[list[float]]]]:
    """Return for each protocol its stacks, as the LPS corners of their outermost voxel centres.

    A stack is first voxel, end of the row, end of the column, and first voxel of the last slice.
    """
    found = {}
    for plan in made.plan.series:
        far = (plan.matrix[0] - 1) * plan.pixel_mm
        stacks = []
        for members in stack_members(plan, made.plan.pose):
            across, down = plan.axes(members[0])
            first, last = plan.first_pixel(members[0]), plan.first_pixel(members[-1])
            corners = np.stack([first, first + far * across, first + far * down, last])
            stacks.append(made.plan.pose.to_patient(corners).tolist())
        found[plan.protocol.value] = stacks
    return found


def _copy(source: Path, target: Path, coding: str) -> None:
    for path in sorted(source.rglob("*.dcm")):
        ds = dcmread(path)
        if coding == "ramp":
            ds.PixelData = _ramp(ds).tobytes()
            ds.BitsStored, ds.HighBit = 16, 15
        else:
            ds.compress(CODINGS[coding], generate_instance_uid=False)
        (target / path.parent.name).mkdir(parents=True, exist_ok=True)
        ds.save_as(target / path.parent.name / path.name)


def _ramp(ds: Dataset) -> np.ndarray:
    """Return what a slice of the ramp holds, from its own header."""
    cosines = np.array(ds.ImageOrientationPatient, dtype=float).reshape(2, 3)
    rows, columns = np.arange(ds.Rows), np.arange(ds.Columns)
    points = (
        np.array(ds.ImagePositionPatient, dtype=float)
        + columns[None, :, None] * float(ds.PixelSpacing[1]) * cosines[0]
        + rows[:, None, None] * float(ds.PixelSpacing[0]) * cosines[1]
    )
    return np.rint(level_of(points)).astype("<u2")

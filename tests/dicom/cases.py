"""What reading must make of a case, and how that is checked: the ramp at every voxel, or an error.

The check after `voxelize` works out by itself where a voxel of the grid lies and which slices
surround it; only there, between slice centres, does linear interpolation give the ramp exactly.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from tests.dicom.series_factory import largest_affine_error, largest_error, ramp
from volspine.dicom.reading import read_study
from volspine.errors import NoUsableSeriesError
from volspine.volume.grid import Grid
from volspine.volume.subject import voxelize

TOLERANCE = 3.0
"""Grey levels: half a millimetre along the steepest axis is 2.5."""


@dataclass
class Right:
    """Read correctly: slices of each stack, and a text that a repair or fault holds."""

    slices: tuple = (15,)
    note: str = ""
    strict: type | None = None  # The error of strict reading; None where strict reads it too.


@dataclass
class Refused:
    kind: type
    code: str
    names: str = ""  # Text that the message holds.


def notes(study):
    found = [*study.repairs, *(fault.reason for fault in study.faults)]
    return " | ".join(found + [repair for s in study.series for repair in s.repairs])


def stacks(study):
    return [stack for found in study.series for stack in found.stacks]


def decode_everything(folder, **options):
    return [stack.voxels for stack in stacks(read_study(folder, **options))]


def check_right(folder, expected):
    """Every voxel is on the ramp, in the stacks, by their affines and on a grid; notes are said."""
    study = read_study(folder)
    for stack in stacks(study):
        check_ramp(stack)
    assert sorted(stack.shape[2] for stack in stacks(study)) == sorted(expected.slices)
    assert expected.note in notes(study)
    if not expected.note:
        assert notes(study) == ""
    check_strict(folder, expected)
    check_on_a_grid(study)


def check_ramp(stack):
    assert largest_error(stack) < TOLERANCE
    if stack.is_regular:
        assert largest_affine_error(stack) < TOLERANCE


def check_strict(folder, expected):
    """Strict reading raises what lenient reading repairs, and accepts what needs no repair."""
    if expected.strict:
        with pytest.raises(expected.strict):
            decode_everything(folder, strict=True)
        return
    study = read_study(folder, strict=True)
    for stack in stacks(study):
        check_ramp(stack)
    assert sorted(stack.shape[2] for stack in stacks(study)) == sorted(expected.slices)


def check_refused(folder, expected):
    """Lenient and strict reading both raise; lenient, the one error that was foreseen."""
    with pytest.raises(expected.kind) as caught:
        decode_everything(folder)
    assert caught.value.code.startswith(expected.code)
    assert expected.names in caught.value.message
    assert caught.value.remedy
    assert "CANARY" not in str(caught.value).upper()
    with pytest.raises(expected.kind) as caught:
        decode_everything(folder, strict=True)
    assert caught.value.code.startswith(expected.code)


def check_on_a_grid(study):
    """Between the slices that were measured, the voxels of a grid are on the ramp as well."""
    try:
        subject = voxelize(study, Grid(spacing_mm=(4.1, 4.3, 3.7), shape=(21, 21, 41)))
    except NoUsableSeriesError:
        assert all(series.protocol.value == "other" for series in study.series)
        return
    for name in ("sagittal_t1", "sagittal_t2", "axial_t2"):
        if name not in subject:
            continue
        used = [s for found in study.series if found.protocol.value == name for s in found.stacks]
        image, mask = subject[name], subject[f"{name}_mask"].data[0].numpy() > 0
        index = np.argwhere(mask)
        ras = index @ image.affine[:3, :3].T + image.affine[:3, 3]
        points = ras * [-1, -1, 1]
        surrounded = within(points, used)
        assert surrounded.any()
        found = image.data[0].numpy()[mask][surrounded]
        assert np.abs(found - ramp(points[surrounded])).max() < TOLERANCE


def within(points, used):
    """Whether each point lies between slice centres of some stack and on the rim of none."""
    inside, rim = np.zeros(len(points), bool), np.zeros(len(points), bool)
    for stack in used:
        between, near, far = _where(points, stack)
        inside |= between & near
        rim |= far & ~near
    return inside & ~rim


def _where(points, stack):
    """Between two neighbouring slices; within the pixel centres; within a pixel more."""
    along = [stack.affine_lps[:3, axis] for axis in range(2)]
    normal = np.cross(*along)
    normal /= np.linalg.norm(normal)
    depth, at = stack.slice_origins_mm @ normal, points @ normal
    order = np.argsort(depth)
    depth, origins = depth[order], stack.slice_origins_mm[order]
    k = np.clip(np.searchsorted(depth, at), 1, len(depth) - 1)
    usual = np.sort(np.diff(depth))[(len(depth) - 2) // 2]
    between = (at >= depth[0]) & (at <= depth[-1]) & (depth[k] - depth[k - 1] < 2.4 * usual)
    part = ((at - depth[k - 1]) / (depth[k] - depth[k - 1]))[:, None]
    start = origins[k - 1] * (1 - part) + origins[k] * part
    near, far = np.ones(len(points), bool), np.ones(len(points), bool)
    for axis, size in zip(along, stack.shape[:2], strict=True):
        index = (points - start) @ axis / (axis @ axis)
        near &= (index > -1e-6) & (index < size - 1 + 1e-6)
        far &= (index > -1) & (index < size)
    return between, near, far

"""Proof of places: an image painted again where a study says it lies fits it to a tenth of a pixel.

    A ~ a B + c + p . dB        slip = p / a, along rows, columns and across the slice

A is a slice as read, B the same person painted at the place that its geometry claims. What is off
by half a voxel, or counts slices by their thickness, rings here long before it spoils a grade.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.phantom import alarm
from volspine.anatomy import Protocol
from volspine.geometry.stack import Stack
from volspine.phantom.render import render_series
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import acquire_study, study_of

BAR_PX = 0.1
STEP_MM = 0.5


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(Size.SMALL, id="small"),
        pytest.param(Size.FULL, id="full", marks=pytest.mark.slow),
    ],
)
def clean(request):
    made = acquire_study(Spec(seed=8, cohort=Cohort.CLEAN, size=request.param))
    return made, study_of(made)


def claimed(made, series, stack, index):
    """Plan the slice where its geometry says it is, in the body frame, at its own pixels."""
    plan = next(p for p in made.plan.series if p.series_id == series.name)
    pose = made.plan.pose
    axes = pose.rotation.T @ stack.affine_lps[:3, :2] / stack.spacing_mm[:2]
    start = pose.rotation.T @ (stack.slice_origins_mm[index] - pose.shift_mm)
    columns, rows = stack.shape[:2]
    reach = (np.array([columns, rows]) - 1) / 2 * stack.spacing_mm[:2]
    tilt = 0.0 if plan.is_sagittal else float(np.arctan2(-axes[2, 1], axes[1, 1]))
    centre = start + axes @ reach
    shape = (rows, columns)
    return replace(
        plan, centres_mm=centre[None], tilts=np.array([tilt]), stacks=(0,),
        acquired=shape, matrix=shape, acquired_mm=float(stack.spacing_mm[0]),
    ), np.cross(axes[:, 0], axes[:, 1])  # fmt: skip


def slips(made, series, stack, index):
    """How far a slice lies from where its geometry says, pixels: along rows, columns, across."""
    plan, normal = claimed(made, series, stack, index)

    def painted(shift_mm):
        moved = replace(plan, centres_mm=plan.centres_mm + shift_mm * normal)
        return render_series(made.truth.anatomy, [moved])[0, 0].astype(np.float64)

    here = painted(0.0)
    across = (painted(STEP_MM) - painted(-STEP_MM)) / (2 * STEP_MM) * stack.spacing_mm[0]
    along = [np.gradient(here, axis=1), np.gradient(here, axis=0), across]
    columns = np.stack([x[4:-4, 4:-4].ravel() for x in (here, np.ones_like(here), *along)], axis=1)
    seen = stack.voxels[:, :, index].T[4:-4, 4:-4].ravel()
    fit = np.linalg.lstsq(columns, seen, rcond=None)[0]
    return fit[2:] / fit[0]


def worst(made, study, change=lambda stack: stack):
    """Largest slip of a slice near either end of a stack of every series."""
    found = []
    for series in study.series:
        stack = change(series.stacks[len(series.stacks) // 2])
        found.append(np.abs(slips(made, series, stack, 1)).max())
    return np.array(found)


def moved(stack, offset):
    """A stack whose origins are moved by fractions of a voxel along each of its axes."""
    shift = stack.affine_lps[:3, :3] @ np.asarray(offset)
    affine = stack.affine_lps.copy()
    affine[:3, 3] += shift
    return Stack.from_array(stack.voxels, affine, stack.slice_origins_mm + shift)


def test_every_series_lies_where_it_says_to_a_tenth_of_a_pixel(clean):
    assert (worst(*clean) < BAR_PX).all()


@pytest.mark.parametrize(
    "offset",
    [(0.5, 0.0, 0.0), (0.0, -0.5, 0.0), (0.0, 0.0, 0.5)],
    ids=["column", "row", "slice"],
)
def test_half_a_voxel_rings(clean, offset):
    made, study = clean
    assert (worst(made, study, lambda stack: moved(stack, offset)) > 2 * BAR_PX).all()


def test_thickness_taken_for_spacing_rings(clean):
    made, study = clean
    shares = {p.series_id: p.thickness_mm / p.spacing_mm for p in made.plan.series}
    for series in study.series:
        assert shares[series.name] < 0.97
        stack = series.stacks[0]
        affine = stack.affine_lps.copy()
        affine[:3, 2] *= shares[series.name]
        wrong = Stack.from_array(stack.voxels, affine)
        last = min(3, stack.shape[2] - 1)
        assert np.abs(slips(made, series, wrong, last)).max() > BAR_PX


def test_a_mirrored_image_rings(clean):
    made, study = clean
    series = study.by_protocol(Protocol.AXIAL_T2)[0]
    stack = series.stacks[0]
    mirrored = alarm.revoxeled(stack, stack.voxels[::-1])
    plan, _ = claimed(made, series, stack, 1)
    here = render_series(made.truth.anatomy, [plan])[0, 0].ravel()
    sound, wrong = (np.corrcoef(here, s.voxels[:, :, 1].T.ravel())[0, 1] for s in (stack, mirrored))
    assert sound > 0.98
    assert wrong < 0.93


def test_the_rulers_plan_is_the_plan_of_the_series(clean):
    made, study = clean
    for series in study.series:
        stack = series.stacks[0]
        plan, _ = claimed(made, series, stack, 0)
        pose = made.plan.pose
        assert pose.to_patient(plan.first_pixel(0)) == pytest.approx(
            stack.slice_origins_mm[0], abs=1e-6
        )

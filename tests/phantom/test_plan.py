"""Plans: planes, orders and coverage as published, and the pose as a rigid motion."""

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.phantom.plan import disc_plane, draw_plan
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.truth import build_truth

ANATOMY = build_truth(Spec(seed=1)).anatomy
PLANS = [draw_plan(Spec(seed=1, index=n), ANATOMY) for n in range(300)]


def sagittal(plan):
    return plan.series[0]


def axial(plan):
    return plan.series[-1]


def test_every_study_has_the_three_protocols():
    for plan in PLANS[:20]:
        assert [s.protocol for s in plan.series] == [
            Protocol.SAGITTAL_T1,
            Protocol.SAGITTAL_T2,
            Protocol.AXIAL_T2,
        ]


def test_two_thirds_of_sagittal_series_run_from_right_to_left():
    towards_left = np.mean([np.diff(sagittal(p).centres_mm[:2, 0])[0] > 0 for p in PLANS])
    assert towards_left == pytest.approx(0.64, abs=0.08)


def test_an_eighth_of_axial_series_run_from_feet_to_head():
    upwards = np.mean([np.diff(axial(p).centres_mm[[0, -1], 2])[0] > 0 for p in PLANS])
    assert upwards == pytest.approx(0.12, abs=0.06)


def test_a_third_of_axial_series_are_one_block():
    blocks = np.mean([len(set(axial(p).stacks)) == 1 for p in PLANS])
    assert blocks == pytest.approx(0.33, abs=0.08)


def test_axial_slices_leave_out_the_upper_levels_as_often_as_labels_are_missing():
    covered = np.mean([p.covered for p in PLANS], axis=0)
    assert covered == pytest.approx([0.917, 0.958, 1, 1, 1], abs=0.04)
    for plan in PLANS:
        heights = axial(plan).centres_mm[:, 2]
        disc = disc_plane(ANATOMY, 0)[0][1]
        if not plan.covered[0]:
            assert heights.max() < disc + 8


def test_probe_and_clean_always_cover_everything():
    for cohort in (Cohort.PROBE, Cohort.CLEAN):
        plans = [draw_plan(Spec(seed=1, index=n, cohort=cohort), ANATOMY) for n in range(60)]
        assert all(all(p.covered) for p in plans)
    assert all(s.snr == 0 for s in plans[0].series)


def test_a_pose_is_a_rigid_motion_that_keeps_left_on_the_left():
    for plan in PLANS[:30]:
        rotation = plan.pose.rotation
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert rotation[0, 0] > 0.98


def test_a_disc_stack_lies_in_its_disc():
    plan = next(p for p in PLANS if len(set(axial(p).stacks)) == 5)
    for stack in range(5):
        members = np.flatnonzero(np.array(axial(plan).stacks) == stack)
        point, tilt = disc_plane(ANATOMY, stack if axial(plan).centres_mm[0, 2] > 0 else 4 - stack)
        assert np.rad2deg(abs(axial(plan).tilts[members[0]] - tilt)) <= 8.0
        middle = axial(plan).centres_mm[members].mean(axis=0)
        assert middle[2] == pytest.approx(point[1], abs=1e-6)


def test_small_plans_are_small():
    plan = draw_plan(Spec(size=Size.SMALL), ANATOMY)
    assert all(s.matrix == (96, 96) and len(s.centres_mm) <= 15 for s in plan.series)

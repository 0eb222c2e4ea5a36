"""Plans: planes, orders and coverage as published, and the pose as a rigid motion.

Shares are held to three standard errors of 400 plans, means to three of their own.
"""

from dataclasses import replace

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Finding, Protocol
from volspine.phantom.plan import disc_plane, draw_plan
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.truth import build_truth


@pytest.fixture(scope="module")
def truth():
    return build_truth(Spec(seed=1))


@pytest.fixture(scope="module")
def anatomy(truth):
    return truth.anatomy


@pytest.fixture(scope="module")
def plans(anatomy):
    return [draw_plan(Spec(seed=1, index=n), anatomy) for n in range(400)]


@pytest.fixture(scope="module")
def plain(anatomy):
    cohorts = (Cohort.PROBE, Cohort.PAIRS, Cohort.CLEAN)
    specs = [Spec(seed=1, index=n, cohort=c) for c in cohorts for n in range(0, 60, 2)]
    return [draw_plan(spec, anatomy) for spec in specs]


def of(plan, protocol):
    return [s for s in plan.series if s.protocol is protocol]


@pytest.fixture(scope="module")
def sagittal(plans):
    return [s for p in plans for s in of(p, Protocol.SAGITTAL_T1)]


@pytest.fixture(scope="module")
def axial_series(plans):
    return [s for p in plans for s in of(p, Protocol.AXIAL_T2)]


@pytest.fixture(scope="module")
def one_axial(plans):
    """Plans with one axial series, each with that series."""
    found = [(plan, of(plan, Protocol.AXIAL_T2)) for plan in plans]
    return [(plan, series[0]) for plan, series in found if len(series) == 1]


def is_share(flags, expected):
    """Whether a share of flags agrees with an expected one within three standard errors."""
    flags = np.asarray(list(flags), dtype=float)
    return abs(flags.mean() - expected) < 3 * np.sqrt(expected * (1 - expected) / len(flags))


def test_the_plain_cohorts_have_one_series_of_each_protocol_and_cover_everything(plain):
    for plan in plain:
        assert [s.protocol for s in plan.series] == [
            Protocol.SAGITTAL_T1,
            Protocol.SAGITTAL_T2,
            Protocol.AXIAL_T2,
        ]
        assert all(plan.covered)
        assert {s.sequence.name for s in plan.series} == {"T1", "T2"}
    assert all(s.snr == 0 for s in plain[-1].series)


@pytest.mark.parametrize(("count", "share"), [(1, 0.83), (2, 0.154), (3, 0.014)])
def test_a_sixth_of_studies_have_more_than_one_axial_series(count, share, plans):
    assert is_share([len(of(p, Protocol.AXIAL_T2)) == count for p in plans], share)


def test_a_few_studies_lack_a_protocol_or_have_a_second_t1(plans):
    sets = [{s.protocol for s in p.series} for p in plans]
    assert is_share([len(s) < 3 for s in sets], 0.006)
    assert is_share([len(of(p, Protocol.SAGITTAL_T1)) == 2 for p in plans], 0.004)
    assert any(len(s) < 3 for s in sets)
    assert any(len(of(p, Protocol.SAGITTAL_T1)) == 2 for p in plans)


def test_series_have_names_of_their_own(plans):
    assert all(len({s.series_id for s in p.series}) == len(p.series) for p in plans)


def test_two_thirds_of_sagittal_series_run_from_right_to_left(sagittal):
    assert is_share([s.centres_mm[1, 0] > s.centres_mm[0, 0] for s in sagittal], 0.64)


def test_an_eighth_of_axial_series_run_from_feet_to_head(axial_series):
    assert is_share([s.centres_mm[-1, 2] > s.centres_mm[0, 2] for s in axial_series], 0.12)


def test_four_patients_in_a_hundred_lie_with_their_feet_first_and_keep_their_axes(plans):
    assert is_share([p.position == "FFS" for p in plans], 0.04)
    assert all(p.pose.rotation[2, 2] > 0.98 for p in plans)
    upwards = [s.centres_mm[-1, 2] > s.centres_mm[0, 2]
               for p in plans if p.position == "FFS" for s in of(p, Protocol.AXIAL_T2)]  # fmt: skip
    assert np.mean(upwards) > 0.3


@pytest.mark.parametrize(
    ("count", "share"), [(1, 0.33), (2, 0.10), (3, 0.13), (4, 0.20), (5, 0.19), (6, 0.06)]
)
def test_the_number_of_stacks_is_that_of_public_series(count, share, one_axial):
    whole = [len(set(s.stacks)) == count for p, s in one_axial if all(p.covered)]
    assert is_share(whole, share / 1.01)


def test_slices_of_a_stack_and_of_a_block_are_as_many_as_published(one_axial):
    several = [s for _, s in one_axial if len(set(s.stacks)) > 3]
    counts = [s.stacks.count(k) for s in several for k in set(s.stacks)]
    blocks = [len(s.stacks) for p, s in one_axial if len(set(s.stacks)) == 1 and all(p.covered)]
    assert np.median(counts) == 5
    assert np.quantile(counts, [0, 0.95]) == pytest.approx([4, 14], abs=2)
    assert np.median(blocks) == pytest.approx(33, abs=3)
    assert max(blocks) <= 60


def test_axial_slices_leave_out_the_upper_levels_as_often_as_labels_are_missing(
    anatomy, plans, one_axial
):
    for level, share in enumerate([0.917, 0.958]):
        assert is_share([p.covered[level] for p in plans], share)
    assert all(all(p.covered[2:]) for p in plans)
    for plan, series in one_axial:
        if not plan.covered[0]:
            assert series.centres_mm[:, 2].max() < disc_plane(anatomy, 0)[0][1] + 8


def test_every_covered_level_lies_between_two_slices_of_some_axial_series(truth, plans):
    for plan in plans[:100]:
        axial = of(plan, Protocol.AXIAL_T2)
        for target in TARGETS:
            level = target.index % 5
            if target.finding is Finding.FORAMEN or not plan.covered[level] or not axial:
                continue
            point = truth.landmarks_mm[target.index]
            assert min(gaps(s, point).min() / s.spacing_mm for s in axial) <= 0.5 + 1e-9


def gaps(series, point):
    """Distances of a point from the planes of an axial series' slices."""
    normals = np.stack([0 * series.tilts, np.sin(series.tilts), np.cos(series.tilts)], axis=1)
    return np.abs(((point - series.centres_mm) * normals).sum(axis=1))


def test_every_landmark_of_a_foramen_lies_within_the_sagittal_series(sagittal):
    for series in sagittal:
        x = series.centres_mm[:, 0]
        assert x.min() < -19
        assert x.max() > 19


def test_a_pose_is_a_rigid_motion_that_keeps_left_on_the_left(plans):
    for plan in plans[:30]:
        rotation = plan.pose.rotation
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert rotation[0, 0] > 0.98


def test_a_disc_stack_is_centred_on_the_plane_of_its_disc(anatomy, one_axial):
    series = next(s for _, s in one_axial if len(set(s.stacks)) == 5)
    for stack in range(5):
        members = np.flatnonzero(np.array(series.stacks) == stack)
        point, tilt = disc_plane(anatomy, stack if series.centres_mm[0, 2] > 0 else 4 - stack)
        slope = series.tilts[members[0]]
        assert np.rad2deg(abs(slope - tilt)) <= 9.0
        middle = series.centres_mm[members].mean(axis=0)
        offset = middle[1:] - point
        assert offset @ [np.sin(slope), np.cos(slope)] == pytest.approx(0, abs=1e-6)


def test_stored_pixels_are_square_also_where_the_image_is_not(sagittal, axial_series):
    oblong = [s for s in sagittal + axial_series if s.matrix[0] != s.matrix[1]]
    assert is_share([s.matrix[0] != s.matrix[1] for s in sagittal], 0.065)
    assert {s.matrix for s in oblong} >= {(760, 640), (320, 384)}
    for series in sagittal + axial_series:
        rows, columns = (f / m for f, m in zip(series.field_mm, series.matrix, strict=True))
        assert rows == pytest.approx(columns, rel=1e-12)
        assert series.pixel_mm == pytest.approx(rows)


def test_the_first_pixel_and_the_last_one_enclose_the_centre_of_an_oblong_image(sagittal):
    series = next(s for s in sagittal if s.matrix == (760, 640))
    across, down = series.axes(0)
    high, wide = (side - 1 for side in series.acquired)
    last = series.first_pixel(0) + series.acquired_mm * (wide * across + high * down)
    assert (series.first_pixel(0) + last) / 2 == pytest.approx(series.centres_mm[0])


def test_a_slice_is_crossed_along_the_product_of_its_axes(sagittal, axial_series):
    for series in (*sagittal[:5], *axial_series[:5]):
        for index in range(len(series.tilts)):
            across, down = series.axes(index)
            assert (series.normal(index) == np.cross(across, down)).all()


def test_small_plans_are_small(anatomy):
    plan = draw_plan(Spec(size=Size.SMALL), anatomy)
    assert all(s.matrix == (96, 96) and len(s.centres_mm) <= 15 for s in plan.series)


def test_a_plan_follows_from_its_spec_alone(anatomy, plans):
    spec = Spec(seed=1, index=5)
    again, other = draw_plan(spec, anatomy), draw_plan(replace(spec, seed=2), anatomy)
    assert [s.series_id for s in again.series] == [s.series_id for s in plans[5].series]
    assert all((a.centres_mm == b.centres_mm).all()
               for a, b in zip(again.series, plans[5].series, strict=True))  # fmt: skip
    assert other.series[0].series_id != again.series[0].series_id

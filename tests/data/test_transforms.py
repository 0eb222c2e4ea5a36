from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.data.made_examples import LEFT, RIGHT, SHAPE, SPACING_MM, blob, centroid, spot
from volspine.data.transforms import (
    LightAugment,
    LightRecord,
    affine_matrix,
    apply,
    apply_affine,
)
from volspine.volume.normalize import CEILING

AT_REST = LightRecord()


def test_a_record_that_does_nothing_changes_nothing():
    example = spot((2, 5, 7), 0.8)
    for before, after in zip(example, apply(example, AT_REST, SPACING_MM), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=1e-6)


def test_a_mirror_swaps_the_sides_of_volume_grades_and_points():
    after = apply(spot((2, 5, 7)), replace(AT_REST, mirror=True), SPACING_MM)
    assert after.volume[0, 6, 5, 7] == 1.0
    assert (after.grades[RIGHT], after.grades[LEFT]) == (2, -1)
    assert after.points[RIGHT].tolist() == [6.0, 5.0, 7.0]


@pytest.mark.parametrize(
    ("shift_mm", "place"),
    [((8, 0, 0), (4, 5, 7)), ((0, -4, 0), (2, 3, 7)), ((0, 0, 3), (2, 5, 10))],
)
def test_a_shift_moves_voxels_and_points_by_millimetres_to_right_front_and_head(shift_mm, place):
    after = apply(spot((2, 5, 7)), replace(AT_REST, shift_mm=shift_mm), SPACING_MM)
    torch.testing.assert_close(after.volume[(0, *place)], torch.tensor(1.0))
    torch.testing.assert_close(after.points[LEFT], torch.tensor(place, dtype=torch.float32))


def test_a_quarter_turn_about_the_right_axis_takes_front_to_head():
    np.testing.assert_allclose(affine_matrix((90, 0, 0)) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(affine_matrix((0, 90, 0)) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(affine_matrix((0, 0, 90)) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    # About i first: front goes to head, and then about j to the right.
    np.testing.assert_allclose(affine_matrix((90, 90, 0)) @ [0, 1, 0], [1, 0, 0], atol=1e-12)


def test_a_quarter_turn_moves_a_voxel_in_front_of_the_middle_above_it():
    # The middle is (4, 5.5, 7.5); 2 mm a step forwards, 1 mm a step upwards.
    after = apply(spot((4, 6, 8)), replace(AT_REST, degrees=(90, 0, 0)), SPACING_MM)
    torch.testing.assert_close(after.points[LEFT], torch.tensor([4.0, 5.25, 8.5]))


def test_a_larger_scale_makes_the_patient_larger():
    after = apply(spot((6, 5, 7)), replace(AT_REST, scale=1.5), SPACING_MM)
    torch.testing.assert_close(after.points[LEFT], torch.tensor([7.0, 4.75, 6.75]))


small = st.floats(-1, 1)


@given(
    degrees=st.tuples(small, small, small),
    shift=st.tuples(small, small, small),
    scale=st.floats(0.9, 1.1),
)
def test_points_go_where_the_voxels_go(degrees, shift, scale):
    example = blob((7.0, 13.0, 14.0))
    matrix = affine_matrix(tuple(15 * d for d in degrees), scale)
    after = apply_affine(example, matrix, tuple(4 * s for s in shift), spacing_mm=SPACING_MM)
    difference = (centroid(after.volume[0]) - after.points[LEFT]).abs()
    assert difference.max() < 0.15, difference


def test_a_point_that_leaves_the_grid_is_no_longer_known():
    after = apply(spot((8, 5, 7)), replace(AT_REST, shift_mm=(8, 0, 0)), SPACING_MM)
    assert not after.has_point.any()
    assert after.grades[LEFT] == 2  # What is outside still has its grade.


def test_what_comes_in_from_outside_is_not_measured():
    full = spot((0, 0, 0), 0.5)
    full.volume[:3] = 0.5
    after = apply(full, replace(AT_REST, shift_mm=(8, 0, 0)), SPACING_MM)
    assert not after.volume[:, :2].any()
    assert after.volume[3:, 2:].all()
    torch.testing.assert_close(after.volume[:3, 2:], torch.full((3, 7, 12, 16), 0.5))


def test_brightness_changes_as_recorded():
    grey = spot((0, 0, 0), 0.25)
    grey.volume[:3] = 0.25
    after = apply(grey, replace(AT_REST, gamma=(0.5, 1.0, 2.0)), SPACING_MM)
    torch.testing.assert_close(after.volume[:3, 4, 5, 7], torch.tensor([0.5, 0.25, 0.0625]))
    slope = ((1.0, 0.0, 0.0), (0.0,) * 3, (0.0,) * 3)
    after = apply(grey, replace(AT_REST, gain=slope), SPACING_MM)
    ends = after.volume[0, [0, -1], 5, 7]
    torch.testing.assert_close(ends, torch.tensor([0.25 / 2**0.5, 0.25 * 2**0.5]))
    torch.testing.assert_close(after.volume[1], grey.volume[1])


def test_noise_has_its_width_and_stays_inside_the_mask_and_the_range():
    grey = spot((0, 0, 0), 0.7)
    grey.volume[:3] = 0.7
    grey.volume[3, :4] = 0.0
    after = apply(grey, replace(AT_REST, noise=(0.05, 0.0, 0.5), seed=3), SPACING_MM)
    assert not after.volume[0, :4].any()
    assert 0.045 < after.volume[0, 4:].std() < 0.055
    torch.testing.assert_close(after.volume[1], grey.volume[1])
    assert after.volume[:3].min() >= 0
    assert after.volume[:3].max() <= CEILING


def test_a_dropped_view_leaves_neither_image_nor_mask_but_never_the_last_one():
    example = spot((2, 5, 7))
    after = apply(example, replace(AT_REST, dropped=(0,)), SPACING_MM)
    assert not after.volume[[0, 3]].any()
    assert after.volume[[4, 5]].all()
    example.volume[[4, 5]] = 0.0
    assert apply(example, replace(AT_REST, dropped=(0,)), SPACING_MM).volume[3].all()


def test_the_same_generator_gives_the_same_example_and_another_another():
    augment = LightAugment(drop_view=0.5)
    one, two, other = (
        augment(spot((2, 5, 7)), np.random.default_rng(seed), SPACING_MM) for seed in (1, 1, 2)
    )
    assert torch.equal(one.volume, two.volume)
    assert not torch.equal(one.volume, other.volume)


def test_draws_stay_within_their_limits_and_use_them():
    augment = LightAugment(degrees=(5, 0, 3), scale=0.1, shift_mm=(4, 8, 8), drop_view=0.25)
    records = [augment.draw(np.random.default_rng(seed)) for seed in range(400)]
    degrees = np.array([r.degrees for r in records])
    assert np.abs(degrees).max(axis=0) == pytest.approx([5, 0, 3], abs=0.1)
    scales = [r.scale for r in records]
    assert (min(scales), max(scales)) == pytest.approx((1 / 1.1, 1.1), abs=0.01)
    assert 0.42 < np.mean([r.mirror for r in records]) < 0.58
    assert 0.17 < np.mean([bool(r.dropped) for r in records]) < 0.33


def test_no_augmentation_at_all_is_possible():
    augment = LightAugment(
        mirror=0, degrees=(0,) * 3, scale=0, shift_mm=(0,) * 3, gamma=0, bias=0, noise=0
    )
    example = spot((2, 5, 7), 0.8)
    after = augment(example, np.random.default_rng(0), SPACING_MM)
    torch.testing.assert_close(after.volume, example.volume)


def test_a_single_slice_can_be_turned_in_its_plane():
    flat = spot((0, 5, 7), shape=(1, 12, 16))
    after = apply(flat, replace(AT_REST, degrees=(10, 0, 0)), SPACING_MM)
    assert torch.isfinite(after.volume).all()
    assert SHAPE[1:] == tuple(after.volume.shape[2:])

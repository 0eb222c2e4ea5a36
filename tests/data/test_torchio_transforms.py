from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.data.made_examples import LEFT, RIGHT, SPACING_MM, blob, centroid, spot
from volspine.data.torchio_transforms import TorchioAugment, TorchioRecord, apply

AT_REST = TorchioRecord()


def test_a_record_that_does_nothing_changes_nothing():
    example = spot((2, 5, 7), 0.8)
    for before, after in zip(example, apply(example, AT_REST, SPACING_MM), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=1e-5)


def test_a_mirror_swaps_the_sides_of_volume_grades_and_points():
    after = apply(spot((2, 5, 7)), replace(AT_REST, mirror=True), SPACING_MM)
    assert after.volume[0, 6, 5, 7] == 1.0
    assert (after.grades[RIGHT], after.grades[LEFT]) == (2, -1)
    torch.testing.assert_close(after.points[RIGHT], torch.tensor([6.0, 5.0, 7.0]))


@pytest.mark.parametrize(
    ("shift_mm", "place"),
    [((8, 0, 0), (4, 5, 7)), ((0, -4, 0), (2, 3, 7)), ((0, 0, 3), (2, 5, 10))],
)
def test_a_shift_moves_voxels_and_points_by_millimetres_to_right_front_and_head(shift_mm, place):
    after = apply(spot((2, 5, 7)), replace(AT_REST, shift_mm=shift_mm), SPACING_MM)
    torch.testing.assert_close(after.volume[(0, *place)], torch.tensor(1.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(after.points[LEFT], torch.tensor(place, dtype=torch.float32))


@pytest.mark.parametrize("degrees", [(15, 0, 0), (0, -15, 0), (0, 0, 12), (5, -7, 9)])
def test_points_go_where_the_voxels_go(degrees):
    record = replace(AT_REST, degrees=degrees, scale=1.07, shift_mm=(3, -2, 1))
    after = apply(blob((7.0, 13.0, 14.0)), record, SPACING_MM)
    assert (centroid(after.volume[0]) - after.points[LEFT]).abs().max() < 0.15


def test_intensities_change_inside_the_mask_only():
    grey = spot((0, 0, 0), 0.5)
    grey.volume[:3] = 0.5
    grey.volume[3, :4] = 0.0
    grey.volume[0, :4] = 0.0
    record = TorchioRecord(
        bias=((0.1,) * 20,) * 3, blur_mm=(1, 1, 1), gamma=(0.8, 1, 1.2), noise=(0.05,) * 3, seed=4
    )
    after = apply(grey, record, SPACING_MM)
    assert not after.volume[0, :4].any()
    assert (after.volume[:3, 4:] - grey.volume[:3, 4:]).abs().mean() > 0.02
    assert torch.equal(after.volume[3:], grey.volume[3:])


def test_the_same_generator_gives_the_same_example_and_another_another():
    augment = TorchioAugment()
    one, two, other = (
        augment(spot((2, 5, 7)), np.random.default_rng(seed), SPACING_MM) for seed in (1, 1, 2)
    )
    assert torch.equal(one.volume, two.volume)
    assert not torch.equal(one.volume, other.volume)
    assert one.volume.dtype == torch.float32


def test_a_dropped_view_leaves_neither_image_nor_mask_but_never_the_last_one():
    after = apply(spot((2, 5, 7)), replace(AT_REST, dropped=(0,)), SPACING_MM).volume
    assert not after[[0, 3]].any()
    assert after[4:].all()
    alone = spot((2, 5, 7))
    alone.volume[4:] = 0
    after = apply(alone, replace(AT_REST, dropped=(0,)), SPACING_MM).volume
    assert after[0, 2, 5, 7] == pytest.approx(1.0, abs=1e-5)


def test_views_are_dropped_as_often_as_is_asked_and_nothing_else_changes_with_it():
    never, always = (TorchioAugment(drop_view=p) for p in (0.0, 1.0))
    one, two = (each.draw(np.random.default_rng(3)) for each in (never, always))
    assert (one.dropped, len(two.dropped)) == ((), 1)
    assert replace(two, dropped=()) == one

"""Boxes: which voxels they show, and that right sides come mirrored."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.models.detect_boxes import box_shape, box_steps, cut_boxes

LEFT, RIGHT = torch.tensor([False]), torch.tensor([True])


def numbered(*shape: int) -> torch.Tensor:
    """A volume whose voxels have the values 0, 1, 2 ... (k fastest)."""
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(1, 1, *shape)


def test_a_box_of_given_millimetres_shows_just_its_voxels() -> None:
    """6 x 3 x 4.5 mm about voxel (3, 4.5, 5) are the voxels 2.5 to 3.5, 4 to 5 and 4 to 6."""
    volume = numbered(8, 10, 12)
    shape = box_shape((6.0, 3.0, 4.5), (3.0, 1.5, 1.5))
    assert shape == (2, 2, 3)
    steps = box_steps(shape, (3.0, 1.5, 1.5), (3.0, 1.5, 1.5))
    middle = torch.tensor([[[3.5, 4.5, 5.0]]])
    box = cut_boxes(volume, middle, steps, LEFT)
    assert box.shape == (1, 1, 1, 2, 2, 3)
    torch.testing.assert_close(box[0, 0, 0], volume[0, 0, 3:5, 4:6, 4:7])


def test_the_box_of_a_right_side_is_mirrored_from_right_to_left_only() -> None:
    volume = numbered(8, 10, 12)
    steps = box_steps((2, 2, 3), (3.0, 1.5, 1.5), (3.0, 1.5, 1.5))
    middle = torch.tensor([[[3.5, 4.5, 5.0]]])
    left, right = (cut_boxes(volume, middle, steps, side)[0, 0, 0] for side in (LEFT, RIGHT))
    torch.testing.assert_close(right, left.flip(0))
    assert not torch.equal(right, left)


def test_coarser_voxels_reach_further() -> None:
    volume = numbered(1, 1, 9)
    steps = box_steps((1, 1, 3), (3.0, 1.5, 3.0), (3.0, 1.5, 1.5))
    box = cut_boxes(volume, torch.tensor([[[0.0, 0.0, 4.0]]]), steps, LEFT)
    assert box.flatten().tolist() == [2.0, 4.0, 6.0]


def test_between_voxels_values_are_interpolated_and_beyond_the_volume_is_nothing() -> None:
    volume = numbered(1, 1, 9) + 1
    steps = box_steps((1, 1, 2), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    middles = torch.tensor([[[0.0, 0.0, 3.75], [0.0, 0.0, 10.5]]])
    box = cut_boxes(volume, middles, steps, LEFT.expand(2))
    torch.testing.assert_close(box.flatten(), torch.tensor([4.25, 5.25, 0.0, 0.0]))


def test_each_study_gives_its_own_boxes_of_all_its_channels() -> None:
    volume = torch.stack([numbered(2, 2, 3)[0], 100 + numbered(2, 2, 3)[0]])
    volume = torch.cat([volume, -volume], dim=1)
    steps = box_steps((1, 1, 1), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    middles = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 1.0, 2.0]], [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    boxes = cut_boxes(volume, middles, steps, torch.tensor([False, True]))
    expected = [[[1.0, -1.0], [11.0, -11.0]], [[103.0, -103.0], [106.0, -106.0]]]
    torch.testing.assert_close(boxes.flatten(2), torch.tensor(expected))


@given(
    middle=st.tuples(*[st.floats(0, 6), st.floats(0, 8), st.floats(0, 10)]),
    seed=st.integers(0, 99),
)
def test_the_left_box_of_a_study_is_the_right_box_of_its_mirror_image(
    middle: tuple[float, float, float], seed: int
) -> None:
    volume = torch.randn(1, 2, 7, 9, 11, generator=torch.Generator().manual_seed(seed))
    steps = box_steps((3, 4, 2), (2.0, 1.5, 1.5), (3.0, 1.5, 1.5))
    i, j, k = middle
    left = cut_boxes(volume, torch.tensor([[[i, j, k]]]), steps, LEFT)
    right = cut_boxes(volume.flip(-3), torch.tensor([[[6 - i, j, k]]]), steps, RIGHT)
    torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("box", "voxel"),
    [
        ((30, 30), (3, 1.5, 1.5)),
        ((30, 30, 0), (3, 1.5, 1.5)),
        ((30, 30, -18), (3, 1.5, 1.5)),
        ((30, 30, float("inf")), (3, 1.5, 1.5)),
        ((30, 30, float("nan")), (3, 1.5, 1.5)),
        ((30, 30, 18), (3, 0, 1.5)),
        ((1, 30, 18), (3, 1.5, 1.5)),
        ((30_000, 30, 18), (0.1, 1.5, 1.5)),
    ],
)
def test_an_impossible_box_is_refused(box: tuple[float, ...], voxel: tuple[float, ...]) -> None:
    with pytest.raises(ConfigurationError, match="is impossible") as refused:
        box_shape(box, voxel)
    assert refused.value.code == "VS-CFG-200"

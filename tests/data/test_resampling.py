"""Resampling: as PyTorch's own operators, mirrors and shifts by hand, whatever the slabs."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from volspine.data.resampling import resampled

STILL = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])[None]


def volume(*shape: int, studies: int = 1) -> torch.Tensor:
    """Images at random, and masks at random."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(studies, 3, *shape, generator=generator)
    return torch.cat([images, (images > 0.5).float()], dim=1)


def test_what_stands_still_stays_as_it_was() -> None:
    given = volume(8, 5, 6)
    torch.testing.assert_close(resampled(given, STILL), given)


def test_the_first_axis_is_the_last_row_of_the_map() -> None:
    """Turned about along (k, j, i) = (x, y, z): z -> -z mirrors i, right and left."""
    mirror = STILL.clone()
    mirror[0, 2, 2] = -1
    given = volume(8, 5, 6)
    seen = resampled(given, mirror)
    torch.testing.assert_close(seen, given.flip(2))
    assert not torch.allclose(seen, given.flip(3))
    assert not torch.allclose(seen, given)


def test_a_shift_of_one_voxel_to_the_front_leaves_nothing_behind() -> None:
    """A voxel is 2 / J of the way from edge to edge."""
    given = volume(4, 5, 6)
    shift = STILL.clone()
    shift[0, 1, 3] = -2 / 5  # Seen one voxel further back.
    seen = resampled(given, shift)
    torch.testing.assert_close(seen[:, :, :, 1:], given[:, :, :, :-1])
    assert not seen[:, :, :, 0].any()


def test_masks_stay_masks_where_images_are_interpolated() -> None:
    between = STILL.clone()
    between[0, 0, 3] = 0.7 / 6  # 0.35 of a voxel towards the head.
    given = volume(4, 5, 6)
    seen = resampled(given, between)
    expected = 0.65 * given[:, :3, ..., :-1] + 0.35 * given[:, :3, ..., 1:]
    torch.testing.assert_close(seen[:, :3, ..., :-1], expected)
    torch.testing.assert_close(seen[:, 3:], given[:, 3:])


@given(
    sizes=st.tuples(st.integers(1, 17), st.integers(1, 6), st.integers(1, 6)),
    studies=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_it_is_affine_grid_and_grid_sample(sizes, studies, seed):
    generator = torch.Generator().manual_seed(seed)
    theta = STILL + 0.2 * torch.randn(studies, 3, 4, generator=generator)
    given = volume(*sizes, studies=studies)
    places = F.affine_grid(theta, list(given.shape), align_corners=False)
    seen = resampled(given, theta)
    images = F.grid_sample(given[:, :3], places, align_corners=False)
    torch.testing.assert_close(seen[:, :3], images, atol=1e-4, rtol=0)
    masks = F.grid_sample(given[:, 3:], places, mode="nearest", align_corners=False)
    assert (seen[:, 3:] != masks).float().mean() < 0.02  # A tie may be rounded either way.


@pytest.mark.parametrize("slices", [7, 12, 24])
def test_the_number_of_threads_does_not_matter(slices):
    theta = STILL.clone() + 0.05
    given = volume(slices, 6, 7)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(resampled(given, theta))
    torch.set_num_threads(before)
    assert torch.equal(*found)

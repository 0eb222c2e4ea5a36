"""What a localizer looks at: hand values, and what must not matter."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.models.localizer_input import input_channels, masked_percentile

SPACING = (4.0, 2.0, 2.0)


def channels(image, mask=None, **options):
    mask = torch.ones_like(image) if mask is None else mask
    return input_channels(image, mask, spacing_mm=SPACING, **options)


def test_the_percentile_is_the_value_that_99_percent_do_not_exceed():
    values = torch.arange(1.0, 201.0)[torch.randperm(200)].view(1, 1, 2, 10, 10)
    assert masked_percentile(values, torch.ones_like(values)).item() == 198.0


def test_what_was_not_measured_does_not_count_for_the_percentile():
    values = torch.cat([torch.arange(1.0, 101.0), torch.full((100,), 1e6)]).view(1, 1, 2, 10, 10)
    measured = (values <= 100).float()
    assert masked_percentile(values, measured).item() == 99.0
    assert masked_percentile(values, torch.zeros_like(values)).item() == 0.0


def test_the_first_channel_is_the_root_of_the_share_of_the_percentile():
    image = torch.full((1, 1, 4, 10, 10), 8.0)
    image[0, 0, 0, 0, 0] = 2.0
    image[0, 0, 0, 0, 1] = 1000.0  # Beyond twice the percentile, which stays 8.
    root = channels(image)[0, 0]
    assert root[1, 1, 1].item() == 1.0
    assert root[0, 0, 0].item() == 0.5
    assert root[0, 0, 1].item() == torch.tensor(2.0).sqrt().item()


def test_the_second_channel_is_how_far_a_voxel_is_from_its_box_in_deviations():
    image = torch.zeros(1, 1, 9, 21, 21)
    image[0, 0, :, :, ::2] = 1.0  # In every box of 13 rows, 7 or 6 of 13 are bright.
    contrast = channels(image)[0, 1, 4, 10]
    share = 7 / 13
    spread = (share * (1 - share)) ** 0.5
    assert abs(contrast[10].item() - (1 - share) / (spread + 0.02)) < 1e-4
    share = 6 / 13
    assert abs(contrast[9].item() - (0 - share) / (spread + 0.02)) < 1e-4


def test_only_measured_voxels_count_in_a_box_and_all_else_is_zero():
    image = torch.rand(1, 1, 8, 24, 24) + 1.0
    mask = torch.zeros_like(image)
    mask[..., 12:] = 1.0
    seen = channels(image, mask, with_mask=True)
    other = channels(torch.where(mask > 0, image, 7000.0), mask, with_mask=True)
    torch.testing.assert_close(seen, other)
    assert not seen[..., :12].any()
    assert torch.equal(seen[:, 2:], mask)
    flat = channels(torch.ones_like(image), mask)
    assert flat[:, 1].abs().max() < 0.01


@settings(deadline=None, max_examples=15)
@given(factor=st.floats(1e-3, 1e4), seed=st.integers(0, 99))
def test_a_factor_does_not_matter(factor, seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 1, 4, 12, 12, generator=generator)
    mask = (torch.rand(image.shape, generator=generator) > 0.3).float()
    torch.testing.assert_close(
        channels(image * factor, mask), channels(image, mask), rtol=1e-3, atol=1e-3
    )


def test_a_mirrored_series_gives_mirrored_channels():
    image, mask = torch.rand(2, 1, 6, 12, 12), torch.rand(2, 1, 6, 12, 12) > 0.3
    mirrored = channels(image.flip(-3), mask.flip(-3))
    torch.testing.assert_close(mirrored, channels(image, mask).flip(-3), rtol=1e-4, atol=1e-4)


def test_an_empty_series_gives_nothing_and_no_nan():
    assert not channels(torch.zeros(1, 1, 4, 8, 8)).any()
    assert not channels(torch.ones(1, 1, 4, 8, 8), torch.zeros(1, 1, 4, 8, 8)).any()

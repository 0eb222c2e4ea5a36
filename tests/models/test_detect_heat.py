"""The detector: what a map says of a place, and that it learns places on the right side."""

import pytest
import torch

from volspine.errors import ConfigurationError
from volspine.models.detect_heat import Detector, peak_points
from volspine.models.guidance import guidance_loss

STRIDES = (2, 4, 4)


def no_steps(cells: tuple[int, int, int]) -> torch.Tensor:
    return torch.zeros(1, 1, 3, *cells)


def test_a_map_of_one_cell_says_its_middle() -> None:
    """Cell (1, 2, 3) covers voxels 2-3, 8-11 and 12-15: its middle is (2.5, 9.5, 13.5)."""
    attention = torch.zeros(1, 1, 4, 6, 5)
    attention[0, 0, 1, 2, 3] = 1.0
    point = peak_points(attention, no_steps((4, 6, 5)), STRIDES)
    assert point[0, 0].tolist() == [2.5, 9.5, 13.5]


def test_two_neighbours_alike_say_the_place_between_them() -> None:
    attention = torch.zeros(1, 1, 4, 6, 5)
    attention[0, 0, 1, 2, 3] = attention[0, 0, 1, 3, 3] = 0.5
    point = peak_points(attention, no_steps((4, 6, 5)), STRIDES)
    assert point[0, 0].tolist() == [2.5, 11.5, 13.5]


def test_a_second_lower_peak_far_away_does_not_move_the_point() -> None:
    attention = torch.zeros(1, 1, 4, 6, 5)
    attention[0, 0, 0, 0, 0], attention[0, 0, 3, 5, 4] = 0.6, 0.4
    point = peak_points(attention, no_steps((4, 6, 5)), STRIDES)
    assert point[0, 0].tolist() == [0.5, 1.5, 1.5]


def test_a_step_is_counted_in_cells_and_it_alone_has_a_gradient() -> None:
    attention = torch.zeros(1, 1, 4, 6, 5)
    attention[0, 0, 1, 2, 3] = 1.0
    attention.requires_grad_()
    steps = no_steps((4, 6, 5))
    steps[0, 0, :, 1, 2, 3] = torch.tensor([0.5, -0.25, 0.0])
    steps.requires_grad_()
    point = peak_points(attention, steps, STRIDES)
    assert point[0, 0].tolist() == [3.5, 8.5, 13.5]
    point.sum().backward()
    assert attention.grad is None
    assert steps.grad[0, 0, :, 1, 2, 3].tolist() == [2.0, 4.0, 4.0]


@pytest.mark.parametrize("shape", [(24, 32, 48), (7, 21, 30)], ids=["whole", "odd"])
def test_maps_have_a_cell_for_each_part_of_the_volume_and_sum_to_one(
    shape: tuple[int, int, int],
) -> None:
    found = Detector(3, 2, channels=(8, 8, 8))(torch.randn(2, 2, *shape))
    cells = tuple(-(-n // s) for n, s in zip(shape, STRIDES, strict=True))
    assert found.attention.shape == (2, 3, *cells)
    torch.testing.assert_close(found.attention.sum(dim=(2, 3, 4)), torch.ones(2, 3))
    assert found.points.shape == (2, 3, 3)


@pytest.mark.slow
def test_it_learns_which_of_two_bright_places_is_low_in_i() -> None:
    """Target 0 is the blob at low i, to the patient's left; target 1 the one at high i."""
    torch.manual_seed(0)
    volume = torch.zeros(1, 1, 16, 32, 32)
    volume[0, 0, 3:5, 12:16, 12:16] = volume[0, 0, 11:13, 12:16, 20:24] = 3.0
    points = torch.tensor([[[3.5, 13.5, 13.5], [11.5, 13.5, 21.5]]])
    detector = Detector(2, 1, channels=(8, 8, 8))
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        found = detector(volume)
        known = torch.ones(1, 2, dtype=torch.bool)
        guided = guidance_loss(
            found.attention, points, known, shape=(16, 32, 32), sigma_voxels=(1, 2, 2)
        )
        (guided + (found.points - points).abs().mean()).backward()
        optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(detector(volume).points, points, atol=1.0, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"channels": (8, 8)},
        {"channels": (8, 0, 8)},
        {"shrink": (1, 3, 3)},
        {"shrink": (1, 2)},
        {"shrink": (0, 2, 2)},
    ],
    ids=str,
)
def test_an_impossible_detector_is_refused(options: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ConfigurationError, match="is impossible") as refused:
        Detector(2, 1, **options)
    assert refused.value.code == "VS-CFG-201"

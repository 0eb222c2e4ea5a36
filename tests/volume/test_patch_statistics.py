"""Numbers of what kind of picture a patch is: hand values, and each rises with what it is for."""

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from volspine.volume.patch_statistics import STATISTICS, patch_statistics


def patches(seed=0):
    """Smooth, alike from slice to slice, bright in the middle: (1, 4, 5, 40, 40)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    made = [
        [np.exp(-3 * (x**2 + (y - 0.05 * d) ** 2)) + 0.02 * rng.standard_normal() for d in range(5)]
        for _ in range(4)
    ]
    return torch.tensor(np.array(made)[None], dtype=torch.float32)


def numbers(images, covered=None):
    given = torch.ones(images.shape[:3]) if covered is None else covered
    return dict(
        zip(STATISTICS, patch_statistics(images, given)[0].mean(dim=0).tolist(), strict=True)
    )


def test_a_checkered_patch_has_the_numbers_that_it_should():
    sign = torch.tensor([1.0, -1.0]).repeat(20)
    images = (sign[:, None] * sign).expand(1, 1, 2, 40, 40)
    found = numbers(images)
    assert found["brightness"] == 0
    assert found["contrast"] == pytest.approx(0, abs=2e-3)
    assert abs(found["asymmetry"]) <= 1  # Its median may be either value.
    assert found["grain"] == pytest.approx(np.log(2), abs=1e-3)  # 1 less its neighbours' -1.
    assert found["edges"] == pytest.approx(np.log(4), abs=2e-3)  # Steps of 2 along both axes.
    assert found["likeness"] == pytest.approx(1)
    assert found["cover"] == 1


def test_each_number_moves_as_it_should():
    plain = patches()
    usual = numbers(plain)
    grainy = plain + 0.2 * torch.randn(plain.shape, generator=torch.Generator())
    noisy = numbers(grainy)
    blurred = numbers(avg_pool2d(grainy[0], 5, 1, 2, count_include_pad=False)[None])
    shuffled = numbers(plain[:, :, [0, 4, 1, 3, 2]])
    assert noisy["grain"] > usual["grain"] + 1
    assert noisy["likeness"] < usual["likeness"]
    assert blurred["grain"] < noisy["grain"] - 1
    assert blurred["edges"] < noisy["edges"] - 0.5
    assert shuffled["likeness"] < usual["likeness"]
    assert numbers(2 * plain)["contrast"] == pytest.approx(usual["contrast"] + np.log(2), abs=0.01)
    assert numbers(2 * plain)["edges"] == pytest.approx(usual["edges"], abs=0.01)
    assert numbers(-plain)["asymmetry"] == pytest.approx(-usual["asymmetry"], abs=1e-4)


def test_a_mirrored_patch_has_the_same_numbers():
    plain = patches() + 0.1 * torch.randn(1, 4, 5, 40, 40)
    everywhere = torch.ones(1, 4, 5)
    for axis in (2, 3, 4):
        assert torch.allclose(
            patch_statistics(plain.flip(axis), everywhere),
            patch_statistics(plain, everywhere),
            atol=1e-5,
        )


def test_slices_that_were_not_measured_say_nothing():
    plain, covered = patches(), torch.ones(1, 4, 5)
    broken = plain.clone()
    broken[:, :, 4], covered[:, :, 4] = 99.0, 0.0
    shorter = patch_statistics(plain[:, :, :4], torch.ones(1, 4, 4))
    found = patch_statistics(broken, covered)
    assert torch.allclose(found[..., :-1], shorter[..., :-1], atol=1e-5)
    assert torch.allclose(found[..., -1], torch.tensor(0.8))
    assert patch_statistics(plain, torch.zeros(1, 4, 5)).isnan().all()

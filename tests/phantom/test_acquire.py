"""Acquisition: zero filling keeps places, noise is Rician, twelve bits are enough."""

from dataclasses import replace

import numpy as np
import pytest

from tests.phantom import proofs
from volspine.anatomy import Protocol
from volspine.phantom.acquire import acquire

PLAN = proofs.single_slice(Protocol.AXIAL_T2, [0.0, 0.0, 0.0], 0.0, 1.0, 64)


def spot(row, column, size=64, width=3.0):
    y, x = np.mgrid[:size, :size]
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2)).astype(np.float32)[None]


def centroid(image):
    weight = image.astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return (weight * y).sum() / weight.sum(), (weight * x).sum() / weight.sum()


@pytest.mark.parametrize("matrix", [48, 64, 96, 128])
def test_a_spot_stays_at_its_millimetre_whatever_the_matrix(matrix):
    stored = acquire(spot(20.0, 40.0), replace(PLAN, matrix=(matrix, matrix)), np.random.default_rng(0))[0]
    row, column = centroid(stored)
    assert stored.shape == (matrix, matrix)
    # Zero filling keeps the centre of the first pixel: place scales with the number of pixels.
    assert row * 64 / matrix == pytest.approx(20.0, abs=0.05)
    assert column * 64 / matrix == pytest.approx(40.0, abs=0.05)


def test_air_is_rician_and_tissue_has_the_wanted_ratio():
    image = np.zeros((1, 256, 256), np.float32)
    image[:, :, 128:] = 1.0
    plan = replace(PLAN, acquired=(256, 256), matrix=(256, 256), snr=20.0)
    stored = acquire(image, plan, np.random.default_rng(1))[0].astype(float)
    air = stored[:, :120]
    # Magnitude of complex noise: mean of M^2 is 2 sigma^2, mean of M is sigma sqrt(pi / 2).
    sigma = np.sqrt((air**2).mean() / 2)
    assert air.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.02)
    tissue = stored[:, 160:]
    local = tissue - proofs.ndimage.uniform_filter(tissue, 15)
    assert local.std() == pytest.approx(sigma, rel=0.05)


def test_a_clean_series_draws_no_noise():
    first = acquire(spot(20.0, 40.0), PLAN, np.random.default_rng(1))
    assert (first == acquire(spot(20.0, 40.0), PLAN, np.random.default_rng(2))).all()
    assert first.max() <= 4095
    assert first.dtype == np.uint16

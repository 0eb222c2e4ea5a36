"""Acquisition: zero filling keeps places, noise is Rician, twelve bits are enough."""

from dataclasses import replace

import numpy as np
import pytest

from tests.phantom import proofs
from volspine.anatomy import Protocol
from volspine.phantom.acquire import acquire, shading

RNG = np.random.default_rng
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
    stored = acquire(
        spot(20.0, 40.0), replace(PLAN, matrix=(matrix, matrix)), np.random.default_rng(0)
    )[0]
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


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("matrix", [64, 96])
def test_fewer_lines_blur_along_the_phase_axis_alone_and_move_nothing(axis, matrix):
    plan = replace(PLAN, matrix=(matrix, matrix), phase_axis=axis)
    image = 1.0 + 0.5 * spot(20.0, 40.0, width=0.8)
    whole, fewer = (acquire(image, replace(plan, phase_share=s), RNG(0))[0].astype(float)
                    for s in (1.0, 0.5))  # fmt: skip
    middle = (round(20 * matrix / 64), round(40 * matrix / 64))

    def width(stored, along):
        line = stored[:, middle[1]] if along == 0 else stored[middle[0]]
        line = line - np.median(stored)
        return line.sum() / line.max()

    assert width(fewer, axis) > 1.2 * width(whole, axis)
    assert width(fewer, 1 - axis) == pytest.approx(width(whole, 1 - axis), rel=0.05)
    assert np.unravel_index(fewer.argmax(), fewer.shape) == middle


def test_the_lines_measured_are_the_share_of_the_phase_axis():
    plan = replace(PLAN, acquired=(256, 216), phase_share=0.7)
    assert replace(plan, phase_axis=0).lines == (180, 216)
    assert replace(plan, phase_axis=1).lines == (256, 152)
    assert replace(plan, phase_share=1.0).lines == (256, 216)


@pytest.mark.parametrize("acquired", [(48, 64), (64, 48)])
def test_an_oblong_image_keeps_its_places(acquired):
    matrix = (acquired[0] * 2, acquired[1] * 2)
    plan = replace(PLAN, acquired=acquired, matrix=matrix)
    image = spot(20.0, 30.0)[:, : acquired[0], : acquired[1]]
    row, column = centroid(acquire(image, plan, RNG(0))[0])
    assert (row / 2, column / 2) == (pytest.approx(20.0, abs=0.05), pytest.approx(30.0, abs=0.05))


def test_ringing_has_the_height_that_gibbs_gives():
    # A step cut in k-space overshoots by 8.9 % of its height.
    image = np.zeros((1, 8, 256), np.float32)
    image[:, :, 64:192] = 1.0
    plan = replace(PLAN, acquired=(8, 256), matrix=(8, 256), phase_axis=1, phase_share=0.25)
    stored = acquire(image, plan, RNG(0))[0].astype(float)
    assert stored[4].max() / np.median(stored[4, 90:166]) == pytest.approx(1.089, abs=0.015)


def test_the_signal_of_deep_tissue_keeps_its_ratio_through_acquisition():
    image = np.full((1, 64, 64), 1.0, np.float32)
    image[:, 16:48, 16:48] = 0.4
    plan = replace(PLAN, matrix=(96, 96), phase_share=0.75)
    stored = acquire(image, plan, RNG(0))[0].astype(float)
    inner, outer = stored[36:60, 36:60].mean(), stored[4:12, 4:12].mean()
    assert inner / outer == pytest.approx(0.4, rel=0.01)


def ratios(bias, count=400):
    """Sensitivity behind over that in front, of many coils."""
    plan = replace(PLAN, acquired=(32, 32), snr=20.0, bias=bias)
    fields = [shading(plan, RNG(n)) for n in range(count)]
    return np.array([field[-1].mean() / field[0].mean() for field in fields])


def test_seven_coils_in_ten_are_corrected_and_the_others_fall_off_forwards():
    values = ratios(1.0)
    # A bend of either sign blurs the two groups (0.9 to 1.2, 1.5 to 4) a little.
    assert np.mean(values > 1.35) == pytest.approx(0.3, abs=3 * np.sqrt(0.3 * 0.7 / 400))
    assert values.max() < 4.5
    assert np.log(ratios(2.0)).std() > 1.7 * np.log(values).std()


def test_most_sagittal_series_have_a_dark_belly_and_no_axial_one_has():
    sagittal = replace(PLAN, protocol=Protocol.SAGITTAL_T1, snr=20.0, acquired_mm=4.0)
    dark = [shading(sagittal, RNG(n))[32, 0] < 0.55 * shading(sagittal, RNG(n))[32, 32]
            for n in range(200)]  # fmt: skip
    assert np.mean(dark) == pytest.approx(0.6, abs=0.15)


def test_noise_depends_on_its_stream_alone():
    plan = replace(PLAN, snr=20.0)
    first, again, other = (acquire(spot(20.0, 40.0), plan, RNG(n)) for n in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()

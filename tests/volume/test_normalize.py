"""Hand values, laws and extremes of intensity scaling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.volume.normalize import CEILING, normalize


def everywhere(image):
    return np.ones(image.shape, np.bool_)


def test_the_first_percentile_becomes_zero_and_the_ninety_ninth_one():
    image = np.arange(101, dtype=np.float32).reshape(101, 1, 1)
    scaled = normalize(image, everywhere(image)).ravel()
    # Percentiles of 0..100 are 1 and 99: value v becomes (v - 1) / 98.
    assert scaled[1] == pytest.approx(0.0)
    assert scaled[99] == pytest.approx(1.0)
    assert scaled[25] == pytest.approx(24 / 98)
    assert scaled[0] == 0.0


def test_what_was_not_measured_counts_for_nothing_and_is_zero():
    image = np.arange(101, dtype=np.float32).reshape(101, 1, 1)
    padded = np.concatenate([image, np.full((50, 1, 1), 1e6, np.float32)])
    mask = np.arange(151).reshape(151, 1, 1) < 101
    scaled = normalize(padded, mask)
    np.testing.assert_array_equal(scaled[:101], normalize(image, everywhere(image)))
    assert not scaled[101:].any()


@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100), seed=st.integers(0, 99))
def test_neither_unit_nor_offset_matters(scale, shift, seed):
    image = np.random.default_rng(seed).uniform(0, 10, (6, 6, 6)).astype(np.float32)
    a = normalize(image, everywhere(image))
    b = normalize((image * scale + shift).astype(np.float32), everywhere(image))
    np.testing.assert_allclose(a, b, atol=2e-3)


def test_bright_outliers_are_cut():
    image = np.arange(1001, dtype=np.float32).reshape(1001, 1, 1)
    image[-1] = 1e9
    assert normalize(image, everywhere(image)).max() == CEILING


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0])
def test_a_constant_image_becomes_zero(value):
    image = np.full((4, 4, 4), value, np.float32)
    assert not normalize(image, everywhere(image)).any()


def test_an_empty_mask_gives_zero():
    image = np.ones((4, 4, 4), np.float32)
    assert not normalize(image, np.zeros(image.shape, np.bool_)).any()


def test_one_bright_voxel_in_a_flat_field_is_seen():
    image = np.zeros((10, 10, 10), np.float32)
    image[3, 4, 5] = 8
    scaled = normalize(image, everywhere(image))
    assert scaled[3, 4, 5] == 1.0
    assert scaled.sum() == 1.0


def test_what_is_not_a_number_becomes_zero_and_spoils_nothing():
    image = np.arange(101, dtype=np.float32).reshape(101, 1, 1)
    spoilt = np.concatenate([image, np.full((2, 1, 1), np.nan, np.float32)])
    scaled = normalize(spoilt, everywhere(spoilt))
    np.testing.assert_array_equal(scaled[:101], normalize(image, everywhere(image)))
    assert not scaled[101:].any()

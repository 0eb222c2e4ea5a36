"""Signals: one worked by hand, and the order that every radiologist knows."""

import numpy as np
import pytest

from volspine.phantom.tissues import FAT_GAIN, Sequence, Tissue, relaxation, signals

TABLE = relaxation(0.4, np.ones((len(Tissue), 2)))
T1 = signals(TABLE, Sequence("T1", 550.0, 10.0))
T2 = signals(TABLE, Sequence("T2", 3500.0, 100.0))


def test_the_signal_of_muscle_by_hand():
    expected = 0.80 * (1 - np.exp(-550 / 880)) * np.exp(-10 / 38)
    assert T1[Tissue.MUSCLE] == pytest.approx(expected)


def test_fat_is_brighter_than_its_relaxation_times_say():
    expected = 1.0 * (1 - np.exp(-550 / 300)) * np.exp(-10 / 68) * FAT_GAIN
    assert T1[Tissue.FAT] == pytest.approx(expected)


def test_t1_orders_fat_marrow_muscle_fluid():
    order = [Tissue.FAT, Tissue.MARROW, Tissue.MUSCLE, Tissue.CSF, Tissue.CORTEX]
    assert (np.diff([T1[t] for t in order]) < 0).all()


def test_t2_orders_fluid_nucleus_muscle_ligament():
    order = [Tissue.CSF, Tissue.NUCLEUS, Tissue.MUSCLE, Tissue.LIGAMENT, Tissue.CORTEX]
    assert (np.diff([T2[t] for t in order]) < 0).all()


def test_a_stir_nulls_fat_at_its_inversion_time():
    # With a long TR the null lies at T1 ln 2 = 208 ms for the 300 ms of fat.
    stir = signals(TABLE, Sequence("STIR", 20000.0, 50.0, 300.0 * np.log(2)))
    assert stir[Tissue.FAT] < 1e-6
    assert stir[Tissue.CSF] > 0.5


def test_three_tesla_lengthens_t1_and_darkens_a_t1_image():
    stronger = signals(TABLE, Sequence("T1", 550.0, 10.0, None, 3.0))
    assert stronger[Tissue.MUSCLE] < T1[Tissue.MUSCLE]

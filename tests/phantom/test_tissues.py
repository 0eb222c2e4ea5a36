"""Signals: one worked by hand, and the order that every radiologist knows."""

from dataclasses import replace

import numpy as np
import pytest

from volspine.phantom.tissues import (
    FAT_GAIN,
    Sequence,
    Tissue,
    fat_signals,
    relaxation,
    signals,
)

TABLE = relaxation(0.4, np.ones((len(Tissue), 2)))
T1_TIMING = Sequence("T1", 550.0, 10.0)
T1 = signals(TABLE, T1_TIMING)
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


def test_the_fat_null_moves_with_a_finite_repetition_time():
    # 0 = 1 - 2 exp(-TI / T1) + exp(-W / T1): TI = T1 ln(2 / (1 + exp(-W / T1))).
    wait = 900.0
    null = 300.0 * np.log(2 / (1 + np.exp(-wait / 300.0)))
    assert signals(TABLE, Sequence("STIR", wait, 50.0, null))[Tissue.FAT] < 1e-6
    assert signals(TABLE, Sequence("STIR", wait, 50.0, null - 30))[Tissue.FAT] > 0.02


# TR, TE and TI of three weightings, with the signals that a prototype of the equations gave.
PRINTED = [
    (Sequence("T1", 550.0, 10.0), {"CSF": 0.13, "NUCLEUS": 0.27, "MUSCLE": 0.28, "ROOT": 0.26}),
    (Sequence("T2", 3500.0, 100.0), {"FAT": 0.31, "CSF": 0.54, "ROOT": 0.19, "LIGAMENT": 0.00}),
    (Sequence("STIR", 4000.0, 50.0, 160.0), {"FAT": 0.12, "CSF": 0.55, "MUSCLE": 0.13}),
]


@pytest.mark.parametrize(("sequence", "expected"), PRINTED, ids=["t1", "t2", "stir"])
def test_signals_are_those_of_the_table_of_weightings(sequence, expected):
    found = signals(TABLE, sequence)
    for name, value in expected.items():
        assert found[Tissue[name]] == pytest.approx(value, abs=0.02)


def test_an_echo_train_takes_its_length_from_the_recovery():
    train = Sequence("T2", 3500.0, 100.0, echoes=20, spacing_ms=10.0)
    assert train.recovery_ms == 3300.0
    assert signals(TABLE, train) == pytest.approx(signals(TABLE, Sequence("T2", 3300.0, 100.0)))


def test_a_gradient_echo_at_its_best_angle_by_hand():
    # At the Ernst angle cos(a) = E the signal is PD sqrt((1 - E) / (1 + E)) exp(-TE / T2).
    left = np.exp(-200 / 880)
    sequence = Sequence("T1", 200.0, 5.0, flip_rad=float(np.arccos(left)))
    expected = 0.80 * np.sqrt((1 - left) / (1 + left)) * np.exp(-5 / 38)
    assert signals(TABLE, sequence)[Tissue.MUSCLE] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tissue", "at_three"), [("CSF", 4300), ("CORD", 950), ("NUCLEUS", 1300), ("MUSCLE", 1065)]
)
def test_t1_grows_to_its_value_at_three_tesla(tissue, at_three):
    # From the saturation of two echoes that differ in the field only: 1 - S / S0 = exp(-W / T1).
    full, part = (
        signals(TABLE, Sequence("T1", repetition, 0.0, None, 3.0))[Tissue[tissue]]
        for repetition in (1e9, 700.0)
    )
    assert -700.0 / np.log(1 - part / full) == pytest.approx(at_three, rel=0.03)


def test_a_low_field_shortens_t1():
    weak = signals(TABLE, Sequence("T1", 550.0, 10.0, None, 0.3))
    assert weak[Tissue.MUSCLE] > 1.2 * T1[Tissue.MUSCLE]


def test_marrow_is_the_mean_of_its_pools():
    water, fat = (signals(relaxation(f, np.ones((len(Tissue), 2))), T1_TIMING) for f in (0.0, 1.0))
    assert T1[Tissue.MARROW] == pytest.approx(0.6 * water[Tissue.MARROW] + 0.4 * fat[Tissue.MARROW])
    assert fat[Tissue.MARROW] == pytest.approx(fat[Tissue.FAT])


def test_the_fat_of_a_tissue_is_its_share_of_the_signal_of_fat():
    fat = fat_signals(TABLE, T1_TIMING)
    assert fat[Tissue.FAT] == pytest.approx(T1[Tissue.FAT])
    assert fat[Tissue.MARROW] == pytest.approx(0.4 * T1[Tissue.FAT])
    assert fat[Tissue.CSF] == 0.0


def test_gains_multiply_the_signal_of_each_tissue():
    gains = tuple(1.0 + 0.1 * n for n in range(len(Tissue)))
    raised = signals(TABLE, replace(T1_TIMING, gains=gains))
    assert raised == pytest.approx(T1 * np.array(gains))


def test_three_tesla_lengthens_t1_and_darkens_a_t1_image():
    stronger = signals(TABLE, Sequence("T1", 550.0, 10.0, None, 3.0))
    assert stronger[Tissue.MUSCLE] < T1[Tissue.MUSCLE]

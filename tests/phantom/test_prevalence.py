"""Published counts, the cut points that follow, and the correlation that is shipped."""

import numpy as np
import pytest

from volspine.anatomy import MIRRORED_INDEX, TARGETS
from volspine.phantom.prevalence import (
    COUNTS,
    cutpoints,
    latent_correlation,
    observed_cutpoints,
    prevalence,
    reader_sigma,
)
from volspine.phantom.spec import Noise

NAMES = [target.name for target in TARGETS]


def test_the_prevalence_of_the_canal_at_l4_l5_by_hand():
    row = prevalence()[NAMES.index("spinal_canal_stenosis_l4_l5")]
    assert row == pytest.approx([1482 / 1974, 237 / 1974, 255 / 1974])


def test_cut_points_are_the_published_ones():
    cuts = cutpoints()
    assert cuts[NAMES.index("spinal_canal_stenosis_l1_l2")] == pytest.approx([1.70, 2.30], abs=0.01)
    recess = cuts[NAMES.index("left_subarticular_stenosis_l4_l5")]
    assert recess == pytest.approx([-0.12, 0.73], abs=0.01)
    assert (np.diff(cuts, axis=1) > 0).all()


def test_no_more_studies_are_counted_than_there_are():
    assert all(1800 < sum(row) <= 1975 for rows in COUNTS.values() for row in rows)


def test_the_correlation_is_one_and_blind_to_sides():
    matrix = latent_correlation()
    assert np.linalg.eigvalsh(matrix).min() > 0
    assert np.diag(matrix) == pytest.approx(1.0)
    assert matrix == pytest.approx(matrix.T)
    mirrored = matrix[np.ix_(MIRRORED_INDEX, MIRRORED_INDEX)]
    assert np.abs(matrix - mirrored).max() < 2e-3


def test_a_noisy_reader_widens_the_cuts_so_that_the_prevalence_stays():
    assert observed_cutpoints(Noise.NONE) == pytest.approx(cutpoints())
    wide = observed_cutpoints(Noise.SINGLE_READER)
    assert wide == pytest.approx(
        cutpoints() * np.sqrt(1 + reader_sigma(Noise.SINGLE_READER)[:, None] ** 2)
    )
    ratio = reader_sigma(Noise.CONSENSUS) / reader_sigma(Noise.SINGLE_READER)
    assert ratio == pytest.approx(3**-0.5)

"""Proof of the truth: canal, recess and foramen measured again on fine label maps by hand."""

import numpy as np
import pytest

from tests.phantom import proofs
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.truth import build_truth

RECESSES = [t for t in TARGETS if t.finding is Finding.RECESS]
FORAMINA = [t for t in TARGETS if t.finding is Finding.FORAMEN]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(range(2), id="two"),
        pytest.param(range(2, 25), id="many", marks=pytest.mark.slow),
    ],
)
def truths(request):
    return [build_truth(Spec(seed=1, index=n, cohort=Cohort.PROBE)) for n in request.param]


def test_the_sacs_area_at_the_disc_is_within_two_percent_of_the_counted_pixels(truths):
    for truth in truths:
        drained = proofs.drained(truth.anatomy)
        for level in range(5):
            labels, _ = proofs.disc_map(drained, truth.landmarks_mm[level], level)
            counted = proofs.sac_area(labels)
            assert counted == pytest.approx(truth.sac_areas_mm2[level], rel=0.02)


def test_the_canals_ratio_is_that_of_the_areas_counted_at_disc_and_pedicles(truths):
    for truth in truths:
        drained = proofs.drained(truth.anatomy)
        near = truth.landmarks_mm[[0, 0, 1, 2, 3, 4]]
        pedicles = [
            proofs.sac_area(proofs.pedicle_map(drained, near[n], proofs.FIRST + n))
            for n in range(6)
        ]
        for level in range(5):
            labels, _ = proofs.disc_map(drained, truth.landmarks_mm[level], level)
            ratio = proofs.sac_area(labels) / np.mean(pedicles[level : level + 2])
            assert ratio == pytest.approx(truth.measures[level], rel=0.025)


def test_the_recess_is_within_a_tenth_of_a_millimetre_of_the_calipers(truths):
    for truth in truths:
        for target in RECESSES:
            point = truth.landmarks_mm[target.index]
            depth = proofs.recess_depth(truth.anatomy, point, target.index % 5)
            assert depth == pytest.approx(truth.measures[target.index], abs=0.1)


@pytest.mark.slow
def test_the_foramen_keeps_the_counted_rays_of_fat_but_for_one(truths):
    errors = []
    for truth in truths:
        for target in FORAMINA:
            point = truth.landmarks_mm[target.index]
            labels = proofs.foramen_map(truth.anatomy, point)
            tilt = proofs.root_tilt(truth.anatomy, point, target.index % 5)
            counted = proofs.fat_rays(labels, 0.08, tilt)
            errors.append(counted - round(truth.measures[target.index] * 32))
    assert np.abs(errors).max() <= 1
    assert np.abs(errors).mean() < 0.3


def test_the_rulers_tell_left_from_right(truths):
    # What a swap of sides would break: the narrower recess lies where the truth says it lies.
    for truth in truths:
        for target in RECESSES[:5]:
            other = MIRRORED_INDEX[target.index]
            asymmetry = truth.measures[target.index] - truth.measures[other]
            if abs(asymmetry) < 0.3:
                continue
            left, right = (truth.landmarks_mm[n] for n in (target.index, other))
            assert left[0] > right[0]  # the patient's left is +x in LPS
            level = target.index % 5
            found = proofs.recess_depth(truth.anatomy, left, level)
            found -= proofs.recess_depth(truth.anatomy, right, level)
            assert np.sign(found) == np.sign(asymmetry)

"""Truth against rulers: canal, recess and foramen measured again on a rendered label map."""

import numpy as np
import pytest

from tests.phantom import proofs
from volspine.anatomy import TARGETS, Finding, Protocol
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.truth import build_truth


@pytest.fixture(scope="module", params=[(0,), pytest.param((2, 3, 4, 5), marks=pytest.mark.slow)])
def truths(request):
    return [build_truth(Spec(seed=1, index=n, cohort=Cohort.PROBE)) for n in request.param]


def test_the_canals_area_is_within_three_percent_of_the_counted_pixels(truths):
    for truth in truths:
        for level in range(5):
            labels, _ = proofs.disc_map(truth.anatomy, truth.landmarks_mm[level], level)
            counted = proofs.sac_area(labels)
            assert counted == pytest.approx(truth.sac_areas_mm2[level], rel=0.03)


def test_the_recess_is_within_a_tenth_of_a_millimetre_of_the_calipers(truths):
    errors = []
    for truth in truths:
        for target in (t for t in TARGETS if t.finding is Finding.RECESS):
            level = target.index % 5
            middle, point = truth.landmarks_mm[level], truth.landmarks_mm[target.index]
            labels, tilt = proofs.disc_map(truth.anatomy, middle, level)
            down = (point - middle) @ np.array([0.0, np.cos(tilt), -np.sin(tilt)])
            row, column = 200 + round(down / 0.1), 200 + round((point - middle)[0] / 0.1)
            errors.append(proofs.recess_depth(labels, row, column) - truth.measures[target.index])
    # A pixel of 0.1 mm adds half of it at each end.
    assert np.abs(errors).max() < 0.16
    assert np.abs(errors).mean() < 0.06


def test_the_foramen_keeps_the_counted_rays_of_fat(truths):
    errors = []
    for truth in truths:
        for target in (t for t in TARGETS if t.finding is Finding.FORAMEN):
            point = truth.landmarks_mm[target.index]
            plan = proofs.single_slice(Protocol.SAGITTAL_T1, point, 0.0, 0.1, 301)
            counted = proofs.fat_rays(proofs.render_labels(truth.anatomy, plan)[0], 0.1)
            errors.append(counted - round(truth.measures[target.index] * 32))
    assert np.abs(errors).max() <= 2
    assert np.abs(errors).mean() < 0.9


def test_left_is_narrow_where_left_is_graded_narrow(truths):
    # The hand value that a swap of sides would break: compare both recesses on one picture.
    truth = truths[0]
    left, right = truth.measures[15:20], truth.measures[20:25]
    level = int(np.argmax(np.abs(left - right)))
    labels, tilt = proofs.disc_map(truth.anatomy, truth.landmarks_mm[level], level)
    depths = []
    for index in (15 + level, 20 + level):
        offset = truth.landmarks_mm[index] - truth.landmarks_mm[level]
        down = offset @ np.array([0.0, np.cos(tilt), -np.sin(tilt)])
        depths.append(
            proofs.recess_depth(labels, 200 + round(down / 0.1), 200 + round(offset[0] / 0.1))
        )
    assert np.sign(depths[0] - depths[1]) == np.sign(left[level] - right[level])
    # The left landmark lies on the patient's left, which is +x in LPS.
    assert truth.landmarks_mm[15 + level, 0] > truth.landmarks_mm[20 + level, 0]

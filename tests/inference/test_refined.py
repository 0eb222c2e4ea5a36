"""Refined foramina: moved to what is seen, in the plane of the slices alone, on their own side."""

import numpy as np
import pytest
import torch

from tests.volume.made_crops import crops_of, linear
from tests.volume.marks import landmarks_of, series_of, study_of, upright_points
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding
from volspine.inference.refined import FARTHEST_MM, LOCALIZED_MM, refine, refined_in_crops
from volspine.models.point_refiner import PointRefiner, Refined
from volspine.volume.study_crops import mirrored_crops

FORAMINA = [t.index for t in TARGETS if t.finding is Finding.FORAMEN]
OTHERS = [t.index for t in TARGETS if t.finding is not Finding.FORAMEN]


class Brightest(PointRefiner):
    """Stands in for a trained one: the middle of what is bright, as sure as it is told."""

    variance_mm2 = 1e-6

    def forward(self, patches):
        """Return the mean place of what is brighter than the ground."""
        weight = patches[:, 2].clamp(min=0.2) - 0.2
        line = (torch.arange(40) - 19.5) * 0.7
        mass = weight.sum(dim=(1, 2)).clamp(min=1e-6)
        rows, columns = (weight.sum(dim=2) @ line) / mass, (weight.sum(dim=1) @ line) / mass
        variance = torch.full((len(patches),), self.variance_mm2)
        return Refined(torch.stack([rows, columns], dim=1), variance, torch.zeros(len(patches), 1))


def balls(at):
    """A bright ball about each true foramen, wide enough for the slices beside it."""
    value = np.ones(at.shape[:-1])
    for point in upright_points()[FORAMINA]:
        away = (at - point) / [4.0, 1.0, 1.0]
        value += 3.0 * np.exp(-0.5 * (away**2).sum(axis=-1) / 2.0**2)
    return value


@pytest.fixture(scope="module")
def crops():
    return crops_of(balls)


def found(step=(0.0, 0.0, 0.0)):
    """Landmarks that lie beside the true ones by a step, all of them."""
    return landmarks_of(upright_points() + np.asarray(step))


def away(landmarks) -> np.ndarray:
    return landmarks.points_mm - upright_points()


def test_both_sides_of_every_level_are_moved_to_what_is_seen(crops):
    refined = refined_in_crops(found((0.0, 2.5, -3.0)), crops, Brightest())
    assert np.abs(away(refined)[FORAMINA]).max() < 0.35
    assert away(refined)[OTHERS] == pytest.approx(np.tile([0.0, 2.5, -3.0], (15, 1)))


def test_nothing_moves_across_the_slices(crops):
    refined = refined_in_crops(found((1.5, 2.0, 2.0)), crops, Brightest())
    assert away(refined)[FORAMINA, 0] == pytest.approx(1.5)
    assert np.abs(away(refined)[FORAMINA, 1:]).max() < 0.35


def test_a_refiner_as_unsure_as_the_localizer_moves_a_point_half_the_way(crops):
    refiner = Brightest()
    sure = refined_in_crops(found((0.0, 0.0, 4.0)), crops, refiner)
    refiner.variance_mm2 = LOCALIZED_MM**2
    half = refined_in_crops(found((0.0, 0.0, 4.0)), crops, refiner)
    whole = 4.0 - away(sure)[FORAMINA, 2]
    assert 4.0 - away(half)[FORAMINA, 2] == pytest.approx(whole / 2, abs=1e-3)
    # Two axes of 1 / (1/4 + 1/4) mm^2, and a third of the localizer's (2 mm)^2 across.
    assert half.spread_mm[FORAMINA] == pytest.approx(np.sqrt(2 * 2.0 + 4.0 / 3))
    assert half.spread_mm[OTHERS] == pytest.approx(found().spread_mm[OTHERS])


def test_two_views_that_agree_are_no_surer_than_one(crops):
    refiner = Brightest()
    refiner.variance_mm2 = 1.0
    one = crops._replace(sagittal_mask=crops.sagittal_mask.clone())
    one.sagittal_mask[:, 1] = False
    both, single = (refined_in_crops(found((0.0, 2.0, 0.0)), c, refiner) for c in (crops, one))
    assert both.points_mm == pytest.approx(single.points_mm, abs=1e-3)
    assert both.spread_mm == pytest.approx(single.spread_mm)


def test_where_nothing_was_measured_points_and_spreads_stay(crops):
    dark = crops._replace(sagittal_mask=torch.zeros_like(crops.sagittal_mask))
    landmarks = found((0.0, 2.0, 2.0))
    refined = refined_in_crops(landmarks, dark, Brightest())
    assert np.array_equal(refined.points_mm, landmarks.points_mm)
    assert np.array_equal(refined.spread_mm, landmarks.spread_mm)


def test_a_point_that_would_go_far_stays():
    landmarks = found((0.0, 0.0, FARTHEST_MM + 2.0))
    refined = refined_in_crops(landmarks, crops_of(balls), Brightest())
    assert np.array_equal(refined.points_mm, landmarks.points_mm)


def test_a_level_that_was_not_located_stays_absent(crops):
    points = upright_points() + np.array([0.0, 2.0, 0.0])
    points[2::5] = np.nan
    refined = refined_in_crops(landmarks_of(points), crops, Brightest())
    assert np.isnan(refined.points_mm[2::5]).all()
    assert abs(refined.points_mm[FORAMINA[0], 1] - upright_points()[FORAMINA[0], 1]) < 0.35


def test_the_mirrored_study_gets_the_mirrored_points():
    torch.manual_seed(0)
    refiner = PointRefiner((8, 8)).eval()
    rng = np.random.default_rng(0)
    points = upright_points() + rng.normal(0, 2, (25, 3))
    plain = crops_of(lambda at: 1.0 + rng.random(at.shape[:-1]))
    flip = np.array([-1.0, 1.0, 1.0])
    mirror = list(MIRRORED_INDEX)
    here = refined_in_crops(landmarks_of(points), plain, refiner)
    there = refined_in_crops(landmarks_of(points[mirror] * flip), mirrored_crops(plain), refiner)
    assert np.abs(here.points_mm - points)[FORAMINA, 1:].min() > 0
    assert there.points_mm[mirror] * flip == pytest.approx(here.points_mm, abs=1e-3)


def test_a_study_without_sagittal_series_or_levels_stays_as_it_is():
    landmarks = found()
    device = torch.device("cpu")
    empty = study_of(series_of("axial_t2"))
    refined = refine(landmarks, empty, refiner=Brightest(), device=device)
    assert np.array_equal(refined.points_mm, landmarks.points_mm)
    nothing = landmarks_of(np.full((25, 3), np.nan))
    assert refine(nothing, empty, refiner=Brightest(), device=device) is nothing


def test_an_even_slope_moves_nothing_far():
    refined = refined_in_crops(found(), crops_of(linear), PointRefiner((8, 8)).eval())
    assert np.linalg.norm(away(refined)[FORAMINA], axis=1).max() <= FARTHEST_MM

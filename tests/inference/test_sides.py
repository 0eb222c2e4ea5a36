"""Sides against the axial picture."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from tests.volume.marks import (
    landmarks_of,
    mirrored_points,
    mirrored_study,
)
from volspine.anatomy import LEVELS, MIRRORED_INDEX, PROTOCOLS
from volspine.inference.sides import check_sides, symmetry_line
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import acquire_study, study_of


@cache
def made():
    """A synthetic study without noise, and its true points."""
    acquired = acquire_study(Spec(seed=9, index=1, cohort=Cohort.CLEAN, size=Size.SMALL))
    return study_of(acquired), acquired.landmarks_mm


def slice_about(left_mm, *, lean=0.0):
    """A picture that is symmetric about a line, and nowhere else: blobs of different brightness."""
    rows, columns = np.mgrid[-30:31, -30:31] * 1.5
    across = (columns - left_mm) * np.cos(lean) + rows * np.sin(lean)
    along = rows * np.cos(lean) - (columns - left_mm) * np.sin(lean)
    image = np.zeros(rows.shape)
    for place, depth, height in ((0, 0, 900), (14, -6, 500), (9, 10, 300), (20, 4, 700)):
        for side in (-1, 1):
            away = (across - side * place) ** 2 + (along - depth) ** 2
            image += height * np.exp(-away / 30)
    return torch.from_numpy(image).float(), torch.ones(rows.shape, dtype=torch.bool)


@pytest.mark.parametrize("left_mm", [-9.0, 0.0, 4.0])
def test_the_line_of_symmetry_is_found_where_it_is(left_mm):
    found = symmetry_line(*slice_about(left_mm))
    assert found.aside_mm == pytest.approx(left_mm, abs=0.51)
    assert found.turn_rad == pytest.approx(0.0, abs=1e-9)
    assert found.likeness > 0.98


@pytest.mark.parametrize("degrees", [-6, 4])
def test_a_turned_line_is_found_with_its_turn(degrees):
    found = symmetry_line(*slice_about(2.0, lean=np.deg2rad(degrees)))
    assert np.degrees(found.turn_rad) == pytest.approx(degrees, abs=1e-6)
    assert found.aside_mm == pytest.approx(2.0, abs=0.51)


def test_noise_and_nothing_have_no_line():
    noise = torch.from_numpy(np.random.default_rng(0).random((61, 61))).float()
    everywhere = torch.ones(61, 61, dtype=torch.bool)
    assert symmetry_line(noise, everywhere).likeness < 0.5
    assert symmetry_line(torch.full((61, 61), 7.0), everywhere).likeness < 0.5
    assert symmetry_line(noise, ~everywhere).likeness == -1.0


def test_what_was_not_measured_is_not_compared():
    image, mask = slice_about(3.0)
    mask[:, 52:] = False
    found = symmetry_line(image * mask, mask)
    assert found.aside_mm == pytest.approx(3.0, abs=0.51)


def test_true_landmarks_agree_with_frame_and_picture():
    study, points = made()
    for found, level in zip(check_sides(landmarks_of(points), study), LEVELS, strict=True):
        assert (found.level, found.verdict, found.reason) == (level, "agrees", "")
        assert abs(found.beside_mm[0]) < 2
        assert found.beside_mm[1] == pytest.approx(17, abs=2.5)
        assert found.beside_mm[2] == pytest.approx(-17, abs=2.5)
        assert found.beside_mm[3] > 5 > -5 > found.beside_mm[4]


def test_swapped_sides_contradict_the_frame():
    study, points = made()
    swapped = landmarks_of(points[list(MIRRORED_INDEX)])
    for found in check_sides(swapped, study):
        assert found.verdict == "contradicts"
        assert found.reason.startswith("the left foramen of")


def test_only_the_level_that_is_swapped_contradicts():
    study, points = made()
    points = points.copy()
    points[[17, 22]] = points[[22, 17]]
    verdicts = [found.verdict for found in check_sides(landmarks_of(points), study)]
    assert verdicts == ["agrees", "agrees", "contradicts", "agrees", "agrees"]
    assert check_sides(landmarks_of(points), study)[2].reason == (
        "the left recess of L3/L4 lies right of the right one"
    )


def test_a_landmark_on_the_wrong_side_of_the_spine_contradicts_the_picture():
    study, points = made()
    points = points.copy()
    points[13, 0] += 23.0  # The right foramen of L4/L5, now 6 mm left of the middle.
    found = check_sides(landmarks_of(points), study)[3]
    assert found.verdict == "contradicts"
    assert found.reason == "the right foramen of L4/L5 lies on the other side of the middle"


@pytest.mark.parametrize(("aside", "way"), [(8.0, "left"), (-8.0, "right")])
def test_a_canal_beside_the_spine_contradicts_the_picture(aside, way):
    study, points = made()
    points = points.copy()
    points[1, 0] += aside
    found = check_sides(landmarks_of(points), study)[1]
    assert found.verdict == "contradicts"
    assert found.reason.endswith(f"mm {way} of the middle")
    assert found.symmetry.aside_mm == pytest.approx(-aside, abs=2.0)


def test_the_mirrored_study_gives_the_mirrored_distances():
    study, points = made()
    plain = check_sides(landmarks_of(points), study)
    mirror = check_sides(landmarks_of(mirrored_points(points)), mirrored_study(study))
    for here, there in zip(plain, mirror, strict=True):
        assert there.verdict == here.verdict == "agrees"
        expected = -np.array(here.beside_mm)[[0, 2, 1, 4, 3]]
        assert there.beside_mm == pytest.approx(expected, abs=1.5)


def test_a_level_without_picture_or_place_is_not_seen():
    study, points = made()
    no_axial = replace(study, series=[s for s in study.series if s.protocol in PROTOCOLS[:2]])
    for found in check_sides(landmarks_of(points), no_axial):
        assert (found.verdict, found.reason) == ("not_seen", "the study has no axial T2 series")
        assert np.isnan(found.beside_mm).all()
    points = points.copy()
    points[2] = np.nan
    assert check_sides(landmarks_of(points), study)[2].reason == "L3/L4 was not located"
    points[1, 2] += 300.0
    moved = check_sides(landmarks_of(points), study)[1]
    assert moved.verdict == "not_seen"

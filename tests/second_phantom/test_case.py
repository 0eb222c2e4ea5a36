"""The second phantom keeps its word: marks lie where they should, and left is left."""

import numpy as np
import pytest

from tests.second_phantom.canvas import Tissue
from tests.second_phantom.case import make_case, mirrored
from volspine.anatomy import LEVELS, Protocol
from volspine.landmarks import CHAIN, MIRRORED_POINT, POINTS

CANAL = slice(0, len(CHAIN))
LEFT = [n for n, name in enumerate(POINTS) if name.startswith("left")]
RIGHT = [n for n, name in enumerate(POINTS) if name.startswith("right")]
FORAMEN = [n for n, name in enumerate(POINTS) if "foraminal" in name]
RECESS = [n for n, name in enumerate(POINTS) if "subarticular" in name]


def tissues_near(canvas, point, reach_mm):
    """Return what lies within a cube around a point."""
    view, _ = canvas.box(point - reach_mm, point + reach_mm)
    return set(np.unique(view).tolist())


def tissue_at(canvas, point):
    return canvas.labels[tuple(np.rint(canvas.index(point)).astype(int))]


@pytest.mark.slow
def test_every_canal_mark_is_within_the_sac(second_case):
    within = {Tissue.FLUID, Tissue.CORD, Tissue.ROOT}
    assert {tissue_at(second_case.canvas, p) for p in second_case.points_mm[CANAL]} <= within


def test_every_foramen_mark_is_on_a_root_with_fat_beside_it(second_case):
    for point in second_case.points_mm[FORAMEN]:
        assert tissue_at(second_case.canvas, point) == Tissue.ROOT
        assert Tissue.CANAL_FAT in tissues_near(second_case.canvas, point, 8)


def test_every_recess_mark_is_within_the_bony_canal(second_case):
    within = {Tissue.FLUID, Tissue.ROOT, Tissue.CANAL_FAT}
    assert {tissue_at(second_case.canvas, p) for p in second_case.points_mm[RECESS]} <= within


def test_left_marks_are_to_the_left_of_the_canal_at_their_level(second_case):
    points = second_case.points_mm
    for n in LEFT + RIGHT:
        level = next(i for i, level in enumerate(LEVELS) if POINTS[n].endswith(level.value))
        away = points[n, 0] - points[1 + level, 0]
        assert (away > 0) == (n in LEFT)
        assert abs(away) < 24


def test_levels_run_downwards_and_the_sacrum_backwards(second_case):
    points = second_case.points_mm[CANAL]
    assert np.all(np.diff(points[:, 2]) < -10)
    assert points[-1, 1] > points[-3, 1]


def test_the_liver_is_on_the_right(second_case):
    canvas = second_case.canvas
    x = canvas.index(np.zeros(3))[0]
    liver, *_ = np.nonzero(canvas.labels == Tissue.LIVER)
    assert liver.mean() < x


def test_the_sacrum_tapers(second_case):
    build = second_case.column.build
    sacrum = build.depth[10:15].mean(axis=1)
    assert np.all(np.diff(sacrum) < 0)
    assert sacrum[0] < build.depth[9].mean()


def test_a_study_is_a_sagittal_t1_and_a_sagittal_t2_of_whole_counts(second_case):
    series = second_case.study.series
    assert [s.protocol for s in series] == [Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2]
    for one in series:
        assert [stack.plane for stack in one.stacks] == ["sagittal"]
        voxels = one.stacks[0].voxels
        assert voxels.min() >= 0
        assert np.array_equal(voxels, np.rint(voxels))


def test_fat_is_bright_on_t1_and_fluid_on_t2(second_case):
    point = second_case.points_mm[3]
    t1, t2 = (around(s.stacks[0], point) for s in second_case.study.series)
    bone = point - second_case.column.axes[7, :, 1] * 25
    marrow = [around(s.stacks[0], np.add(bone, (0, 0, 18))) for s in second_case.study.series]
    assert t1 < marrow[0]
    assert t2 > marrow[1]


def around(stack, point):
    """Return the median of what a stack shows within two pixels of a point."""
    i, j, k = np.linalg.solve(stack.affine_lps, [*point, 1])[:3].round().astype(int)
    return float(np.median(stack.voxels[i - 2 : i + 3, j - 2 : j + 3, k]))


@pytest.mark.slow
def test_the_same_seed_and_index_give_the_same_study_and_others_another(second_case):
    again = make_case(0, 3)
    assert np.array_equal(again.points_mm, second_case.points_mm)
    for one, other in zip(again.study.series, second_case.study.series, strict=True):
        assert np.array_equal(one.stacks[0].voxels, other.stacks[0].voxels)
        assert np.array_equal(one.stacks[0].affine_lps, other.stacks[0].affine_lps)


def test_the_mirrored_patient_has_the_mirrored_marks_and_pictures(second_case):
    other = mirrored(second_case)
    assert other.points_mm[LEFT, 0] == pytest.approx(-second_case.points_mm[RIGHT, 0])
    for one, flipped in zip(second_case.study.series, other.study.series, strict=True):
        stack, image = one.stacks[0], flipped.stacks[0]
        for point in second_case.points_mm:
            assert around(image, point * [-1, 1, 1]) == around(stack, point)
    assert np.allclose(mirrored(other).points_mm, second_case.points_mm)
    assert (
        other.points_mm.tolist()
        == (second_case.points_mm[list(MIRRORED_POINT)] * [-1, 1, 1]).tolist()
    )

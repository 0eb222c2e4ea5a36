"""A phantom's levels for a grader: the tensors, the labels, and what a study does not have."""

from dataclasses import replace

import pytest
import torch

from volspine.anatomy import LEVELS, TARGETS, Protocol
from volspine.phantom import levels
from volspine.phantom.levels import phantom_levels, phantom_study_crops
from volspine.phantom.scene import Scan, Scene
from volspine.phantom.spec import Cohort, Noise, Size, Spec
from volspine.phantom.study import outline_study
from volspine.views import CROPPED
from volspine.volume.patches import cut_patches
from volspine.volume.study_crops import batched

SPEC = Spec(seed=6, index=5, cohort=Cohort.RSNA_LIKE, size=Size.SMALL)


@pytest.fixture(scope="module")
def made():
    return phantom_levels(SPEC)


def test_crops_have_their_shapes_and_kinds(made):
    slices, pixels, _ = CROPPED["sagittal"]
    assert made.crops.sagittal.shape == (5, 2, slices, *pixels)
    slices, pixels, _ = CROPPED["axial"]
    assert made.crops.axial.shape == (5, slices, *pixels)
    assert made.crops.sagittal.dtype == made.crops.axial.dtype == torch.float16
    assert made.crops.affine_lps.shape == (5, 3, 4, 4)
    assert made.crops.affine_lps.dtype == made.crops.points_mm.dtype == torch.float64


def test_crops_lie_about_the_true_canal(made):
    truth = torch.from_numpy(outline_study(SPEC).landmarks_mm)
    assert torch.equal(made.crops.points_mm, truth)
    for level in range(len(LEVELS)):
        for number, axes in enumerate((CROPPED["sagittal"],) * 2 + (CROPPED["axial"],)):
            affine = made.crops.affine_lps[level, number]
            index = torch.linalg.solve(affine[:3, :3], truth[level] - affine[:3, 3])
            middle = (torch.tensor(axes[1]) - 1) / 2
            torch.testing.assert_close(index[1:], middle.double(), atol=1e-6, rtol=0)
            # Sagittal slices run to the left, axial ones to the head.
            assert affine[0 if number < 2 else 2, 0] > 0


def test_left_targets_lie_to_the_left_in_their_crops(made):
    for target in TARGETS:
        if target.side is None:
            continue
        level = LEVELS.index(target.level)
        for number, axis in ((0, 0), (2, 2)):
            affine = made.crops.affine_lps[level, number]
            offset = made.crops.points_mm[target.index] - made.crops.points_mm[level]
            along = torch.linalg.solve(affine[:3, :3], offset)[axis]
            assert (along > 0) == (target.side == "left")


@pytest.mark.parametrize("noise", list(Noise))
def test_labels_are_those_of_the_tables(made, noise):
    spec = replace(SPEC, noise=noise)
    wanted = torch.tensor(outline_study(spec).labels)
    assert torch.equal(made.labels[list(Noise).index(noise)], wanted)


def test_the_reader_of_a_spec_gives_its_labels(made, monkeypatch):
    monkeypatch.setattr(levels, "phantom_levels", lambda spec, scan: made)
    for noise in Noise:
        _, labels, grades = phantom_study_crops(replace(SPEC, noise=noise))
        assert torch.equal(labels, made.labels[list(Noise).index(noise)])
        assert torch.equal(grades, made.grades)


def test_a_protocol_that_a_study_lacks_is_empty(monkeypatch):
    of = Scene.of
    monkeypatch.setattr(
        Scene, "of", lambda self, p: [] if p is not Protocol.SAGITTAL_T1 else of(self, p)
    )
    crops = phantom_levels(SPEC).crops
    assert crops.sagittal[:, 0].any()
    assert not crops.sagittal_mask[:, 1].any()
    assert not crops.axial_mask.any()
    assert not crops.axial.any()
    assert (crops.affine_lps[:, :, :3, :3].det().abs() > 0).all()
    patches = cut_patches(batched([crops]), crops.points_mm[None])
    assert [bool(share.any()) for share in patches.covered] == [False, False, True, False, False]
    assert all(image.isfinite().all() for image in patches.images)


@pytest.mark.slow
def test_another_scan_of_the_same_person_differs_in_noise_alone(made):
    again = phantom_levels(SPEC, scan=Scan(draw=1))
    assert torch.equal(again.crops.affine_lps, made.crops.affine_lps)
    assert torch.equal(again.crops.sagittal_mask, made.crops.sagittal_mask)
    assert not torch.equal(again.crops.sagittal, made.crops.sagittal)
    assert torch.equal(again.grades, made.grades)

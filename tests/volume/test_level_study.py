"""A study's levels as tensors: those of its files and of the phantom itself are the same."""

import numpy as np
import pytest
import torch

from tests.volume.marks import (
    axial_affine,
    field,
    landmarks_of,
    linear_stack,
    sagittal_affine,
    series_of,
    study_of,
    upright_points,
)
from volspine.anatomy import LEVELS, PROTOCOLS
from volspine.dicom.reading import read_study
from volspine.phantom.dicom import write_study
from volspine.phantom.levels import phantom_levels, phantom_study_crops
from volspine.phantom.spec import Cohort, Noise, Size, Spec
from volspine.phantom.study import acquire_study
from volspine.views import CROPPED
from volspine.volume.level_study import study_crops_of
from volspine.volume.patches import cut_patches
from volspine.volume.study_crops import BRIGHTEST, batched, scaled
from volspine.volume.thick_slices import thickened

CLEAN = Spec(seed=6, index=3, cohort=Cohort.CLEAN, size=Size.SMALL)
NOISY = Spec(seed=6, index=4, cohort=Cohort.PROBE, size=Size.SMALL)


def made_study():
    t1, t2 = (
        series_of(f"sagittal_{w}", linear_stack(sagittal_affine(), (80, 160, 15)), name=w)
        for w in ("t1", "t2")
    )
    axial = series_of("axial_t2", linear_stack(axial_affine(), (80, 70, 5)), name="ax")
    return study_of(t1, t2, axial)


def of_files(spec, folder):
    """The crops and patches of a phantom's DICOM files, at its true landmarks."""
    made = acquire_study(spec)
    write_study(made, folder)
    return study_crops_of(read_study(folder), landmarks_of(made.landmarks_mm))


@pytest.mark.parametrize(
    ("spec", "correlation"),
    [(CLEAN, 0.999), (NOISY, 0.93)],
    ids=["clean", "noisy"],
)
@pytest.mark.slow
def test_files_and_phantom_give_the_same_tensors(tmp_path, spec, correlation):
    direct, _, _ = phantom_study_crops(spec)
    filed, _ = of_files(spec, tmp_path)
    for name in ("affine_lps", "points_mm"):
        ours, theirs = getattr(direct, name), getattr(filed, name)
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, atol=0.01, rtol=0)
    for name in ("sagittal", "axial", "sagittal_mask", "axial_mask"):
        ours, theirs = getattr(direct, name), getattr(filed, name)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert (direct.sagittal_mask == filed.sagittal_mask).float().mean() > 0.999
    patches = [cut_patches(batched([c]), direct.points_mm[None]) for c in (direct, filed)]
    for ours, theirs in zip(*(each.images for each in patches), strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > correlation


def test_a_level_that_was_not_located_is_empty_and_says_why():
    points = upright_points()
    points[[1, 6, 11, 16, 21]] = np.nan
    crops, sources = study_crops_of(made_study(), landmarks_of(points))
    assert not crops.sagittal[1].any()
    assert not crops.axial_mask[1].any()
    assert all("was not located" in source.reason for source in sources[1])
    assert crops.affine_lps.isfinite().all()
    patches = cut_patches(batched([crops]), crops.points_mm[None])
    for image, share in zip(*patches, strict=True):
        assert image.isfinite().all()
        assert not image[:, 1].any()
        assert not share[:, 1].any()
        assert share[:, 2].any()


def test_a_study_without_a_series_has_empty_crops_of_it():
    study = made_study()
    study = study_of(*(s for s in study.series if s.protocol is not PROTOCOLS[0]))
    crops, sources = study_crops_of(study, landmarks_of(upright_points()))
    assert not crops.sagittal[:, 0].any()
    assert crops.sagittal[:, 1].any()
    assert [source.reason for source in (row[0] for row in sources)] == (
        ["the study has no sagittal T1 series"] * len(LEVELS)
    )


def test_values_are_those_of_the_places_over_the_mean_of_the_crop():
    crops, _ = study_crops_of(made_study(), landmarks_of(upright_points()))
    slices, (rows, columns), _ = CROPPED["sagittal"]
    index = np.stack(np.indices((slices, rows, columns)), axis=-1)
    affine = crops.affine_lps[2, 1].numpy()
    values = field(index @ affine[:3, :3].T + affine[:3, 3])
    mask = crops.sagittal_mask[2, 1].numpy()
    found = crops.sagittal[2, 1].float().numpy()
    np.testing.assert_allclose(found[mask], (values / values[mask].mean())[mask], rtol=2e-3)
    assert found[mask].mean() == pytest.approx(1.0, abs=1e-3)


def test_brightness_has_an_end_and_a_constant_zero_is_zero():
    image, mask = torch.zeros(2, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool)
    assert not scaled(image, mask).any()
    image[0, 0, 0] = 100.0
    assert scaled(image, mask).max() == BRIGHTEST
    assert scaled(image, mask).dtype == torch.float16
    mask[1] = False
    image[:] = 3.0
    assert scaled(image, mask)[0].unique().tolist() == [1.0]
    assert not scaled(image, mask)[1].any()


def test_a_phantom_knows_what_every_reader_reads():
    made = phantom_levels(NOISY)
    assert made.labels.shape == (len(Noise), 25)
    assert torch.equal(made.labels[list(Noise).index(Noise.NONE)], made.grades)
    assert not torch.equal(made.labels[list(Noise).index(Noise.SINGLE_READER)], made.grades)


def thin_study(step=1.0):
    """A sagittal T2 series of thin slices, and usual ones in T1."""
    thin, thick = (
        linear_stack(sagittal_affine(shape=(80, 160, n), step=mm), (80, 160, n))
        for n, mm in ((round(61 / step), step), (15, 4.0))
    )
    return study_of(
        series_of("sagittal_t1", thick, name="t1"), series_of("sagittal_t2", thin, name="t2")
    )


@pytest.mark.parametrize("step", [0.9, 1.0, 2.0])
def test_thin_slices_are_averaged_so_that_a_crop_reaches_both_foramina(step):
    study, points = thin_study(step), upright_points()
    crops, sources = study_crops_of(study, landmarks_of(points))
    affine = crops.affine_lps[2, 1].numpy()
    count = int(4.5 / step + 1e-3)
    assert affine[0, 0] == pytest.approx(count * step)
    index = np.stack(np.indices(crops.sagittal.shape[-3:]), axis=-1)
    values = field(index @ affine[:3, :3].T + affine[:3, 3])
    mask = crops.sagittal_mask[2, 1].numpy()
    found = crops.sagittal[2, 1].float().numpy()
    np.testing.assert_allclose(found[mask], (values / values[mask].mean())[mask], rtol=2e-3)
    patches = cut_patches(batched([crops]), crops.points_mm[None])
    assert (patches.covered[3][0, :, 1:4] > 0.99).all()
    # The sources name native slices: those at the places where the crop's are.
    origins = study.series[1].stacks[0].slice_origins_mm[:, 0]
    for d, k in enumerate(sources[2][1].slices):
        if k >= 0:
            assert abs(origins[k] - (affine[0, 3] + d * affine[0, 0])) <= count * step / 2


def test_slices_of_usual_thickness_are_left_alone():
    study = thin_study(3.0)
    assert thickened(study).study is study
    thin = thin_study(1.0)
    made = thickened(thin)
    assert made.study.series[0] is thin.series[0]
    assert made.groups == {("t2", 0): (0, 4)}
    assert thin.series[1].stacks[0].shape[2] == 61

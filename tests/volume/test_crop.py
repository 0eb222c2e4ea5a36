"""Crops: the tensors that phantoms give directly; two samplers that agree; sides, gaps, absence."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.volume.marks import (
    MIRROR,
    axial_affine,
    field,
    landmarks_of,
    linear_stack,
    mirrored_points,
    mirrored_study,
    sagittal_affine,
    series_of,
    study_of,
    upright_points,
)
from volspine.anatomy import LEVELS, MIRRORED_INDEX, PROTOCOLS, Finding, Level, Side
from volspine.dicom.reading import read_study
from volspine.errors import ConfigurationError, PixelError
from volspine.geometry.stack import Stack
from volspine.geometry.window import AXIAL, SAGITTAL, CropShape, LevelFrame, level_frames
from volspine.phantom.dicom import write_study
from volspine.phantom.direct import level_crops, study_crops
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.scene import Scene
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import acquire_study
from volspine.volume.crop import Cropper, crop_level, crop_study
from volspine.volume.crop_records import AS_ACQUIRED, CropHow

CLEAN = Spec(seed=6, index=3, cohort=Cohort.CLEAN, size=Size.SMALL)
STEEP = replace(CLEAN, index=54)
"""Its axial slices through L5/S1 are nearer to coronal."""

SHAPES = (CropShape(7, (40, 40), 2.0), CropShape(3, (32, 32), 2.0))
HOW = CropHow(shapes=SHAPES)
SWAP = [0, 2, 1, 4, 3]
T1, T2, AX = PROTOCOLS


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A study without noise, read from its DICOM files, and its true landmarks."""
    made = acquire_study(CLEAN)
    folder = tmp_path_factory.mktemp("clean") / "study"
    write_study(made, folder)
    return read_study(folder), landmarks_of(made.landmarks_mm)


@cache
def clean_direct():
    return study_crops(CLEAN, shapes=SHAPES)


@cache
def made_up():
    """A made-up study: two sagittal series, and an axial stack for each disc but the first."""
    axial = [linear_stack(axial_affine(middle=(2.0, 5.0, 36.0 * (2 - n)), tilt=0.1 * (n - 2)),
                          (80, 70, 5)) for n in (1, 2, 3, 4)]  # fmt: skip
    sagittal = linear_stack(
        sagittal_affine(middle=(1.0, 4.0, 0.0), shape=(100, 160, 15)), (100, 160, 15)
    )
    return study_of(
        series_of("sagittal_t1", sagittal, name="t1"),
        series_of("sagittal_t2", sagittal, name="t2"),
        series_of("axial_t2", *axial, name="ax"),
    )


def upright():
    return landmarks_of(upright_points())


def places(crop):
    """LPS of every voxel of a crop, (D, H, W, 3)."""
    affine = crop.affine_lps.numpy()
    index = np.moveaxis(np.indices(crop.image.shape), 0, -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def assert_is_the_field(crop, *, atol=0.02):
    """Values are those of the linear field where the crop says that its voxels are."""
    inside = crop.mask.numpy()
    assert inside.any()
    assert np.abs(crop.image.numpy() - field(places(crop)))[inside].max() < atol
    assert (crop.image.numpy()[~inside] == 0).all()


def assert_same(image, other, *, atol=1e-2):
    """Quicker than approx, which compares one number at a time."""
    assert image.shape == other.shape
    assert (image - other).abs().max() < atol


@pytest.mark.parametrize("view", PROTOCOLS)
def test_a_crop_from_files_is_the_one_that_the_phantom_gives_directly(clean, view):
    crops = crop_study(*clean, how=HOW)
    for crop, direct in zip(crops, clean_direct(), strict=True):
        ours, theirs = crop[view], getattr(direct, view.value)
        assert ours.mask.equal(theirs.mask)
        assert ours.affine_lps.numpy() == pytest.approx(theirs.affine_lps.numpy(), abs=1e-3)
        expected = theirs.landmarks_index.numpy()
        assert ours.points_index.numpy() == pytest.approx(expected, abs=1e-3)
        inside = ours.mask
        assert np.corrcoef(ours.image[inside], theirs.image[inside])[0, 1] > 0.998


def test_a_crop_beside_the_level_is_the_one_that_the_phantom_gives_directly(clean):
    offset = (3.0, -5.0, 4.0)
    direct = level_crops(CLEAN, "l4_l5", shapes=SHAPES, offset_mm=offset)
    cropper = Cropper(*clean, how=HOW)
    for view in PROTOCOLS:
        crop = cropper.crop(Level.L4_L5, view, offset_mm=offset)
        theirs = getattr(direct, view.value)
        assert crop.mask.equal(theirs.mask)
        assert crop.affine_lps.numpy() == pytest.approx(theirs.affine_lps.numpy(), abs=1e-3)
        assert np.corrcoef(crop.image[crop.mask], theirs.image[crop.mask])[0, 1] > 0.998


def true_frames(spec):
    """Frames along the true discs instead of the chain's tangent."""
    scene = Scene(spec)
    tilts, turn = scene.truth.anatomy.frame.tilts, scene.plan.pose.rotation
    frames = []
    for n, level in enumerate(LEVELS):
        tilt = float(tilts[FIRST_SEGMENT + n : FIRST_SEGMENT + n + 2].mean())
        axes = np.array(
            [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
        )
        frames.append(LevelFrame(level, scene.landmarks_mm[n], axes @ turn.T))
    return tuple(frames)


def test_an_aligned_crop_is_the_one_that_the_phantom_gives_directly(clean):
    how = replace(HOW, aligned=True)
    cropper = Cropper(*clean, how=how, frames=true_frames(CLEAN))
    theirs = level_crops(CLEAN, "l5_s1", shapes=SHAPES, aligned=True).sagittal_t2
    crop = cropper.crop(Level.L5_S1, T2)
    assert crop.affine_lps.numpy() == pytest.approx(theirs.affine_lps.numpy(), abs=1e-3)
    assert crop.mask.equal(theirs.mask)
    assert np.corrcoef(crop.image[crop.mask], theirs.image[crop.mask])[0, 1] > 0.998


def test_the_chain_tells_how_the_true_discs_lie(clean):
    for ours, true in zip(level_frames(clean[1]), true_frames(CLEAN), strict=True):
        assert np.degrees(np.arccos(ours.normal @ true.normal)) < 15
        assert np.degrees(np.arccos(ours.axes[0] @ true.axes[0])) < 5


@pytest.mark.slow
def test_steep_axial_slices_run_to_the_head_in_both():
    from volspine.phantom.study import study_of as as_study

    made = acquire_study(STEEP)
    study, marks = as_study(made), landmarks_of(made.landmarks_mm)
    crop = crop_level(study, marks, level=Level.L5_S1, view=AX, how=HOW)
    theirs = level_crops(STEEP, "l5_s1", shapes=SHAPES).axial_t2
    assert crop.source.slices == (2, 1, 0)
    assert crop.affine_lps[2, 0] > 0
    assert crop.affine_lps.numpy() == pytest.approx(theirs.affine_lps.numpy(), abs=1e-3)
    assert crop.mask.equal(theirs.mask)
    assert np.corrcoef(crop.image[crop.mask], theirs.image[crop.mask])[0, 1] > 0.998


@pytest.mark.slow
def test_full_size_crops_from_files_are_those_that_the_phantom_gives_directly(tmp_path):
    spec = Spec(seed=1, index=1, cohort=Cohort.CLEAN)
    made = acquire_study(spec)
    write_study(made, tmp_path / "study")
    crops = crop_study(read_study(tmp_path / "study"), landmarks_of(made.landmarks_mm))
    for crop, direct in zip(crops, study_crops(spec), strict=True):
        for view in PROTOCOLS:
            ours, theirs = crop[view], getattr(direct, view.value)
            assert ours.mask.equal(theirs.mask)
            assert ours.points_index.numpy() == pytest.approx(
                theirs.landmarks_index.numpy(), abs=1e-3
            )
            inside = ours.mask
            assert np.corrcoef(ours.image[inside], theirs.image[inside])[0, 1] > 0.998


@pytest.mark.parametrize("slice_mm", [None, 3.0])
@pytest.mark.parametrize("aligned", [False, True])
def test_both_samplers_agree(clean, slice_mm, aligned):
    fast = replace(HOW, slice_mm=slice_mm, aligned=aligned)
    crops, reference = (
        crop_study(*clean, how=how) for how in (fast, replace(fast, sampler="reference"))
    )
    for here, there in zip(crops, reference, strict=True):
        for view in PROTOCOLS:
            assert here[view].mask.equal(there[view].mask)
            off = (here[view].image - there[view].image).abs().max()
            assert off < 1e-3 * there[view].image.max()
            assert there[view].image.max() > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("slice_mm", [None, 3.0])
def test_a_gpu_gives_the_crops_of_the_cpu(clean, slice_mm):
    how = replace(HOW, slice_mm=slice_mm)
    on_gpu = crop_study(*clean, how=replace(how, device="cuda"))
    for here, there in zip(crop_study(*clean, how=how), on_gpu, strict=True):
        for view in PROTOCOLS:
            assert there[view].image.device.type == "cuda"
            assert there[view].mask.cpu().equal(here[view].mask)
            off = (there[view].image.cpu() - here[view].image).abs().max()
            assert off < 1e-3 * here[view].image.max()


@pytest.mark.parametrize("sampler", ["fast", "reference"])
@pytest.mark.parametrize("slice_mm", [None, 2.5])
def test_values_are_those_of_the_place_that_the_affine_says(sampler, slice_mm):
    how = CropHow(shapes=SHAPES, sampler=sampler, slice_mm=slice_mm, aligned=True)
    for level, crops in zip(LEVELS[1:], crop_study(made_up(), upright(), how=how)[1:], strict=True):
        for view in PROTOCOLS:
            crop = crops[view]
            # A window may lie beyond the outermost centres, whose values are then repeated.
            if slice_mm is None:
                assert_is_the_field(crop)
            centre = crop.affine_lps.numpy() @ [*((np.array(crop.image.shape) - 1) / 2), 1.0]
            expected = upright_points()[LEVELS.index(level)]
            assert centre[1:3] == pytest.approx(expected[1:3], abs=4.0)


@settings(max_examples=25)
@given(
    rotvec=st.tuples(*[st.floats(-0.4, 0.4)] * 3),
    axes=st.permutations([0, 1]),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 2),
    view=st.sampled_from([T1, AX]),
    shear=st.floats(-0.2, 0.2),
)
def test_oblique_and_turned_stacks_give_crops_that_run_the_same_way(
    rotvec, axes, signs, view, shear
):
    shape = (90, 80, 9)
    make = sagittal_affine if view is T1 else axial_affine
    affine = make(shape=shape)
    turned = affine.copy()
    turned[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix() @ affine[:3, :3]
    turned[:3, :2] = turned[:3, list(axes)] * signs
    turned[:3, 2] += shear * turned[:3, 0] + shear * turned[:3, 1]
    turned[:3, 3] = -turned[:3, :3] @ ((np.array(shape) - 1) / 2)
    study = study_of(series_of(view, linear_stack(turned, shape)))
    crop = crop_level(study, upright(), level=Level.L3_L4, view=view, how=HOW)
    assert_is_the_field(crop)
    step, down, across = crop.affine_lps[:3, :3].numpy().T
    if view is T1:
        assert step[0] > 0 > down[2]
        assert across[1] > 0
    else:
        assert min(step[2], down[1], across[0]) > 0
    assert np.linalg.norm(down) == pytest.approx(2.0)
    assert down @ across == pytest.approx(0.0, abs=1e-9)


def test_the_slices_of_a_crop_are_the_nearest_ones_of_its_stack():
    crop = crop_level(made_up(), upright(), level=Level.L4_L5, view=T1, how=HOW)
    # Slices at 1 - 28 + 4 k: the canal, x = 0, is a quarter before slice 7.
    assert crop.source.slices == (4, 5, 6, 7, 8, 9, 10)
    assert crop.affine_lps[0, 3] == pytest.approx(1 - 28 + 16)
    assert crop.source.gap_mm == pytest.approx(1.0)
    assert crop.source.is_covered
    assert crop.points_index[0].tolist() == pytest.approx([2.75, 19.5, 19.5], abs=1e-4)
    assert crop.points_index[1, 0] == pytest.approx(2.75 + 17 / 4, abs=1e-4)


def test_of_several_stacks_the_one_with_most_slices_is_taken_then_the_nearest():
    for n, level in enumerate(LEVELS[1:]):
        crop = crop_level(made_up(), upright(), level=level, view=AX, how=HOW)
        assert (crop.source.series, crop.source.stack) == ("ax", n)
        assert crop.source.tilt_deg == pytest.approx(np.degrees(0.1) * abs(n - 1), abs=1e-6)
    near = linear_stack(axial_affine(shape=(80, 70, 2), middle=(0, 0, 1)), (80, 70, 2))
    far = linear_stack(axial_affine(shape=(80, 70, 9), middle=(0, 0, -8)), (80, 70, 9))
    nearer = linear_stack(axial_affine(shape=(80, 70, 9), middle=(0, 0, -4)), (80, 70, 9))
    study = study_of(series_of("axial_t2", near, far), series_of("axial_t2", nearer, name="two"))
    crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=HOW)
    assert (crop.source.series, crop.source.stack) == ("two", 0)


def test_of_stacks_alike_the_one_along_the_disc_is_taken():
    flat, tilted = (linear_stack(axial_affine(tilt=tilt), (80, 70, 5)) for tilt in (0.0, 0.3))
    for stacks, expected in (((flat, tilted), 0), ((tilted, flat), 1)):
        study = study_of(series_of("axial_t2", *stacks))
        crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=HOW)
        assert crop.source.stack == expected


def test_a_series_after_a_contrast_agent_is_taken_only_where_no_other_reaches():
    long = linear_stack(axial_affine(shape=(80, 70, 40)), (80, 70, 40))
    short = linear_stack(axial_affine(shape=(80, 70, 2)), (80, 70, 2))
    study = study_of(
        series_of("axial_t2", long, name="after", drawbacks=["after a contrast agent"]),
        series_of("axial_t2", short, name="before"),
    )
    taken = [
        crop_level(study, upright(), level=level, view=AX, how=HOW).source.series
        for level in (Level.L3_L4, Level.L4_L5)
    ]
    assert taken == ["before", "after"]


def test_a_stack_whose_field_of_view_misses_the_level_gives_way():
    beside = linear_stack(axial_affine(shape=(80, 70, 9), middle=(90, 0, 0)), (80, 70, 9))
    there = linear_stack(axial_affine(shape=(80, 70, 2)), (80, 70, 2))
    study = study_of(series_of("axial_t2", beside, there))
    crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=HOW)
    assert crop.source.stack == 1


def test_a_series_in_another_frame_of_reference_is_not_used():
    one, other = (linear_stack(axial_affine(shape=(80, 70, k)), (80, 70, k)) for k in (5, 9))
    sagittal = linear_stack(sagittal_affine(), (80, 160, 15))
    study = study_of(
        series_of("sagittal_t2", sagittal, name="t2", frame="1.1"),
        series_of("axial_t2", other, name="moved", frame="1.2"),
        series_of("axial_t2", one, name="ax", frame="1.1"),
    )
    crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=HOW)
    assert crop.source.series == "ax"


def test_slices_that_are_missing_from_a_pile_are_missing_from_the_crop():
    affine = axial_affine(shape=(80, 70, 6))
    heights = [k for k in range(6) if k != 3]
    origins = np.array([affine[:3, 3] + k * affine[:3, 2] for k in heights])
    # One slice has moved 0.4 mm within its plane: its own place counts.
    origins[1] += [0.4, 0.0, 0.0]
    study = study_of(series_of("axial_t2", linear_stack(affine, (80, 70, 5), origins=origins)))
    how = CropHow(shapes=(SAGITTAL, CropShape(6, (32, 32), 2.0)))
    crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=how)
    assert crop.source.slices == (0, 1, 2, -1, 3, 4)
    assert crop.mask.any(dim=(1, 2)).tolist() == [True, True, True, False, True, True]
    assert_is_the_field(crop)
    reference = crop_level(
        study, upright(), level=Level.L3_L4, view=AX, how=replace(how, sampler="reference")
    )
    assert crop.mask.equal(reference.mask)
    assert_same(crop.image, reference.image)


@pytest.mark.parametrize("sampler", ["fast", "reference"])
def test_a_window_in_an_uneven_pile_is_interpolated_between_true_places(sampler):
    affine = axial_affine(shape=(80, 70, 5))
    heights = np.array([-9.0, -5.0, -1.0, 2.0, 7.0])
    origins = affine[:3, 3] - [0, 0, affine[2, 3]] + heights[:, None] * np.array([0, 0, 1.0])
    study = study_of(series_of("axial_t2", linear_stack(affine, (80, 70, 5), origins=origins)))
    how = CropHow(shapes=(SAGITTAL, CropShape(7, (20, 20), 2.0)), slice_mm=2.0, sampler=sampler)
    crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=how)
    assert crop.mask.all()
    assert_is_the_field(crop)


def test_a_level_without_axial_slices_is_empty_and_says_why():
    crop = crop_level(made_up(), upright(), level=Level.L1_L2, view=AX, how=HOW)
    assert not crop.mask.any()
    assert not crop.image.any()
    assert crop.image.shape == (3, 32, 32)
    assert not crop.source.is_covered
    assert crop.source.reason.startswith("no axial T2 slice reaches L1/L2: the nearest is")
    assert crop.source.gap_mm == pytest.approx(36 - 8, abs=1.0)
    assert torch.isfinite(crop.points_index).all()
    assert not crop_level(made_up(), upright(), level=Level.L2_L3, view=AX, how=HOW).source.reason


def test_a_study_without_a_series_has_empty_crops_that_say_so():
    study = study_of(series_of("sagittal_t2", linear_stack(sagittal_affine(), (80, 160, 15))))
    crops = crop_study(study, upright(), how=HOW)[2]
    assert crops[AX].source.reason == "the study has no axial T2 series"
    assert crops[T1].source.reason == "the study has no sagittal T1 series"
    assert crops[T1].image.shape == (7, 40, 40)
    assert not crops[T1].mask.any()
    assert crops[T2].mask.any()
    # It lies where it would: the canal in the middle.
    assert crops[AX].points_index[0].tolist() == pytest.approx([1.0, 15.5, 15.5], abs=1e-4)


def test_a_level_that_was_not_located_has_empty_crops_that_say_so():
    points = upright_points()
    points[3] = np.nan
    crop = crop_level(made_up(), landmarks_of(points), level=Level.L4_L5, view=T2, how=HOW)
    assert crop.source.reason == "L4/L5 was not located"
    assert not crop.mask.any()
    assert torch.isnan(crop.points_index[0]).all()
    other = crop_level(made_up(), landmarks_of(points), level=Level.L3_L4, view=T2, how=HOW)
    assert other.mask.any()


def test_a_field_of_view_beside_the_level_is_said():
    beside = linear_stack(axial_affine(shape=(20, 20, 9), middle=(150, 0, 0)), (20, 20, 9))
    study = study_of(series_of("axial_t2", beside))
    crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=HOW)
    assert crop.source.reason == "L3/L4 lies outside the field of view of the axial T2 series"


def broken(shape):
    def refuse():
        raise PixelError("pixel data is cut short", code="VS-PIX-001")

    affine = axial_affine(shape=shape)
    origins = affine[:3, 3] + np.arange(shape[2])[:, None] * affine[:3, 2]
    return Stack(affine, origins, shape[:2], refuse)


def test_a_series_that_cannot_be_decoded_is_an_absence_not_an_error():
    study = study_of(series_of("axial_t2", broken((80, 70, 5))))
    crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=HOW)
    assert crop.source.reason == "the axial T2 series cannot be decoded (VS-PIX-001)"
    assert not crop.mask.any()


def test_slices_that_prove_unreadable_are_missing_from_the_crop():
    whole = linear_stack(axial_affine(), (80, 70, 5))
    voxels = whole.voxels

    def decode():
        return np.ascontiguousarray(voxels[:, :, [0, 1, 3, 4]]), (0, 1, 3, 4), ("one is missing",)

    stack = Stack(whole.affine_lps, whole.slice_origins_mm, (80, 70), decode)
    study = study_of(series_of("axial_t2", stack))
    crop = crop_level(study, upright(), level=Level.L3_L4, view=AX, how=HOW)
    assert crop.source.slices == (1, -1, 2)
    assert_is_the_field(crop)


@pytest.fixture
def unread(tmp_path):
    """A study of whose pixels nothing was decoded yet."""
    made = acquire_study(CLEAN)
    write_study(made, tmp_path / "study")
    return read_study(tmp_path / "study"), landmarks_of(made.landmarks_mm)


def test_only_the_slices_of_a_crop_are_decoded(clean, unread):
    study, marks = unread
    stacks = [stack for series in study.series for stack in series.stacks]
    cropper = Cropper(study, marks, how=HOW)
    for level in (Level.L4_L5, Level.L5_S1, Level.L4_L5):
        for view in PROTOCOLS:
            crop = cropper.crop(level, view)
            expected = crop_level(*clean, level=level, view=view, how=HOW)
            assert crop.source == expected.source
            assert crop.mask.equal(expected.mask)
            assert_same(crop.image, expected.image)
    assert all(stack.can_decode_some for stack in stacks)


def test_a_stack_that_is_decoded_between_two_crops_gives_both(clean, unread):
    study, marks = unread
    cropper = Cropper(study, marks, how=HOW)
    first = cropper.crop(Level.L1_L2, T2)
    for stack in study.by_protocol(T2)[0].stacks:
        assert stack.voxels.any()
    again, other = cropper.crop(Level.L1_L2, T2), cropper.crop(Level.L5_S1, T2)
    assert_same(first.image, again.image)
    assert_same(other.image, crop_level(*clean, level=Level.L5_S1, view=T2, how=HOW).image)


def decoding_some(*, fails=()):
    """A stack of five slices that notes which of them are decoded."""
    whole, asked = linear_stack(axial_affine(), (80, 70, 5)), []

    def some(numbers):
        asked.extend(numbers)
        kept = tuple(k for k in numbers if k not in fails)
        return whole.voxels[:, :, list(kept)], kept, ()

    def everything():
        raise AssertionError("the whole stack was decoded")

    stack = Stack(whole.affine_lps, whole.slice_origins_mm, (80, 70), everything, decode_some=some)
    return study_of(series_of("axial_t2", stack)), asked


def test_a_slice_is_decoded_once_and_one_that_fails_is_missing():
    study, asked = decoding_some(fails=(2,))
    cropper = Cropper(study, upright(), how=HOW)
    crop = cropper.crop(Level.L3_L4, AX)
    assert crop.source.slices == (1, -1, 3)
    assert_is_the_field(crop)
    higher = cropper.crop(Level.L3_L4, AX, offset_mm=(0.0, 0.0, 4.0))
    assert higher.source.slices == (-1, 3, 4)
    assert_is_the_field(higher)
    assert asked == [1, 2, 3, 4]


@pytest.mark.parametrize("view", PROTOCOLS)
def test_a_right_side_is_mirrored_and_still_says_where_it_is(clean, view):
    study, marks = clean
    plain = crop_level(study, marks, level=Level.L4_L5, view=view, how=HOW)
    right = crop_level(study, marks, level=Level.L4_L5, view=view, side=Side.RIGHT, how=HOW)
    left = crop_level(study, marks, level=Level.L4_L5, view=view, side=Side.LEFT, how=HOW)
    axis = 2 if view is AX else 0
    assert_same(right.image, plain.image.flip(axis))
    assert right.mask.equal(plain.mask.flip(axis))
    assert left.image.equal(plain.image)
    assert np.abs(places(right) - np.flip(places(plain), axis)).max() < 1e-6
    # The patient's right foramen lies where a left one does: at the larger index.
    foramen = right.points_index[[1, 2], axis]
    assert foramen[1] > foramen[0]
    assert left.points_index[1, axis] > left.points_index[2, axis]


def test_a_mirrored_patient_has_mirrored_crops(clean):
    study, marks = clean
    other = landmarks_of(mirrored_points(marks.points_mm))
    how = replace(HOW, aligned=True)
    mirror = crop_study(mirrored_study(study), other, how=how)
    for plain, there in zip(crop_study(study, marks, how=how), mirror, strict=True):
        for view in PROTOCOLS:
            axis = 2 if view is AX else 0
            assert there[view].mask.equal(plain[view].mask.flip(axis))
            assert_same(there[view].image, plain[view].image.flip(axis), atol=0.5)
            last = plain[view].image.shape[axis] - 1
            points = plain[view].points_index[SWAP, axis]
            assert there[view].points_index[:, axis].numpy() == pytest.approx(
                last - points.numpy(), abs=1e-3
            )


def test_the_right_of_a_patient_looks_as_the_left_of_the_mirrored_one(clean):
    study, marks = clean
    other = landmarks_of(mirrored_points(marks.points_mm))
    how = replace(HOW, center=Finding.FORAMEN)
    for view in (T1, AX):
        args = {"level": Level.L3_L4, "view": view, "how": how}
        right = crop_level(study, marks, side=Side.RIGHT, **args)
        left = crop_level(mirrored_study(study), other, side=Side.LEFT, **args)
        assert left.mask.equal(right.mask)
        assert_same(left.image, right.image, atol=0.5)
        assert left.image.std() > 10


def test_a_crop_of_a_side_is_centred_on_its_foramen_or_where_that_should_be():
    how = replace(HOW, center=Finding.FORAMEN)
    points = upright_points()
    marks = landmarks_of(points)
    args = {"level": Level.L3_L4, "view": T1, "how": how}
    right = crop_level(made_up(), marks, side=Side.RIGHT, **args)
    assert right.points_index[2, 1:].tolist() == pytest.approx([19.5, 19.5], abs=1e-4)
    assert abs(right.points_index[2, 0] - 3.0) <= 0.5
    points[12] = np.nan
    absent = crop_level(made_up(), landmarks_of(points), side=Side.RIGHT, **args)
    # Seven millimetres in front of the straight spine's own and ten above, two to a pixel.
    assert absent.points_index[1, 1:].tolist() == pytest.approx([24.5, 23.0], abs=1e-4)
    assert absent.source.slices == right.source.slices
    assert crop_level(made_up(), marks, **args).points_index[0, 2] == pytest.approx(19.5, abs=1e-4)


def test_an_aligned_crop_has_the_disc_level_and_the_canal_in_its_middle():
    chain = np.array([[0.0, 0.2 * z, z] for z in 36.0 * (3 - np.arange(7))])
    points = upright_points()
    points[:, 1] = 0.2 * points[:, 2]
    how = replace(HOW, aligned=True)
    crop = crop_level(
        made_up(), landmarks_of(points, chain_mm=chain), level=Level.L3_L4, view=T2, how=how
    )
    down = crop.affine_lps[:3, 1].numpy()
    assert down / 2.0 == pytest.approx(np.array([0.0, -0.2, -1.0]) / np.hypot(0.2, 1.0))
    assert crop.points_index[0, 1:].tolist() == pytest.approx([19.5, 19.5], abs=1e-4)
    assert_is_the_field(crop)


def test_a_study_is_cropped_with_an_offset_for_each_level():
    offsets = np.arange(15, dtype=np.float64).reshape(5, 3)
    crops = crop_study(made_up(), upright(), offsets_mm=offsets, how=HOW)
    for n, level in enumerate(LEVELS):
        one = Cropper(made_up(), upright(), how=HOW).crop(level, T1, offset_mm=offsets[n])
        assert crops[n][T1].image.equal(one.image)
        assert crops[n][T1].points_index[0, 2] == pytest.approx(19.5 - offsets[n, 1] / 2, abs=1e-4)


def test_crops_have_the_phantoms_shapes_unless_told_otherwise():
    crops = crop_study(made_up(), upright())[2]
    assert crops[T1].image.shape == (SAGITTAL.slices, *SAGITTAL.pixels)
    assert crops[AX].image.shape == (AXIAL.slices, *AXIAL.pixels)
    assert AS_ACQUIRED.shapes == (SAGITTAL, AXIAL)


@pytest.mark.parametrize("slice_mm", [0.0, -1.0, float("nan")])
def test_an_impossible_distance_of_slices_is_refused(slice_mm):
    with pytest.raises(ConfigurationError, match="distance of slices"):
        CropHow(slice_mm=slice_mm)


def test_the_mirror_of_marks_is_a_mirror():
    points = upright_points() + np.random.default_rng(0).normal(0, 2, (25, 3))
    other = mirrored_points(points)
    assert other[5].tolist() == (points[10] * MIRROR).tolist()
    assert mirrored_points(other).tolist() == points.tolist()
    assert MIRRORED_INDEX[5] == 10

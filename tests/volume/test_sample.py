"""Laws, hand values and oracles of sampling a study on a grid."""

import numpy as np
import pytest
import torchio
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.volume.frames import chosen_frame, in_one_frame, series_apart
from volspine.volume.grid import Grid
from volspine.volume.image import scalar_image
from volspine.volume.sample import sample_series, sample_stack, sample_study

RAMP = np.array([4.0, 3.0, 5.0])
"""Grey levels per mm along x, y, z; every voxel's value then tells its place."""

SAGITTAL = np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]])
AXIAL = np.eye(3)


def tilt(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def affine_of(axes, spacing, shape, center=(0, 0, 0)):
    affine = np.eye(4)
    affine[:3, :3] = axes * np.asarray(spacing)
    affine[:3, 3] = np.asarray(center) - affine[:3, :3] @ (np.asarray(shape) - 1) / 2
    return affine


def ramp_at(points_mm):
    return (2000 + points_mm @ RAMP).astype(np.float32)


def ramp_stack(affine, shape, origins=None):
    """A stack whose voxels hold the ramp at their true place."""
    if origins is None:
        origins = affine[:3, 3] + np.arange(shape[2])[:, None] * affine[:3, 2]
    i, j = np.arange(shape[0]), np.arange(shape[1])
    points = (
        origins[None, None]
        + i[:, None, None, None] * affine[:3, 0]
        + j[None, :, None, None] * affine[:3, 1]
    )
    return Stack.from_array(ramp_at(points), affine, origins)


def sagittal(shape=(60, 60, 9), spacing=(1.0, 1.0, 4.0), center=(0, 0, 0)):
    return ramp_stack(affine_of(SAGITTAL, spacing, shape, center), shape)


def series_of(*stacks, protocol=Protocol.SAGITTAL_T2, name="a"):
    return Series(name, name, protocol, "made for a test", list(stacks))


def study_of(*series):
    return Study("study", list(series))


def mirrored(stack):
    """The stack of the mirror image of the patient: x becomes -x, in place and in step."""
    flip = np.diag([-1.0, 1, 1, 1])
    return Stack.from_array(
        stack.voxels, flip @ stack.affine_lps, stack.slice_origins_mm * [-1, 1, 1]
    )


def grid_points(grid):
    return grid.mm_from_index(np.moveaxis(np.indices(grid.shape).astype(float), 0, -1))


def deep(mask, margin=3):
    """Where a mask holds with some voxels to spare, away from the border's half voxel."""
    from scipy.ndimage import binary_erosion

    return binary_erosion(mask, iterations=margin)


SMALL = Grid(spacing_mm=(2.0, 1.0, 1.0), shape=(20, 64, 64))


def check_ramp(image, mask, grid, margin=3):
    inside = deep(mask, margin)
    assert inside.sum() > 100
    np.testing.assert_allclose(image[inside], ramp_at(grid_points(grid))[inside], atol=2e-3)


def test_a_bright_voxel_on_the_patients_right_is_found_at_a_high_first_index():
    shape = (11, 11, 5)
    affine = affine_of(SAGITTAL, (1, 1, 1), shape)
    voxels = np.zeros(shape, dtype=np.float32)
    voxels[7, 3, 1] = 100.0  # x = -1 (right), y = +2 (back), z = +2 (up)
    study = study_of(series_of(Stack.from_array(voxels, affine)))
    grid = Grid(spacing_mm=(1, 1, 1), shape=(11, 11, 11))
    image = sample_study(study, grid).images[1]
    assert np.argwhere(image > 50).tolist() == [[6, 3, 7]]
    assert image[6, 3, 7] == pytest.approx(100.0)


@pytest.mark.parametrize(
    "axes", [SAGITTAL, AXIAL, tilt(17), tilt(-25) @ AXIAL, SAGITTAL @ tilt(8)], ids=range(5)
)
def test_every_orientation_gives_the_ramp_at_its_true_place(axes):
    shape = (40, 44, 12)
    stack = ramp_stack(affine_of(axes, (1.1, 0.9, 3.0), shape, (3, -5, 7)), shape)
    grid = SMALL.centered_on(study_of(series_of(stack)))
    check_ramp(*sample_stack(stack, grid), grid)


def test_a_left_handed_stack_gives_the_same_picture_as_its_right_handed_twin():
    stack = sagittal()
    affine = stack.affine_lps.copy()
    affine[:3, 3] += affine[:3, 2] * 8
    affine[:3, 2] *= -1
    twin = Stack.from_array(stack.voxels[:, :, ::-1].copy(), affine)
    grid = SMALL.centered_on(study_of(series_of(stack)))
    a, b = sample_stack(stack, grid), sample_stack(twin, grid)
    np.testing.assert_allclose(a[0], b[0], atol=1e-3)
    np.testing.assert_array_equal(a[1], b[1])


def test_sheared_slices_keep_their_true_places():
    shape = (60, 60, 9)
    affine = affine_of(AXIAL, (1, 1, 4), shape)
    affine[:3, 2] = [0.0, 1.5, 4.0]
    stack = ramp_stack(affine, shape)
    grid = Grid(spacing_mm=(1, 1, 1), shape=(40, 40, 24), center_mm=(0, 6, 0))
    check_ramp(*sample_stack(stack, grid), grid)


@pytest.mark.parametrize("dropped", [[4], [2], [2, 6]])
def test_missing_slices_are_bridged_at_the_true_places_of_the_others(dropped):
    shape = (60, 60, 10)
    affine = affine_of(tilt(10), (1, 1, 4), shape)
    kept = [k for k in range(10) if k not in dropped]
    origins = affine[:3, 3] + np.array(kept)[:, None] * affine[:3, 2]
    stack = ramp_stack(affine, (60, 60, len(kept)), origins)
    grid = Grid(spacing_mm=(1, 1, 1), shape=(40, 40, 30), center_mm=(0, 0, 0))
    image, mask = sample_stack(stack, grid)
    check_ramp(image, mask, grid)
    assert mask.all()


def test_uneven_slices_with_offsets_in_their_plane_keep_their_true_places():
    shape = (60, 60, 8)
    affine = affine_of(tilt(-6), (1, 1, 4), shape)
    rng = np.random.default_rng(3)
    origins = affine[:3, 3] + np.arange(8)[:, None] * affine[:3, 2] + rng.uniform(-1, 1, (8, 3))
    stack = ramp_stack(affine, shape, origins)
    grid = Grid(spacing_mm=(1, 1, 1), shape=(40, 40, 24), center_mm=(0, 0, 0))
    check_ramp(*sample_stack(stack, grid), grid)


def test_the_piecewise_map_equals_the_affine_one_on_even_slices():
    stack = ramp_stack(affine_of(tilt(12), (1, 1, 4), (50, 50, 8)), (50, 50, 8))
    rng = np.random.default_rng(0)
    noise = rng.normal(size=stack.voxels.shape).astype(np.float32)
    even = Stack.from_array(noise, stack.affine_lps)
    nudged = stack.slice_origins_mm.copy()
    nudged[3] += 0.021 * stack.affine_lps[:3, 2] / 4  # Just beyond what counts as even.
    uneven = Stack.from_array(noise, stack.affine_lps, nudged)
    grid = SMALL.centered_on(study_of(series_of(stack)))
    a, b = sample_stack(even, grid), sample_stack(uneven, grid)
    both = a[1] & b[1]
    assert np.abs(a[0] - b[0])[both].max() < 0.05
    assert (a[1] ^ b[1]).mean() < 1e-3


def test_a_gap_inside_one_stack_is_not_measured():
    shape = (30, 30, 8)
    affine = affine_of(AXIAL, (1, 1, 2), shape)
    z = np.array([0, 2, 4, 6, 20, 22, 24, 26.0])
    origins = affine[:3, 3] * [1, 1, 0] + z[:, None] * [0, 0, 1]
    stack = ramp_stack(affine, shape, origins)
    grid = Grid(spacing_mm=(1, 1, 1), shape=(3, 3, 29), center_mm=(0, 0, 13))
    image, mask = sample_stack(stack, grid)
    z_mm = grid_points(grid)[1, 1, :, 2]
    expected = ((z_mm >= -1) & (z_mm <= 7)) | ((z_mm >= 19) & (z_mm <= 27))
    np.testing.assert_array_equal(mask[1, 1], expected)
    assert (image[1, 1][~expected] == 0).all()
    assert image[1, 1, z_mm == 7] == pytest.approx(2000 + 5 * 6, abs=20)


def test_nothing_is_interpolated_between_two_parallel_blocks():
    blocks = [
        ramp_stack(affine_of(AXIAL, (1, 1, 2), (30, 30, 4), (0, 0, z)), (30, 30, 4))
        for z in (3, 23)
    ]
    grid = Grid(spacing_mm=(1, 1, 1), shape=(3, 3, 29), center_mm=(0, 0, 13))
    _, mask = sample_series(series_of(*blocks), grid)
    z_mm = grid_points(grid)[1, 1, :, 2]
    np.testing.assert_array_equal(mask[1, 1], (np.abs(z_mm - 3) <= 4) | (np.abs(z_mm - 23) <= 4))


def test_tilted_overlapping_stacks_merge_without_seam_or_hole():
    stacks = [
        ramp_stack(affine_of(tilt(t), (1, 1, 4), (60, 60, 6), (0, 0, z)), (60, 60, 6))
        for z, t in ((18, 12), (0, 0), (-18, -14))
    ]
    grid = Grid(spacing_mm=(2, 1, 1), shape=(12, 20, 40), center_mm=(0, 0, 0))
    image, mask = sample_series(series_of(*stacks), grid)
    assert mask.all()
    check_ramp(image, mask, grid)


def test_the_mask_ends_half_a_voxel_beyond_the_outermost_centres_at_both_ends():
    stack = sagittal(shape=(10, 12, 5), spacing=(1, 1, 4))
    grid = Grid(spacing_mm=(2, 0.5, 0.5), shape=(31, 41, 41), center_mm=(0, 0, 0))
    _, mask = sample_stack(stack, grid)
    points = grid_points(grid)
    expected = (np.abs(points) <= np.array([10, 5, 6])).all(axis=-1)
    np.testing.assert_array_equal(mask, expected)


@settings(max_examples=15, deadline=None)
@given(
    angle=st.floats(-30, 30),
    center=st.tuples(*[st.floats(-50, 50)] * 3),
    slices=st.integers(2, 9),
    seed=st.integers(0, 99),
)
def test_mirroring_a_study_mirrors_its_grid(angle, center, slices, seed):
    rng = np.random.default_rng(seed)
    shape = (24, 20, slices)
    stacks = [
        Stack.from_array(
            rng.uniform(0, 1000, shape).astype(np.float32),
            affine_of(axes, (1.0, 1.0, 4.0), shape, center),
        )
        for axes in (SAGITTAL @ tilt(angle), tilt(angle), SAGITTAL)
    ]
    protocols = (Protocol.SAGITTAL_T1, Protocol.AXIAL_T2, Protocol.SAGITTAL_T2)
    study = study_of(*[series_of(s, protocol=p) for s, p in zip(stacks, protocols, strict=True)])
    mirror = study_of(
        *[series_of(mirrored(s), protocol=p) for s, p in zip(stacks, protocols, strict=True)]
    )
    grid = Grid(spacing_mm=(4, 1, 1), shape=(10, 30, 30))
    a, b = sample_study(study, grid), sample_study(mirror, grid)
    np.testing.assert_array_equal(a.masks, b.masks[:, ::-1])
    np.testing.assert_allclose(a.images, b.images[:, ::-1], atol=1e-2)
    assert a.grid.center_mm[0] == -b.grid.center_mm[0]


@pytest.mark.parametrize(
    "axes", [SAGITTAL, tilt(11), SAGITTAL @ tilt(4)], ids=["sag", "ax", "oblique"]
)
def test_torchio_resample_gives_the_same_inside(axes):
    shape = (50, 40, 10)
    voxels = np.random.default_rng(1).uniform(0, 1000, shape).astype(np.float32)
    affine = affine_of(axes, (1.2, 0.8, 3.7), shape, (2, 3, 4))
    stack = Stack.from_array(voxels, affine)
    grid = SMALL.centered_on(study_of(series_of(stack)))
    image, mask = sample_stack(stack, grid)
    reference = torchio.Resample((grid.shape, grid.affine_ras))(scalar_image(voxels, affine))
    difference = np.abs(image - reference.data[0].numpy())
    assert mask.sum() > 1000
    assert difference[deep(mask, 1)].max() < 1e-3
    # Beyond, only the very border may differ: ITK counts one end as inside, the other as outside.
    assert (difference > 1e-3).sum() < 0.005 * mask.sum()
    assert not reference.data[0].numpy()[~mask].any()


def test_absent_protocols_are_zero_unmeasured_and_explained():
    sampled = sample_study(study_of(series_of(sagittal())), SMALL)
    assert sampled.present == (False, True, False)
    assert not sampled.images[0].any()
    assert not sampled.masks[2].any()
    assert [c.used for c in sampled.choices] == [(), ("a",), ()]
    assert sampled.choices[0].reason == "the study has no such series"
    assert sampled.volume.shape == (6, *SMALL.shape)
    assert sampled.volume.dtype == np.float32
    np.testing.assert_array_equal(sampled.volume[4], sampled.masks[1])


def test_a_study_of_other_protocols_gives_an_empty_grid_in_its_middle():
    sampled = sample_study(study_of(series_of(sagittal(), protocol=Protocol.OTHER)), SMALL)
    assert sampled.present == (False, False, False)
    assert sampled.grid.center_mm == pytest.approx((0, 0, 0))


def test_of_two_series_that_show_the_same_the_fuller_one_is_taken():
    small = series_of(sagittal(shape=(40, 40, 9)), name="small")
    large = series_of(sagittal(), name="large")
    sampled = sample_study(study_of(small, large), SMALL)
    assert sampled.choices[1].used == ("large",)
    assert "covers most" in sampled.choices[1].reason


def test_of_two_equal_series_the_finer_one_is_taken():
    coarse = series_of(sagittal(shape=(30, 30, 9), spacing=(2, 2, 4)), name="coarse")
    fine = series_of(sagittal(), name="fine")
    assert sample_study(study_of(coarse, fine), SMALL).choices[1].used == ("fine",)


def chosen(*series):
    choice = sample_study(study_of(*series), SMALL).choices[1]
    return choice.used, choice.reason


def unlike(name, *, spacing=(1.0, 1.0, 4.0), drawbacks=(), number=0):
    size = round(60 / spacing[0])
    series = series_of(sagittal((size, size, 9), spacing), name=name)
    series.drawbacks, series.number = drawbacks, number
    return series


@pytest.mark.parametrize(
    ("worse", "better", "why"),
    [
        (
            {"drawbacks": ("after a contrast agent",)},
            {"spacing": (2, 2, 4)},
            "not after a contrast",
        ),
        ({"drawbacks": ("fat suppressed",)}, {}, "not fat suppressed"),
        (
            {"drawbacks": ("after a contrast agent", "fat suppressed")},
            {"drawbacks": ("fat suppressed",)},
            "not after a contrast",
        ),
        ({"spacing": (2, 2, 4)}, {}, "finest resolution"),
        ({"number": 3}, {"number": 7}, "the last one acquired"),
    ],
)
def test_of_series_that_cover_alike_the_better_one_is_used_whatever_their_order(worse, better, why):
    for names in (("worse", "better"), ("better", "worse")):
        made = {"worse": unlike("worse", **worse), "better": unlike("better", **better)}
        used, reason = chosen(*(made[name] for name in names))
        assert used == ("better",)
        assert why in reason


def test_a_drawback_is_accepted_where_the_other_series_covers_much_less():
    plain = series_of(sagittal(shape=(40, 40, 9)), name="plain")
    assert chosen(plain, unlike("agent", drawbacks=("after a contrast agent",)))[0] == ("agent",)


def test_of_series_that_nothing_tells_apart_the_first_is_used():
    used, reason = chosen(unlike("one"), unlike("two"))
    assert used == ("one",)
    assert "first in the study" in reason


def in_frame(frame, protocol, *, x=0.0, slices=9):
    stack = sagittal(shape=(60, 60, slices), center=(x, 0, 0))
    series = series_of(stack, protocol=protocol, name=f"{protocol.value} {frame}")
    series.frame_of_reference = frame
    return series


def test_series_in_different_frames_of_reference_are_never_fused():
    """The T1 lies 300 mm away, in another frame: it must not even move the grid."""
    t2, t1 = (
        in_frame("A", Protocol.SAGITTAL_T2),
        in_frame("B", Protocol.SAGITTAL_T1, x=300, slices=5),
    )
    sampled = sample_study(study_of(t1, t2), SMALL)
    assert sampled.present == (False, True, False)
    assert sampled.grid.center_mm == pytest.approx((0, 0, 0))
    assert "another frame of reference" in sampled.choices[0].reason
    assert [series.name for series in series_apart(study_of(t1, t2))] == [t1.name]


def test_the_frame_with_most_protocols_is_used_and_of_equals_the_one_with_most_slices():
    a1, a2 = in_frame("A", Protocol.SAGITTAL_T1), in_frame("A", Protocol.SAGITTAL_T2)
    b2 = in_frame("B", Protocol.SAGITTAL_T2, slices=30)
    assert chosen_frame(study_of(b2, a1, a2)) == "A"
    assert chosen_frame(study_of(a1, b2)) == "B"
    assert chosen_frame(study_of(a1, in_frame("B", Protocol.SAGITTAL_T2))) == "A"


def test_series_without_a_frame_of_reference_are_fused_with_the_chosen_one():
    unnamed, named = in_frame("", Protocol.SAGITTAL_T1), in_frame("A", Protocol.SAGITTAL_T2)
    assert sample_study(study_of(unnamed, named), SMALL).present == (True, True, False)
    assert series_apart(study_of(unnamed, in_frame("", Protocol.SAGITTAL_T2))) == []


def test_the_frame_of_an_ungraded_series_does_not_matter():
    localizer, t2 = in_frame("L", Protocol.OTHER), in_frame("A", Protocol.SAGITTAL_T2)
    assert chosen_frame(study_of(localizer, t2)) == "A"
    assert in_one_frame(study_of(localizer, t2)).series == [localizer, t2]


def test_two_series_of_one_protocol_that_cover_different_parts_are_merged():
    upper, lower = (
        series_of(
            ramp_stack(affine_of(AXIAL, (1, 1, 4), (40, 40, 6), (0, 0, z)), (40, 40, 6)),
            protocol=Protocol.AXIAL_T2,
            name=name,
        )
        for z, name in ((14, "upper"), (-14, "lower"))
    )
    sampled = sample_study(study_of(upper, lower), SMALL)
    assert set(sampled.choices[2].used) == {"upper", "lower"}
    check_ramp(sampled.images[2], sampled.masks[2], sampled.grid)


def test_a_series_beside_the_grid_is_not_present():
    grid = Grid(spacing_mm=(1, 1, 1), shape=(5, 5, 5), center_mm=(500, 0, 0))
    sampled = sample_study(study_of(series_of(sagittal())), grid)
    assert sampled.present == (False, False, False)
    assert sampled.choices[1].reason == "no such series reaches into the grid"


def test_slices_lost_in_decoding_shrink_what_is_covered():
    full = sagittal(shape=(60, 60, 9))
    kept = (0, 1, 2, 3, 4, 5, 6)
    stack = Stack(
        full.affine_lps,
        full.slice_origins_mm,
        (60, 60),
        lambda: (full.voxels[:, :, :7], kept, ("two slices dropped",)),
    )
    sampled = sample_study(study_of(series_of(stack)), SMALL)
    assert sampled.grid.center_mm[0] == pytest.approx(-4.0)
    check_ramp(sampled.images[1], sampled.masks[1], sampled.grid, margin=2)


def test_normalised_series_do_not_depend_on_the_scanners_unit():
    stack = sagittal()
    brighter = Stack.from_array(stack.voxels * 7 + 300, stack.affine_lps)
    a = sample_study(study_of(series_of(stack)), SMALL, normalize=True).images
    b = sample_study(study_of(series_of(brighter)), SMALL, normalize=True).images
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert 0.9 < a.max() <= 1.5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_order_in_which_voxels_are_stored_does_not_matter(axis):
    rng = np.random.default_rng(4)
    shape = (30, 28, 7)
    affine = affine_of(SAGITTAL @ tilt(9), (1.1, 0.9, 4.0), shape, (5, 6, 7))
    stack = Stack.from_array(rng.uniform(0, 900, shape).astype(np.float32), affine)
    turned = affine.copy()
    turned[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
    turned[:3, axis] *= -1
    twin = Stack.from_array(np.flip(stack.voxels, axis).copy(), turned)
    grid = SMALL.centered_on(study_of(series_of(stack)))
    a, b = sample_stack(stack, grid), sample_stack(twin, grid)
    np.testing.assert_array_equal(a[1], b[1])
    np.testing.assert_allclose(a[0], b[0], atol=1e-3)

"""Appearance: what is shown lies where the points say, on the side that they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.landmarks import MIRRORED_POINT, POINTS
from volspine.phantom.appearance import (
    Look,
    draw_look,
    sample_generator,
    sample_map,
    show,
)
from volspine.phantom.appearance_contrast import draw_contrast, draw_sequence_of
from volspine.phantom.appearance_place import MAP_GRID, Placement, Slab, draw_placement
from volspine.phantom.appearance_scan import PERFECT, draw_scanner, scan
from volspine.phantom.spec import Spec
from volspine.phantom.tissue_map import TissueMap
from volspine.phantom.tissues import Tissue

MARK = Tissue.HAEMANGIOMA
AFFINE = np.array([[-2.0, 0, 0, 55], [0, -2.0, 0, 104], [0, 0, 2.0, -164], [0, 0, 0, 1]])
SHAPE = (56, 128, 190)
ONLY_MARK = np.where(np.arange(len(Tissue)) == MARK, 1.0, 0.0)
MIDDLE = (np.array(SHAPE) - 1) / 2
STRAIGHT = Placement(
    matrix=np.eye(3) / 2.0,
    start=MIDDLE,
    waves=(),
    slab=Slab(count=23, spacing_mm=4.0, thickness_mm=4.0),
    low_mm=np.array([-200.0, -200.0]),
    high_mm=np.array([200.0, 200.0]),
    column_mm=0.0,
)
LEFT, RIGHT = (POINTS.index(f"{s}_neural_foraminal_narrowing_l4_l5") for s in ("left", "right"))


def person(points_mm=None, tissues=None):
    """A person of marrow in air; the points stand in columns of a left and a right side."""
    if points_mm is None:
        side = [1.0 if n.startswith("left") else -1.0 if n.startswith("right") else 0.0
                for n in POINTS]  # fmt: skip
        points_mm = np.stack(
            [17.0 * np.array(side), np.full(27, 20.0), 60.0 - 6.0 * np.arange(27)], axis=1
        )
    if tissues is None:
        tissues = np.full(SHAPE, Tissue.MUSCLE, dtype=np.uint8)
    return TissueMap(tissues, AFFINE, points_mm, Spec())


def marked(point):
    """A person in whom a ball of 5 mm around one point is unlike everything else."""
    made = person()
    nodes = np.indices((7, 7, 7)).reshape(3, -1).T + np.rint(made.points_index[point]) - 3
    ball = nodes[np.linalg.norm(nodes - made.points_index[point], axis=1) < 2.5].astype(int)
    made.tissues[tuple(ball.T)] = MARK
    return made


def middle_of_mark(sample):
    """Centre of what is bright, fractional index of the grid."""
    weight = sample.image[0].double()
    rulers = torch.meshgrid(*(torch.arange(n).double() for n in weight.shape), indexing="ij")
    return np.array([float((weight * r).sum() / weight.sum()) for r in rulers])


def shown(made, placed, contrast=ONLY_MARK, scanner=PERFECT):
    return show(made, Look(placed, contrast, scanner), sample_generator(0, 0, 0))


def drawn(seed):
    """A placement as samples have them, with everything in view."""
    placed = draw_placement(person(), np.random.default_rng(seed))
    slab = replace(placed.slab, count=40, spacing_mm=3.0, thickness_mm=3.0)
    wide = np.array([500.0, 500.0])
    return replace(placed, slab=slab, low_mm=-wide, high_mm=wide)


@pytest.mark.parametrize("seed", range(6))
def test_a_mark_at_a_point_is_seen_where_the_point_is_said_to_be(seed):
    placed = drawn(seed)
    # Near the middle of the series, so that all of the ball is in view.
    made = person()
    inside = [n for n in range(27)
              if np.all(np.abs(placed.to_grid(made.points_index)[n] - (11.5, 47.5, 63.5))
                        < (9.0, 42.0, 58.0))]  # fmt: skip
    point = inside[len(inside) // 2]
    sample = shown(marked(point), placed)
    told = MIRRORED_POINT[point] if placed.mirrored else point
    # A third of a slice, and a voxel of 2 mm.
    error_mm = np.abs(middle_of_mark(sample) - sample.points_index[told].numpy()) * (4, 2, 2)
    assert (error_mm < (1.3, 1.0, 1.0)).all()


@pytest.mark.parametrize("mirrored", [False, True], ids=["as is", "mirrored"])
def test_what_is_left_in_the_person_is_right_in_the_mirror(mirrored):
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    placed = replace(STRAIGHT, matrix=flip @ STRAIGHT.matrix, mirrored=mirrored)
    sample = shown(marked(LEFT), placed)
    seen = middle_of_mark(sample)
    assert (seen[0] < 11.5) is not mirrored  # i grows to the right
    told = RIGHT if mirrored else LEFT
    np.testing.assert_allclose(seen, sample.points_index[told].numpy(), atol=0.2)
    assert sample.points_index[LEFT, 0] < sample.points_index[RIGHT, 0]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_left_points_are_on_the_left_of_their_right_ones_in_every_placement(seed):
    made = person()
    placed = draw_placement(made, np.random.default_rng(seed))
    points = placed.to_grid(made.points_index)
    if placed.mirrored:
        points = points[list(MIRRORED_POINT)]
    assert points[LEFT, 0] < points[RIGHT, 0] - 4.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_inverse_of_a_placement_undoes_it(seed):
    made = person()
    placed = draw_placement(made, np.random.default_rng(seed))
    grid = (placed.to_grid(made.points_index) - (11.5, 47.5, 63.5)) * (4.0, 2.0, 2.0)
    a, b = placed.slab.shear
    moved = np.stack([grid[:, 0] + a * grid[:, 1] + b * grid[:, 2], *grid[:, 1:].T], axis=1)
    bent = moved + sum((w.at(moved) for w in placed.waves), start=np.zeros(3))
    np.testing.assert_allclose(bent @ placed.matrix.T + placed.start, made.points_index, atol=1e-6)


def test_a_straight_placement_shows_front_and_head_at_high_indices():
    made = person()
    tissues = np.full(SHAPE, Tissue.AIR, dtype=np.uint8)
    tissues[28:, 64:, 95:] = MARK
    sample = shown(replace(made, tissues=tissues), STRAIGHT)
    i, j, k = middle_of_mark(sample)
    assert i > 11.5
    assert j > 47.5
    assert k > 63.5


def test_a_point_beyond_the_field_of_view_is_not_visible():
    # Heights 60, 54, ... mm above the middle of L3; the map's middle is 25 mm above it.
    low, high = np.array([-90.0, -100.0]), np.array([90.0, 5.0])
    sample = shown(person(), replace(STRAIGHT, low_mm=low, high_mm=high))
    heights = person().points_mm[:, 2] - 25.0
    np.testing.assert_array_equal(sample.visible.numpy(), (heights < 6.0) & (heights > -101.0))
    assert not sample.mask[0, :, :, 67:].any()
    assert (sample.image[~sample.mask] == 0).all()


def test_a_lateral_point_is_not_visible_where_the_slices_are_few():
    slab = Slab(count=6, spacing_mm=4.0, thickness_mm=4.0)
    sample = shown(person(), replace(STRAIGHT, slab=slab))
    assert sample.visible[POINTS.index("canal_l3_l4")]
    assert not sample.visible[LEFT]
    assert not sample.visible[RIGHT]


def test_the_mask_reaches_half_a_slice_beyond_the_outer_slices():
    slab = Slab(count=7, spacing_mm=4.0, thickness_mm=4.0, middle_mm=2.0)
    sample = shown(person(), replace(STRAIGHT, slab=slab))
    seen = sample.mask[0].any(dim=2).any(dim=1)
    # Slices at x = -10, -6 ... 14 mm; voxels at -46, -42 ... 46: from -12 to 16 mm.
    np.testing.assert_array_equal(np.flatnonzero(seen), [9, 10, 11, 12, 13, 14, 15])


def test_a_slice_is_the_average_over_its_thickness():
    tissues = np.full(SHAPE, Tissue.AIR, dtype=np.uint8)
    tissues[28:] = MARK  # all to the right of x = 0 of the series
    slab = Slab(count=5, spacing_mm=4.0, thickness_mm=4.0, middle_mm=-2.0)
    sample = shown(person(tissues=tissues), replace(STRAIGHT, slab=slab))
    # Slices at -10, -6, -2, 2, 6 mm; sub-slices of the one at -2: -3.33, -2, -0.67. The edge is
    # a ramp from -1 to 1 mm: 0, 0 and 1/6, a third each.
    profile = sample.image[0, :, 40, 60]
    np.testing.assert_allclose(profile[9:14], [0, 0, 1 / 18, 1 - 1 / 18, 1], atol=1e-5)


def test_between_slices_the_picture_is_interpolated():
    tissues = np.full(SHAPE, Tissue.AIR, dtype=np.uint8)
    tissues[28:] = MARK
    slab = Slab(count=3, spacing_mm=8.0, thickness_mm=2.0, sub_slices=1)
    sample = shown(person(tissues=tissues), replace(STRAIGHT, slab=slab))
    # Slices at -8, 0, 8 show 0, 1/2, 1; voxels at -6, -2, 2, 6 mm lie a quarter off.
    profile = sample.image[0, 10:14, 40, 60]
    np.testing.assert_allclose(profile, [0.125, 0.375, 0.625, 0.875], atol=1e-5)


def test_a_sample_is_the_same_for_the_same_seed_epoch_and_index():
    made = marked(0)
    first, again = (sample_map(made, sample_generator(3, 1, 7)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    for other in ((4, 1, 7), (3, 2, 7), (3, 1, 8)):
        assert not torch.equal(first.image, sample_map(made, sample_generator(*other)).image)


def test_a_sample_has_the_shapes_that_a_localizer_takes():
    sample = sample_map(person(), sample_generator(0, 0, 0))
    assert sample.image.shape == sample.mask.shape == (1, *MAP_GRID.shape)
    assert sample.image.dtype == sample.points_index.dtype == torch.float32
    assert sample.mask.dtype == sample.visible.dtype == torch.bool
    assert sample.points_index.shape == (27, 3)
    assert (sample.image >= 0).all()
    assert torch.isfinite(sample.image).all()


def test_most_looks_show_most_of_the_canal_and_some_cut_it_off():
    made = person(points_mm=_upright())
    counts = []
    for seed in range(40):
        look = draw_look(made, np.random.default_rng(seed))
        z = look.placed.to_grid(made.points_index)[:7, 2] * 2.0 - 127.0
        low, high = look.placed.low_mm[1], look.placed.high_mm[1]
        counts.append(int(((z > low) & (z < high) & (abs(z) < 128)).sum()))
    assert np.mean([n >= 5 for n in counts]) > 0.5
    assert np.mean([n < 7 for n in counts]) > 0.25
    assert min(counts) >= 0


def _upright():
    points = person().points_mm.copy()
    points[:7, 2] = 100.0 - 33.0 * np.arange(7)
    return points


def rulers():
    return torch.linspace(-95.0, 95.0, 96), torch.linspace(-127.0, 127.0, 128)


def test_the_coil_falls_to_1_over_e_within_its_distance():
    y, z = torch.tensor([-60.0, -50.0, -10.0, 30.0]), torch.zeros(8)
    coil = replace(PERFECT, coil_mm=40.0, back_mm=-50.0)
    seen = scan(torch.ones(2, 4, 8), coil, (y, z), sample_generator(0, 0, 0))
    np.testing.assert_allclose(seen[0, :, 0], np.exp([0.0, 0.0, -1.0, -2.0]), rtol=1e-6)


def test_the_saturation_band_darkens_the_front_alone():
    banded = replace(PERFECT, band=(30.0, 3.0, 0.8))
    seen = scan(torch.ones(1, 96, 128), banded, rulers(), sample_generator(0, 0, 0))[0, :, 0]
    np.testing.assert_allclose(seen[[0, -1]], [1.0, 0.2], atol=1e-4)


def test_noise_is_rician():
    y, z = rulers()
    signal = torch.zeros(6, 96, 128)
    signal[:, 40:56] = 1.0  # within 35 mm of the bodies
    noisy = replace(PERFECT, snr=10.0)
    seen = scan(signal, noisy, (y, z), sample_generator(1, 0, 0))
    empty, full = seen[:, :30].double(), seen[:, 40:56].double()
    # sigma = 1 / 10: mean of a Rayleigh and, far above the noise, of a Rice distribution.
    assert abs(float(empty.mean()) - 0.1 * np.sqrt(np.pi / 2)) < 0.002
    assert abs(float(full.mean()) - (1.0 + 0.1**2 / 2)) < 0.003
    assert abs(float(full.std()) - 0.1) < 0.003


def test_what_is_stored_has_its_white_at_the_scale():
    signal = torch.rand(6, 96, 128, generator=sample_generator(0, 0, 0)) * 5.0
    seen = scan(signal, replace(PERFECT, scale=700.0), rulers(), sample_generator(0, 0, 1))
    assert abs(float(seen.quantile(0.99)) - 700.0) < 5.0


def test_blur_keeps_the_mean_and_lowers_the_spread():
    signal = torch.rand(3, 96, 128, generator=sample_generator(0, 0, 0))
    blurred = replace(PERFECT, blur=(0.8, 0.8))
    seen = scan(signal, blurred, rulers(), sample_generator(0, 0, 1))
    assert abs(float(seen.mean() - signal.mean())) < 0.01
    assert float(seen.std()) < 0.6 * float(signal.std())


def test_clipping_leaves_nothing_brighter_than_its_quantile():
    signal = torch.rand(3, 96, 128, generator=sample_generator(0, 0, 0))
    seen = scan(signal, replace(PERFECT, clip=0.9, scale=1.0), rulers(), sample_generator(0, 0, 1))
    assert 0.08 < float((seen == seen.max()).float().mean()) < 0.12


def test_the_draws_keep_to_their_shares_and_ranges():
    drawn_ones = [draw_scanner(np.random.default_rng(n), 10.0) for n in range(400)]
    with_coil = [s for s in drawn_ones if np.isfinite(s.coil_mm)]
    assert 0.84 < len(with_coil) / 400 < 0.96
    assert all(25.0 <= s.coil_mm <= 160.0 for s in with_coil)
    assert all(9.0 <= s.snr <= 80.0 for s in drawn_ones)
    assert 0.25 < np.mean([s.band[2] > 0 for s in drawn_ones]) < 0.45
    assert all(s.back_mm < s.column_mm < s.band[0] for s in drawn_ones)


def test_air_gives_no_signal_and_nothing_a_negative_one():
    contrasts = np.array([draw_contrast(np.random.default_rng(n)) for n in range(200)])
    assert contrasts.shape == (200, len(Tissue))
    assert (contrasts[:, Tissue.AIR] == 0).all()
    assert (contrasts >= 0).all()
    assert (contrasts.max(axis=1) > 0).all()


def test_fluid_is_brighter_than_marrow_in_some_series_and_darker_in_others():
    contrasts = np.array([draw_contrast(np.random.default_rng(n)) for n in range(200)])
    share = np.mean(contrasts[:, Tissue.CSF] > contrasts[:, Tissue.MARROW])
    assert 0.3 < share < 0.85


def test_every_weighting_is_drawn():
    names = {draw_sequence_of(np.random.default_rng(n)).name for n in range(100)}
    assert names == {"T1", "T2", "STIR", "PD", "FLAIR"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_sample_made_on_a_gpu_shows_what_the_cpu_shows():
    made, look = marked(LEFT), Look(STRAIGHT, ONLY_MARK, PERFECT)
    there = show(made, look, sample_generator(0, 0, 0, device="cuda"))
    here = show(made, look, sample_generator(0, 0, 0))
    assert there.image.device.type == "cuda"
    torch.testing.assert_close(there.image.cpu(), here.image, atol=1e-4, rtol=1e-4)
    assert torch.equal(there.visible.cpu(), here.visible)

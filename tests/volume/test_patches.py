"""Patches: every pixel from where it belongs, and left from the left."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.volume.made_crops import blob, crops_of, linear
from tests.volume.marks import upright_points
from volspine.anatomy import LEVELS, MIRRORED_INDEX, PROTOCOLS, TARGETS, Finding, Protocol, Side
from volspine.views import TOKENS, VIEWS, StudyCrops
from volspine.volume.patches import Moves, cut_patches, tokens_of
from volspine.volume.study_crops import batched, mirrored_crops

LEFT = next(t for t in TARGETS if t.name == "left_neural_foraminal_narrowing_l4_l5")


@pytest.fixture(scope="module")
def study() -> StudyCrops:
    return crops_of(linear)


def textured(seed: int = 0) -> StudyCrops:
    """A study of noise: no two pixels of it are alike."""
    crops = crops_of(linear)
    rng = torch.Generator().manual_seed(seed)
    noise = [torch.rand(image.shape, generator=rng) for image in crops[:2]]
    return crops._replace(sagittal=noise[0], axial=noise[1])


def cut(crops: StudyCrops, points=None, **how):
    points = crops.points_mm if points is None else torch.as_tensor(points)
    return cut_patches(batched([crops]), points[None], **how)


def tokens_for(target) -> list[tuple[int, int]]:
    """View and number in the view of a target's patches."""
    return [(v, n - tokens_of(v).start) for n, (v, t) in enumerate(TOKENS) if t == target.index]


def still(**changed) -> Moves:
    """Moves of one study that move nothing, but for what is given."""
    nothing = {
        "turn": torch.zeros(1, 1),
        "zoom": torch.ones(1, 1),
        "shift_mm": torch.zeros(1, 1, 2),
    }
    return Moves(**{**nothing, **changed})


def expected(crops: StudyCrops, view, target, point):
    """What a patch of the linear field holds, from each pixel's own place."""
    level, protocol = LEVELS.index(target.level), PROTOCOLS.index(view.protocol)
    affine = crops.affine_lps[level, protocol].numpy()
    depth, row, column = np.linalg.solve(affine[:3, :3], point - affine[:3, 3])
    pixel = np.linalg.norm(affine[:3, 1])
    offsets = (np.arange(view.pixels) - (view.pixels - 1) / 2) * view.pixel_mm / pixel
    slices = np.round(depth) + np.arange(-2, 3)
    columns = column + offsets
    if target.side is Side.RIGHT:
        if view.protocol is Protocol.AXIAL_T2:
            columns = column - offsets
        else:
            slices = slices[::-1]
    index = np.stack(np.meshgrid(slices, row + offsets, columns, indexing="ij"), axis=-1)
    return linear(index @ affine[:3, :3].T + affine[:3, 3]) - 1.0


def test_every_pixel_shows_its_own_place(study):
    rng = np.random.default_rng(1)
    points = upright_points() + rng.uniform(-1.5, 1.5, (25, 3)) * [1.0, 1.0, 0.3]
    patches = cut(study, points)
    for number, (v, t) in enumerate(TOKENS):
        found = patches.images[v][0, number - tokens_of(v).start].numpy()
        wanted = expected(study, VIEWS[v], TARGETS[t], points[t])
        covered = patches.covered[v][0, number - tokens_of(v).start].numpy() > 0.99
        assert covered.any()
        np.testing.assert_allclose(found[covered], wanted[covered], atol=2e-5)


def test_patches_have_the_shapes_of_their_views(study):
    for view, image, share in zip(VIEWS, *cut(study), strict=True):
        assert image.shape == (1, len(view.targets), view.slices, view.pixels, view.pixels)
        assert share.shape == image.shape[:3]
        assert image.dtype == share.dtype == torch.float32


def test_what_lies_in_the_left_foramen_is_seen_in_the_middle_of_its_own_patches_alone():
    point = upright_points()[LEFT.index]
    patches = cut(crops_of(blob(point)))
    bright = []
    for number, (v, _) in enumerate(TOKENS):
        image = patches.images[v][0, number - tokens_of(v).start]
        half = image.shape[-1] // 2
        bright += [number] * bool((image[2, half - 1 : half + 1, half - 1 : half + 1] > 4).all())
    assert [TOKENS[n][1] for n in bright] == [LEFT.index, LEFT.index]
    assert {VIEWS[TOKENS[n][0]].protocol for n in bright} == {
        Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2,
    }  # fmt: skip


def test_a_right_side_looks_like_the_left_side_of_the_mirrored_patient():
    crops = textured()
    ours, other = cut(crops), cut(mirrored_crops(crops))
    for number, (v, t) in enumerate(TOKENS):
        place = number - tokens_of(v).start
        twin = TOKENS.index((v, MIRRORED_INDEX[t])) - tokens_of(v).start
        shown = ours.images[v][0, place]
        if TARGETS[t].finding is Finding.CANAL:
            shown = shown.flip(-1 if VIEWS[v].protocol is Protocol.AXIAL_T2 else -3)
        torch.testing.assert_close(other.images[v][0, twin], shown, atol=1e-5, rtol=0)


def test_sides_differ_in_a_patient_who_is_not_symmetric():
    patches = cut(textured())
    for v in range(2, len(VIEWS)):
        left, right = patches.images[v][0, :5], patches.images[v][0, 5:]
        assert (left - right).abs().mean() > 0.1


def test_slices_of_a_sagittal_patch_run_outwards_on_both_sides():
    crops = crops_of(lambda at: 1.0 + 0.01 * np.abs(at[..., 0]))
    for v in (2, 3):
        outwards = cut(crops).images[v][0, :, :4, 20, 20].diff(dim=-1)
        assert (outwards > 0).all()


def test_columns_of_an_axial_patch_run_outwards_on_both_sides():
    crops = crops_of(lambda at: 1.0 + 0.01 * np.abs(at[..., 0]))
    outwards = cut(crops).images[4][0, :, 2, 20, 20:].diff(dim=-1)
    assert (outwards > 0).all()


@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_a_flip_shows_what_the_mirrored_patient_would_show(seed):
    crops, rng = textured(seed), torch.Generator().manual_seed(seed)
    shift = torch.randn(1, 25, 3, generator=rng, dtype=torch.float64)
    moves = Moves(
        turn=0.3 * torch.randn(1, 40, generator=rng),
        zoom=torch.exp(0.2 * torch.randn(1, 40, generator=rng)),
        shift_mm=torch.randn(1, 40, 2, generator=rng),
    )
    points = crops.points_mm[None] + shift
    flipped = cut_patches(batched([crops]), points, moves=moves, flip=torch.tensor([True]))
    other = mirrored_crops(crops._replace(points_mm=points[0]))
    wanted = cut_patches(batched([other]), other.points_mm[None], moves=moves)
    for ours, theirs in zip([*flipped.images, *flipped.covered],
                            [*wanted.images, *wanted.covered], strict=True):  # fmt: skip
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_one_study_of_a_batch_can_be_flipped_alone():
    both = batched([textured(1), textured(2)])
    plain = cut_patches(both, both.points_mm)
    mixed = cut_patches(both, both.points_mm, flip=torch.tensor([False, True]))
    for v in range(len(VIEWS)):
        assert torch.equal(plain.images[v][0], mixed.images[v][0])
        assert not torch.equal(plain.images[v][1], mixed.images[v][1])


def test_a_mirror_of_a_mirror_is_the_study():
    crops = textured()
    again = mirrored_crops(mirrored_crops(crops))
    for before, after in zip(crops, again, strict=True):
        torch.testing.assert_close(before, after, atol=1e-9, rtol=0)


def test_a_target_that_was_not_located_is_zero_and_not_covered(study):
    points = upright_points()
    points[LEFT.index] = np.nan
    patches, whole = cut(study, points), cut(study)
    for v, n in tokens_for(LEFT):
        assert not patches.images[v][0, n].any()
        assert not patches.covered[v][0, n].any()
        others = [k for k in range(len(VIEWS[v].targets)) if k != n]
        assert torch.equal(patches.images[v][0, others], whole.images[v][0, others])


def test_slices_beyond_the_crop_are_zero_and_not_covered(study):
    points = upright_points()
    points[LEFT.index, 0] = 6.0 * 4.0  # The last slice but one, as slice 6.3 is in the middle.
    (v, n), _ = tokens_for(LEFT)
    patches = cut(study, points)
    assert (patches.covered[v][0, n] > 0).tolist() == [True, True, True, False, False]
    assert not patches.images[v][0, n, 3:].any()
    assert patches.images[v][0, n, :3].any()


def test_a_place_far_outside_gives_empty_patches_and_no_error(study):
    patches = cut(study, upright_points() + 1e9)
    assert not any(image.any() for image in patches.images)
    assert not any(share.any() for share in patches.covered)


def test_what_was_not_measured_is_zero_and_counted(study):
    half = study.sagittal_mask.clone()
    half[..., 40:] = False  # The back of every slice.
    covered = study._replace(sagittal_mask=half)
    patches = cut(covered)
    front, back = patches.images[0][..., :28], patches.images[0][..., 28:]
    assert front[..., 1:-1].abs().min() > 0
    assert not back[..., 1:].any()
    np.testing.assert_allclose(patches.covered[0].numpy(), 0.5)
    assert (patches.covered[1] > 0.99).any()


def test_an_empty_crop_gives_empty_patches(study):
    nothing = study._replace(
        axial=torch.zeros_like(study.axial), axial_mask=torch.zeros_like(study.axial_mask)
    )
    patches = cut(nothing)
    for view, image, share in zip(VIEWS, *patches, strict=True):
        is_axial = view.protocol is Protocol.AXIAL_T2
        assert bool(image.any()) != is_axial
        assert bool(share.any()) != is_axial


def test_a_shift_is_the_same_as_another_place(study):
    shift = torch.tensor([[[1.1, -0.7]]])  # Rows run to the feet, columns to the back.
    moved = cut(study, moves=still(shift_mm=shift)).images[0]
    elsewhere = cut(study, upright_points() + np.array([0.0, -0.7, -1.1])).images[0]
    torch.testing.assert_close(moved, elsewhere, atol=2e-5, rtol=0)


def test_a_zoom_above_one_shows_things_larger():
    point = upright_points()[0]
    crops = crops_of(blob(point))
    areas = [
        (cut(crops, moves=still(zoom=torch.tensor([[z]]))).images[0][0, 0, 2] > 2).sum()
        for z in (1.0, 2.0)
    ]
    assert 3.0 < areas[1] / areas[0] < 5.0


def test_a_turn_takes_what_is_behind_to_the_feet():
    behind = upright_points()[0] + np.array([0.0, 10.0, 0.0])
    crops = crops_of(blob(behind))
    image = cut(crops, moves=still(turn=torch.tensor([[np.pi / 2]]))).images[0][0, 0, 2]
    row, column = np.argwhere(image.numpy() > 4).mean(axis=0)
    assert row == pytest.approx(27.5 + 10 / 0.7, abs=0.5)
    assert column == pytest.approx(27.5, abs=0.5)


def test_a_move_of_a_right_side_is_one_of_what_is_shown():
    """The same turn of a left and of the mirrored right side shows the same."""
    crops = crops_of(lambda at: 1.0 + 0.1 * np.abs(at[..., 0]) + 0.02 * at[..., 2])
    image = cut(crops, moves=still(turn=torch.tensor([[0.3]]))).images[4][0]
    torch.testing.assert_close(image[:5], image[5:], atol=2e-5, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_the_accelerator_cuts_the_same_patches():
    crops = batched([textured(3)])
    here = cut_patches(crops, crops.points_mm, flip=torch.tensor([True]))
    there = StudyCrops(*(part.cuda() for part in crops))
    found = cut_patches(there, there.points_mm, flip=torch.tensor([True]))
    for ours, theirs in zip([*here.images, *here.covered], [*found.images, *found.covered],
                            strict=True):  # fmt: skip
        torch.testing.assert_close(theirs.cpu(), ours, atol=1e-4, rtol=0)

"""Locating: from a study to points in its own space, with a localizer that knows the answer.

The pictures are ramps, value = 1000 + z + 2 x, so that a made-up localizer can tell from what it is
shown where its grid lies, how large its voxels are and whether it looks at the mirror image.
"""

import numpy as np
import pytest
import torch

from tests.models.made_heat import discs_above, spine, told_of
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import ConfigurationError, PixelError
from volspine.geometry.stack import Stack
from volspine.inference.locate import NO_SAGITTAL, ZOOMS, locate, shift_landmarks
from volspine.inference.locate_views import sagittal_views, view_on_grid
from volspine.landmarks import CHAIN, MIRRORED_POINT, POINT_OF_TARGET
from volspine.models.chain_decode import nothing_found
from volspine.models.chain_fuse import cell_grid, cell_mask
from volspine.models.localizer import Localizer, Located
from volspine.volume.grid import Grid

POINTS_OF = list(POINT_OF_TARGET)
SHAPE = (16, 64, 128)


class Knowing(Localizer):
    """Reads its grid off the ramps and says where the points of one spine are."""

    def __init__(self, points_mm: np.ndarray) -> None:
        super().__init__(channels=(4, 4), shape=SHAPE)
        self.points_mm, self.calls = points_mm, 0

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> Located:
        self.calls += len(image)
        pairs = zip(image.numpy(), mask.numpy() > 0, strict=True)
        told = [self._told(values[0], inside[0]) for values, inside in pairs]
        return Located(*(torch.from_numpy(np.stack(part)) for part in zip(*told, strict=True)))

    def _told(self, values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        k = float(np.argwhere(inside)[:, 2].mean())
        slices = np.flatnonzero(inside.any(axis=(1, 2)))
        right, left = (values[n][inside[n]].mean() for n in slices[[-1, 0]])
        both = inside[..., 1:] & inside[..., :-1]
        step = float(np.diff(values, axis=2)[both].mean())
        z = float(values[inside].mean()) - 1000.0 - (k - 63.5) * step
        grid = Grid((2 * step, step, step), SHAPE, (0.0, 0.0, z))
        points = self.points_mm
        if right > left:  # The mirror image: values grow to the patient's left.
            points = points[list(MIRRORED_POINT)] * [-1.0, 1.0, 1.0]
        told = told_of(points, grid=cell_grid(grid), inside=cell_mask(inside))
        return told.logits, told.offset_mm


def sagittal(shape=(96, 128, 15), *, pixel=2.0, slice_mm=4.0, z=0.0, mirrored=False) -> Stack:
    """Ramps on slices from the patient's right to the left, the middle at (0, 0, z)."""
    across, down, slices = shape
    affine = np.array(
        [
            [0, 0, slice_mm, -slice_mm * (slices - 1) / 2],
            [pixel, 0, 0, -pixel * (across - 1) / 2],
            [0, -pixel, 0, z + pixel * (down - 1) / 2],
            [0, 0, 0, 1.0],
        ]
    )
    x = affine[0, 3] + slice_mm * np.arange(slices)[None, None]
    heights = affine[2, 3] - pixel * np.arange(down)[None, :, None]
    values = 1000.0 + heights + (-2.0 if mirrored else 2.0) * x + np.zeros((across, 1, 1))
    return Stack.from_array(values.astype(np.float32), affine)


def axial_stack() -> Stack:
    return Stack.from_array(np.ones((32, 32, 10), dtype=np.float32), np.diag([3.0, 3, 5, 1]))


def series(protocol, stack, *, frame="one", **more) -> Series:
    return Series("uid", protocol.value, protocol, "", [stack], frame_of_reference=frame, **more)


def study_of(*members) -> Study:
    return Study("made", list(members))


BOTH = (Protocol.SAGITTAL_T2, Protocol.SAGITTAL_T1)


def test_the_points_of_a_study_are_found_in_its_own_millimetres() -> None:
    study = study_of(*(series(protocol, sagittal(z=-40.0)) for protocol in BOTH))
    points = spine((2.0, 20.0, 60.0))
    localizer = Knowing(points)
    found = locate(study, localizer, device="cpu")
    np.testing.assert_allclose(found.points_mm, points[POINTS_OF], atol=0.3)
    assert localizer.calls == 4 * len(ZOOMS)  # Two series, each and its mirror image.


def test_a_mirrored_study_gives_the_mirrored_points() -> None:
    points = spine((3.0, 20.0, 100.0), lean=0.1)
    study = study_of(series(Protocol.SAGITTAL_T2, sagittal()))
    mirrored = study_of(series(Protocol.SAGITTAL_T2, sagittal(mirrored=True)))
    localizer = Knowing(points)
    here, there = (locate(one, localizer, device="cpu") for one in (study, mirrored))
    back = there.points_mm[list(MIRRORED_INDEX)] * [-1.0, 1.0, 1.0]
    np.testing.assert_allclose(back, here.points_mm, atol=0.01)
    assert abs(here.points_mm[7, 0] - there.points_mm[7, 0]) > 1.0, "the two do differ"


@pytest.mark.parametrize("z", [-140.0, 160.0])
def test_in_a_picture_of_the_whole_spine_the_grid_goes_where_the_lumbar_spine_is(z) -> None:
    study = study_of(series(Protocol.SAGITTAL_T2, sagittal((96, 300, 15))))
    points = spine((0.0, 20.0, 100.0 + z))
    found = locate(study, Knowing(points), device="cpu")
    np.testing.assert_allclose(found.points_mm, points[POINTS_OF], atol=0.3)
    assert len(discs_above(points)) == 3


def test_a_study_with_axial_series_alone_has_no_landmarks_and_says_why() -> None:
    found = locate(
        study_of(series(Protocol.AXIAL_T2, axial_stack())), Knowing(spine()), device="cpu"
    )
    assert set(found.reasons) == {NO_SAGITTAL}


def test_sagittal_series_of_no_known_weighting_stand_in_for_those_that_are_missing() -> None:
    other = series(Protocol.OTHER, sagittal())
    t2 = series(Protocol.SAGITTAL_T2, sagittal())
    t1 = series(Protocol.SAGITTAL_T1, sagittal())
    chosen = [[s.protocol for s in sagittal_views(study_of(*members))]
              for members in ([other], [other, t2], [other, t2, t1])]  # fmt: skip
    assert chosen == [[Protocol.OTHER], [BOTH[0], Protocol.OTHER], list(BOTH)]


def test_series_of_another_frame_of_reference_are_not_looked_at() -> None:
    here = series(Protocol.SAGITTAL_T2, sagittal(), frame="one")
    axial = series(Protocol.AXIAL_T2, axial_stack(), frame="one")
    apart = series(Protocol.SAGITTAL_T1, sagittal(z=30.0), frame="two")
    other = series(Protocol.OTHER, sagittal(z=30.0), frame="two")
    assert [s.name for s in sagittal_views(study_of(here, axial, apart, other))] == ["sagittal_t2"]


def test_without_any_graded_series_the_frame_of_most_sagittal_slices_is_used() -> None:
    few = series(Protocol.OTHER, sagittal((96, 128, 7)), frame="few")
    many = series(Protocol.OTHER, sagittal(), frame="many")
    assert [s.frame_of_reference for s in sagittal_views(study_of(few, many))] == ["many"]


def test_scouts_blank_series_and_damaged_ones_are_passed_over() -> None:
    def broken():
        raise PixelError("damaged", code="VS-PIX-000")

    scout = series(Protocol.SAGITTAL_T2, sagittal((96, 128, 3)))
    blank_stack = Stack.from_array(np.ones((96, 128, 15), np.float32), sagittal().affine_lps)
    blank = series(Protocol.SAGITTAL_T2, blank_stack)
    good = sagittal()
    damaged_stack = Stack(good.affine_lps, good.slice_origins_mm, (96, 128), broken)
    damaged = series(Protocol.SAGITTAL_T1, damaged_stack)
    assert sagittal_views(study_of(scout, blank, damaged)) == []


def test_the_series_taken_before_contrast_is_preferred() -> None:
    after = series(Protocol.SAGITTAL_T1, sagittal(), drawbacks=("after a contrast agent",))
    before = series(Protocol.SAGITTAL_T1, sagittal(), number=3)
    chosen = sagittal_views(study_of(after, before))
    assert [s.drawbacks for s in chosen] == [()]


def test_averaging_fine_pixels_moves_nothing() -> None:
    """A ramp is the same ramp after averaging, wherever it was measured."""
    study = study_of(series(Protocol.SAGITTAL_T2, sagittal((320, 401, 15), pixel=0.6, z=7.0)))
    (coarse,) = sagittal_views(study)
    assert coarse.stacks[0].shape == (106, 133, 15)
    grid = Grid((4.0, 2.0, 2.0), (12, 60, 80), (1.0, 2.0, 3.0))
    view = view_on_grid(coarse, grid)
    index = np.argwhere(view.mask)
    mm = grid.mm_from_index(index.astype(np.float64))
    inner = np.abs(mm - [0.0, 0.0, 7.0]).max(axis=1) < 80
    expected = 1000.0 + mm[:, 2] + 2.0 * mm[:, 0]
    assert inner.sum() > 1000
    np.testing.assert_allclose(view.image[view.mask][inner], expected[inner], atol=0.01)


def test_shifted_by_one_each_point_bears_the_name_below() -> None:
    study = study_of(series(Protocol.SAGITTAL_T2, sagittal()))
    localizer = Knowing(spine())
    plain = locate(study, localizer, device="cpu")
    lower = locate(study, localizer, device="cpu", shift_levels=1)
    of = {target.name: target.index for target in TARGETS}
    for name in ("spinal_canal_stenosis", "left_neural_foraminal_narrowing"):
        source, goal = of[f"{name}_l4_l5"], of[f"{name}_l5_s1"]
        np.testing.assert_array_equal(lower.points_mm[goal], plain.points_mm[source])
        assert "renamed by +1" in lower.reasons[of[f"{name}_l1_l2"]]
    np.testing.assert_array_equal(lower.chain_mm[1:], plain.chain_mm[:-1])
    assert np.isnan(lower.chain_mm[0]).all()
    assert lower.level_confidence.tolist() == [0.0, *plain.level_confidence[:-1]]
    assert lower.doubts == ("the levels were renamed by +1 on demand",)


def test_shifts_up_and_down_undo_one_another_where_both_have_a_level() -> None:
    study = study_of(series(Protocol.SAGITTAL_T2, sagittal()))
    plain = locate(study, Knowing(spine()), device="cpu")
    back = shift_landmarks(shift_landmarks(plain, -2), 2)
    kept = back.found
    assert kept.sum() == 15
    np.testing.assert_array_equal(back.points_mm[kept], plain.points_mm[kept])
    assert shift_landmarks(plain, 0) is plain


def test_a_shift_that_leaves_no_level_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="VS-CFG-060"):
        locate(study_of(), Knowing(spine()), device="cpu", shift_levels=5)
    with pytest.raises(ConfigurationError, match="VS-CFG-060"):
        shift_landmarks(nothing_found("no series"), -5)


def test_an_untrained_localizer_finds_little_but_does_not_fail() -> None:
    torch.manual_seed(0)
    study = study_of(series(Protocol.SAGITTAL_T2, sagittal()))
    found = locate(study, Localizer(channels=(4, 4), shape=SHAPE), device="cpu")
    assert found.chain_mm.shape == (len(CHAIN), 3)
    assert found.confidence.max() < 0.9

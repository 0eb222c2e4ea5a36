import numpy as np
import pytest

from volspine.errors import ConfigurationError
from volspine.landmarks import POINTS
from volspine.models.chain_fuse import Told
from volspine.models.chain_zoom import unzoomed, zoomed_grid
from volspine.volume.grid import Grid

SHAPE = (8, 12, 16)


def told(hot: tuple[int, int, int], *, offset_mm: float = 0.0) -> Told:
    logits = np.zeros((len(POINTS) + 1, *SHAPE), dtype=np.float32)
    logits[:, *hot] = 9.0
    offset = np.full((len(POINTS), 3, *SHAPE), offset_mm, dtype=np.float32)
    return Told(logits, offset, np.ones(SHAPE, dtype=np.bool_))


def hottest(found: Told) -> tuple[int, ...]:
    return tuple(int(n) for n in np.unravel_index(found.logits[0].argmax(), SHAPE))


def test_a_zoomed_grid_has_larger_voxels_about_the_same_middle():
    grid = Grid((4.0, 2.0, 2.0), (24, 96, 128), (5.0, -7.0, 11.0))
    large = zoomed_grid(grid, 1.5)
    assert large.spacing_mm == (6.0, 3.0, 3.0)
    assert large.shape == grid.shape
    assert large.center_mm == grid.center_mm


def test_what_is_seen_in_a_cell_of_a_large_grid_lies_farther_from_the_middle():
    # Cell 5 of 8 lies 1.5 cells beside the middle (3.5): three times as far is 4.5, cell 8 - out;
    # cell 4 lies .5 beside it, thrice is 1.5, cell 5. Along 12: 6 -> 7; along 16: 7 -> 6.
    found = unzoomed(told((4, 6, 7)), 3.0)
    assert hottest(found) == (5, 7, 6)


def test_offsets_grow_with_the_voxels():
    found = unzoomed(told((4, 6, 7), offset_mm=2.0), 1.25)
    np.testing.assert_allclose(found.offset_mm, 2.5, rtol=1e-6)


def test_a_small_grid_says_nothing_beyond_its_ends():
    found = unzoomed(told((4, 6, 8)), 0.5)
    # Half of 8 cells: the middle four. One whose middle lies within is told of.
    assert found.inside[:, 6, 8].tolist() == [False, False, True, True, True, True, False, False]
    assert found.inside.sum() == 4 * 6 * 8


def test_what_was_not_measured_is_not_told_of():
    part = told((4, 6, 8))
    part.inside[:4] = False
    assert not unzoomed(part, 1.1).inside[:4].any()
    assert unzoomed(part, 1.1).inside[4:].all()


def test_no_zoom_changes_nothing():
    same = told((1, 2, 3), offset_mm=1.0)
    assert unzoomed(same, 1.0) is same


def test_a_mirrored_patient_is_laid_back_mirrored():
    one = told((2, 5, 9), offset_mm=1.0)
    flipped = Told(one.logits[:, ::-1].copy(), one.offset_mm[:, :, ::-1].copy(), one.inside)
    np.testing.assert_allclose(
        unzoomed(flipped, 1.13).logits, unzoomed(one, 1.13).logits[:, ::-1], atol=1e-5
    )


@pytest.mark.parametrize("zoom", [0.0, -1.0, float("nan")])
def test_a_zoom_that_is_none_is_refused(zoom):
    with pytest.raises(ConfigurationError, match="a zoom of"):
        zoomed_grid(Grid((4.0, 2.0, 2.0), (24, 96, 128)), zoom)

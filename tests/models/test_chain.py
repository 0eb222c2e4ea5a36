"""Naming: chains with known names, cut off, interrupted, with a false peak in front, mirrored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.made_heat import CELLS, SMALL, STEPS_MM, between, heat_of, spine
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding
from volspine.errors import GeometryError
from volspine.landmarks import CHAIN, MIRRORED_POINT, POINT_OF_TARGET
from volspine.models.chain import Candidates, Rules, name_discs
from volspine.models.chain_decode import decode, nothing_found
from volspine.models.chain_fuse import Told, cell_grid, cell_mask, fuse
from volspine.models.chain_heat import HeatMaps, peaks
from volspine.volume.grid import Grid

POINTS_OF = list(POINT_OF_TARGET)
CANALS, L4_L5 = slice(0, 5), 3


def errors_mm(landmarks, points_mm) -> np.ndarray:
    return np.linalg.norm(landmarks.points_mm - points_mm[POINTS_OF], axis=1)


def candidates(points_mm, disc, *, any_disc=0.9, above=80.0, below=80.0) -> Candidates:
    n = len(points_mm)
    return Candidates(
        points_mm=np.asarray(points_mm, dtype=np.float64),
        log_disc=np.log(np.asarray(disc, dtype=np.float64) + 1e-4),
        log_any=np.log(np.full(n, any_disc) + 0.02),
        above_mm=np.full(n, above),
        below_mm=np.full(n, below),
        in_view=np.full(len(CHAIN), 0.5),
    )


def test_a_whole_spine_is_found_to_a_tenth_of_a_millimetre() -> None:
    found = decode(heat_of(spine()))
    assert errors_mm(found, spine()).max() < 0.1
    assert np.abs(found.chain_mm - spine()[: len(CHAIN)]).max() < 0.1
    assert found.doubts == ()
    assert found.level_confidence.min() > 0.9


def test_left_is_left() -> None:
    found = decode(heat_of(spine()))
    for target, point in zip(TARGETS, found.points_mm, strict=True):
        side = {"left": 1.0, "right": -1.0}.get(str(target.side and target.side.value), 0.0)
        aside = {Finding.CANAL: 0.0, Finding.FORAMEN: 17.0, Finding.RECESS: 8.0}[target.finding]
        assert point[0] == pytest.approx(side * aside, abs=0.1)


def test_a_spine_cut_off_above_l3_keeps_its_lower_names_and_says_what_lies_above() -> None:
    points = spine()
    found = decode(heat_of(points, inside=between(-200.0, points[3, 2] + 15.0)))
    assert not found.found[CANALS][:2].any()
    assert errors_mm(found, points)[CANALS][2:].max() < 1.0
    assert "L2/L3 lies above the field of view" in found.reasons[1]
    assert found.doubts == ()


def test_a_spine_cut_off_below_l4_keeps_its_upper_names_and_misses_the_sacrum() -> None:
    points = spine()
    found = decode(heat_of(points, inside=between(points[3, 2] - 15.0, 200.0)))
    assert errors_mm(found, points)[CANALS][:3].max() < 1.0
    assert not found.found[CANALS][3:].any()
    assert "L5/S1 lies below the field of view" in found.reasons[4]
    assert any("no sacrum is in view" in doubt for doubt in found.doubts)


def test_a_false_peak_in_front_of_the_spine_is_passed_over() -> None:
    """Half of a level's heat lies 60 mm in front, in the belly, and any disc is seen there."""
    points = spine()
    false = points.copy()
    false[4] += [0.0, -60.0, 0.0]
    true_heat, false_heat = heat_of(points), heat_of(false)
    maps = HeatMaps(
        np.logaddexp(true_heat.log_heat, false_heat.log_heat + np.float32(0.5)) - np.float32(1.0),
        np.maximum(true_heat.any_disc, false_heat.any_disc),
        np.where(
            true_heat.log_heat[:, None] > false_heat.log_heat[:, None],
            true_heat.offset_mm,
            false_heat.offset_mm,
        ),
        true_heat.inside,
        true_heat.presence,
        CELLS,
    )
    assert errors_mm(decode(maps), points)[L4_L5] < 1.0


def test_a_disc_that_the_network_misses_does_not_shift_the_others() -> None:
    points = spine()
    found = decode(heat_of(points, silent=(3,)))
    others = [t.index for t in TARGETS if t.level.value != "l3_l4"]
    assert errors_mm(found, points)[others].max() < 0.5
    assert found.reasons[2] == "too little speaks for a place of Spinal canal stenosis L3/L4"


def test_the_names_move_together_when_all_heat_is_one_level_off() -> None:
    """The chain believes the heat, as it must; a person can shift it back."""
    points = spine()
    moved = points.copy()
    moved[1:7] = points[:6]
    moved[0] = points[0] + [0.0, 0.0, 31.0]
    found = decode(heat_of(moved))
    assert np.abs(found.chain_mm[1:] - points[:6]).max() < 1.0


def test_heat_of_two_neighbouring_names_is_a_doubt() -> None:
    chain = np.stack([np.zeros(9), np.zeros(9), -35.0 * np.arange(9)], axis=1)
    even = np.zeros((7, 9))
    for disc in range(7):
        even[disc, disc] = even[disc, disc + 1] = 0.4
    named = name_discs(candidates(chain, even))
    fourth = named.probabilities[3]
    assert sorted(np.argsort(fourth)[-2:].tolist()) == [3, 4]
    assert fourth[3] == pytest.approx(fourth[4], rel=0.2)


def test_the_best_of_all_chains_is_found() -> None:
    """Every ordered assignment of 3 discs to 4 places, scored by hand, ends below Viterbi's."""
    rng = np.random.default_rng(3)
    places = np.stack([rng.normal(0, 3, 8), rng.normal(0, 5, 8), -30.0 * np.arange(8)], axis=1)
    disc = rng.uniform(0.01, 0.9, (7, 8))
    named = name_discs(candidates(places, disc))
    rules = Rules()
    full = [np.delete(np.arange(8), skipped) for skipped in range(8)]
    scores = [chain_score(places, disc, path, rules) for path in full]
    assert named.score >= max(scores) - 1e-9
    if (named.picks >= 0).all():
        assert named.score == pytest.approx(max(scores))


def chain_score(places, disc, path, rules) -> float:
    unary = np.log(disc[np.arange(7), path] + 1e-4) + np.log(0.92) + np.log(0.5)
    distances = np.linalg.norm(np.diff(places[path], axis=0), axis=1)
    steps = -0.5 * ((distances - np.array(rules.steps_mm)) / rules.spread_mm) ** 2
    return float(unary.sum() + steps.sum())


def test_probabilities_of_a_disc_add_up_to_one_with_those_of_not_being_there() -> None:
    rng = np.random.default_rng(1)
    places = np.stack([np.zeros(6), np.zeros(6), -33.0 * np.arange(6)], axis=1)
    named = name_discs(candidates(places, rng.uniform(0, 0.5, (7, 6)), above=10.0, below=10.0))
    total = named.probabilities.sum(axis=1) + named.above + named.below
    assert np.all(total <= 1 + 1e-9)
    assert total[[0, -1]] == pytest.approx(1.0)  # The ends are never skipped.


def test_without_any_candidate_nothing_is_named() -> None:
    named = name_discs(candidates(np.zeros((0, 3)), np.zeros((7, 0))))
    assert named.picks.tolist() == [-1] * 7


def test_heat_without_a_disc_gives_no_place_and_a_reason() -> None:
    found = decode(heat_of(spine(), silent=tuple(range(27))))
    assert not found.found.any()
    assert set(found.reasons) == {"no disc of a lumbar spine was found"}


def test_absent_landmarks_all_have_the_reason_given() -> None:
    absent = nothing_found("the study has no sagittal series")
    assert set(absent.reasons) == {"the study has no sagittal series"}
    assert not absent.found.any()


def test_unusual_distances_are_doubted() -> None:
    points = spine()
    points[:3] += [0.0, 0.0, 20.0]
    points[[7, 8, 12, 13, 17, 18, 22, 23]] += [0.0, 0.0, 20.0]
    found = decode(heat_of(points))
    assert any("unusual distance" in d and "L2/L3 and L3/L4" in d for d in found.doubts)


@settings(max_examples=4)
@given(
    x=st.floats(-12, 12),
    y=st.floats(-10, 30),
    lean=st.floats(-0.25, 0.25),
    size=st.floats(0.85, 1.1),
    seed=st.integers(0, 9),
)
def test_a_mirrored_spine_gives_the_mirrored_landmarks(x, y, lean, size, seed) -> None:
    points = spine((x, y, 100.0 * size), lean=lean * 0.3, size=size)
    maps = heat_of(points, grid=SMALL, noise=0.5, seed=seed)
    here, there = decode(maps), decode(mirrored(maps))
    back = there.points_mm[list(MIRRORED_INDEX)] * [-1.0, 1.0, 1.0]
    np.testing.assert_allclose(back, here.points_mm, atol=0.01)
    np.testing.assert_allclose(there.chain_mm * [-1.0, 1.0, 1.0], here.chain_mm, atol=0.01)
    np.testing.assert_allclose(there.confidence[list(MIRRORED_INDEX)], here.confidence, atol=1e-3)


def mirrored(maps: HeatMaps) -> HeatMaps:
    order = list(MIRRORED_POINT)
    sign = np.array([-1.0, 1.0, 1.0], dtype=np.float32)[:, None, None, None]
    return HeatMaps(
        maps.log_heat[order][:, ::-1],
        maps.any_disc[::-1],
        (maps.offset_mm[order] * sign)[:, :, ::-1],
        maps.inside[::-1],
        maps.presence[order],
        maps.grid,
    )


@settings(max_examples=4)
@given(shift=st.tuples(*[st.integers(-3, 3)] * 3))
def test_moved_by_whole_cells_the_landmarks_move_along(shift) -> None:
    points = spine((0.0, 20.0, 96.0), size=0.9)
    moved = np.array(shift) * 4.0
    here, there = (decode(heat_of(p, grid=SMALL)) for p in (points, points + moved))
    np.testing.assert_allclose(there.points_mm, here.points_mm + moved, atol=0.05)


def test_a_neighbour_of_more_heat_does_not_pull_a_place() -> None:
    """Peaks 12 mm apart or more stay apart; the stronger one comes first."""
    places = peaks(heat_of(spine()))
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert gaps[~np.eye(len(places), dtype=bool)].min() >= 12.0
    for place in spine()[: len(CHAIN)]:
        assert np.linalg.norm(places - place, axis=1).min() < 0.5


def test_two_series_are_fused_as_the_mean_of_their_log_heat() -> None:
    rng = np.random.default_rng(0)
    grid = Grid(spacing_mm=(4.0, 4.0, 4.0), shape=(4, 6, 8), center_mm=(0.0, 0.0, 0.0))
    logits = [rng.normal(size=(28, *grid.shape)).astype(np.float32) for _ in range(2)]
    offsets = [rng.normal(size=(27, 3, *grid.shape)).astype(np.float32) for _ in range(2)]
    inside = np.ones(grid.shape, dtype=np.bool_)
    told = [Told(a, b, inside) for a, b in zip(logits, offsets, strict=True)]
    both, one, two = fuse(told, grid), fuse(told[:1], grid), fuse(told[1:], grid)
    mean = (one.log_heat + two.log_heat) / 2
    np.testing.assert_allclose(both.heat.sum(axis=(1, 2, 3)), 1.0, rtol=1e-4)
    difference = both.log_heat - mean
    assert np.ptp(difference, axis=(1, 2, 3)).max() < 1e-4
    np.testing.assert_allclose(both.offset_mm, (one.offset_mm + two.offset_mm) / 2, atol=1e-6)


def test_where_one_series_alone_measured_it_alone_is_believed() -> None:
    grid = Grid(spacing_mm=(4.0, 4.0, 4.0), shape=(2, 2, 2), center_mm=(0.0, 0.0, 0.0))
    logits = np.zeros((28, 2, 2, 2), dtype=np.float32)
    loud = logits + np.float32(3.0)
    offset = np.zeros((27, 3, 2, 2, 2), dtype=np.float32)
    everywhere, left = np.ones((2, 2, 2), dtype=np.bool_), np.zeros((2, 2, 2), dtype=np.bool_)
    left[0] = True
    both = fuse([Told(logits, offset, everywhere), Told(loud, offset + 2, left)], grid)
    assert both.offset_mm[0, 0, :, 0, 0].tolist() == [1.0, 0.0]
    assert both.any_disc[:, 0, 0] == pytest.approx([1 / (1 + np.exp(-1.5)), 0.5])
    # Log heat: mean of -log 8 and -log 4 where both measured, -log 8 elsewhere.
    ratio = both.heat[0, 0, 0, 0] / both.heat[0, 1, 0, 0]
    assert ratio == pytest.approx(np.sqrt(2), rel=1e-5)


def test_a_cell_is_one_by_two_by_two_voxels_about_the_same_middle() -> None:
    voxels = Grid(spacing_mm=(4.0, 2.0, 2.0), shape=(24, 96, 128), center_mm=(1.0, 2.0, 3.0))
    cells = cell_grid(voxels)
    assert cells.shape == (24, 48, 64)
    np.testing.assert_allclose(
        cells.mm_from_index(np.array([5.0, 7.0, 9.0])),
        voxels.mm_from_index(np.array([5.0, 14.5, 18.5])),
    )
    mask = np.zeros(voxels.shape, dtype=np.bool_)
    mask[5, 15, 18] = True
    assert np.argwhere(cell_mask(mask)).tolist() == [[5, 7, 9]]


def test_what_was_not_measured_has_no_heat() -> None:
    inside = between(-40.0, 40.0)
    maps = heat_of(spine(), inside=inside)
    assert maps.heat[:, ~inside].max() == 0.0
    assert maps.any_disc[~inside].max() == 0.0


def test_the_distance_to_what_was_measured_is_that_of_the_nearest_edge() -> None:
    maps = heat_of(spine(), inside=between(-18.0, 18.0, axis=0))
    assert maps.outside_mm(np.array([17.0, 0.0, 0.0])) == 0.0
    edge = 20.0  # Cells are 4 mm wide, the outermost middles lie at 18.
    assert maps.outside_mm(np.array([26.0, 0.0, 0.0])) == pytest.approx(26.0 - edge)


def test_heat_of_another_shape_is_refused() -> None:
    maps = heat_of(spine())
    with pytest.raises(GeometryError, match="VS-GEO-080"):
        HeatMaps(
            maps.log_heat[:5], maps.any_disc, maps.offset_mm, maps.inside, maps.presence, CELLS
        )
    nowhere = np.zeros(CELLS.shape, dtype=np.bool_)
    with pytest.raises(GeometryError, match="VS-GEO-081"):
        fuse([Told(maps.log_heat, maps.offset_mm, nowhere)], CELLS)
    with pytest.raises(GeometryError, match="VS-GEO-082"):
        candidates(np.zeros((3, 3)), np.zeros((6, 3)))


def test_the_steps_of_the_hand_made_spine_are_those_of_the_rules() -> None:
    assert Rules().steps_mm == STEPS_MM

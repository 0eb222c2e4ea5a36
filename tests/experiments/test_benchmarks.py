"""The benchmarks: what judges is right, the page holds the table of a run, every row runs small."""

import importlib
import json
import sys

import numpy as np
import pytest

ROWS = "abcdef"


@pytest.fixture(scope="module")
def benchmarks(repository):
    """Import modules as `run.py` does, with their own folder first."""
    folder = repository / "experiments" / "benchmarks"
    if not folder.is_dir():
        pytest.skip("experiments are not installed")
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))


@pytest.fixture
def cube(tmp_path):
    """A study of one stack a protocol, 20 mm cubes at the origin, as `truth.json` says it."""
    corners = [[0.0, 0, 0], [20, 0, 0], [0, 20, 0], [0, 0, 20]]
    names = ("sagittal_t1", "sagittal_t2", "axial_t2")
    (tmp_path / "truth.json").write_text(json.dumps({name: [corners] for name in names}))
    return tmp_path


def volumes_of(benchmarks, change=lambda ramp: ramp):
    """Three ramps on a grid of 2 mm that reaches 4 mm beyond the cube of 20 mm."""
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = -4
    points = np.moveaxis(np.indices((15, 15, 15)), 0, -1) * 2.0 - 4
    ramp = 4000 + points @ [4.0, 3.0, 5.0]
    return benchmarks("volumes").Volumes([ramp, ramp, change(ramp.copy())], affine, 0.0)


def test_the_ramp_itself_has_no_error_and_no_holes(benchmarks, cube):
    found = benchmarks("judging").accuracy(volumes_of(benchmarks), cube)
    assert found["error"] == pytest.approx(0.0, abs=1e-2)
    assert found["holes"] == 0.0


def test_a_volume_a_voxel_to_the_left_is_wrong_by_eight_levels(benchmarks, cube):
    shifted = volumes_of(benchmarks, lambda ramp: np.roll(ramp, 1, axis=0))
    assert benchmarks("judging").accuracy(shifted, cube)["error"] == pytest.approx(8.0, abs=1e-2)


def test_left_and_right_exchanged_is_wrong(benchmarks, cube):
    mirrored = volumes_of(benchmarks, lambda ramp: ramp[::-1])
    assert benchmarks("judging").accuracy(mirrored, cube)["error"] > 50


def test_holes_are_counted_within_the_stack_only(benchmarks, cube):
    def emptied(ramp):
        ramp[:2] = 0  # Outside the stack: nothing is missing there.
        ramp[2] = 0  # Its first layer of 11.
        return ramp

    found = benchmarks("judging").accuracy(volumes_of(benchmarks, emptied), cube)
    assert found["holes"] == pytest.approx(1 / 33)
    assert found["error"] < 1e-2


def test_the_exponent_of_squares_is_two(benchmarks):
    assert benchmarks("result").exponent([1, 4, 16], [3, 48, 768]) == pytest.approx(2.0)


def test_quartiles_of_one_value_are_that_value(benchmarks):
    assert benchmarks("result").quartiles([3.0]) == (3.0, 3.0, 3.0)
    assert benchmarks("result").quartiles([1, 2, 3, 4, 5]) == (2.0, 3.0, 4.0)


def test_ratios_are_of_the_same_round_and_a_lost_row_says_so(benchmarks):
    race = benchmarks("race")
    found = {
        "volspine": race.Measured([1.0, 2.0, 4.0]),
        "peer": race.Measured([2.0, 4.0, 8.0]),
        "quick": race.Measured([0.5, 1.0, 2.0]),
        "gone": race.Measured(failed="not installed"),
    }
    lines = race.results("a", "work", found, targets={"peer": 2.0, "quick": 1.0})
    ours, peer, quick, gone = lines
    assert ours.ratio is None
    assert (peer.ratio, peer.ratio_low, peer.ratio_high, peer.met) == (2.0, 2.0, 2.0, True)
    assert (quick.ratio, quick.met) == (0.5, False)
    assert (gone.correct, gone.median_s) == ("not installed", None)
    report = {"lines": benchmarks("result").as_plain(lines)}
    cells = [benchmarks("run").cells(line) for line in report["lines"]]
    assert cells[2][-2:] == ["0.50", "at least 1x: MISSED"]


def test_a_way_that_is_not_installed_is_a_line_and_the_others_go_on(benchmarks):
    race, result = benchmarks("race"), benchmarks("result")
    bare = "predicting_ways:bare"
    ways = {
        "there": race.Contender(bare, {"module": "json"}),
        "missing": race.Contender(bare, {"module": "no_such_package"}),
    }
    found = race.race(ways, result.Plan(tiny=True, threads=1), rounds=1)
    assert found["missing"].failed == "not installed"
    assert len(found["there"].seconds) == 1
    assert found["there"].peaks[0] > 5  # MB of an interpreter.


def test_the_table_replaces_what_stands_between_the_markers_and_nothing_else(benchmarks):
    table = benchmarks("table")
    page = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    once = table.replaced(page, "new")
    assert once == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
    assert table.replaced(once, "new") == once
    with pytest.raises(ValueError, match="once each"):
        table.replaced("no markers", "new")


def test_the_page_has_the_markers_and_its_table_has_every_row(benchmarks, repository):
    page = (repository / "docs/explanation/performance.md").read_text(encoding="utf-8")
    assert benchmarks("table").replaced(page, "x") != page
    for row in ROWS:
        assert f"\n**{row}. " in page


def test_copies_of_a_point_fill_the_cube_with_the_largest_value(benchmarks, cube, phantom_study):
    series = sorted(path for path in phantom_study.iterdir() if path.is_dir())[:1]
    (filled,), affine = benchmarks("original_cloud").gridded_cloud(series)
    assert filled.shape == (256, 256, 256)
    assert (np.diag(affine)[:3] > 0).all()
    import pydicom

    largest = max(pydicom.dcmread(path).pixel_array.max() for path in series[0].iterdir())
    assert filled.max() == largest


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_every_row_runs_small_and_what_is_ours_is_right(benchmarks, row):
    plan = benchmarks("result").Plan(tiny=True, clock="cpu", threads=1)
    report = benchmarks("run").measured([row], plan)
    lines = report["lines"]
    assert {line["row"] for line in lines} == {row}
    ours = [line for line in lines if line["who"] in ("volspine", "warm", "volspine fit")]
    # With pixels of 6 mm, half a pixel at the edge of a pile is more than the tolerance.
    assert all(line["is_correct"] is not False for line in ours if "piles" not in line["what"])
    assert all((line["median_s"] or 0) > 0 for line in ours)
    if row == "a":
        wrong = {line["who"] for line in lines if line["is_correct"] is False}
        assert "point cloud" in wrong
        assert "SimpleITK" in {
            line["who"] for line in lines if "piles" in line["what"] and not line["is_correct"]
        }

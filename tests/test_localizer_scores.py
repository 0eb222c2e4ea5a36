"""The scores of a localizer: slips, mirrored studies and cut-off spines by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.made_heat import spine
from volspine.anatomy import LEVELS
from volspine.landmarks import CHAIN, POINT_OF_TARGET, Landmarks
from volspine.models.chain_decode import nothing_found
from volspine.models.chain_zoom import zoomed_grid
from volspine.models.localizer import Localizer
from volspine.phantom.scene import Scene
from volspine.phantom.spec import Cohort, Size, Spec

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


@pytest.fixture
def scores(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import localizer_scores

    yield localizer_scores
    sys.modules.pop("localizer_scores", None)


def landmarks(points_mm, doubts=()) -> Landmarks:
    places = points_mm[list(POINT_OF_TARGET)]
    gone = np.isnan(places).any(axis=1)
    return Landmarks(
        points_mm=places,
        spread_mm=np.where(gone, np.nan, 2.0),
        confidence=np.where(gone, 0.0, 0.9),
        reasons=tuple("out of view" if g else "" for g in gone),
        chain_mm=points_mm[: len(CHAIN)],
        level_confidence=np.full(len(LEVELS), 0.9),
        doubts=doubts,
    )


def outcome(scores, found, seconds=1.0, **passed):
    true = spine()[list(POINT_OF_TARGET)]
    return scores.Outcome(found, true, seconds, 0.02, passed)


def test_a_chain_that_slipped_counts_as_one_slipped_study(scores) -> None:
    slipped = landmarks(spine() + np.array([0.0, 0.0, 36.0]), doubts=("no sacrum",))
    row = scores.summary(
        "clean", [outcome(scores, landmarks(spine())), outcome(scores, slipped, seconds=3.0)]
    )
    assert (row["studies"], row["slipped"], row["doubted"]) == (2, 0.5, 0.5)
    assert row["doubted_if_slipped"] == 1.0
    assert row["seconds"] == 2.0
    assert row["mirror_mm"] == 0.02


def test_errors_are_listed_by_finding(scores) -> None:
    moved = spine()
    moved[: len(CHAIN), 0] += 3.0
    rows = scores.error_rows("probe", [outcome(scores, landmarks(moved))])
    medians = {row["finding"]: row["median_mm"] for row in rows}
    assert medians["spinal_canal_stenosis"] == 3.0
    assert medians["subarticular_stenosis"] == 0.0


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(Spec(seed=5, cohort=Cohort("clean"), size=Size.SMALL))


def judged(scores, monkeypatch, scene, cut, found) -> float:
    monkeypatch.setattr(scores, "located", lambda localizer, case: found(case))
    monkeypatch.setattr(scores, "seen", lambda *_: [])  # Nobody looks; rendering is dear.
    return scores.passes(None, scene, cut)


@pytest.mark.parametrize(
    ("cut", "kept"), [("cut above L3", [2, 3, 4]), ("cut below L4", [0, 1, 2])]
)
def test_a_cut_spine_passes_only_if_all_in_view_is_right_and_nothing_else_is_found(
    scores, monkeypatch, scene, cut, kept
) -> None:
    def right(case) -> Landmarks:
        points = np.full((27, 3), np.nan)
        points[list(POINT_OF_TARGET)] = case.true_mm
        for level in set(range(5)) - set(kept):
            points[[1 + level, 7 + level, 12 + level, 17 + level, 22 + level]] = np.nan
        return landmarks(points)

    def too_much(case) -> Landmarks:
        points = np.full((27, 3), np.nan)
        points[list(POINT_OF_TARGET)] = case.true_mm
        return landmarks(points)

    assert judged(scores, monkeypatch, scene, cut, right) == 1.0
    assert judged(scores, monkeypatch, scene, cut, too_much) == 0.0
    assert judged(scores, monkeypatch, scene, cut, lambda _: nothing_found("nothing")) == 0.0


@pytest.mark.slow
def test_what_is_cut_off_was_not_measured(scores, scene) -> None:
    height = float(scene.landmarks_mm[1:3, 2].mean())
    case = scores.made(scene, high_mm=height)
    for zoom, views in case.views.items():
        grid = zoomed_grid(case.grid, zoom)
        for view in views:
            tops = grid.mm_from_index(np.argwhere(view.mask).astype(np.float64))[:, 2]
            assert tops.max() <= height
            assert not view.image[~view.mask].any()


@pytest.mark.slow
def test_the_script_runs_and_its_mirrored_studies_agree(scores, monkeypatch, tmp_path) -> None:
    torch.manual_seed(0)
    localizer = Localizer(channels=(4, 4)).eval()
    monkeypatch.setattr(scores, "load", lambda path: localizer)
    options = ["x", "--studies", "1", "--mirrored", "1", "--cut", "1", "--cohorts", "clean"]
    monkeypatch.setattr(sys, "argv", ["scores", *options, "--out", str(tmp_path / "s")])
    scores.main()
    assert "mirror_mm" in (tmp_path / "s.md").read_text(encoding="utf-8")
    assert len((tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()) == 5

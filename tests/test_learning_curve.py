"""The learning curve: sides, scores and intervals by hand, and one tiny run from end to end."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from volspine.anatomy import MIRRORED_INDEX, Condition, Finding, Protocol

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
SCRIPT = EXPERIMENTS / "learning_curve.py"


@pytest.fixture(autouse=True)
def _experiments_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


def made_up_study(rng):
    """One study of noise, its targets anywhere inside."""
    size = np.array([13, 80, 80])
    return {
        "sagittal": rng.uniform(1, 9, (5, 2, *size)).astype(np.float16),
        "axial": rng.uniform(1, 9, (5, 5, 88, 88)).astype(np.float16),
        "places": rng.uniform(1, 4, (5, 3, 5, 3)) * [1, 10, 10],
    }


def mirrored(study):
    """The same patient mirrored: slices from left to right, or columns, run the other way."""
    order = [list(Condition).index(c.mirrored) for c in Condition]
    places = study["places"][:, :, order].copy()
    places[:, :2, :, 0] = study["sagittal"].shape[2] - 1 - places[:, :2, :, 0]
    places[:, 2, :, 2] = study["axial"].shape[3] - 1 - places[:, 2, :, 2]
    return {
        "sagittal": study["sagittal"][:, :, ::-1],
        "axial": study["axial"][..., ::-1],
        "places": places,
    }


@pytest.mark.parametrize("finding", [Finding.FORAMEN, Finding.RECESS])
def test_the_left_side_of_a_mirrored_patient_is_seen_as_the_right_side_is(finding):
    from curve.patches import VIEWS, cut

    study = made_up_study(np.random.default_rng(0))
    for view in [view for view in VIEWS if view.finding is finding]:
        here, there = cut(study, view), cut(mirrored(study), view)
        np.testing.assert_allclose(here[5:], there[:5], atol=2e-3)
        np.testing.assert_allclose(here[:5], there[5:], atol=2e-3)
        assert not np.allclose(here[:5], here[5:], atol=2e-3)


def test_a_patch_has_its_target_in_the_middle_and_nothing_beyond_the_crop():
    from curve.patches import window

    crop = np.zeros((5, 20, 20), dtype=np.float32)
    crop[1, 18, 7] = 3
    found = window(crop, np.array([1, 18, 7]), np.array([3, 8, 8]))
    assert found.shape == (3, 8, 8)
    assert found[1, 4, 4] == 3
    assert found.sum() == 3


@pytest.mark.slow
def test_mirroring_is_tried_on_the_canal_only_in_the_axis_that_runs_to_the_left():
    from curve.patches import MARGIN, VIEWS
    from curve.training import augmented

    ramps = {"slices": -3, "columns": -1}
    for view in VIEWS:
        size = view.pixels + 2 * MARGIN
        shape = {-3: (view.slices, 1, 1), -1: (1, 1, size)}
        flips = {}
        for name, axis in ramps.items():
            ramp = torch.arange(shape[axis][0 if axis == -3 else 2]).float().view(shape[axis])
            patch = ramp.expand(12, 5, view.slices, size, size)
            patches = tuple(
                patch if v is view else torch.zeros(12, 1, v.slices, *[v.pixels + 2 * MARGIN] * 2)
                for v in VIEWS
            )
            torch.manual_seed(0)
            slope = augmented(patches)[VIEWS.index(view)].diff(dim=axis).mean(dim=(1, 2, 3, 4))
            flips[name] = bool((slope < 0).any())
        axial = view.protocol is Protocol.AXIAL_T2
        canal = view.finding is Finding.CANAL
        assert flips == {"slices": canal and not axial, "columns": canal and axial}


@pytest.mark.slow
def test_the_network_gives_a_distribution_for_each_of_the_25_targets():
    from curve.network import SmallGrader
    from curve.patches import VIEWS

    torch.manual_seed(0)
    network = SmallGrader().eval()
    targets = {Finding.CANAL: 5, Finding.FORAMEN: 10, Finding.RECESS: 10}
    patches = [torch.randn(2, targets[v.finding], v.slices, v.pixels, v.pixels) for v in VIEWS]
    found = network(patches)
    assert found.shape == (2, 25, 3)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(2, 25))
    assert sum(p.numel() for p in network.parameters()) < 1_000_000
    swapped = [patch if len(patch[0]) == 5 else patch.roll(5, dims=1) for patch in patches]
    there = network(swapped)[:, torch.tensor(MIRRORED_INDEX)]
    torch.testing.assert_close(there, found, rtol=1e-4, atol=1e-5)


def test_every_study_is_seen_before_one_comes_again():
    from curve.training import BATCH, batches

    order = batches(10, 10).flatten()
    assert order.shape == (10 * BATCH,)
    for start in range(0, 10 * BATCH, 10):
        assert sorted(order[start : start + 10].tolist()) == list(range(10))


def test_accuracy_and_weighted_log_loss_are_what_one_computes_by_hand():
    from curve.scores import sums

    log_probs = np.log(np.full((1, 2, 25, 3), [0.5, 0.25, 0.25]))
    labels, grades = np.full((2, 25), -1), np.zeros((2, 25), dtype=int)
    labels[0, 0], labels[1, 1] = 0, 2  # Canal at L1/L2, and at L2/L3 of the other study.
    accuracy, loss, of_truth = sums(Finding.CANAL, log_probs, labels, grades).each()[0]
    # The report is (0.25, 0.25, 0.5); the severe row weighs 4.
    assert accuracy == 0.5
    assert loss == pytest.approx((np.log(4) + 4 * np.log(2)) / 5)
    assert of_truth == 1


def test_the_gain_is_paired_and_vanishes_between_equals():
    from curve.scores import Sums, gain

    rng = np.random.default_rng(0)
    below = np.full((3, 30, 3), 5.0)
    small = Sums(rng.integers(0, 4, (3, 30, 3)).astype(float), below)
    np.testing.assert_array_equal(gain(small, small), 0)
    large = Sums(small.above + 1, below)  # One more of five in every study: no spread is left.
    np.testing.assert_allclose(gain(large, small), 0.2)


def run(*options):
    command = [sys.executable, str(SCRIPT), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_tiny_run_gives_table_and_picture_and_is_not_repeated(tmp_path):
    out = tmp_path / "curve"
    options = (out, "--size", "small", "--sizes", 1, 2, "--repeats", 2, "--steps", 2)
    options += ("--test", 2, "--val", 1)
    done = run(*options)
    assert done.returncode == 0, done.stderr[-2000:]
    with (out / "learning_curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of = {(row["studies"], row["finding"], row["measure"]): float(row["mean"]) for row in rows}
    for finding in ("canal", "foramen", "recess"):
        assert 0 <= of["2", finding, "accuracy"] <= 1
        assert of["prior", finding, "accuracy"] < of["ceiling", finding, "accuracy"] < 1
        low, high = (of[name, finding, "weighted_log_loss"] for name in ("ceiling", "prior"))
        assert low < high
    assert (out / "learning_curve.png").stat().st_size > 5000
    again = run(*options)
    assert "rendered" not in again.stdout
    assert "validation" not in again.stdout
    assert again.stdout.splitlines() == (out / "learning_curve.md").read_text().splitlines()

"""Grading phantom people for the scores: as the predictor does, both sides alike, never twice."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from volspine.anatomy import LEVELS, MIRRORED_INDEX, Protocol
from volspine.inference.bundle import write_bundle
from volspine.inference.card import Card
from volspine.inference.look import both_images
from volspine.inference.members import Members
from volspine.models.level_grader import LevelGrader
from volspine.models.link import CumulativeLink
from volspine.models.localizer import Localizer
from volspine.models.ordinal import grade_log_probs
from volspine.models.parts import Graded
from volspine.phantom.levels import phantom_study_crops
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.views import VIEWS, Patches
from volspine.volume.study_crops import mirrored_crops

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SPEC = Spec(seed=3, cohort=Cohort.PROBE, size=Size.SMALL)


@pytest.fixture(autouse=True)
def _experiments_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


class Plain(nn.Module):
    """Says of every target what the left and the right half of its patches weigh."""

    def __init__(self) -> None:
        super().__init__()
        self.link = CumulativeLink()

    def forward(self, patches: Patches) -> Graded:
        severity = torch.zeros(len(patches.images[0]), 25)
        for n, (view, image) in enumerate(zip(VIEWS, patches.images, strict=True)):
            ramp = torch.linspace(-1, 2 + n, view.pixels)
            severity[:, list(view.targets)] += (image * ramp).mean(dim=(2, 3, 4))
        return Graded(self.link(severity[..., None]), severity, None)


FREQUENCIES = np.full((25, 3), [0.6, 0.3, 0.1])
TEMPERATURE = np.full(25, 1.5)
CARD = Card(
    name="tiny",
    trained_on="nobody",
    phantom_only=True,
    frequencies=FREQUENCIES,
    temperature=TEMPERATURE,
)


@pytest.fixture
def model():
    from proof.grading import Model

    return Model((Plain(), Plain()), CARD)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """An untrained model."""
    torch.manual_seed(1)
    trunk = {"name": "tf_efficientnetv2_b0", "stride": 4}
    grader = LevelGrader(trunk=trunk, tokens={"width": 16}).eval()
    localizer = Localizer(channels=(4, 8), context=1, shape=(8, 32, 32)).eval()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    states = [grader.state_dict()]
    return write_bundle(folder, states, recipe=grader.recipe, card=CARD, localizer=localizer)


@pytest.fixture(scope="module")
def crops():
    return phantom_study_crops(SPEC)[0]


def chances(said) -> np.ndarray:
    return np.array(said["probabilities"])


def test_what_is_graded_is_what_the_members_of_the_predictor_say(model, crops):
    from proof.grading import told

    members = Members(model.graders, torch.device("cpu"), TEMPERATURE)
    patches = both_images(crops, members.device)
    expected = members.ask(lambda size: [patches]).probabilities
    found = told(model, crops, crops.points_mm)
    assert found["imputed"] == 0
    np.testing.assert_allclose(chances(found), expected, rtol=1e-6)
    assert np.ptp(expected[:, 0]) > 1e-3


def test_a_mirrored_study_is_told_the_mirrored_grades_and_severities(model, crops):
    from proof.grading import jitter, told

    points = crops.points_mm + jitter(SPEC)
    there = mirrored_crops(crops._replace(points_mm=points))
    here = told(model, crops, points)
    other = told(model, there, there.points_mm)
    index = list(MIRRORED_INDEX)
    np.testing.assert_allclose(chances(other)[index], chances(here), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        np.array(other["severity"])[index], here["severity"], rtol=1e-3, atol=1e-4
    )


def test_a_target_that_no_primary_view_shows_gets_the_frequencies(model, crops):
    from proof.grading import shown, told

    dark = crops._replace(axial_mask=torch.zeros_like(crops.axial_mask))
    is_shown = shown(dark)
    assert is_shown.tolist() == [True] * 15 + [False] * 10  # The recesses alone need axial slices.
    found = told(model, dark, dark.points_mm)
    assert found["imputed"] == 10
    np.testing.assert_allclose(chances(found)[15:], np.full((10, 3), [0.6, 0.3, 0.1]), rtol=1e-6)
    assert not np.allclose(chances(found)[:15, 0], 0.6)


def test_errors_are_the_same_at_every_call_and_differ_within_a_pair():
    from proof.grading import jitter

    first, second = (Spec(seed=3, index=n, cohort=Cohort.PAIRS) for n in range(2))
    assert torch.equal(jitter(first), jitter(first))
    assert not torch.allclose(jitter(first), jitter(second))
    assert jitter(first).shape == (25, 3)
    assert 0 < float(jitter(first).norm(dim=1).max()) < 26


def test_errors_of_a_level_go_together_and_those_of_studies_do_not():
    from proof.jitter import errors_mm

    errors = errors_mm(np.random.default_rng(0), 400).numpy()
    heights = errors[..., 2].reshape(400, 5, len(LEVELS))  # Conditions, then levels.
    same_level = np.corrcoef(heights[:, 1, 2], heights[:, 3, 2])[0, 1]
    other_level = np.corrcoef(heights[:, 1, 2], heights[:, 3, 3])[0, 1]
    assert same_level > 0.15
    assert abs(other_level) < 0.1


def test_severity_of_a_cumulative_link_comes_back_from_its_probabilities_but_for_a_constant():
    from proof.grading import severity_of

    severity = torch.linspace(-5, 5, 25)[None].double()
    cuts = torch.tensor([[-0.5, 1.5]]).expand(25, 2).double()
    found = severity_of(grade_log_probs(severity, cuts).exp().numpy())[0]
    np.testing.assert_allclose(found, severity[0].numpy() - 0.5, atol=1e-6)


def test_what_was_graded_is_not_graded_again_and_half_a_line_is(tmp_path, monkeypatch):
    from proof import grading

    asked = []

    def grade(job, spec):
        asked.append(spec.index)
        return {"study": spec.study_id, "index": spec.index}

    monkeypatch.setattr(grading, "grade", grade)
    specs = [Spec(seed=3, index=n) for n in range(4)]
    path, job = tmp_path / "r" / "x.jsonl", grading.Job(None, "crops")
    grading.records(job, specs[:2], path, workers=1)
    path.write_text(path.read_text() + '{"study": "half', encoding="utf-8")
    found = grading.records(job, specs, path, workers=1)
    assert [one["index"] for one in found] == [0, 1, 2, 3]
    assert asked == [0, 1, 2, 3]
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]


def test_distances_of_slices_are_told_by_protocol():
    from proof.grading import slice_distances

    found = slice_distances([{"slice_mm": [4.0, 4.5, 3.0]}, {"slice_mm": [5.0, 4.5, 3.5]}])
    assert list(found) == [p.label for p in Protocol if p is not Protocol.OTHER]
    assert found["axial T2"].tolist() == [3.0, 3.5]


@pytest.mark.slow
@pytest.mark.parametrize("via", ["crops", "dicom"])
def test_a_tiny_run_writes_every_table_and_goes_on_from_its_records(
    bundle, tmp_path, monkeypatch, capsys, via
):
    import grader_scores

    counts = ["--studies", "3", "--probe", "3", "--pairs", "1"]
    options = [str(bundle), *counts, "--size", "small", "--via", via, "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["experiments/grader_scores.py", *options])
    grader_scores.main()
    text = (tmp_path / "scores.md").read_text(encoding="utf-8")
    for expected in ("three terms", "floor, expected", "kappa", "changed target moves most"):
        assert expected in text
    assert text.count("commit ") == 3
    assert ("farthest third" in text) is (via == "crops")
    capsys.readouterr()
    grader_scores.main()
    assert "graded" not in capsys.readouterr().out.split("|")[0]
    assert (tmp_path / "scores.md").read_text(encoding="utf-8") == text

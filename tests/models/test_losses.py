"""The losses: hand values, masks, places of cells, refusals."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from volspine.anatomy import TARGETS, Finding
from volspine.errors import ConfigurationError
from volspine.metrics.rsna import rsna_terms
from volspine.models.grader import Graded
from volspine.models.guidance import cell_strides, guidance_loss, guidance_target, masked_mean
from volspine.models.losses import GradingLoss, any_severe_loss, grade_loss

SHAPE = (32, 96, 144)


def missing(batch: int = 1) -> torch.Tensor:
    return torch.full((batch, 25), -1)


def said(*probabilities: float, batch: int = 1) -> torch.Tensor:
    return torch.tensor(probabilities).log().expand(batch, 25, 3).clone()


def test_the_loss_of_one_known_grade_by_hand() -> None:
    grades = missing()
    grades[0, 3] = 1
    assert grade_loss(said(0.5, 0.25, 0.25), grades).item() == pytest.approx(math.log(4))


def test_weights_make_a_ratio_of_sums() -> None:
    grades = missing()
    grades[0, 0], grades[0, 1] = 0, 2
    loss = grade_loss(said(0.5, 0.25, 0.25), grades, grade_weights=(1, 2, 4))
    assert loss.item() == pytest.approx((math.log(2) + 4 * math.log(4)) / 5)


def test_balanced_findings_count_alike_however_many_rows_they_have() -> None:
    grades = missing()
    grades[0, 0] = 0  # one canal row: ln 2
    grades[0, 5:15] = 1  # ten foraminal rows: ln 4
    loss = grade_loss(said(0.5, 0.25, 0.25), grades, balance="findings")
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


@given(st.integers(0, 24), st.floats(-50, 50, width=32))
def test_what_is_missing_changes_nothing(target: int, noise: float) -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(2, 25, 3).log_softmax(-1)
    grades = torch.randint(0, 3, (2, 25))
    grades[:, target] = -1
    changed = log_probs.clone()
    changed[:, target] = noise
    for loss in (grade_loss, any_severe_loss):
        assert loss(changed, grades) == loss(log_probs, grades)


@pytest.mark.parametrize("mode", ["max", "independent"])
def test_nothing_known_gives_zero_and_a_gradient_of_zero(mode: str) -> None:
    scores = torch.randn(2, 25, 3, requires_grad=True)
    log_probs = scores.log_softmax(-1)
    loss = (
        grade_loss(log_probs, missing(2))
        + grade_loss(log_probs, missing(2), grade_weights=(1, 2, 4), balance="findings")
        + any_severe_loss(log_probs, missing(2), mode=mode)
    )
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_any_severe_takes_the_largest_probability_of_the_graded_levels() -> None:
    log_probs = said(0.5, 0.3, 0.2)
    log_probs[0, 1] = torch.tensor([0.2, 0.2, 0.6]).log()
    log_probs[0, 4] = torch.tensor([0.05, 0.05, 0.9]).log()  # not graded
    grades = missing()
    grades[0, :3] = torch.tensor([0, 1, 0])
    assert any_severe_loss(log_probs, grades).item() == pytest.approx(-math.log(0.4))
    grades[0, 0] = 2
    assert any_severe_loss(log_probs, grades).item() == pytest.approx(-math.log(0.6))


def test_any_severe_of_independent_levels_is_the_complement_of_the_product() -> None:
    grades = missing()
    grades[0, :2] = torch.tensor([0, 2])
    loss = any_severe_loss(said(0.5, 0.3, 0.2), grades, mode="independent")
    assert loss.item() == pytest.approx(-math.log(1 - 0.8**2))


def test_any_severe_weighs_a_study_by_its_worst_level() -> None:
    grades = missing(2)
    grades[0, 0], grades[1, 0] = 2, 1
    loss = any_severe_loss(said(0.5, 0.3, 0.2, batch=2), grades, grade_weights=(1, 2, 4))
    assert loss.item() == pytest.approx((4 * -math.log(0.2) + 2 * -math.log(0.8)) / 6)


def test_any_severe_ignores_foramina_and_recesses() -> None:
    grades = missing()
    grades[0, [t.index for t in TARGETS if t.finding is not Finding.CANAL]] = 2
    assert any_severe_loss(said(0.5, 0.3, 0.2), grades).item() == 0.0


@given(st.integers(0, 10_000))
def test_with_the_challenges_weights_the_losses_are_its_terms(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    grades = torch.randint(-1, 3, (6, 25), generator=generator)
    log_probs = torch.randn(6, 25, 3, generator=generator, dtype=torch.float64).log_softmax(-1)
    score = rsna_terms(grades.numpy(), log_probs.exp().numpy()).score()
    weights = (1.0, 2.0, 4.0)
    found = grade_loss(log_probs, grades, grade_weights=weights, balance="findings")
    expected = (score.spinal + score.foraminal + score.subarticular) / 3
    assert found.item() == pytest.approx(expected, rel=1e-6)
    found = any_severe_loss(log_probs, grades, grade_weights=weights)
    assert found.item() == pytest.approx(score.any_severe, rel=1e-6)


def test_certainty_leaves_any_severe_finite() -> None:
    scores = torch.full((1, 25, 3), -1e4)
    scores[..., 0] = 1e4
    scores.requires_grad_()
    for mode in ("max", "independent"):
        loss = any_severe_loss(scores.log_softmax(-1), torch.zeros(1, 25, dtype=int), mode=mode)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(scores.grad).all()


def test_a_masked_mean_ignores_what_is_not_a_number_where_the_weight_is_zero() -> None:
    values = torch.tensor([2.0, math.nan], requires_grad=True)
    mean = masked_mean(values, torch.tensor([1.0, 0.0]))
    mean.backward()
    assert mean.item() == 2.0
    assert values.grad.tolist() == [1.0, 0.0]


@given(st.integers(1, 200), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_strides_are_found_from_the_sizes(voxels: int, stride: int) -> None:
    cells = -(-voxels // stride)
    found = cell_strides([voxels], [cells])[0]
    assert -(-voxels // found) == cells
    assert cells == 1 or found == stride or -(-voxels // stride) == -(-voxels // found)


def test_strides_of_a_grid_that_cells_overhang() -> None:
    assert cell_strides((32, 96, 144), (1, 3, 5)) == (32, 32, 32)


def test_the_centre_of_a_cell_is_the_middle_of_its_voxels() -> None:
    """With stride 8, cell 0 holds voxels 0 to 7: voxel 3.5 is its centre, 7.5 lies between two."""
    points = torch.tensor([[[3.5, 11.5, 19.5], [7.5, 3.5, 3.5]]])
    target = guidance_target(points, SHAPE, (4, 12, 18), sigma_voxels=(1, 1, 1))
    assert torch.unravel_index(target[0, 0].argmax(), (4, 12, 18)) == (0, 1, 2)
    i = target[0, 1].sum(dim=(1, 2))
    assert i[0].item() == pytest.approx(i[1].item(), rel=1e-5)
    assert i[0] > 0.45


def test_the_gaussian_has_the_width_that_was_asked_for() -> None:
    # Stride 1, sigma 2: one sigma away the weight is exp(-1/2) of the peak.
    points = torch.tensor([[[16.0, 48.0, 72.0]]])
    target = guidance_target(points, SHAPE, SHAPE, sigma_voxels=(2, 4, 8))[0, 0]
    peak = target[16, 48, 72]
    for place in ((18, 48, 72), (16, 52, 72), (16, 48, 80)):
        assert (target[place] / peak).item() == pytest.approx(math.exp(-0.5), rel=1e-4)
    assert target.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_guidance_is_zero_where_the_map_is_the_gaussian_and_positive_elsewhere() -> None:
    points = torch.rand(1, 25, 3) * 30
    known = torch.ones(1, 25, dtype=torch.bool)
    right = guidance_target(points, SHAPE, (4, 12, 18))
    assert guidance_loss(right, points, known, shape=SHAPE).item() == pytest.approx(0, abs=1e-4)
    assert guidance_loss(right.flip(2), points, known, shape=SHAPE) > 1


def test_guidance_ignores_points_that_are_not_known() -> None:
    points = torch.full((1, 25, 3), math.nan)
    points[0, 0] = 5.0
    attention = torch.full((1, 25, 2, 2, 2), 1 / 8, requires_grad=True)
    known = torch.zeros(1, 25, dtype=torch.bool)
    assert guidance_loss(attention, points, known, shape=(16, 16, 16)).item() == 0.0
    known[0, 0] = True
    loss = guidance_loss(attention, points, known, shape=(16, 16, 16))
    loss.backward()
    assert torch.isfinite(loss)
    assert (attention.grad.flatten(2).abs().sum(-1) > 0).nonzero().tolist() == [[0, 0]]


def test_guidance_pulls_even_where_the_map_says_never() -> None:
    logits = torch.zeros(1, 25, 2, 1, 1)
    logits[:, :, 1] = 60.0
    logits.requires_grad_()
    attention = logits.flatten(2).softmax(-1).view(1, 25, 2, 1, 1)
    points, known = torch.zeros(1, 25, 3), torch.ones(1, 25, dtype=torch.bool)
    guidance_loss(attention, points, known, shape=(16, 8, 8)).backward()
    assert (logits.grad[:, :, 0] < 0).all()


def graded(attention: torch.Tensor | None) -> Graded:
    return Graded(said(0.5, 0.25, 0.25), torch.zeros(1, 25), attention)


def batch() -> dict[str, object]:
    grades = torch.zeros(1, 25, dtype=torch.int64)
    return {
        "volume": torch.zeros(1, 6, 16, 16, 16),
        "grades": grades,
        "points": torch.full((1, 25, 3), 3.0),
        "has_point": torch.ones(1, 25, dtype=torch.bool),
    }


def test_the_training_loss_is_the_weighted_sum_of_its_parts() -> None:
    attention = torch.full((1, 25, 2, 2, 2), 1 / 8)
    parts = GradingLoss(any_severe=0.5, guidance=2.0)(graded(attention), batch())
    assert list(parts) == ["loss", "grades", "any_severe", "guidance"]
    assert parts["grades"].item() == pytest.approx(math.log(2))
    assert parts["any_severe"].item() == pytest.approx(-math.log(0.75))
    expected = parts["grades"] + 0.5 * parts["any_severe"] + 2.0 * parts["guidance"]
    assert parts["loss"].item() == pytest.approx(expected.item())


def test_a_grader_that_does_not_look_and_a_batch_without_points_have_no_guidance() -> None:
    loss = GradingLoss(guidance=1.0)
    assert list(loss(graded(None), batch())) == ["loss", "grades"]
    without = {k: v for k, v in batch().items() if k in ("volume", "grades")}
    assert list(loss(graded(torch.full((1, 25, 2, 2, 2), 1 / 8)), without)) == ["loss", "grades"]


@pytest.mark.parametrize(
    "bad", [{"any_severe": -1.0}, {"guidance": -0.1}, {"grade_weights": (1.0, -1.0, 1.0)}]
)
def test_negative_weights_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="negative"):
        GradingLoss(**bad)

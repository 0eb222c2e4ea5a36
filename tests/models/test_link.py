"""The ordinal links: hand values, laws, oracle, extremes, refusals."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spacecutter.models import LogisticCumulativeLink

from volspine.anatomy import TARGETS, Finding, Level, Side
from volspine.errors import ConfigurationError
from volspine.models.link import CumulativeLink, ScaledLink, SoftmaxLink, SpacecutterLink
from volspine.models.ordinal import MIN_GAP, cutpoints_from_frequencies, grade_log_probs

SEVERITIES = st.floats(-1e4, 1e4, width=32)
PARAMETERS = st.floats(-50, 50, width=32)


def scores(value: float) -> torch.Tensor:
    return torch.full((1, len(TARGETS), 1), value)


def test_hand_worked_probabilities() -> None:
    # Cutpoints 0 and ln 3, severity 0: P(<= 0) = 1/2 and P(<= 1) = 3/4.
    p = grade_log_probs(torch.zeros(1, 1), torch.tensor([[0.0, math.log(3)]])).exp()
    torch.testing.assert_close(p, torch.tensor([[[0.5, 0.25, 0.25]]]))


def test_four_grades_work_as_well() -> None:
    p = grade_log_probs(torch.zeros(1, 1), torch.tensor([[-1.0, 0.0, 1.0]])).exp()[0, 0]
    edge = 1 / (1 + math.e)
    torch.testing.assert_close(p, torch.tensor([edge, 0.5 - edge, 0.5 - edge, edge]))


@given(SEVERITIES, PARAMETERS, PARAMETERS)
def test_probabilities_sum_to_one(severity: float, first: float, raw_gap: float) -> None:
    link = CumulativeLink()
    torch.nn.init.constant_(link.first, first)
    torch.nn.init.constant_(link.raw_gaps, raw_gap)
    log_probs = link(scores(severity))
    assert torch.isfinite(log_probs).all()
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(1, 25), atol=2e-5, rtol=0)


@given(PARAMETERS, PARAMETERS, PARAMETERS)
def test_cutpoints_cannot_cross(first: float, raw_gap: float, deviation: float) -> None:
    link = CumulativeLink()
    torch.nn.init.constant_(link.first, first)
    torch.nn.init.constant_(link.raw_gaps, raw_gap)
    torch.nn.init.constant_(link.deviation, deviation)
    assert (link.cutpoints.diff() > MIN_GAP / 2).all()


@given(st.floats(-30, 30), st.floats(0.01, 10))
def test_more_severity_never_means_a_milder_grade(severity: float, more: float) -> None:
    link = CumulativeLink()
    now, later = (link(scores(s)).exp().cumsum(-1) for s in (severity, severity + more))
    assert (later <= now + 1e-6).all()


@pytest.mark.parametrize("severity", [0.0, 1.0, -30.0, 100.0, -100.0, 1e3, -1e3, 1e4, -1e4])
def test_a_wrong_grade_always_pulls(severity: float) -> None:
    """The gradient is finite everywhere, and vanishes only where the grade is already certain."""
    link = CumulativeLink()
    for grade in range(3):
        s = scores(severity).requires_grad_()
        link.zero_grad()
        link(s)[..., grade].sum().backward()
        assert torch.isfinite(s.grad).all()
        assert all(torch.isfinite(p.grad).all() for p in link.parameters())
        certain = (severity < -20 and grade == 0) or (severity > 20 and grade == 2)
        assert certain or (s.grad != 0).all()
        wanted = {0: -1, 2: 1}.get(grade, -math.copysign(1, severity))
        assert certain or severity == 0 or (torch.sign(s.grad) == wanted).all()


def test_an_inner_grade_far_away_costs_what_its_distance_says() -> None:
    log_probs = grade_log_probs(torch.tensor([[1e4]]), torch.tensor([[-1.0, 1.0]]))
    assert log_probs[0, 0, 1].item() == pytest.approx(-1e4 + 1 + math.log(1 - math.exp(-2)), abs=2)


def test_it_equals_spacecutter_between_minus_6_and_6() -> None:
    oracle = LogisticCumulativeLink(3)
    severity = torch.linspace(-6, 6, 241)
    cutpoints = oracle.cutpoints.detach()[None].expand(25, -1)
    ours = grade_log_probs(severity[:, None].expand(-1, 25), cutpoints).exp()
    for t in range(25):
        torch.testing.assert_close(ours[:, t], oracle(severity[:, None]), atol=1e-6, rtol=0)


def test_25_spacecutter_modules_at_once_equal_a_loop_over_them() -> None:
    torch.manual_seed(0)
    link = SpacecutterLink()
    torch.nn.init.normal_(link.raw_cutpoints, std=2.0)
    severity = torch.randn(7, 25)
    together = link.probabilities(severity)
    for t in range(25):
        oracle = LogisticCumulativeLink(3)
        oracle.cutpoints.data = link.cutpoints[t].detach()
        torch.testing.assert_close(together[:, t], oracle(severity[:, t, None]))


def test_spacecutter_cutpoints_get_a_gradient_and_are_the_only_weights() -> None:
    link = SpacecutterLink()
    link(scores(0.3))[..., 1].sum().backward()
    assert list(link.state_dict()) == ["raw_cutpoints"]
    assert (link.raw_cutpoints.grad != 0).all()


def test_both_links_start_from_spacecutters_cutpoints_or_the_given_frequencies() -> None:
    assert SpacecutterLink().cutpoints[0].tolist() == [-1.0, 0.0]
    link = CumulativeLink(frequencies=(0.7, 0.2, 0.1))
    torch.testing.assert_close(
        link(scores(0.0)).exp()[0], torch.tensor([0.7, 0.2, 0.1]).expand(25, 3)
    )


def test_frequencies_can_differ_between_findings() -> None:
    rows = [[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]
    for link in (CumulativeLink(frequencies=rows), SoftmaxLink(frequencies=rows)):
        p = link(torch.zeros(1, 25, link.num_scores)).exp()[0]
        for finding, row in zip(Finding, rows, strict=True):
            index = [t.index for t in TARGETS if t.finding is finding]
            torch.testing.assert_close(p[index], torch.tensor(row).expand(len(index), 3))


def test_left_and_right_share_their_cutpoints_whatever_is_learned() -> None:
    link = CumulativeLink()
    for p in link.parameters():
        torch.nn.init.normal_(p)
    cutpoints = link.cutpoints
    for target in TARGETS:
        assert torch.equal(cutpoints[target.index], cutpoints[target.mirrored.index])
    left = [t.index for t in TARGETS if t.side is Side.LEFT and t.finding is Finding.RECESS]
    assert len({round(c, 5) for c in cutpoints[left, 0].tolist()}) == len(Level)


@pytest.mark.parametrize("share", ["finding", "target"])
def test_cutpoints_start_from_what_training_saw(share: str) -> None:
    torch.manual_seed(0)
    frequencies = torch.rand(25, 3).add(0.1)
    frequencies /= frequencies.sum(-1, keepdim=True)
    link = CumulativeLink(share=share)
    torch.nn.init.normal_(link.deviation)
    link.start_from(frequencies)
    p = link(scores(0.0)).exp()[0]
    for target in TARGETS:
        together = [t.index for t in TARGETS if t.finding is target.finding]
        group = [target.index] if share == "target" else together
        torch.testing.assert_close(p[target.index], frequencies[group].mean(0))


def test_a_grade_that_is_hardly_ever_seen_leaves_a_valid_start() -> None:
    frequencies = torch.tensor([0.5, 1e-6, 0.5 - 1e-6]).expand(25, 3)
    link = CumulativeLink()
    link.start_from(frequencies)
    assert torch.isfinite(link(scores(0.0))).all()
    assert torch.isfinite(link.raw_gaps).all()


def test_a_deviation_moves_the_cutpoints_of_its_level_up_by_a_tenth() -> None:
    link = CumulativeLink(frequencies=(0.5, 0.25, 0.25))
    link.deviation.data[list(Finding).index(Finding.CANAL), 3] = 2.0
    torch.testing.assert_close(link.cutpoints[3], torch.tensor([0.2, math.log(3) + 0.2]))
    torch.testing.assert_close(link.cutpoints[2], torch.tensor([0.0, math.log(3)]))


def test_two_grades_have_one_cutpoint() -> None:
    assert cutpoints_from_frequencies([3, 1]) == pytest.approx((math.log(3),))


def test_levels_are_equal_when_they_may_not_deviate() -> None:
    link = CumulativeLink(level_scale=0.0)
    torch.nn.init.normal_(link.deviation)
    assert not link.deviation.requires_grad
    assert torch.equal(link.cutpoints[0], link.cutpoints[4])


def test_every_target_can_have_cutpoints_of_its_own() -> None:
    link = CumulativeLink(share="target")
    torch.nn.init.normal_(link.first)
    assert len({round(c, 5) for c in link.cutpoints[:, 0].tolist()}) == 25


def test_twice_the_width_halves_every_distance_to_a_cutpoint() -> None:
    link = ScaledLink(frequencies=(0.5, 0.25, 0.25))  # cutpoints 0 and log 3
    narrow = 3 * math.atanh(-math.log(2) / 3)
    said = link(torch.tensor([1.0, narrow]).expand(1, len(TARGETS), 2)).exp()[0, 0]
    below = [1 / (1 + math.exp((1.0 - c) / 2)) for c in (0.0, math.log(3))]
    expected = [below[0], below[1] - below[0], 1 - below[1]]
    assert said.tolist() == pytest.approx(expected, abs=1e-6)


@given(SEVERITIES)
def test_a_scaled_link_without_a_second_score_is_the_cumulative_one(severity: float) -> None:
    given = torch.tensor([severity, 0.0]).expand(1, len(TARGETS), 2)
    torch.testing.assert_close(ScaledLink()(given), CumulativeLink()(given[..., :1]))


@given(st.floats(-30, 30), st.floats(-100, 100))
def test_probabilities_sum_to_one_however_wide_the_noise_is(severity: float, narrow: float) -> None:
    said = ScaledLink()(torch.tensor([severity, narrow]).expand(1, len(TARGETS), 2)).exp()
    torch.testing.assert_close(said.sum(dim=-1), torch.ones(1, len(TARGETS)))


def test_a_wide_scaled_link_can_doubt_both_ends_more_than_the_middle() -> None:
    wide = ScaledLink()(torch.tensor([0.0, -100.0]).expand(1, len(TARGETS), 2)).exp()[0, 0]
    assert wide[0] > 0.45
    assert wide[2] > 0.45
    assert wide[1] < 0.1


def test_softmax_severity_is_the_expected_grade() -> None:
    link = SoftmaxLink()
    given_scores = torch.tensor([0.25, 0.25, 0.5]).log().expand(1, 25, 3)
    torch.testing.assert_close(link.severity(given_scores), torch.full((1, 25), 1.25))


@pytest.mark.parametrize("link", [CumulativeLink(), ScaledLink(), SpacecutterLink(), SoftmaxLink()])
def test_links_compute_in_float32_inside_autocast(link: torch.nn.Module) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = torch.randn(2, 25, link.num_scores).bfloat16()
        assert link(values).dtype == torch.float32
        assert link.severity(values).dtype == torch.float32


@pytest.mark.parametrize("bad", [(0.5, 0.5, 0.0), (1.0, -1.0, 1.0), (1.0, math.nan, 1.0), (1.0,)])
def test_impossible_frequencies_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ConfigurationError, match="not all positive"):
        cutpoints_from_frequencies(bad)


@pytest.mark.parametrize("bad", [(0.5, 0.5), [(0.5, 0.3, 0.2)] * 2, [(0.5, 0.5)] * 3])
def test_frequencies_that_do_not_fit_are_refused(bad: object) -> None:
    with pytest.raises(ConfigurationError, match="do not fit"):
        CumulativeLink(frequencies=bad)

"""The loss of views: hand values and laws of agreement, what each weight does, refusals."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from volspine.errors import ConfigurationError
from volspine.models.losses import GradingLoss
from volspine.models.mirror import mirror_targets
from volspine.models.parts import Graded
from volspine.models.views_loss import ViewsLoss, agreement_loss, jensen_shannon, stream_loss

SHAPE, CELLS = (8, 16, 16), (2, 2, 2)


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)


def everything(batch=1):
    return torch.ones(batch, 2, 25, dtype=torch.bool)


def graded(seed=0, streams=2, batch=2):
    look = drawn(seed, batch * streams, 25, math.prod(CELLS)).exp()
    look = look.view(batch, streams, 25, *CELLS)
    extras = {
        "stream_log_probs": drawn(seed + 1, batch, streams, 25, 3),
        "stream_attention": look,
        "stream_seen": torch.ones(batch, streams, 25),
    }
    severity = drawn(seed + 2, batch, 25)
    return Graded(drawn(seed + 3, batch, 25, 3), severity, look.mean(dim=1), extras=extras)


def batch_of(size=2):
    return {
        "volume": torch.zeros(size, 6, *SHAPE),
        "grades": torch.arange(25 * size).view(size, 25) % 3,
        "points": torch.full((size, 25, 3), 5.0),
        "has_point": torch.ones(size, 25, dtype=torch.bool),
    }


def test_the_divergence_by_hand():
    # m = (.5, .25, .25): KL(p||m) = ln 2 for p = (1, 0, 0); for q = (0, .5, .5) it is ln 2 as well.
    tiny = 1e-12
    p = torch.tensor([1.0, tiny, tiny], dtype=torch.float64).log()
    q = torch.tensor([tiny, 0.5, 0.5], dtype=torch.float64).log()
    assert jensen_shannon(p, q).item() == pytest.approx(math.log(2))
    # p = (.5, .5), q = (.25, .75): m = (.375, .625).
    p, q = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    to_p = 0.5 * math.log(0.5 / 0.375) + 0.5 * math.log(0.5 / 0.625)
    to_q = 0.25 * math.log(0.25 / 0.375) + 0.75 * math.log(0.75 / 0.625)
    assert jensen_shannon(p, q).item() == pytest.approx((to_p + to_q) / 2)


@given(st.integers(0, 10_000))
def test_the_divergence_is_symmetric_bounded_and_zero_only_between_equals(seed):
    p, q = drawn(seed, 2, 7, 3)
    there = jensen_shannon(p, q)
    torch.testing.assert_close(there, jensen_shannon(q, p))
    assert (there > 0).all()
    assert (there <= math.log(2) + 1e-6).all()
    assert jensen_shannon(p, p).abs().max() < 1e-6


def test_agreement_is_asked_of_the_canal_alone():
    log_probs = drawn(0, 1, 1, 25, 3).expand(1, 2, 25, 3).clone()
    log_probs[:, 1, 5:] = drawn(1, 1, 20, 3)
    assert agreement_loss(log_probs, everything()).item() == pytest.approx(0, abs=1e-6)
    log_probs[:, 1, 2] = drawn(2, 1, 3)
    one = jensen_shannon(log_probs[0, 0, 2], log_probs[0, 1, 2])
    assert agreement_loss(log_probs, everything()).item() == pytest.approx(one.item() / 5)


@pytest.mark.parametrize("stream", [0, 1])
def test_what_a_stream_did_not_see_it_need_not_agree_on(stream):
    log_probs = drawn(0, 1, 2, 25, 3).requires_grad_()
    seen = everything()
    seen[0, stream, 1:5] = False
    loss = agreement_loss(log_probs, seen)
    first = jensen_shannon(log_probs[0, 0, 0], log_probs[0, 1, 0])
    torch.testing.assert_close(loss, first)
    loss.backward()
    assert log_probs.grad[0, :, 0].abs().min() > 0
    assert log_probs.grad[0, :, 1:].abs().max() == 0
    assert agreement_loss(log_probs, everything() & False).item() == 0


def test_each_stream_counts_alike_and_only_where_it_saw():
    log_probs = torch.full((1, 2, 25, 3), math.log(1 / 3))
    log_probs[:, 0] = torch.tensor([0.5, 0.25, 0.25]).log()
    grades = torch.full((1, 25), -1)
    grades[0, :2] = torch.tensor([0, 1])
    seen = everything()
    seen[0, 0, 1] = False  # of the first stream only ln 2 is left
    loss = stream_loss(log_probs, seen, grades)
    assert loss.item() == pytest.approx((math.log(2) + math.log(3)) / 2)


def test_the_loss_is_the_weighted_sum_of_its_parts():
    said = graded()
    loss = ViewsLoss(streams=0.3, agreement=0.7, mirror=0.2, any_severe=0.1, guidance=0.5)
    parts = loss(said, batch_of(), graded(9))
    weights = {
        "grades": 1, "streams": 0.3, "agreement": 0.7, "mirror": 0.2,
        "any_severe": 0.1, "guidance": 0.5,
    }  # fmt: skip
    assert parts.keys() == {"loss", *weights}
    total = sum(weight * parts[name] for name, weight in weights.items())
    torch.testing.assert_close(parts["loss"], total)
    assert all(value > 0 for value in parts.values())


def test_consistency_is_off_unless_asked_for():
    parts = ViewsLoss()(graded(), batch_of())
    assert parts.keys() == {"loss", "grades", "streams"}
    assert not ViewsLoss().mirror


def test_a_network_that_keeps_its_sides_under_reflection_costs_nothing_and_another_does():
    said = graded()
    right = said._replace(severity=mirror_targets(said.severity))
    loss = ViewsLoss(mirror=1.0)
    assert loss(said, batch_of(), right)["mirror"].item() == pytest.approx(0, abs=1e-9)
    assert loss(said, batch_of(), said)["mirror"] > 0.1


def test_each_stream_is_taught_where_to_look():
    said = graded()
    look = said.extras["stream_attention"].clone().requires_grad_()
    taught = said._replace(extras={**said.extras, "stream_attention": look})
    ViewsLoss(guidance=1.0, streams=0)(taught, batch_of())["loss"].backward()
    assert (look.grad.abs().amax(dim=(2, 3, 4, 5)) > 0).all()


def test_with_one_stream_it_is_the_loss_of_a_study_grader():
    said, batch = graded(streams=1), batch_of()
    alone = said._replace(attention=said.extras["stream_attention"][:, 0])
    ours = ViewsLoss(guidance=0.5, any_severe=0.1)(alone, batch)
    plain = GradingLoss(guidance=0.5, any_severe=0.1, balance="findings")(alone, batch)
    assert ours.keys() == plain.keys()
    torch.testing.assert_close(ours["loss"], plain["loss"])


@pytest.mark.parametrize("name", ["streams", "agreement", "mirror", "guidance"])
def test_a_negative_weight_is_refused(name):
    with pytest.raises(ConfigurationError, match="negative"):
        ViewsLoss(**{name: -0.1})


def test_agreement_of_one_stream_is_refused():
    with pytest.raises(ConfigurationError, match="one stream has none to agree with"):
        ViewsLoss(agreement=0.1)(graded(streams=1), batch_of())


def test_a_grader_without_streams_is_refused():
    with pytest.raises(ConfigurationError, match="has streams"):
        ViewsLoss()(graded()._replace(extras=None), batch_of())

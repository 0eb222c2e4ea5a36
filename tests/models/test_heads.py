"""The heads: who learns from whom."""

import pytest
import torch

from volspine.anatomy import TARGETS, Finding
from volspine.models.heads import Head, LinearHead, SharedHead


@pytest.mark.parametrize("head_class", [LinearHead, SharedHead])
@pytest.mark.parametrize("num_scores", [1, 3])
def test_every_target_gets_its_scores(head_class: type[Head], num_scores: int) -> None:
    out = head_class(8, num_scores)(torch.randn(2, 25, 8))
    assert out.shape == (2, 25, num_scores)
    assert out.abs().max() < 1, "scores start near zero"


def test_a_shared_head_reads_left_and_right_alike() -> None:
    head = SharedHead(8)
    torch.nn.init.normal_(head.embedding)
    one = torch.randn(8)
    out = head(one.expand(1, 25, 8))[0, :, 0]
    for target in TARGETS:
        torch.testing.assert_close(out[target.index], out[target.mirrored.index])
    assert len(out.unique()) >= 15, "findings and levels differ"


def test_one_target_teaches_its_finding_and_no_other() -> None:
    head = SharedHead(8)
    target = next(t for t in TARGETS if t.finding is Finding.FORAMEN)
    head(torch.randn(2, 25, 8))[:, target.index].sum().backward()
    taught = head.weight_out.grad.abs().sum(dim=(1, 2)) > 0
    assert taught.tolist() == [finding is Finding.FORAMEN for finding in Finding]


def test_one_target_of_a_linear_head_teaches_itself_alone() -> None:
    head = LinearHead(8)
    head(torch.randn(2, 25, 8))[:, 7].sum().backward()
    assert (head.weight.grad.abs().sum(dim=(1, 2)) > 0).nonzero().tolist() == [[7]]


def test_a_linear_head_is_the_dot_product_that_it_says() -> None:
    head = LinearHead(2)
    torch.nn.init.constant_(head.weight, 1.0)
    head.weight.data[3, 0] = 3.0
    features = torch.zeros(1, 25, 2)
    features[0, 3] = torch.tensor([4.0, 2.0])  # normalised to (1, -1): 3 - 1
    torch.testing.assert_close(head(features)[0, 3], torch.tensor([2.0]), atol=1e-4, rtol=0)


def test_dropout_acts_in_training_only() -> None:
    head = SharedHead(8, dropout=0.5)
    features = torch.randn(1, 25, 8)
    assert torch.equal(head.eval()(features), head(features))
    assert not torch.equal(head.train()(features), head(features))

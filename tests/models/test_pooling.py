"""The poolings: averages, positions and attention by hand."""

import math

import torch

from volspine.models.pooling import GlobalAveragePooling, TargetAttentionPooling, position_code


def test_the_average_is_the_same_for_every_target() -> None:
    features = torch.arange(16.0).reshape(1, 2, 2, 2, 2)
    pooled, attention = GlobalAveragePooling(2)(features)
    assert pooled.shape == (1, 25, 2)
    assert pooled[0, 9].tolist() == [3.5, 11.5]
    assert attention is None


def test_positions_run_from_minus_one_to_one_over_the_whole_extent() -> None:
    # Four cells: centres at -3/4, -1/4, 1/4, 3/4; the first wave is sin(pi / 2 * x).
    code = position_code((1, 1, 4), 1)
    expected = [math.sin(math.pi / 2 * x) for x in (-0.75, -0.25, 0.25, 0.75)]
    torch.testing.assert_close(code[:, 2], torch.tensor(expected))
    assert code[:, :2].abs().max() == 0, "the middle of the other axes"


def test_cells_are_listed_with_k_fastest() -> None:
    code = position_code((2, 3, 4), 1).reshape(2, 3, 4, 6)
    assert (code[1, :, :, 0] > 0).all()
    assert (code[0, :, :, 0] < 0).all()
    assert (code[:, 2, :, 1] > 0).all()
    assert (code[:, :, 3, 2] > 0).all()


def test_attention_sums_to_one_and_has_the_shape_of_the_map() -> None:
    pooled, attention = TargetAttentionPooling(8)(torch.randn(2, 8, 2, 3, 4))
    assert pooled.shape == (2, 25, 8)
    assert attention.shape == (2, 25, 2, 3, 4)
    torch.testing.assert_close(attention.sum(dim=(2, 3, 4)), torch.ones(2, 25))


def test_a_target_gets_the_features_of_the_cell_it_looks_at() -> None:
    """A query that wants the last cell along i gets its map and features from there."""
    pooling = TargetAttentionPooling(2, width=1, num_frequencies=1)
    torch.nn.init.zeros_(pooling.content.weight)
    torch.nn.init.zeros_(pooling.position.weight)
    pooling.position.weight.data[0, 0] = 1.0  # the sine along i
    torch.nn.init.constant_(pooling.queries, 1000.0)
    features = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).reshape(1, 2, 2, 1, 1)
    pooled, attention = pooling(features)
    assert attention[0, 4].flatten().tolist() == [0.0, 1.0]
    torch.testing.assert_close(pooled[0, 4], torch.tensor([-1.0, 1.0]), atol=1e-4, rtol=0)


def test_every_parameter_learns() -> None:
    pooling = TargetAttentionPooling(8)
    pooled, _ = pooling(torch.randn(2, 8, 2, 3, 4))
    (pooled**3).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in pooling.parameters())

"""Tokens: which is which, who hears whom, and that sides are told apart only as "the other"."""

import itertools

import pytest
import torch

from volspine.anatomy import LEVELS, TARGETS, Finding, Side
from volspine.errors import ConfigurationError
from volspine.models.level_cells import CELL_POOLINGS, AttentionCells, AverageCells
from volspine.models.level_readers import all_readers, token_sides
from volspine.models.level_tokens import (
    MIRRORED_TOKEN,
    PLACES,
    Attention,
    TokenOptions,
    TokenTransformer,
)
from volspine.views import TOKEN_TARGET, TOKEN_VIEW, TOKENS, VIEWS

E = 8


def transformer(**options: object) -> TokenTransformer:
    torch.manual_seed(0)
    share = bool(options.pop("share_sides", True))
    made = TokenTransformer(TokenOptions(width=E, heads=2, **options), share_sides=share).eval()  # type: ignore[arg-type]
    for name, p in made.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(p)
    return made


def tokens(studies: int = 2) -> torch.Tensor:
    return torch.randn(studies, len(TOKENS), E, generator=torch.Generator().manual_seed(1))


def everything(studies: int = 2) -> torch.Tensor:
    return torch.ones(studies, len(TOKENS), dtype=torch.bool)


def token(view: int, condition: str, level: str) -> int:
    name = f"{condition}_{level}"
    return TOKENS.index((view, next(t.index for t in TARGETS if t.name == name)))


def test_a_token_lies_at_a_place_and_a_level() -> None:
    for n, t in enumerate(TOKEN_TARGET):
        assert LEVELS.index(TARGETS[t].level) == n % len(LEVELS)
        assert TARGETS[t].condition is TARGETS[TOKEN_TARGET[n // 5 * 5]].condition
        assert TOKEN_VIEW[n] == TOKEN_VIEW[n // 5 * 5]
    assert PLACES == 8


def test_in_the_mirror_a_left_token_becomes_the_right_one_of_its_view_and_level() -> None:
    left = token(2, "left_neural_foraminal_narrowing", "l4_l5")
    right = token(2, "right_neural_foraminal_narrowing", "l4_l5")
    assert (left, right) == (13, 18)
    assert (MIRRORED_TOKEN[left], MIRRORED_TOKEN[right]) == (right, left)
    assert MIRRORED_TOKEN[:10] == tuple(range(10))
    assert token_sides()[left] is Side.LEFT
    assert token_sides()[0] is None


def test_exchanging_sides_exchanges_what_tokens_become_and_nothing_else() -> None:
    speak, said, index = transformer(), tokens(), list(MIRRORED_TOKEN)
    seen = torch.rand(2, len(TOKENS), generator=torch.Generator().manual_seed(2)) > 0.3
    there = speak(said, seen)
    torch.testing.assert_close(speak(said[:, index], seen[:, index]), there[:, index])
    assert not torch.allclose(speak(said[:, index], seen[:, index]), there)


def test_without_shared_sides_exchanging_them_gives_something_else() -> None:
    speak, said, index = transformer(share_sides=False), tokens(), list(MIRRORED_TOKEN)
    there = speak(said, everything())
    assert not torch.allclose(speak(said[:, index], everything()), there[:, index], atol=1e-3)


def _heard(speak: TokenTransformer, source: int) -> set[int]:
    said = tokens(1)
    other = said.clone()
    other[0, source] += torch.randn(E)
    change = (speak(other, everything(1)) - speak(said, everything(1))).abs().amax(dim=(0, 2))
    return {int(n) for n in torch.nonzero(change > 1e-7)}


def test_within_a_level_a_token_is_heard_at_its_level_alone() -> None:
    assert _heard(transformer(across_levels=False), 13) == set(range(3, 40, 5))


def test_across_levels_a_token_is_heard_at_its_place_alone() -> None:
    assert _heard(transformer(within_level=False), 13) == set(range(10, 15))


def test_both_together_reach_every_token_and_neither_reaches_none() -> None:
    assert _heard(transformer(), 13) == set(range(40))
    assert _heard(transformer(within_level=False, across_levels=False), 13) == {13}


def test_what_was_not_seen_is_not_heard() -> None:
    speak, said, seen = transformer(), tokens(1), everything(1)
    seen[0, 13] = False
    other = said.clone()
    other[0, 13] += torch.randn(E)
    change = (speak(other, seen) - speak(said, seen)).abs().amax(dim=(0, 2))
    assert {int(n) for n in torch.nonzero(change)} == {13}


def test_a_study_without_any_token_stays_finite_and_hears_nothing() -> None:
    torch.manual_seed(0)
    attention = Attention(E, 2, [[0, 1], [1, 0]]).eval()
    torch.nn.init.zeros_(attention.mlp[2].weight)
    torch.nn.init.zeros_(attention.mlp[2].bias)
    said = torch.randn(3, 2, E)
    silent = attention(said, torch.zeros(3, 2, dtype=torch.bool))
    # Nothing is heard but the constant of the answer.
    torch.testing.assert_close(silent, said + attention.answer.bias)


def test_attention_is_that_of_torch_with_a_bias_and_a_silent_one() -> None:
    torch.manual_seed(0)
    attention = Attention(E, 2, [[0, 1, 2], [1, 0, 2], [2, 1, 0]]).eval()
    torch.nn.init.normal_(attention.bias)
    said, seen = torch.randn(4, 3, E), torch.tensor([[True, True, False]] * 4)
    query, key, value = attention.ask(attention.norm(said)).reshape(4, 3, 3, 2, 4).unbind(2)
    silent = torch.zeros(4, 2, 1, 4)
    key, value = (torch.cat([x.transpose(1, 2), silent], dim=2) for x in (key, value))
    mask = attention.bias[:, attention.relations].expand(4, -1, -1, -1).clone()
    mask = torch.cat(
        [mask.masked_fill(~seen[:, None, None], -torch.inf), silent.new_zeros(4, 2, 3, 1)], -1
    )
    expected = torch.nn.functional.scaled_dot_product_attention(
        query.transpose(1, 2), key, value, attn_mask=mask
    )
    heard = said + attention.answer(expected.transpose(1, 2).flatten(2))
    torch.testing.assert_close(
        attention(said, seen), heard + attention.mlp(attention.norm_mlp(heard))
    )


@pytest.mark.parametrize(
    "options", [{"width": 9, "heads": 2}, {"layers": 0}, {"dropout": 1.0}, {"width": 0}],
    ids=["width", "layers", "dropout", "nothing"],
)  # fmt: skip
def test_impossible_tokens_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be") as e:
        TokenOptions(**options)  # type: ignore[arg-type]
    assert e.value.code == "VS-CFG-151"


def test_every_token_has_one_reader_and_every_reader_one_view() -> None:
    for fusion, share in itertools.product([True, False], repeat=2):
        readers = all_readers(fusion=fusion, share_sides=share)
        read = [n for each in readers for n in each.tokens]
        assert len(read) == len(set(read)) == (40 if fusion else 25)
        for each in readers:
            rows = list(range(10))[each.rows]
            assert [TOKENS[n] for n in each.tokens] == [
                (each.view, VIEWS[each.view].targets[r]) for r in rows
            ]
            sides = {token_sides()[n] for n in each.tokens}
            assert share or len(sides) == 1


def test_without_fusion_each_finding_is_read_in_its_first_view() -> None:
    views = [each.view for each in all_readers(fusion=False)]
    assert [VIEWS[v].name for v in views] == [
        "canal_sagittal_t2", "foramen_sagittal_t1", "recess_axial_t2",
    ]  # fmt: skip
    assert [VIEWS[v].finding for v in views] == list(Finding)


@pytest.mark.parametrize("name", CELL_POOLINGS)
def test_slices_that_were_not_measured_say_nothing(name: str) -> None:
    torch.manual_seed(0)
    pool = CELL_POOLINGS[name](6, E, 3, 2, 2)
    features, covered = torch.randn(4, 6, 3, 2, 2), torch.tensor([[1.0, 0.4, 0.0]] * 4)
    other = features.clone()
    other[:, :, 2] += 3.0
    torch.testing.assert_close(pool(other, covered), pool(features, covered))
    looked = pool.look(features, covered)
    torch.testing.assert_close(looked.sum((1, 2, 3)), torch.ones(4))
    assert (looked[:, 2] == 0).all()
    changed = features.clone()
    changed[:, :, 0] += torch.randn(6)[:, None, None]
    assert not torch.allclose(pool(changed, covered), pool(features, covered))


@pytest.mark.parametrize("name", CELL_POOLINGS)
def test_where_nothing_was_measured_all_cells_count_alike(name: str) -> None:
    pool = CELL_POOLINGS[name](6, E, 3, 2, 2)
    looked = pool.look(torch.randn(2, 6, 3, 2, 2), torch.zeros(2, 3))
    torch.testing.assert_close(looked, torch.full((2, 3, 2, 2), 1 / 12))


def test_the_average_is_the_average() -> None:
    pool = AverageCells(6, E, 3, 2, 2)
    features = torch.randn(2, 6, 3, 2, 2)
    mean = pool.norm(features.permute(0, 2, 3, 4, 1)).mean(dim=(1, 2, 3))
    torch.testing.assert_close(pool(features, torch.ones(2, 3)), pool.join(mean))


def test_looks_begin_from_narrow_to_wide_around_the_middle() -> None:
    torch.manual_seed(0)
    pool = AttentionCells(6, E, 5, 7, 7, looks=8)
    shares = pool.position.detach().softmax(-1).reshape(8, 5, 7, 7)
    middle = shares[:, 1:4, 2:5, 2:5].sum((1, 2, 3))
    assert middle[0] > 0.4
    assert middle[0] > 2 * middle[-1]
    assert middle[-1] < 0.2

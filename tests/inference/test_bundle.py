"""A bundle is plain data: what was written comes back, and nothing else is ever accepted."""

import hashlib
import json

import numpy as np
import pytest
import torch
import yaml

from tests.inference.made_up import tiny_card, tiny_grader
from volspine.errors import OutputError, WeightsError
from volspine.inference import bundle as module
from volspine.inference.bundle import load_bundle, write_bundle
from volspine.inference.card import card_from_dict, card_to_dict
from volspine.volume.grid import Grid


def test_what_was_written_comes_back(tmp_path):
    grader = tiny_grader(3)
    write_bundle(tmp_path / "b", [grader.state_dict()], recipe=grader.recipe, card=tiny_card())
    (loaded,) = load_bundle(tmp_path / "b").graders
    volume = torch.rand(1, 6, 16, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(volume).log_probs, grader(volume).log_probs)
    assert not loaded.training


def test_an_ensemble_keeps_its_members_apart(tmp_path):
    graders = [tiny_grader(1), tiny_grader(2)]
    states = [grader.state_dict() for grader in graders]
    write_bundle(tmp_path / "b", states, recipe=graders[0].recipe, card=tiny_card())
    loaded = load_bundle(tmp_path / "b").graders
    assert len(loaded) == 2
    for member, state in zip(loaded, states, strict=True):
        assert all(torch.equal(member.state_dict()[key], state[key]) for key in state)


def test_two_writings_are_the_same_bytes(tmp_path):
    grader = tiny_grader()
    for name in ("a", "b"):
        write_bundle(tmp_path / name, [grader.state_dict()], recipe=grader.recipe, card=tiny_card())
    for file in ("weights.safetensors", "recipe.yaml", "card.json", "card.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_card_comes_back_whole():
    card = tiny_card(temperature=np.linspace(0.5, 2, 25))
    again = card_from_dict(json.loads(json.dumps(card_to_dict(card))))
    assert card_to_dict(again) == card_to_dict(card)


def test_member_weights_come_back_with_left_and_right_alike():
    weights = np.full((2, 25), 0.5)
    weights[:, 5] = [0.9, 0.1]  # Left foramen L1/L2; the right one is number 10.
    card = card_from_dict(json.loads(json.dumps(card_to_dict(tiny_card(member_weights=weights)))))
    assert card.member_weights[:, 5].tolist() == pytest.approx([0.7, 0.3])
    assert card.member_weights[:, 10].tolist() == pytest.approx([0.7, 0.3])
    assert "member_weights" not in card_to_dict(tiny_card())


@pytest.mark.parametrize(
    "weights",
    [np.full((2, 25), 0.4), np.full((2, 24), 0.5), np.array([[1.5] * 25, [-0.5] * 25])],
    ids=["sum", "targets", "negative"],
)
def test_member_weights_that_are_none_are_refused(weights):
    with pytest.raises(WeightsError, match="member weights"):
        tiny_card(member_weights=weights)


def test_the_card_pools_left_and_right():
    frequencies = np.tile([0.7, 0.2, 0.1], (25, 1))
    frequencies[5] = [0.5, 0.3, 0.2]  # Left foramen L1/L2; the right one is number 10.
    card = tiny_card(frequencies=frequencies)
    assert card.frequencies[5].tolist() == card.frequencies[10].tolist()
    assert card.frequencies[5] == pytest.approx([0.6, 0.25, 0.15])


def test_the_card_for_people_says_what_it_was_trained_on(tiny_bundle):
    text = (tiny_bundle / "card.md").read_text(encoding="utf-8")
    assert "Research use only" in text
    assert "nothing at all" in text
    assert "not valid" in text
    assert "0.9" in text


def test_a_bundle_is_not_replaced_unless_asked(tmp_path, tiny_bundle):
    grader = tiny_grader()
    arguments = {"recipe": grader.recipe, "card": tiny_card()}
    write_bundle(tmp_path / "b", [grader.state_dict()], **arguments)
    with pytest.raises(OutputError, match="there is a bundle already"):
        write_bundle(tmp_path / "b", [grader.state_dict()], **arguments)
    write_bundle(tmp_path / "b", [grader.state_dict()], overwrite=True, **arguments)
    assert load_bundle(tmp_path / "b").card.name == "tiny"


def test_states_that_do_not_fit_are_not_written(tmp_path):
    grader = tiny_grader()
    state = {**grader.state_dict(), "stowaway": torch.zeros(1)}
    with pytest.raises(WeightsError, match="'stowaway' is \\(1,\\) float32, not absent"):
        write_bundle(tmp_path / "b", [state], recipe=grader.recipe, card=tiny_card())
    assert not (tmp_path / "b" / "card.json").exists()


def test_an_absent_demo_bundle_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "demo_folder", lambda: tmp_path / "absent")
    with pytest.raises(WeightsError, match="demo bundle") as caught:
        load_bundle()
    assert "--model" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema version is '2'"),
        ({"preprocessing": 99}, "preprocessing version is '99'"),
        ({"frequencies": [[1, 0, 0]] * 25}, "frequencies are not positive"),
        ({"frequencies": [[0.5, 0.3, 0.2]]}, "frequencies have shape"),
        ({"temperature": [0.0] * 25}, "temperature is not 25 positive numbers"),
        ({"temperature": None}, "temperature"),
        ({"grid": {"spacing_mm": [1, 1, 1], "shape": [4096, 4096, 4096]}}, "too large"),
        ({"grid": {"spacing_mm": [1, -1, 1], "shape": [4, 4, 4]}}, "impossible"),
        ({"grid": {}}, "grid lacks a field"),
        ({"files": 3}, "malformed"),
    ],
)
def test_an_impossible_card_is_refused(change, message):
    with pytest.raises(WeightsError, match=message):
        card_from_dict({**card_to_dict(tiny_card()), **change})


def test_the_recipe_is_plain_yaml(tiny_bundle):
    recipe = yaml.safe_load((tiny_bundle / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["model"]["grader"] == "StudyGrader"
    assert recipe["members"] == 1


def test_a_grid_that_is_not_the_models_is_refused(tmp_path):
    grader, card = tiny_grader(), tiny_card(grid=Grid(spacing_mm=(4, 4, 4), shape=(8, 8, 8)))
    write_bundle(tmp_path / "b", [grader.state_dict()], recipe=grader.recipe, card=card)
    with pytest.raises(WeightsError, match="grid of another shape"):
        load_bundle(tmp_path / "b")


def test_a_shape_that_is_no_list_is_refused(tmp_path):
    grader = tiny_grader()
    place = write_bundle(
        tmp_path / "b", [grader.state_dict()], recipe=grader.recipe, card=tiny_card()
    )
    recipe = yaml.safe_load((place / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["model"]["shape"] = 5
    data = yaml.safe_dump(recipe).encode()
    (place / "recipe.yaml").write_bytes(data)
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    card["files"]["recipe.yaml"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (place / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(WeightsError, match="grid of another shape"):
        load_bundle(place)

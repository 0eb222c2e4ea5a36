"""F6: weights that are truncated, altered, missing or of another model are never used."""

import json

import pytest
import safetensors.torch
import torch

from tests.faults.test_f03_pickles import admit
from tests.inference.made_up import tiny_card, tiny_grader
from volspine.errors import WeightsError
from volspine.inference.bundle import load_bundle, write_bundle


@pytest.fixture
def bundle(tmp_path):
    grader = tiny_grader()
    return write_bundle(
        tmp_path / "b", [grader.state_dict()], recipe=grader.recipe, card=tiny_card()
    )


def refused(bundle, message):
    with pytest.raises(WeightsError, match=message) as caught:
        load_bundle(bundle)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("name", ["weights.safetensors", "recipe.yaml"])
def test_a_truncated_file_is_refused(bundle, name):
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[: len(data) // 2])
    error = refused(bundle, f"{name} is damaged")
    assert str(len(data)) in error.message
    assert error.path.endswith(name)


def test_one_flipped_bit_is_refused(bundle):
    data = bytearray((bundle / "weights.safetensors").read_bytes())
    data[-5] ^= 1
    (bundle / "weights.safetensors").write_bytes(bytes(data))
    refused(bundle, "sha256")


@pytest.mark.parametrize("name", ["weights.safetensors", "recipe.yaml", "card.json"])
def test_a_missing_file_is_refused(bundle, name):
    (bundle / name).unlink()
    refused(bundle, "cannot be read|there is no")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "absent", r"no card\.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "\x00\xff"])
def test_a_damaged_card_is_refused(bundle, text):
    (bundle / "card.json").write_text(text, encoding="latin-1")
    refused(bundle, "JSON|version|field")


def test_a_card_without_checksums_is_refused(bundle):
    card = json.loads((bundle / "card.json").read_text())
    card["files"] = {}
    (bundle / "card.json").write_text(json.dumps(card))
    refused(bundle, "damaged or not the card's")


def put(bundle, tensors):
    (bundle / "weights.safetensors").write_bytes(safetensors.torch.save(tensors))
    admit(bundle, "weights.safetensors")


def tensors_of(bundle):
    return safetensors.torch.load((bundle / "weights.safetensors").read_bytes())


def test_weights_of_another_shape_are_refused(bundle):
    tensors = tensors_of(bundle)
    name = next(name for name, tensor in tensors.items() if tensor.ndim > 1)
    put(bundle, {**tensors, name: tensors[name][:1].clone()})
    refused(bundle, "do not fit the recipe's model")


def test_a_tensor_too_few_or_too_many_is_refused(bundle):
    tensors = tensors_of(bundle)
    put(bundle, {**tensors, "0.stowaway": torch.zeros(1)})
    refused(bundle, "'stowaway'")
    put(bundle, dict(list(tensors.items())[1:]))
    refused(bundle, "absent")
    put(bundle, {**tensors, "7.head.weight": torch.zeros(1)})
    refused(bundle, "belongs to no member")


def test_weights_that_are_not_numbers_are_refused(bundle):
    tensors = tensors_of(bundle)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    put(bundle, {**tensors, name: torch.full_like(tensors[name], torch.nan)})
    refused(bundle, "not finite")


@pytest.mark.parametrize("members", [0, 65, "many", None])
def test_an_impossible_number_of_members_is_refused(bundle, members):
    text = (bundle / "recipe.yaml").read_text()
    (bundle / "recipe.yaml").write_text(text.replace("members: 1", f"members: {members}"))
    admit(bundle, "recipe.yaml")
    refused(bundle, "members")


def test_a_file_beyond_the_limit_is_not_read(bundle, monkeypatch):
    from volspine.inference import bundle as module

    monkeypatch.setattr(module, "MAX_WEIGHTS_BYTES", 1000)
    refused(bundle, "larger than 1000 bytes")

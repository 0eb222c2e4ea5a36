"""F3: a pickle is never run, wherever a model is expected."""

import hashlib
import json
import pickle
import shutil

import pytest
import torch

from tests.inference.made_up import tiny_card, tiny_grader
from volspine.errors import WeightsError
from volspine.inference.bundle import load_bundle, write_bundle
from volspine.inference.checkpoint import read_checkpoint


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "the_canary_ran"
    yield Canary(path)
    assert not path.exists()


@pytest.fixture
def bundle(tmp_path):
    grader = tiny_grader()
    return write_bundle(
        tmp_path / "b", [grader.state_dict()], recipe=grader.recipe, card=tiny_card()
    )


def admit(bundle, name):
    """Make the card agree with a file, as an attacker would."""
    data = (bundle / name).read_bytes()
    card = json.loads((bundle / "card.json").read_text())
    card["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (bundle / "card.json").write_text(json.dumps(card))


def test_the_canary_sings_when_a_pickle_is_loaded(tmp_path):
    path = tmp_path / "sung"
    pickle.loads(pickle.dumps(Canary(path))).close()
    assert path.exists()


@pytest.mark.parametrize(
    "save", [torch.save, lambda obj, path: path.write_bytes(pickle.dumps(obj))]
)
@pytest.mark.parametrize("name", ["weights.safetensors", "recipe.yaml"])
def test_a_pickle_in_the_place_of_a_file_of_the_bundle_is_not_run(bundle, canary, save, name):
    save({"model": canary}, bundle / name)
    admit(bundle, name)
    with pytest.raises(
        WeightsError, match=r"not in the safetensors format|not plain YAML|no model"
    ):
        load_bundle(bundle)


def test_a_pickle_in_the_place_of_the_card_is_not_run(bundle, canary):
    (bundle / "card.json").write_bytes(pickle.dumps(canary))
    with pytest.raises(WeightsError, match="not JSON"):
        load_bundle(bundle)


def test_pickles_beside_the_bundle_are_not_opened(bundle, canary):
    for name in ("model.pt", "weights.bin", "last.ckpt", "data.npy"):
        torch.save(canary, bundle / name)
    assert load_bundle(bundle).card.name == "tiny"


def test_a_checkpoint_that_holds_an_object_is_not_run(tmp_path, canary):
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "volspine": {}, "callbacks": canary}, path)
    with pytest.raises(WeightsError, match="more than tensors and plain data"):
        read_checkpoint(path)


def test_a_bare_pickle_is_no_checkpoint(tmp_path, canary):
    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps(canary))
    with pytest.raises(WeightsError, match="cannot be used"):
        read_checkpoint(path)


def test_a_tagged_recipe_runs_nothing(bundle, tmp_path):
    ran = tmp_path / "ran"
    text = f"model: !!python/object/apply:os.mkdir [{str(ran)!r}]\n"
    (bundle / "recipe.yaml").write_text(text)
    admit(bundle, "recipe.yaml")
    with pytest.raises(WeightsError, match="not plain YAML"):
        load_bundle(bundle)
    assert not ran.exists()


def test_a_copied_bundle_still_loads(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "copy")
    assert load_bundle(tmp_path / "copy").card.weights_sha256

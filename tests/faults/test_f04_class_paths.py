"""F4: prediction never looks up a class that a model folder or a checkpoint names."""

import configparser
import hashlib
import json
import sys

import pytest
import torch
import yaml

from tests.cli.test_bundle import save_checkpoint
from tests.inference.made_up import tiny_card, tiny_grader
from volspine.errors import WeightsError
from volspine.inference.bundle import load_bundle, write_bundle
from volspine.inference.checkpoint import read_checkpoint


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module on the path that says when it is imported."""
    name = "volspine_trap_module"
    (tmp_path / f"{name}.py").write_text("class Grader: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    assert name not in sys.modules


@pytest.mark.parametrize(
    "model",
    [
        {"class_path": "{trap}.Grader", "init_args": {}},
        {"grader": "{trap}.Grader"},
        {"grader": "StudyGrader", "backbone": {"class_path": "{trap}.Grader"}},
        {"grader": "StudyGrader", "backbone": "{trap}.Grader"},
        {"grader": "StudyGrader", "head": "{trap}.Grader"},
        {"grader": "StudyGrader", "_target_": "{trap}.Grader"},
        {"grader": "StudyGrader", "_instantiator": "{trap}.Grader"},
    ],
)
def test_a_recipe_names_one_of_our_models_or_nothing(tmp_path, trap, model):
    grader = tiny_grader()
    folder = write_bundle(
        tmp_path / "b", [grader.state_dict()], recipe=grader.recipe, card=tiny_card()
    )
    evil = json.loads(json.dumps(model).replace("{trap}", trap))
    text = yaml.safe_dump({"schema": 1, "members": 1, "model": evil}).encode()
    (folder / "recipe.yaml").write_bytes(text)
    card = json.loads((folder / "card.json").read_text())
    card["files"]["recipe.yaml"] = {
        "sha256": hashlib.sha256(text).hexdigest(),
        "bytes": len(text),
    }
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="does not build one of our models"):
        load_bundle(folder)


def test_hyperparameters_of_a_checkpoint_are_not_looked_at(tmp_path, trap):
    path = save_checkpoint(tmp_path / "x.ckpt")
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"] = {
        "_instantiator": f"{trap}.Grader",
        "grader": {"class_path": f"{trap}.Grader", "init_args": {}},
    }
    torch.save(content, path)
    assert read_checkpoint(path).model["grader"] == "StudyGrader"


def test_the_weights_of_a_backbone_in_a_recipe_are_not_opened(tmp_path):
    grader = tiny_grader()
    recipe = json.loads(json.dumps(grader.recipe))
    recipe["backbone"]["weights"] = str(tmp_path / "absent.safetensors")
    folder = write_bundle(tmp_path / "b", [grader.state_dict()], recipe=recipe, card=tiny_card())
    assert load_bundle(folder).card.name == "tiny"


def test_lightning_before_the_fix_is_not_admitted(repository):
    # Versions before 2.6.6 execute `_instantiator` of a checkpoint.
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg")
    assert "pytorch-lightning>=2.6.6" in setup["options"]["install_requires"].split()

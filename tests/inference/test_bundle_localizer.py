"""A localizer in a bundle: what was put in comes back, and only that."""

import json
import shutil

import pytest
import safetensors.torch
import torch
import yaml

from tests.faults.test_f03_pickles import admit
from tests.inference.made_up import tiny_card, tiny_grader
from volspine.cli import main
from volspine.errors import WeightsError
from volspine.inference.bundle import LOCALIZER, load_bundle, write_bundle
from volspine.inference.checkpoint import read_localizer
from volspine.models.localizer import Localizer

SHAPE = (4, 16, 16)


def tiny_localizer(seed=0) -> Localizer:
    torch.manual_seed(seed)
    return Localizer(channels=(4, 8), context=1, shape=SHAPE).eval()


@pytest.fixture
def bundle(tmp_path):
    grader = tiny_grader()
    return write_bundle(
        tmp_path / "b",
        [grader.state_dict()],
        recipe=grader.recipe,
        card=tiny_card(localizer={"people": {"train": 3}, "validation": {"val/error": 1.5}}),
        localizer=tiny_localizer(),
    )


def save_checkpoint(path, **changes):
    """What LocalizationTask leaves in a checkpoint, as far as a bundle needs it."""
    localizer = tiny_localizer(1)
    state = {f"localizer.{name}": tensor for name, tensor in localizer.state_dict().items()}
    kept = {
        "version": "0",
        "model": localizer.recipe,
        "data": {"people": {"train": 700, "val": 40, "test": 100}},
        "validation": {"val/error": 2.34567, "val/near": 0.99},
    }
    torch.save({"state_dict": state, "volspine": {**kept, **changes}}, path)
    return str(path)


def test_what_was_written_comes_back_to_half_precision(bundle):
    localizer, loaded = tiny_localizer(), load_bundle(bundle).localizer
    assert loaded.recipe == localizer.recipe
    assert not loaded.training
    for name, tensor in localizer.state_dict().items():
        kept = loaded.state_dict()[name]
        assert kept.dtype == torch.float32
        torch.testing.assert_close(kept, tensor, rtol=2**-10, atol=1e-6)
    image = torch.rand(1, 1, *SHAPE)
    with torch.no_grad():
        told, before = loaded(image, image), localizer(image, image)
    torch.testing.assert_close(told.heat, before.heat, rtol=0.01, atol=0.01)


def test_a_bundle_without_one_has_none(tmp_path, tiny_bundle):
    assert load_bundle(tiny_bundle).localizer is None
    assert not (tiny_bundle / LOCALIZER).exists()


def test_the_card_tells_of_it(bundle):
    text = (bundle / "card.md").read_text(encoding="utf-8")
    assert "phantoms of 3 people" in text
    assert "error: 1.5" in text
    assert load_bundle(bundle).card.localizer["validation"] == {"val/error": 1.5}


def test_a_bundle_written_anew_without_one_keeps_no_old_file(bundle):
    grader = tiny_grader()
    write_bundle(
        bundle, [grader.state_dict()], recipe=grader.recipe, card=tiny_card(), overwrite=True
    )
    assert not (bundle / LOCALIZER).exists()
    assert load_bundle(bundle).localizer is None


def refused(bundle, message):
    with pytest.raises(WeightsError, match=message):
        load_bundle(bundle)


def test_one_flipped_bit_or_a_missing_file_is_refused(bundle):
    data = bytearray((bundle / LOCALIZER).read_bytes())
    data[-5] ^= 1
    (bundle / LOCALIZER).write_bytes(bytes(data))
    refused(bundle, "localizer.safetensors is damaged")
    (bundle / LOCALIZER).unlink()
    refused(bundle, "localizer.safetensors cannot be read")


def test_a_value_that_is_not_finite_is_refused(bundle):
    tensors = safetensors.torch.load_file(bundle / LOCALIZER)
    tensors["stem.weight"][0] = torch.nan
    safetensors.torch.save_file(tensors, bundle / LOCALIZER)
    admit(bundle, LOCALIZER)
    refused(bundle, "localizer.safetensors has a value that is not finite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"localizer": "os.system"}, "does not build one of our models"),
        ({"channels": [8, 8]}, "do not fit the recipe's model"),
        ({"shape": [4, 15, 16]}, "does not build one of our models"),
    ],
    ids=["class", "size", "shape"],
)
def test_a_recipe_that_is_not_its_own_is_refused(bundle, change, message):
    recipe = yaml.safe_load((bundle / "recipe.yaml").read_text())
    recipe["localizer"] = {**recipe["localizer"], **change}
    (bundle / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    admit(bundle, "recipe.yaml")
    refused(bundle, message)


def test_a_recipe_that_is_no_recipe_is_refused(bundle):
    recipe = yaml.safe_load((bundle / "recipe.yaml").read_text())
    (bundle / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "localizer": "Localizer"}))
    admit(bundle, "recipe.yaml")
    refused(bundle, "describes no localizer")


def test_a_checkpoint_goes_into_a_bundle_that_is_there(tmp_path, tiny_bundle, capsys):
    checkpoint = save_checkpoint(tmp_path / "l.ckpt")
    place = shutil.copytree(tiny_bundle, tmp_path / "b")
    before = (tiny_bundle / "weights.safetensors").read_bytes()
    arguments = ["bundle", "--localizer", checkpoint, "--out", str(place)]
    assert main(arguments) == 4
    assert "there is a bundle already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    assert "with a localizer" in capsys.readouterr().out
    assert (place / "weights.safetensors").read_bytes() == before
    loaded = load_bundle(place)
    assert loaded.card.localizer["people"]["train"] == 700
    assert loaded.card.localizer["validation"] == {"val/error": 2.346, "val/near": 0.99}
    assert loaded.localizer.recipe == read_localizer(checkpoint).localizer.recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"localizer": "os.system"}}, "not of a localizer"),
        ({"model": {"grader": "StudyGrader"}}, "not of a localizer"),
        ({"data": {}}, "not of a localizer"),
        ({"model": {"localizer": "Localizer", "channels": [4, 4]}}, "weights are not those"),
    ],
    ids=["class", "grader", "data", "weights"],
)
def test_a_checkpoint_that_is_no_localizers_says_why(tmp_path, changes, message):
    path = save_checkpoint(tmp_path / "l.ckpt", **changes)
    with pytest.raises(WeightsError, match=message):
        read_localizer(path)


def test_no_checkpoint_at_all_is_wrong_usage(tmp_path, capsys):
    assert main(["bundle", "--out", str(tmp_path / "m")]) == 2
    assert "no checkpoint was named" in capsys.readouterr().err
    checkpoint = save_checkpoint(tmp_path / "l.ckpt")
    assert main(["bundle", "--localizer", checkpoint, "--out", str(tmp_path / "m")]) == 4
    assert "no card.json" in capsys.readouterr().err


def test_a_card_without_a_localizer_says_nothing_of_one(tiny_bundle):
    assert "localizer" not in json.loads((tiny_bundle / "card.json").read_text())

"""Training a point refiner by its recipe, and into a bundle with what came out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.inference.made_up import tiny_card, tiny_grader
from tests.volume.made_crops import crops_of
from tests.volume.marks import upright_points
from volspine.anatomy import TARGETS, Finding
from volspine.cli import main
from volspine.data import crop_store
from volspine.errors import WeightsError
from volspine.inference.bundle import load_bundle, write_bundle
from volspine.inference.checkpoint import read_refiner
from volspine.models.localizer import Localizer, build_localizer
from volspine.models.point_refiner import PointRefiner
from volspine.phantom.levels import PhantomLevels

RECIPE = Path(__file__).parents[2] / "experiments" / "point_refiner.yaml"
TINY = [
    "--trainer.max_steps=2",
    "--model.refiner.init_args.channels=[8,8]",
    "--data.people.train={probe: 2}",
    "--data.people.val={probe: 1}",
    "--data.people.test={probe: 1}",
    "--data.draws.batch_size=1",
    "--data.draws.steps=2",
    "--quiet",
]
FORAMINA = [t.index for t in TARGETS if t.finding is Finding.FORAMEN]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]


def tiny_localizer() -> Localizer:
    torch.manual_seed(0)
    return Localizer(channels=(4, 8), context=1, shape=(4, 16, 16)).eval()


def written(place, localizer):
    """A bundle with a localizer, or with none."""
    grader, known = tiny_grader(), {"people": {"train": 3}, "validation": {}}
    card = tiny_card(localizer=known if localizer else {})
    state = [grader.state_dict()]
    return write_bundle(place, state, recipe=grader.recipe, card=card, localizer=localizer)


def balls(at):
    value = np.ones(at.shape[:-1])
    for point in upright_points()[FORAMINA]:
        value += 3.0 * np.exp(-0.5 * (np.linalg.norm(at - point, axis=-1) / 3.0) ** 2)
    return value


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps, and what its test came to."""
    place = tmp_path_factory.mktemp("refiner")
    zeros = torch.zeros(25, dtype=torch.int64)
    levels = PhantomLevels(crops_of(balls), zeros, zeros.expand(3, 25))
    arguments = ["-c", str(RECIPE), f"--data.crops={place / 'crops'}", *TINY]
    arguments.append(f"--trainer.default_root_dir={place / 'run'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop_store, "phantom_levels", lambda spec: levels)
        assert main(["fit", *arguments]) == 0
        assert main(["test", *arguments, "--ckpt_path=last"]) == 0
    return place / "run"


def test_the_recipe_runs_and_its_checkpoint_says_what_prediction_needs(run, capsys):
    refiner, facts = read_refiner(run / "checkpoints" / "last.ckpt")
    assert refiner.recipe == {"refiner": "PointRefiner", "channels": [8, 8], "pixels": 36}
    assert not refiner.training
    assert facts["people"] == {"probe": 2}
    assert facts["validation"].keys() == {"val/error", "val/p95"}


@pytest.mark.slow
def test_it_goes_into_a_bundle_with_the_localizer_and_comes_back(run, tmp_path, capsys):
    bundle = written(tmp_path / "b", tiny_localizer())
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    assert load_bundle(bundle).localizer.refiner is None
    assert main(["bundle", "--refiner", checkpoint, "--out", str(bundle), "--overwrite"]) == 0
    loaded = load_bundle(bundle)
    assert loaded.card.localizer["refiner"]["people"] == {"probe": 2}
    assert loaded.card.localizer["people"] == {"train": 3}
    assert "Refiner of its foramina: trained on phantoms of 2 people" in (
        (bundle / "card.md").read_text(encoding="utf-8")
    )
    kept, made = loaded.localizer.refiner.state_dict(), read_refiner(checkpoint)[0].state_dict()
    for name, tensor in made.items():
        torch.testing.assert_close(kept[name], tensor, rtol=2**-10, atol=1e-6)
    assert loaded.localizer.recipe["refiner"] == loaded.localizer.refiner.recipe
    assert "with a localizer" in capsys.readouterr().out


def test_a_bundle_without_a_localizer_takes_no_refiner(run, tmp_path, capsys):
    place = written(tmp_path / "b", None)
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    assert main(["bundle", "--refiner", checkpoint, "--out", str(place), "--overwrite"]) != 0
    assert "VS-CFG-172" in capsys.readouterr().err


def test_a_checkpoint_of_something_else_is_no_refiner(tmp_path):
    localizer = tiny_localizer()
    kept = {"model": localizer.recipe, "data": {"people": {}}, "validation": {}}
    torch.save({"state_dict": {}, "volspine": kept}, tmp_path / "l.ckpt")
    with pytest.raises(WeightsError, match="not of a refiner"):
        read_refiner(tmp_path / "l.ckpt")
    refiner = PointRefiner((8, 8))
    torch.save(
        {"state_dict": {}, "volspine": {**kept, "model": refiner.recipe}}, tmp_path / "r.ckpt"
    )
    with pytest.raises(WeightsError, match="not those of its refiner"):
        read_refiner(tmp_path / "r.ckpt")


def test_a_localizer_computes_the_same_with_a_refiner_and_builds_it_again():
    localizer, plain = tiny_localizer(), tiny_localizer()
    localizer.refiner = PointRefiner((8, 8))
    again = build_localizer(localizer.recipe)
    assert again.recipe == localizer.recipe
    assert again.refiner.recipe == localizer.refiner.recipe
    image = torch.rand(1, 1, *localizer.shape)
    assert torch.equal(localizer(image, image).heat, plain(image, image).heat)

"""How voxels become those of the grid goes from the data to the checkpoint, card and predictor."""

import json

import numpy as np
import pytest

from tests.cli.test_bundle import save_checkpoint
from tests.data import made_roots
from tests.inference.made_up import SHAPE, SPACING, make_study, tiny_card, tiny_grader
from volspine import Predictor
from volspine.cli import main
from volspine.data import cache
from volspine.data.cache import PREPROCESSING_VERSION, StudyCache, cache_key
from volspine.data.datamodule import RsnaDataModule, SplitPlan
from volspine.errors import WeightsError
from volspine.inference import study_mode
from volspine.inference.bundle import load_bundle, write_bundle
from volspine.inference.card import card_from_dict, card_markdown, card_to_dict
from volspine.volume.grid import Grid
from volspine.volume.sample import sample_study

GRID = Grid(spacing_mm=(6.0, 5.0, 5.0), shape=(6, 16, 19))  # Not the lattice of the studies.
PLAIN = {
    "grid": {"spacing_mm": list(SPACING), "shape": list(SHAPE)},
    "preprocessing_version": PREPROCESSING_VERSION,
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "read_study", made_roots.read_fake_study)
    return made_roots.write_root(tmp_path / "root", np.zeros((6, 25), int))


def module(root, **options):
    data = RsnaDataModule(str(root), grid=GRID, split=SplitPlan(val=1, test=1), **options)
    data.setup("fit")
    return data


def test_the_data_of_a_recipe_are_sampled_as_it_says_and_say_so(root):
    images = {}
    for sampling in ("resample", "cloud"):
        data = module(root, sampling=sampling)
        assert data.recipe()["sampling"] == sampling
        images[sampling] = next(iter(data.test_dataloader()))["volume"][0, :3].numpy()
    study = made_roots.read_fake_study(module(root).studies("test")[0].folder)
    for sampling, image in images.items():
        direct = sample_study(study, GRID, normalize=True, sampling=sampling).images
        np.testing.assert_allclose(image, direct, atol=1e-3)
    assert np.abs(images["cloud"] - images["resample"]).max() > 0.01


def test_what_was_kept_of_one_sampling_is_never_taken_for_another(root, tmp_path):
    study = module(root).studies("train")[0]
    keys = {cache_key(study, GRID, sampling=sampling) for sampling in ("resample", "cloud")}
    assert len(keys) == 2
    assert cache_key(study, GRID) in keys  # Studies kept before there was a choice stay good.
    first = StudyCache(GRID, folder=tmp_path / "c").get(study)
    other = StudyCache(GRID, folder=tmp_path / "c", sampling="cloud").get(study)
    assert not np.array_equal(first.images, other.images)
    assert len(list((tmp_path / "c").glob("*.npz"))) == 2


def test_the_card_carries_it_and_an_older_one_means_interpolation():
    cloud = tiny_card(sampling="cloud")
    assert "means of clouds of points" in card_markdown(cloud)
    assert card_from_dict(json.loads(json.dumps(card_to_dict(cloud)))).sampling == "cloud"
    plain = card_to_dict(tiny_card())
    assert "sampling" not in plain
    assert card_from_dict(plain).sampling == "resample"
    with pytest.raises(WeightsError, match=r"no sampling 'os\.system'"):
        card_from_dict({**plain, "sampling": "os.system"})


def test_a_bundle_has_the_sampling_of_its_checkpoint(tmp_path):
    checkpoint = save_checkpoint(tmp_path / "a.ckpt", data={**PLAIN, "sampling": "cloud"})
    assert main(["bundle", checkpoint, "--out", str(tmp_path / "m")]) == 0
    assert load_bundle(tmp_path / "m").card.sampling == "cloud"


def test_checkpoints_of_different_samplings_are_no_ensemble(tmp_path, capsys):
    paths = [
        save_checkpoint(tmp_path / f"{name}.ckpt", data={**PLAIN, "sampling": name})
        for name in ("cloud", "resample")
    ]
    assert main(["bundle", *paths, "--out", str(tmp_path / "m")]) == 2
    assert "samplings" in capsys.readouterr().err


@pytest.mark.parametrize("sampling", ["resample", "cloud"])
def test_the_predictor_samples_as_in_training(tmp_path, monkeypatch, sampling):
    grader = tiny_grader()
    write_bundle(
        tmp_path / "m",
        [grader.state_dict()],
        recipe=grader.recipe,
        card=tiny_card(sampling=sampling),
    )
    asked = []

    def noted(*arguments, **options):
        asked.append(options["sampling"])
        return sample_study(*arguments, **options)

    monkeypatch.setattr(study_mode, "sample_study", noted)
    graded = Predictor(tmp_path / "m", device="cpu").predict(make_study())
    assert asked == [sampling]
    assert graded.grades.status in ("graded", "partial")

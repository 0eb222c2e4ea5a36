"""A bundle of level mode: small, with its localizer, and only what this version shows a grader."""

import json

import numpy as np
import pytest
import torch
import yaml

from tests.faults.test_f03_pickles import admit
from tests.inference.made_up import tiny_card, tiny_grader
from tests.inference.test_bundle_localizer import save_checkpoint as save_localizer
from tests.inference.test_bundle_localizer import tiny_localizer
from tests.models.made_patches import made_patches
from volspine.cli import main
from volspine.errors import ConfigurationError, WeightsError
from volspine.inference.bundle import load_bundle, write_bundle
from volspine.inference.bundle_mode import level_input
from volspine.inference.bundle_weights import halved, widened
from volspine.inference.held_out import held_out_lines
from volspine.models.level_grader import LevelGrader

SMALL = {"trunk": {"name": "efficientnet_lite0", "stride": 2}, "tokens": {"width": 16, "heads": 2}}


@pytest.fixture(scope="module")
def grader():
    torch.manual_seed(0)
    made = LevelGrader(**SMALL).eval()
    with torch.no_grad():
        for name, parameter in made.head.named_parameters():
            parameter.add_((0.5 if "out" in name else 0.0) * torch.randn_like(parameter))
    return made


@pytest.fixture
def bundle(tmp_path, grader):
    return write_bundle(
        tmp_path / "b",
        [halved(grader.state_dict())],
        recipe=grader.recipe,
        card=tiny_card(grid=None),
        localizer=tiny_localizer(),
    )


def save_checkpoint(path, grader, **changes):
    """What LevelGradingTask leaves in a checkpoint, as far as a bundle needs it."""
    data = {"people": {"train": {"rsna_like": 300, "probe": 200}, "val": {"probe": 20}},
            "noise": {"train": "none", "val": "none"}, **level_input()}  # fmt: skip
    kept = {
        "version": "0",
        "model": grader.recipe,
        "data": data,
        "frequencies": [[0.6, 0.3, 0.1]] * 25,
        "temperature": [1.25] * 25,
    }
    state = {f"grader.{name}": tensor for name, tensor in grader.state_dict().items()}
    torch.save({"state_dict": state, "volspine": {**kept, **changes}}, path)
    return str(path)


def test_half_precision_takes_half_the_room_and_changes_no_grade(tmp_path, bundle, grader):
    whole = write_bundle(
        tmp_path / "w",
        [grader.state_dict()],
        recipe=grader.recipe,
        card=tiny_card(grid=None),
        localizer=tiny_localizer(),
    )
    sizes = [(place / "weights.safetensors").stat().st_size for place in (bundle, whole)]
    assert sizes[0] < 0.65 * sizes[1]  # The rest are names.
    patches = made_patches(2)
    with torch.no_grad():
        told, kept = (load_bundle(p).graders[0](patches).log_probs for p in (bundle, whole))
        assert torch.equal(kept, grader(patches).log_probs)
    assert torch.equal(told.argmax(dim=-1), kept.argmax(dim=-1))
    assert (told.exp() - kept.exp()).abs().max() < 2e-3
    assert told.dtype == torch.float32


def test_what_half_precision_cannot_hold_stays_as_it_is():
    state = {"a": torch.tensor([1e6]), "b": torch.tensor([0.5]), "n": torch.tensor(3)}
    kept = halved(state)
    assert [t.dtype for t in kept.values()] == [torch.float32, torch.float16, torch.int64]
    assert all(torch.equal(widened(kept)[name], state[name]) for name in state)


def test_the_recipe_says_the_mode_and_what_the_grader_saw(bundle):
    recipe = yaml.safe_load((bundle / "recipe.yaml").read_text())
    assert recipe["mode"] == "level"
    assert recipe["views"]["canal_axial_t2"] == [5, 48, 0.6]
    assert "grid" not in json.loads((bundle / "card.json").read_text())
    assert load_bundle(bundle).mode == "level"
    assert "level; native slices" in (bundle / "card.md").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "study"}, "is of mode 'study', its grader not"),
        ({"crops_version": 99}, "saw other patches"),
        ({"views": {}}, "saw other patches"),
        ({"localizer": None}, "describes no localizer"),
    ],
    ids=["mode", "crops", "views", "localizer"],
)
def test_a_recipe_of_another_kind_is_refused(bundle, change, message):
    recipe = {**yaml.safe_load((bundle / "recipe.yaml").read_text()), **change}
    (bundle / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    admit(bundle, "recipe.yaml")
    with pytest.raises(WeightsError, match=message):
        load_bundle(bundle)


def test_a_grader_of_levels_is_not_bundled_without_a_localizer(tmp_path, grader):
    with pytest.raises(ConfigurationError, match="no localizer to find them"):
        write_bundle(
            tmp_path / "b", [grader.state_dict()], recipe=grader.recipe, card=tiny_card(grid=None)
        )
    assert not (tmp_path / "b").exists()


def test_a_grader_of_studies_needs_a_grid(tmp_path):
    made = tiny_grader()
    card = tiny_card(grid=None)
    place = write_bundle(tmp_path / "b", [made.state_dict()], recipe=made.recipe, card=card)
    with pytest.raises(WeightsError, match="tells of no grid"):
        load_bundle(place)


@pytest.mark.parametrize(
    "change",
    [{"width": 2**20, "heads": 2}, {"width": 16, "heads": 2, "hidden": 2**30}],
    ids=["width", "hidden"],
)
def test_a_recipe_cannot_make_a_network_larger_than_its_weights(bundle, change):
    recipe = yaml.safe_load((bundle / "recipe.yaml").read_text())
    known = recipe["model"]["tokens"]
    recipe["model"]["tokens"] = {**known, **{k: v for k, v in change.items() if k in known}}
    if recipe["model"]["tokens"] == known:
        recipe["model"]["head"] = {"name": "shared", "hidden": change["hidden"]}
    (bundle / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    admit(bundle, "recipe.yaml")
    with pytest.raises(WeightsError, match="larger than its weights"):
        load_bundle(bundle)


def test_checkpoints_become_a_bundle_of_levels(tmp_path, grader, bundle, capsys):
    checkpoint = save_checkpoint(tmp_path / "g.ckpt", grader)
    out = str(tmp_path / "m")
    assert main(["bundle", checkpoint, "--out", out]) == 2
    assert "no localizer to find them" in capsys.readouterr().err
    localizer = save_localizer(tmp_path / "l.ckpt")
    assert main(["bundle", checkpoint, "--localizer", localizer, "--out", out]) == 0
    loaded = load_bundle(out)
    assert loaded.card.trained_on == (
        "500 synthetic people (300 rsna_like, 200 probe; reader noise none)"
    )
    assert loaded.card.temperature.tolist() == [1.25] * 25
    assert loaded.card.localizer["people"]["train"] == 700
    assert loaded.card.grid is None
    # The localizer of a bundle will do; what was measured goes on the card of one that is there.
    assert (
        main(["bundle", checkpoint, "--localizer", str(bundle), "--out", out, "--overwrite"]) == 0
    )
    measured = {"score": 0.5, "prior": 0.9, "studies": 100, "floor": 0.3, "kappa": {"canal": 0.8}}
    (tmp_path / "s.json").write_text(json.dumps({**measured, "secret": 1}))
    before = (tmp_path / "m" / "weights.safetensors").read_bytes()
    arguments = ["--metrics", str(tmp_path / "s.json"), "--out", out, "--overwrite"]
    assert main(["bundle", *arguments]) == 0
    assert (tmp_path / "m" / "weights.safetensors").read_bytes() == before
    again = load_bundle(out)
    assert again.card.held_out == measured
    assert again.localizer is not None
    assert "0.300 for the floor" in (tmp_path / "m" / "card.md").read_text()


def test_a_checkpoint_that_saw_other_patches_is_refused(tmp_path, grader):
    from volspine.inference.checkpoint import read_checkpoint

    views = {**level_input()["views"], "canal_axial_t2": [5, 48, 0.5]}
    path = save_checkpoint(tmp_path / "g.ckpt", grader, data={**level_input(), "views": views})
    with pytest.raises(WeightsError, match="another version of the preprocessing"):
        read_checkpoint(path)
    read = read_checkpoint(save_checkpoint(tmp_path / "h.ckpt", grader))
    assert read.grid is None
    assert np.array_equal(read.temperature, np.full(25, 1.25))


def test_what_was_held_out_is_said_with_its_intervals():
    held_out = {
        "score": 0.5,
        "prior": 0.9,
        "floor": 0.3,
        "studies": 100,
        "score_interval_90": [0.45, 0.55],
        "prior_minus_score_interval_90": [0.35, 0.45],
        "terms": {"spinal": 0.4, "any_severe": 0.25},
        "kappa": {"canal": 0.81, "recess": float("nan")},
        "kappa_interval_90": {"canal": [0.78, 0.84]},
    }
    lines = held_out_lines(held_out, of="phantoms")
    assert lines[0] == (
        "Held out: weighted log loss 0.500 (90 %: 0.450 to 0.550) on 100 phantoms, beside 0.900 "
        "for the prior, which has learned nothing, and 0.300 for the floor, where all is learned."
    )
    assert lines[1] == "Better than the prior by 0.400 (90 %: 0.350 to 0.450)."
    assert lines[2] == "Its parts: spinal 0.400, any severe 0.250."
    assert lines[3] == "Quadratic kappa: canal 0.810 (90 %: 0.780 to 0.840)."
    assert held_out_lines({}) == ["Held out: not measured."]
    worse = held_out_lines({**held_out, "prior_minus_score_interval_90": [-0.1, 0.1]})
    assert "not shown to have learned anything" in worse[1]

"""One part off at a time: what differs between rows, and that nothing else does."""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from volspine.anatomy import MIRRORED_INDEX, PROTOCOLS
from volspine.data.crop_store import CropStore, crop_specs, render_crops
from volspine.decide import frequencies
from volspine.models.link import CumulativeLink, SoftmaxLink
from volspine.phantom.direct import localizer_example
from volspine.phantom.spec import Cohort, Header, Noise, Size, Spec
from volspine.volume.grid import Grid
from volspine.volume.normalize import normalize

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
READER = Noise.SINGLE_READER


@pytest.fixture(autouse=True)
def _experiments_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CropStore:
    specs = crop_specs({Cohort.PROBE: 2}, seed=3, size=Size.SMALL)
    return render_crops(specs, tmp_path_factory.mktemp("store"))


@pytest.fixture
def feed(store):
    from ablation.feed import Feed

    return Feed(store, range(2), READER, torch.device("cpu"))


def test_every_row_has_one_part_off_and_full_has_none():
    from ablation.variants import FULL, VARIANTS, Variant, arguments_of

    base = {"trunk": {"name": "t"}, "tokens": {"width": 16}, "link": "scaled"}
    assert arguments_of(VARIANTS[FULL], base) == base
    for name, variant in VARIANTS.items():
        found = arguments_of(variant, base)
        assert found["tokens"]["width"] == 16
        assert found["trunk"] == base["trunk"]
        off = [key for key in variant.grader if found[key] != base.get(key)]
        off += [key for key in ("jitter", "mirror") if not getattr(variant, key)]
        expected = {FULL: 0, "no mirroring": 2}.get(name, 1)  # Sides, and mirrored studies.
        assert len(off) == expected, name
    assert asdict(Variant("")) == asdict(replace(VARIANTS[FULL], words=""))


def test_the_grader_takes_what_every_row_gives_it():
    from ablation.variants import VARIANTS, arguments_of

    from volspine.models.level_cells import CELL_POOLINGS
    from volspine.models.level_tokens import TokenOptions
    from volspine.models.parts import LINKS

    base = {"tokens": {"width": 16}, "link": "cumulative", "pooling": "attention"}
    for variant in VARIANTS.values():
        found = arguments_of(variant, base)
        TokenOptions(**found["tokens"])
        assert found["pooling"] in CELL_POOLINGS
        assert found["link"] in LINKS


def batches_of(feed, name, steps=2):
    from ablation.feed import batches
    from ablation.variants import VARIANTS

    return [known for _, known in feed.training(VARIANTS[name], batches(2, steps, 2, 0), 3)]


def test_jitter_and_mirrored_studies_are_there_but_for_the_rows_that_go_without(feed, store):
    from ablation.feed import batches

    true = {stored.name: stored.crops.points_mm for stored in store}
    order = batches(2, 2, 2, 0)
    for name, jitter, mirror in (("full", 1, 1), ("no jitter", 0, 1), ("no mirroring", 1, 0)):
        found = batches_of(feed, name)
        flips = torch.stack([known["flip"] for known in found])
        assert bool(flips.any()) is bool(mirror)
        names = [name for known in found for name in known["study_id"]]
        points = torch.cat([known["points_mm"] for known in found])
        away = points - torch.stack([true[name] for name in names])
        assert bool((away.abs().amax(dim=(1, 2)) > 0.1).all()) is bool(jitter)
        assert names == [store[row].name for row in order.flatten().tolist()]


def test_the_grades_of_a_study_that_is_shown_mirrored_change_sides(feed, store):
    index = list(MIRRORED_INDEX)
    labels = {stored.name: stored.read_by(READER) for stored in store}
    seen = set()
    for known in batches_of(feed, "full"):
        for name, flip, grades in zip(
            known["study_id"], known["flip"].tolist(), known["grades"], strict=True
        ):
            expected = labels[name][index] if flip else labels[name]
            assert torch.equal(grades, expected)
            seen.add(flip)
    assert seen == {True, False}


def test_all_rows_are_tested_on_the_same_patches(feed):
    first, second = (list(feed.testing(2)) for _ in range(2))
    (one,), (other,) = first, second
    assert all(torch.equal(a, b) for a, b in zip(one.images, other.images, strict=True))
    alone = list(feed.testing(1))  # However many at a time.
    torch.testing.assert_close(alone[1].images[0], one.images[0][1:])


def test_every_study_is_seen_before_one_comes_again():
    from ablation.feed import batches

    order = batches(10, 5, 4, 1).flatten().tolist()
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))


class Toy(nn.Module):
    """Learns the offset of what it is shown."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, shown):
        return shown + self.offset


def toy_loss(said, known):
    loss = (said - known["wanted"]).square().mean()
    return {"loss": loss, "grades": loss}


def forever():
    while True:
        yield torch.ones(4), {"wanted": torch.full((4,), 3.0)}


def test_training_finds_what_is_to_be_found_and_keeps_averaged_weights():
    from ablation.training import Recipe, train

    done = train(Toy(), forever(), toy_loss, Recipe(100, 0.1, 0, average=0.9, half=False))
    assert done.steps == 100
    assert done.network.offset.item() == pytest.approx(2.0, abs=0.1)
    assert not done.network.training


def test_a_run_by_the_clock_ends_with_it_whatever_the_steps(monkeypatch):
    from ablation import training

    now = iter(range(10**6))
    monkeypatch.setattr(training, "clock_of", lambda network: lambda: float(next(now)))
    recipe = training.Recipe(10**6, 0.1, 0, seconds=20.0, half=False)
    done = training.train(Toy(), forever(), toy_loss, recipe)
    assert done.steps <= 20


def test_the_rate_rises_shortly_and_falls_along_half_a_cosine():
    from ablation.training import pace

    assert pace(0.0) == pytest.approx(0.01)
    assert pace(0.05) == pytest.approx(1.0, abs=0.01)
    assert pace(0.5) == pytest.approx(0.505, abs=0.01)
    assert pace(1.0) == pace(2.0) == pytest.approx(0.01)


@pytest.mark.parametrize("link", [CumulativeLink, SoftmaxLink])
def test_either_link_starts_where_it_predicts_how_frequent_grades_are(link):
    from ablation.rows import start_from

    labels = np.random.default_rng(0).choice(3, (400, 25), p=[0.7, 0.2, 0.1])
    network = nn.Module()
    network.link = link()
    start_from(network, labels)
    said = network.link(torch.zeros(1, 25, network.link.num_scores)).exp()[0].detach()
    expected = frequencies(labels)[:5].mean(axis=0)  # The canal's, over its levels.
    np.testing.assert_allclose(said[:5], np.tile(expected, (5, 1)), atol=1e-4)


def test_a_grid_holds_what_the_phantom_renders_and_a_stored_spec_comes_back(tmp_path):
    from ablation.whole import SHAPE, SPACING_MM, read_grid, render_grids, spec_of

    spec = Spec(seed=3, index=1, cohort=Cohort.PROBE, size=Size.SMALL, header=Header.FULL)
    assert spec_of({"spec": asdict(spec)}) == spec
    assert spec_of({"spec": asdict(replace(spec, noise=READER))}).noise is READER
    (path,) = render_grids([spec], tmp_path, workers=1)
    found = read_grid(path, torch.zeros(25, dtype=torch.int64))
    made = localizer_example(spec, Grid(SPACING_MM, SHAPE), protocols=PROTOCOLS)
    for n, (image, mask) in enumerate(zip(made.images, made.masks, strict=True)):
        expected = normalize(image.numpy(), mask.numpy())
        np.testing.assert_allclose(found.volume[n], expected, atol=1e-3)
        np.testing.assert_array_equal(found.volume[3 + n], mask)
    torch.testing.assert_close(found.points, made.landmarks_index)


def test_nobody_is_tested_who_was_trained_on(store):
    from ablation.rows import add_options, bench_of

    parser = argparse.ArgumentParser()
    add_options(parser, studies=2, steps=1, reader=READER)
    folder = store.files[0].parent
    options = ["--out", str(folder / "out"), "--pattern", "*.npz", "--test-seed", "3"]
    with pytest.raises(SystemExit, match="seed 3 is in the store"):
        bench_of(parser.parse_args([str(folder), *options]))


def test_a_link_beats_another_only_if_the_interval_excludes_zero():
    from link_against_softmax import verdict
    from proof.measures import Estimate

    assert verdict("a", "b", Estimate(0.02, 0.01, 0.03)).startswith("The b link beats the a one")
    assert "neither wins" in verdict("a", "b", Estimate(0.02, -0.01, 0.05))
    assert verdict("a", "b", Estimate(-0.02, -0.03, -0.01)).startswith("The a link beats the b one")


@pytest.mark.slow
@pytest.mark.parametrize("script", ["level_ablation", "link_against_softmax"])
def test_a_tiny_run_gives_a_table_and_is_not_repeated(store, tmp_path, monkeypatch, capsys, script):
    module = __import__(script)
    folder = str(store.files[0].parent)
    few = ["--pattern", "*.npz", "--studies", "2", "--test", "2", "--size", "small", "--steps", "1"]
    more = ["--batch", "2", "--threads", "1", "--workers", "1", "--width", "16"]
    rows = {
        "level_ablation": ["--rows", "no mirroring", "no fusion", "study mode"],
        "link_against_softmax": ["--seeds", "0", "1"],
    }
    options = [folder, "--out", str(tmp_path), *few, *more, *rows[script]]
    monkeypatch.setattr(sys, "argv", [f"experiments/{script}.py", *options])
    module.main()
    (path,) = tmp_path.glob("*.md")
    text = path.read_text(encoding="utf-8")
    for expected in {
        "level_ablation": ["| prior", "| full", "no mirroring", "no fusion", "study mode 0.002"],
        "link_against_softmax": ["| cumulative |", "| softmax |", "| scaled |", "less softmax |"],
    }[script]:
        assert expected in text
    assert "commit " in text
    capsys.readouterr()
    module.main()
    assert "training" not in capsys.readouterr().out.split("| ")[0]
    assert path.read_text(encoding="utf-8") == text

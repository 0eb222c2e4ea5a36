"""Rows: train a variant, test it, and keep what it said in one file, so that none is run twice."""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from proof.measures import FINDINGS
from torch import Tensor, nn

from ablation.feed import Feed, batches
from ablation.training import Recipe, Trained, predict, train
from ablation.variants import Variant, arguments_of
from ablation.whole import SHAPE, WholeFeed, render_grids, spec_of
from volspine.data.crop_store import CropStore, crop_specs, read_crops, render_crops
from volspine.decide import frequencies
from volspine.inference.device import resolve_device
from volspine.jobs import atomic_path
from volspine.models.grader import StudyGrader
from volspine.models.level_grader import LevelGrader
from volspine.models.level_loss import LevelLoss
from volspine.models.link import CumulativeLink, SoftmaxLink
from volspine.models.losses import GradingLoss
from volspine.phantom.spec import Cohort, Noise, Size


@dataclass(frozen=True, eq=False)
class Row:
    """What came of one run.

    Attributes:
        log_probs: (N, 25, 3) of the studies to test on.
        seconds: Of training; see `training.clock_of`.
        steps: Of training.
        parameters: Of the network.
    """

    log_probs: np.ndarray
    seconds: float
    steps: int
    parameters: int

    @property
    def probabilities(self) -> np.ndarray:
        """Of each grade, (N, 25, 3); they sum to one."""
        p = np.exp(self.log_probs.astype(np.float64))
        return np.asarray(p / p.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Bench:
    """Studies and settings that all rows share."""

    pool: Feed
    test: Feed
    base: dict[str, Any]
    settings: argparse.Namespace

    @property
    def device(self) -> torch.device:
        """Where networks are trained."""
        return self.pool.device

    def recipe(
        self, seed: int, *, rate: float | None = None, seconds: float | None = None
    ) -> Recipe:
        """Return how long and how hard; by the clock if `seconds` are given."""
        s = self.settings
        steps = s.steps if seconds is None else 10**6
        return Recipe(steps, rate or s.rate, seed, seconds=seconds, half=not s.float32)

    def path(self, name: str, seed: int) -> Path:
        """Return the file of a row; its name says all that may differ."""
        s = self.settings
        how = f"{s.steps}x{s.batch}_rate{s.rate}_{s.trunk}_{s.width}_{self.base['link']}"
        how += "_float32" * s.float32
        people = "".join(self.pool.store.files[row].stem for row in self.pool.rows)
        digest = hashlib.sha256(people.encode()).hexdigest()[:6]
        pool = f"{s.reader}_{len(self.pool.rows)}_{digest}"
        kind = f"{pool}_{how}_test{s.test_seed}x{len(self.test.rows)}_seed{seed}"
        return s.out / "rows" / f"{name.replace(' ', '_')}_{kind}.npz"


def add_options(
    parser: argparse.ArgumentParser, *, studies: int, steps: int, reader: Noise
) -> None:
    """Add the options that the ablation and the comparison of links share."""
    parser.add_argument("store", type=Path, help="folder of crops to train on")
    parser.add_argument("--out", type=Path, required=True, help="folder of rows and result")
    parser.add_argument("--pattern", default="rsna_like_*.npz", help="files of the store")
    parser.add_argument("--studies", type=int, default=studies, help="to train on, at most")
    parser.add_argument("--test", type=int, default=150, help="studies to test on")
    parser.add_argument("--test-seed", type=int, default=9707, help="of people to test on")
    parser.add_argument("--reader", choices=[n.value for n in Noise], default=reader.value)
    parser.add_argument("--steps", type=int, default=steps, help="of each row")
    parser.add_argument("--batch", type=int, default=4, help="studies of a step")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--trunk", default="tf_efficientnetv2_b0", help="of the grader")
    parser.add_argument("--width", type=int, default=96, help="of its tokens")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2, help="that train")
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    parser.add_argument("--size", choices=[s.value for s in Size], default="full", help="of tests")
    parser.add_argument("--float32", action="store_true", help="without bfloat16")


def bench_of(settings: argparse.Namespace) -> Bench:
    """Return the studies to train and to test on; the latter are rendered if need be.

    Raises:
        SystemExit: If a person of the store is to be tested on.
    """
    torch.set_num_threads(settings.threads)
    device, reader = resolve_device(settings.device), Noise(settings.reader)
    store = CropStore.open(settings.store, settings.pattern)
    seeds = {path.stem.split("_")[-2] for path in store.files}
    if str(settings.test_seed) in seeds:
        raise SystemExit(f"seed {settings.test_seed} is in the store: choose another --test-seed")
    specs = crop_specs(
        {Cohort.RSNA_LIKE: settings.test}, seed=settings.test_seed, size=Size(settings.size)
    )
    test = render_crops(
        specs, settings.out / "test_crops", workers=settings.workers, progress=_rendered
    )
    rows = range(min(settings.studies, len(store)))
    base = {
        "trunk": {"name": settings.trunk},
        "tokens": {"width": settings.width},
        "link": "scaled",
    }
    pool = Feed(store, rows, reader, device)
    return Bench(pool, Feed(test, range(len(test)), reader, device), base, settings)


def _rendered(done: int, wanted: int) -> None:
    if done % 20 == 0 or done == wanted:
        print(f"  rendered {done} of {wanted} studies to test on", flush=True)


def level_row(bench: Bench, name: str, variant: Variant, seed: int = 0) -> Row:
    """Return a row of level mode, from its file if it was run before."""
    path = bench.path(name, seed)
    if not path.exists():
        print(f"{name}, seed {seed}: training", flush=True)
        torch.manual_seed(seed)
        network = LevelGrader(**arguments_of(variant, bench.base))
        start_from(network, bench.pool.labels())
        order = batches(len(bench.pool.rows), bench.settings.steps, bench.settings.batch, seed)
        done = train(
            network.to(bench.device),
            bench.pool.training(variant, order, seed),
            LevelLoss(),
            bench.recipe(seed),
        )
        save(path, done, predict_levels(bench, done.network))
    return load(path)


def predict_levels(bench: Bench, network: nn.Module) -> Tensor:
    """Return log-probabilities of the studies to test on, (N, 25, 3)."""
    shown = bench.test.testing(bench.settings.batch)
    return predict(network, shown, half=not bench.settings.float32)


def study_row(bench: Bench, name: str, rate: float, seconds: float, seed: int = 0) -> Row:
    """Return a row of study mode that is trained for some seconds."""
    path = bench.path(name, seed)
    if not path.exists():
        pool, test = (whole_feed(bench, feed) for feed in (bench.pool, bench.test))
        print(f"{name}, seed {seed}: training for {seconds:.0f} s", flush=True)
        torch.manual_seed(seed)
        network = StudyGrader(
            backbone={"name": bench.settings.trunk, "stride": 8},
            head={"name": "shared", "hidden": 64, "dropout": 0.1},
            link=bench.base["link"],
            shape=SHAPE,
        )
        start_from(network, pool.labels.numpy())
        order = batches(len(pool.paths), 10_000, bench.settings.batch, seed)
        loss = GradingLoss(guidance=1.0, balance="findings", sigma_voxels=(1.5, 4.0, 4.0))
        recipe = bench.recipe(seed, rate=rate, seconds=seconds)
        done = train(network.to(bench.device), pool.training(order, seed), loss, recipe)
        half = not bench.settings.float32
        save(path, done, predict(done.network, test.testing(bench.settings.batch), half=half))
    return load(path)


def whole_feed(bench: Bench, feed: Feed) -> WholeFeed:
    """Return the same studies as grids; what is not there is rendered."""
    specs = [spec_of(read_crops(feed.store.files[row]).facts) for row in feed.rows]
    folder = bench.settings.out / "grids"
    paths = render_grids(specs, folder, workers=bench.settings.workers)
    return WholeFeed(paths, torch.from_numpy(feed.labels()), feed.device)


def start_from(network: LevelGrader | StudyGrader, labels: np.ndarray) -> None:
    """Let a link start where it predicts how frequent the grades of each finding are."""
    share = frequencies(labels)
    if isinstance(network.link, CumulativeLink):
        network.link.start_from(torch.from_numpy(share).float())
    elif isinstance(network.link, SoftmaxLink):
        for columns in FINDINGS.values():
            mean = torch.from_numpy(share[columns].mean(axis=0))
            network.link.offset[columns] = mean.log().to(network.link.offset)


def save(path: Path, done: Trained, log_probs: Tensor) -> None:
    """Write a row."""
    numbers = sum(p.numel() for p in done.network.parameters())
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            log_probs=log_probs.numpy(),
            facts=np.array([done.seconds, done.steps, numbers], dtype=np.float64),
        )


def load(path: Path) -> Row:
    """Read a row."""
    with np.load(path) as file:
        seconds, steps, parameters = file["facts"].tolist()
        return Row(file["log_probs"], seconds, int(steps), int(parameters))

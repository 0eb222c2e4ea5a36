"""Row c, the ways: epochs of the same model on the same studies, fed in four ways.

    volspine fit      the command, with the recipe's own augmentation; studies sampled in the first
                      epoch and kept in memory
    synthetic         tensors of the right shape that are there already: the model's own speed
    TorchIO Queue     SubjectsDataset, Resample and random transforms as its documentation has them;
                      nothing is kept, each epoch reads again
    MONAI             CacheDataset keeps what its transforms make before the first random one

Model, loss, optimizer, size of a batch, precision and threads are the same. TorchIO and MONAI have
one process that loads; the recipe has none, which on two cores is as fast. One turn is the steps of
one epoch.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from serve import Turn

from volspine.anatomy import PROTOCOLS
from volspine.data.lightning import pl
from volspine.data.rsna import LabelledStudy
from volspine.models.grader import StudyGrader
from volspine.models.losses import GradingLoss

__all__ = ["BATCH", "Epochs", "fit", "monai", "synthetic", "torchio"]

BATCH = 4
_SPACING = (3.0, 1.5, 1.5)
_NAMES = [protocol.value for protocol in PROTOCOLS]

Batches = Callable[[], Iterator[dict[str, Any]]]


_TURNS: list[Turn] = []


class Epochs(pl.Callback):
    """Makes each epoch of a fit a turn; a recipe names it, so that it takes no argument."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait; there is nothing to tidy when there is no further turn."""
        del trainer, pl_module
        if not _TURNS[0].begin():
            os._exit(0)

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        """Answer after the last step; a checkpoint that follows is no step."""
        del rest
        if trainer.is_last_batch:
            _TURNS[0].end({"studies": len(trainer.datamodule.studies("train"))})


def fit(*, turn: Turn, root: str, out: str, recipe: str, shape: list[int]) -> None:
    """Run `volspine fit` on the recipe, without validation."""
    from volspine.cli.fit import run_lightning

    _TURNS.append(turn)
    run_lightning(
        ["fit", "-c", recipe, "--data.root", root, "--trainer.default_root_dir", out,
         "--trainer.max_epochs", "60", "--data.split.val", "0", "--data.split.test", "0",
         "--data.grid.shape", str(shape),
         "--trainer.enable_progress_bar", "false", "--trainer.callbacks+", "training_ways.Epochs"]
    )  # fmt: skip


def synthetic(*, turn: Turn, root: str, shape: list[int]) -> None:
    """Train on tensors that cost nothing."""
    count = len(_studies(root))
    volume = torch.rand(count, 6, *shape)

    def batches() -> Iterator[dict[str, Any]]:
        for begin in range(0, count, BATCH):
            yield _batch(volume[begin : begin + BATCH], shape)

    _train(turn, batches, shape)


def torchio(*, turn: Turn, root: str, shape: list[int]) -> None:
    """Train from TorchIO's queue."""
    import torchio as tio

    transform = tio.Compose([
        tio.ToCanonical(), tio.Resample(_SPACING), tio.Resample(_NAMES[1]), tio.CropOrPad(shape),
        tio.RescaleIntensity((0, 1), (1, 99)), tio.RandomFlip(0),
        tio.RandomAffine(0.08, (5, 3, 3), (4, 8, 8)), tio.RandomBiasField(),
        tio.RandomGamma(0.2), tio.RandomNoise(std=(0, 0.05)),
    ])  # fmt: skip
    subjects = [
        tio.Subject(**{name: tio.ScalarImage(path) for name, path in _series(study).items()})
        for study in _studies(root)
    ]
    queue = tio.Queue(
        tio.SubjectsDataset(subjects, transform=transform),
        max_length=2 * BATCH, samples_per_volume=1, sampler=tio.UniformSampler(tuple(shape)),
        num_workers=1,
    )  # fmt: skip
    loader = tio.SubjectsLoader(queue, batch_size=BATCH, num_workers=0)

    def batches() -> Iterator[dict[str, Any]]:
        for found in loader:
            images = torch.cat([found[name][tio.DATA] for name in _NAMES], dim=1).float()
            yield _batch(torch.cat([images, (images != 0).float()], dim=1), shape)

    _train(turn, batches, shape)


def monai(*, turn: Turn, root: str, shape: list[int]) -> None:
    """Train from MONAI's cache."""
    from monai import transforms as mt
    from monai.data import CacheDataset, DataLoader

    keys = _NAMES
    transform = mt.Compose([
        mt.LoadImaged(keys, reader="PydicomReader", ensure_channel_first=True),
        mt.Orientationd(keys, axcodes="RAS"), mt.Spacingd(keys, pixdim=_SPACING),
        mt.ResampleToMatchd(keys, key_dst=keys[1]), mt.ResizeWithPadOrCropd(keys, shape),
        mt.ScaleIntensityRangePercentilesd(keys, 1, 99, 0, 1, clip=True),
        mt.ConcatItemsd(keys, "image"), mt.SelectItemsd("image"), mt.EnsureTyped("image"),
        mt.RandFlipd("image", 0.5, spatial_axis=0),
        mt.RandAffined("image", prob=1.0, rotate_range=(0.09, 0.05, 0.05),
                       translate_range=(1, 5, 5), scale_range=(0.08,) * 3, padding_mode="zeros"),
        mt.RandBiasFieldd("image", prob=1.0), mt.RandAdjustContrastd("image", prob=1.0),
        mt.RandGaussianNoised("image", prob=1.0, std=0.05),
    ])  # fmt: skip
    files = [{n: str(p) for n, p in _series(study).items()} for study in _studies(root)]
    kept: list[Any] = []

    def batches() -> Iterator[dict[str, Any]]:
        if not kept:  # Filled in the first epoch, as ours is.
            dataset = CacheDataset(files, transform, num_workers=1, progress=False)
            kept.append(DataLoader(
                dataset, batch_size=BATCH, shuffle=True, num_workers=1, persistent_workers=True
            ))  # fmt: skip
        for found in kept[0]:
            images = found["image"].as_tensor()
            yield _batch(torch.cat([images, (images != 0).float()], dim=1), shape)

    _train(turn, batches, shape)


def _train(turn: Turn, batches: Batches, shape: list[int]) -> None:
    """Train the recipe's model in a plain loop, one epoch a turn."""
    torch.manual_seed(0)
    grader = StudyGrader(
        shape=tuple(shape), backbone={"name": "tf_efficientnetv2_b0", "stride": 8},
        pooling="attention", head={"name": "shared", "hidden": 64, "dropout": 0.1},
        link="cumulative",
    ).train()  # fmt: skip
    loss_of = GradingLoss(guidance=1.0, balance="findings", sigma_voxels=(1.5, 4.0, 4.0))
    optimizer = torch.optim.AdamW(grader.parameters(), lr=2e-3, weight_decay=0.02)
    while turn.begin():
        seen = 0
        for batch in batches():
            with torch.autocast("cpu", torch.bfloat16):
                graded = grader(batch["volume"])
            loss = loss_of(graded._replace(log_probs=graded.log_probs.float()), batch)["loss"]
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(grader.parameters(), 1.0)
            optimizer.step()
            seen += len(batch["volume"])
        turn.end({"studies": seen})


def _batch(volume: torch.Tensor, shape: list[int]) -> dict[str, Any]:
    """Return a batch with grades and points that are made up: speed does not depend on them."""
    count = len(volume)
    return {
        "volume": volume,
        "grades": torch.arange(25).remainder(3).expand(count, 25),
        "points": (torch.tensor(shape) / 2).expand(count, 25, 3),
        "has_point": torch.ones(count, 25, dtype=torch.bool),
    }


def _studies(root: str) -> list[LabelledStudy]:
    from volspine.data.rsna import read_root

    return list(read_root(Path(root)).studies)


def _series(study: LabelledStudy) -> dict[str, Path]:
    """Return a folder for each protocol: what somebody would have made with the table's help."""
    from volspine.dicom.descriptions import described_protocols

    found = {p.value: study.folder / name for name, p in described_protocols(study.folder).items()}
    with contextlib.suppress(KeyError):
        return {name: found[name] for name in _NAMES}
    raise FileNotFoundError(study.folder)

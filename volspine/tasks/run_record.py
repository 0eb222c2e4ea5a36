"""RunRecord: what a fit cost and what it was made with -> `run.json` in the run's folder.

    recipes      the files that the run was told, from `experiments/` on, or their names
    version      of this library; `commit` of its working tree, null where there is none
    parameters   numbers that the network learns
    seconds      `wall` and `processor` (all threads, and workers that ended) of training and
                 validation; sampling counts where it is done on the way
    threads, hardware, device, devices, precision
    epochs, steps, parts

A run that is resumed adds to what its checkpoint says, so time that a power cut took away does not
count. No path, host or user is written down.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import torch

from volspine import __version__
from volspine.data.lightning import pl
from volspine.jobs import write_text
from volspine.tasks.machine import commit, hardware

__all__ = ["RunRecord", "shown_recipe"]

_KEY = "volspine_run"
_RECIPES = "experiments"


class _Spent(NamedTuple):
    """Seconds of earlier parts of a run, and how many parts there were."""

    wall: float = 0.0
    processor: float = 0.0
    parts: int = 0


class RunRecord(pl.Callback):
    """Write `run.json` at the end of every epoch and of the run.

    Args:
        recipes: Files that the run was told.
    """

    def __init__(self, recipes: Sequence[str | Path] = ()) -> None:
        self.recipes = [shown_recipe(path) for path in recipes]
        self._before = _Spent()
        self._began = _clocks()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count; look the commit up before others change it."""
        del trainer, pl_module
        self._began = _clocks()
        commit()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is known so far."""
        self._write(trainer, pl_module, epochs=trainer.current_epoch + 1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what it came to."""
        self._write(trainer, pl_module, epochs=trainer.current_epoch)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put in what has been spent, for who resumes."""
        del trainer, pl_module
        checkpoint[_KEY] = self._spent()._asdict()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from what had been spent."""
        del trainer, pl_module
        self._before = _Spent(**checkpoint.get(_KEY, {}))

    def _spent(self) -> _Spent:
        wall, processor = (now - then for now, then in zip(_clocks(), self._began, strict=True))
        before = self._before
        return _Spent(before.wall + wall, before.processor + processor, before.parts + 1)

    def _write(self, trainer: pl.Trainer, module: pl.LightningModule, *, epochs: int) -> None:
        if not trainer.is_global_zero:
            return
        spent = self._spent()
        record = {
            "recipes": self.recipes,
            "version": __version__,
            "commit": commit(),
            "torch": torch.__version__,
            "parameters": sum(p.numel() for p in module.parameters()),
            "seconds": {"wall": round(spent.wall, 1), "processor": round(spent.processor, 1)},
            "parts": spent.parts,
            "epochs": epochs,
            "steps": trainer.global_step,
            "threads": torch.get_num_threads(),
            "hardware": hardware(),
            "device": trainer.strategy.root_device.type,
            "devices": trainer.world_size,
            "precision": str(trainer.precision),
        }
        text = json.dumps(record, indent=1) + "\n"
        write_text(Path(trainer.default_root_dir) / "run.json", text)


def shown_recipe(path: str | PurePath) -> str:
    """Return a recipe's file without where it lies: from `experiments` on, or its name.

    Example:
        >>> shown_recipe("/somewhere/experiments/full/vit.yaml"), shown_recipe("mine/vit.yaml")
        ('experiments/full/vit.yaml', 'vit.yaml')
    """
    parts = PurePath(path).parts
    if _RECIPES not in parts:
        return parts[-1]
    start = len(parts) - 1 - parts[::-1].index(_RECIPES)
    return "/".join(parts[start:])


def _clocks() -> tuple[float, float]:
    """Return seconds of the wall clock, and of the processor in this process and its children."""
    return time.monotonic(), sum(os.times()[:4])

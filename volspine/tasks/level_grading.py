"""LevelGradingTask: how a level-mode grader is trained, chosen and tested.

It does what `GradingTask` does, on patches of `LevelCrops`. Whenever it validates, it fits the
temperature of each condition (`metrics.calibration`), which checkpoints carry beside what that task
puts there, and which tests, like reports, apply:

    temperature    25 numbers that log-probabilities are divided by; 1 before any validation
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from volspine.anatomy import TARGETS
from volspine.data.dataset import Batch
from volspine.data.level_datamodule import LevelCrops
from volspine.decide import decide
from volspine.jobs import write_text
from volspine.metrics.calibration import fit_temperature
from volspine.metrics.rsna import rsna_terms
from volspine.models.level_loss import LevelLoss
from volspine.models.mirror import mirror_patches
from volspine.tasks.grading import GradingTask
from volspine.tasks.mixing import Mix, mixed_patches
from volspine.tasks.plain import CHECKPOINT_KEY
from volspine.types import FloatArray
from volspine.views import Patches

__all__ = ["LevelGradingTask"]


HeldOut = dict[str, tuple[Tensor, Tensor]]
"""Probabilities (25, 3) and labels (25,) of a study, by its name."""


class LevelGradingTask(GradingTask):
    """Train, validate and test a level-mode grader.

    Attributes:
        temperature: Shape (25,).
    """

    DATA = LevelCrops
    LOSS = LevelLoss

    temperature: FloatArray = np.ones(len(TARGETS))

    def seen(self, batch: Batch) -> Patches:
        """Return the patches of a batch."""
        patches: Patches = batch["patches"]
        return patches

    def mirrored(self, seen: Patches) -> Patches:
        """Return the patches of the mirror images."""
        return mirror_patches(seen)

    def mixed(self, batch: Batch, mix: Mix) -> Batch:
        """Return a batch whose studies lie over their partners, target by target."""
        return {**batch, "patches": mixed_patches(batch["patches"], mix)}

    def reported(self, probabilities: Tensor) -> Tensor:
        """Return probabilities, (B, 25, 3), after the temperature."""
        tiny = torch.finfo(probabilities.dtype).tiny
        heat = torch.from_numpy(self.temperature).to(probabilities)[:, None]
        return (probabilities.clamp_min(tiny).log() / heat).softmax(dim=-1)

    def keys_of(self, *sets: str) -> list[str]:
        """Return the names of the studies of some sets."""
        return [key for name in sets for key in self._data().studies(name)]

    def write_down(self) -> None:
        """Write down which studies are in which set."""
        split = {name: self._data().studies(name) for name in ("train", "val", "test")}
        write_text(self._folder() / "split.json", json.dumps(split, indent=1) + "\n")

    def on_validation_epoch_start(self) -> None:
        """Forget what was held out before."""
        self._held_out: HeldOut = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch and keep it for the temperature."""
        del batch_idx
        probabilities = self(self.seen(batch)).double()
        self._metric.update(probabilities, batch["grades"])
        rows = zip(probabilities.cpu(), batch["grades"].cpu(), strict=True)
        self._held_out.update(zip(batch["study_id"], rows, strict=True))

    def on_validation_epoch_end(self) -> None:
        """Log the challenge's score, fit the temperature and log the score that it makes."""
        super().on_validation_epoch_end()
        rows = _of_all_processes(self._held_out).values()
        probabilities, grades = (torch.stack(each) for each in zip(*rows, strict=True))
        tiny = torch.finfo(probabilities.dtype).tiny
        self.temperature = fit_temperature(probabilities.clamp_min(tiny).log(), grades)
        terms = rsna_terms(grades.numpy(), decide(self.reported(probabilities).numpy()))
        self.log("val/tempered", float(terms.score().total))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put in what prediction needs, as plain data."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[CHECKPOINT_KEY]["temperature"] = self.temperature.tolist()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take frequencies and temperature from a checkpoint.

        Raises:
            ConfigurationError: If the checkpoint is of another grader.
        """
        super().on_load_checkpoint(checkpoint)
        kept = checkpoint.get(CHECKPOINT_KEY)
        if isinstance(kept, Mapping) and kept.get("temperature") is not None:
            self.temperature = np.asarray(kept["temperature"], dtype=np.float64)


def _of_all_processes(mine: HeldOut) -> HeldOut:
    """Return what the processes of a run hold together, each study once."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return mine
    everyone: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(everyone, mine)
    return {key: row for each in everyone for key, row in each.items()}

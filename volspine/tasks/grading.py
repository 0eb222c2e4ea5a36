"""GradingTask: how a grader is trained, chosen and tested; the grader itself is injected.

A checkpoint carries what prediction needs as plain data under the key `volspine`, so that it loads
with `weights_only=True` and no class name in it is ever looked up:

    version        of this library
    model          the grader's recipe: name in a closed list, and its arguments
    data           grid, preprocessing version, roots' names, sizes of the sets
    frequencies    25 x 3, of the grades that training could see
    validation     the score of this very state, where there was a validation set
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from volspine import __version__
from volspine.data.datamodule import RsnaDataModule
from volspine.data.dataset import Batch
from volspine.data.lightning import pl
from volspine.data.splits import write_split
from volspine.decide import frequencies
from volspine.errors import ConfigurationError
from volspine.metrics.streaming import RsnaMetric
from volspine.models.losses import GradingLoss
from volspine.tasks.asking import AskingTask
from volspine.tasks.craft import Craft, lay_channels_last
from volspine.tasks.evaluation import Evaluation, Known, evaluate
from volspine.tasks.evaluation_page import are_phantoms
from volspine.tasks.hearing import Hearing, Said
from volspine.tasks.plain import (
    CHECKPOINT_KEY,
    check_same_grader,
    parameter_groups,
    plain_arguments,
)
from volspine.tasks.schedule import Schedule
from volspine.tasks.tested import write_test
from volspine.types import FloatArray

__all__ = ["CHECKPOINT_KEY", "GradingTask"]

_SCHEDULE, _CRAFT = Schedule(), Craft()

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]


class GradingTask(AskingTask):
    """Train, validate and test a grader.

    Args:
        grader: From a volume (B, 6, I, J, K) to `Graded`; see `volspine.models.grader`.
        loss: From what the grader says and the batch to `loss` and its parts.
        optimizer: From parameters to an optimizer.
        schedule: How the learning rate goes.
        average_mirrors: Whether validation and test grade a study and its mirror image and
            average, as the predictor does.
        seed: Of dropout and mixup.
        craft: What else is done; nothing by default.

    Raises:
        ConfigurationError: If the grader cannot be trained so.
    """

    DATA: type[pl.LightningDataModule] = RsnaDataModule
    """What it learns from."""

    LOSS: type[GradingLoss] = GradingLoss
    """What it learns by, unless told."""

    def __init__(  # noqa: PLR0913  a training has these seven properties
        self,
        grader: nn.Module,
        *,
        loss: GradingLoss | None = None,
        optimizer: MakeOptimizer = torch.optim.AdamW,
        schedule: Schedule = _SCHEDULE,
        average_mirrors: bool = True,
        seed: int = 0,
        craft: Craft = _CRAFT,
    ) -> None:
        super().__init__()
        with plain_arguments(self):
            self.save_hyperparameters(logger=False)
        self.grader = grader
        self.loss = loss or self.LOSS()
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.average_mirrors = average_mirrors
        self.seed = seed
        self.craft = craft
        craft.check(grader)
        self.known: FloatArray | None = None
        self.evaluation: Evaluation | None = None
        self._metric = RsnaMetric()
        self._hearing = Hearing()
        self._trained_on: list[str] = []
        self._scored_step = -1

    def learned(self) -> FloatArray:
        """Return the frequencies of the grades that training may use, shape (T, K)."""
        return frequencies(self._data().known_grades())

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule, which advances with every step."""
        optimizer = self.make_optimizer(parameter_groups(self.grader))
        return self.schedule.of_run(optimizer, self.trainer.estimated_stepping_batches)

    def on_fit_start(self) -> None:
        """Learn the prior of the training split, start from it, and write the split down."""
        self.known = self.learned()
        self.loss.weigh(self._data().known_grades())
        if self.craft.channels_last:
            lay_channels_last(self.grader)
        start_from = getattr(getattr(self.grader, "link", None), "start_from", None)
        if start_from is not None and self.trainer.ckpt_path is None:
            start_from(torch.tensor(self.known, dtype=torch.float32))
        self._trained_on = [_fingerprint(key) for key in self.keys_of("train", "val")]
        if self.trainer.is_global_zero:
            self.write_down()

    def keys_of(self, *sets: str) -> list[str]:
        """Return the names of the studies of some sets."""
        return [study.key for name in sets for study in self._data().studies(name)]

    def write_down(self) -> None:
        """Write down which studies are in which set."""
        write_split(self._data().split, self._folder() / "split.json")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        del batch_idx
        # Dropout then depends on seed and step alone, and a resumed run repeats an unbroken one.
        torch.manual_seed(1_000_003 * self.seed + self.global_step)
        parts = self.losses(batch)
        size = len(batch["study_id"])
        named = {f"train/{name}": value.detach() for name, value in parts.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=size)
        self.log("loss", parts["loss"].detach(), prog_bar=True, logger=False, batch_size=size)
        loss: Tensor = parts["loss"]
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch."""
        del batch_idx
        self._metric.update(self(self.seen(batch)).double(), batch["grades"])

    def on_validation_epoch_end(self) -> None:
        """Log the challenge's score and its terms, after the decision layer."""
        terms = self._metric.compute()
        self._metric.reset()
        self._scored_step = self.trainer.global_step
        self.log("val/score", terms.pop("total").float(), prog_bar=True)
        self.log_dict({f"val/{name}": value.float() for name, value in terms.items()})

    def on_test_epoch_start(self) -> None:
        """Forget what was said before."""
        self._hearing = self._new_hearing()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Remember what was said about a batch."""
        del batch_idx
        self._hear(self._hearing, batch)

    def on_test_epoch_end(self) -> None:
        """Evaluate beside the prior; write `test_metrics.json`, predictions and places."""
        said = self._hearing.said()
        if self.known is None:
            self.known = self.learned()
        result = self.evaluation = evaluate(
            said.probabilities, said.grades, self.known, known=self._recheck(), places=said.places
        )
        self.log_dict(
            {
                "test/score": result.score.total,
                "test/prior": result.prior.total,
                "test/gain_low": result.interval.low,
                "test/gain_high": result.interval.high,
            }
        )
        if self.trainer.is_global_zero:
            self._write(result, said)

    def _new_hearing(self) -> Hearing:
        grid = getattr(self._data(), "grid", None)
        return Hearing(None if grid is None else grid.spacing_mm)

    def _hear(self, hearing: Hearing, batch: Batch) -> None:
        seen = self.seen(batch)
        graded = self.grader(seen)
        probabilities = self.reported(self._averaged(graded, seen).double())
        hearing.add(probabilities, graded, batch)

    def _recheck(self) -> Known | None:
        """Return what is said of some of the studies that were trained on; None of none."""
        batches, hearing = self._data().training_sample(), self._new_hearing()
        precision = self.trainer.precision_plugin
        for batch in batches:
            moved = self.trainer.strategy.batch_to_device(precision.convert_input(batch))
            with precision.test_step_context():
                self._hear(hearing, moved)
        return hearing.said().known if batches else None

    def _write(self, result: Evaluation, said: Said) -> None:
        trained_on = set(self._trained_on)
        also = {
            "studies_seen_in_training": sum(_fingerprint(key) in trained_on for key in said.keys),
            "data": self._recipe(),
        }
        if self.known is not None:
            also["frequencies_of_training"] = self.known.tolist()
        is_phantom = are_phantoms(self._data())
        write_test(self._folder(), result, said, is_phantom=is_phantom, also=also)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put in what prediction needs, as plain data."""
        is_scored = self._scored_step == self.trainer.global_step
        score = self.trainer.callback_metrics.get("val/score") if is_scored else None
        checkpoint[CHECKPOINT_KEY] = {
            "version": __version__,
            "model": getattr(self.grader, "recipe", {}),
            "data": self._recipe(),
            "frequencies": None if self.known is None else self.known.tolist(),
            "validation": {} if score is None else {"score": float(score)},
            "trained_on": list(self._trained_on),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the training split's frequencies from a checkpoint.

        Raises:
            ConfigurationError: If the checkpoint is of another grader.
        """
        kept = checkpoint.get(CHECKPOINT_KEY)
        if not isinstance(kept, Mapping):
            return
        check_same_grader(kept.get("model"), getattr(self.grader, "recipe", {}))
        if kept.get("frequencies") is not None:
            self.known = np.asarray(kept["frequencies"], dtype=np.float64)
        self._trained_on = [str(mark) for mark in kept.get("trained_on", [])]

    def _data(self) -> Any:
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, self.DATA):
            raise ConfigurationError(
                f"the task was given no {self.DATA.__name__}",
                remedy="pass datamodule= to the Trainer",
                code="VS-CFG-082",
            )
        return data

    def _recipe(self) -> dict[str, Any]:
        recipe: dict[str, Any] = self._data().recipe()
        return recipe

    def _folder(self) -> Path:
        return Path(self.trainer.default_root_dir)


def _fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]

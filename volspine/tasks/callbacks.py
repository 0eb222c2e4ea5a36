"""What watches over a run: averaged weights, time, score, and an end to what is no number."""

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from volspine.data.lightning import EarlyStopping, Timer, pl
from volspine.errors import ConfigurationError, VolspineError
from volspine.tasks.averaging import RunningAverage, ema_step

__all__ = ["AverageWeights", "PartTimer", "StopEarly", "StopOnNonFiniteLoss", "ema_step"]


class StopOnNonFiniteLoss(pl.Callback):
    """Stop when loss or gradients are infinite or no numbers, naming the step and the studies.

    Both are checked before the weights move: they are still good, and so is the last checkpoint.
    Gradients that a scaler may let overflow (precision `16-mixed`) are left to it.
    """

    def __init__(self) -> None:
        self._studies: list[str] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember whose turn it is."""
        del trainer, pl_module, batch_idx
        self._studies = list(batch["study_id"])

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Check the loss.

        Raises:
            VolspineError: If it is not finite.
        """
        del pl_module
        if not torch.isfinite(loss).all():
            raise VolspineError(
                f"the loss is {float(loss.detach().sum())} at step {trainer.global_step}, "
                f"in studies {', '.join(self._studies)}",
                remedy="lower the learning rate, clip gradients, or look at these studies with "
                "volspine scan; the last checkpoint is intact",
                code="VS-TRN-001",
            )

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Check the gradients.

        Raises:
            VolspineError: If one is not finite.
        """
        del optimizer
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if gradients and not torch.isfinite(_largest(gradients)):
            raise VolspineError(
                f"a gradient is not finite at step {trainer.global_step}, "
                f"in studies {', '.join(self._studies)}",
                remedy="lower the learning rate, or look at these studies with volspine scan; "
                "weights and the last checkpoint are intact",
                code="VS-TRN-002",
            )


class AverageWeights(RunningAverage):
    """The running average, begun with the weights after the first step.

    After a fit, what was trained holds the average.

    Args:
        decay: Share of the average that a step keeps, once the run is long.
    """

    begins_with_a_step = True

    @torch.no_grad()
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in place of the weights."""
        del trainer
        for name, weights in pl_module.named_parameters():
            if self._average is not None:
                weights.copy_(self._average[name])


class StopEarly(EarlyStopping):
    """Stop when the metric that chooses the best checkpoint has not become better for a while.

    It is asked after every validation. What it has seen so far is part of a checkpoint.

    Args:
        patience: Validations in a row that may bring nothing better.
        least: Least gain that counts.
        monitor: `val/score` of a grader, `val/error` of a localizer or refiner; less is better.

    Raises:
        ConfigurationError: If it could never stop, or would at once.
    """

    def __init__(
        self,
        *,
        patience: int = 5,
        least: float = 0.0,
        monitor: Literal["val/score", "val/error"] = "val/score",
    ) -> None:
        if patience < 1 or least < 0:
            raise ConfigurationError(
                f"a patience of {patience} and a least gain of {least:g} stop no run sensibly",
                remedy="give a patience from 1 and a least gain from 0",
                code="VS-CFG-401",
            )
        super().__init__(monitor, min_delta=least, patience=patience, mode="min")

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that there is something to go by.

        Raises:
            ConfigurationError: If the run does not validate.
        """
        del pl_module
        if not trainer.enable_validation:
            raise ConfigurationError(
                "a run without a validation set cannot be stopped by its score",
                remedy="give it validation studies, or leave StopEarly out",
                code="VS-CFG-402",
            )


class PartTimer(Timer):
    """Stop when this part of a run has lasted so long; earlier parts do not count.

    Lightning's own timer adds up the time of all parts, so that a run which is resumed with the
    same limit would stop at once.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return nothing, as nothing is handed on to the next part."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Forget how long earlier parts lasted."""


def _largest(gradients: list[Tensor]) -> Tensor:
    """Return the largest number of all, which is not finite if one is not."""
    return torch.nn.utils.get_total_norm(gradients, norm_type=math.inf)

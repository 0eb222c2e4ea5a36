"""What watches over a run: averaged weights, its time, and an end to a loss that is no number."""

from typing import Any

import torch
from torch import Tensor

from volspine.data.lightning import Timer, WeightAveraging, pl
from volspine.errors import VolspineError

__all__ = ["AverageWeights", "PartTimer", "StopOnNonFiniteLoss", "ema_step"]


class StopOnNonFiniteLoss(pl.Callback):
    """Stop when the loss is infinite or not a number, naming the step and the studies.

    The check comes before the backward pass: the weights are still good, and so is the last
    checkpoint.
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


class AverageWeights(WeightAveraging):
    """Validate, keep and test an exponential moving average of the weights.

    The average is quick at first and slow later (see `ema_step`). Checkpoints hold the average as
    their state; training goes on from the weights themselves.

    Args:
        decay: Share of the average that a step keeps, once the run is long.
    """

    def __init__(self, decay: float = 0.99) -> None:
        def average(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
            return torch.lerp(mean, new, 1 - ema_step(int(count), decay))

        super().__init__(use_buffers=False, avg_fn=average)


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


def ema_step(count: int, decay: float) -> float:
    """Return the share of the average that is kept after `count` averaged steps.

    Example:
        >>> [round(ema_step(n, 0.99), 3) for n in (0, 10, 10_000)]
        [0.1, 0.55, 0.99]
    """
    return min(decay, (1 + count) / (10 + count))

"""What watches over a run: a loss that is no number stops it, before a weight is touched."""

from typing import Any

import torch
from torch import Tensor

from volspine.data.lightning import pl
from volspine.errors import VolspineError

__all__ = ["StopOnNonFiniteLoss"]


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

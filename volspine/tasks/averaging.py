"""A running average of the weights that also works with several processes and where a run resumes.

The average follows the weights after every step, quickly at first and slowly later
(`ema_step`):

    average <- keep average + (1 - keep) weights

Validation and test see the average, and a checkpoint's state is the average, so that whoever reads
one gets it; the weights that training goes on from lie beside it. Every process averages the same
weights, so nothing is sent between them.
"""

from typing import Any

import torch
from torch import Tensor

from volspine.data.lightning import pl
from volspine.errors import ConfigurationError

__all__ = ["RunningAverage", "ema_step"]

_WEIGHTS = "current_model_state"


class RunningAverage(pl.Callback):
    """Validate, keep and test a running average of the weights.

    Args:
        decay: Share of the average that a step keeps, once the run is long.

    Raises:
        ConfigurationError: If the share is not from 0 to below 1.
    """

    begins_with_a_step = False
    """Whether the average begins with the weights after the first step, not before it."""

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ConfigurationError(
                f"an average that keeps {decay:g} of itself is impossible",
                remedy="give a decay from 0 to below 1",
                code="VS-CFG-152",
            )
        self.decay = decay
        self._average: dict[str, Tensor] | None = None
        self._step = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the weights as they are, unless a checkpoint brought an average."""
        if self._average is None:
            self._step = trainer.global_step
            self._average = {n: p.detach().clone() for n, p in pl_module.named_parameters()}
        else:
            device = pl_module.device
            self._average = {n: each.to(device) for n, each in self._average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Follow the weights if they moved."""
        if self._average is None or trainer.global_step == self._step:
            return
        is_first = self._step == 0 and self.begins_with_a_step
        share = 1.0 if is_first else 1 - ema_step(self._step, self.decay)
        self._step = trainer.global_step
        for name, weights in pl_module.named_parameters():
            self._average[name].lerp_(weights, share)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in place of the weights while a run validates."""
        if trainer.state.fn == "fit":
            self._exchange(pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        if trainer.state.fn == "fit":
            self._exchange(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Make the average the checkpoint's state, and put the weights beside it."""
        del trainer, pl_module
        if self._average is not None:
            state = checkpoint["state_dict"]
            checkpoint[_WEIGHTS] = state
            checkpoint["state_dict"] = {**state, **{n: t.clone() for n, t in self._average.items()}}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from the weights; the average is what has been loaded."""
        if trainer.state.fn == "fit" and _WEIGHTS in checkpoint:
            self._average = {n: p.detach().clone() for n, p in pl_module.named_parameters()}
            # The trainer itself does not know yet where it stands.
            self._step = int(checkpoint["global_step"])
            pl_module.load_state_dict(checkpoint[_WEIGHTS])

    @torch.no_grad()
    def _exchange(self, module: pl.LightningModule) -> None:
        for name, weights in module.named_parameters():
            if self._average is not None:
                kept = weights.clone()
                weights.copy_(self._average[name])
                self._average[name].copy_(kept)


def ema_step(count: int, decay: float) -> float:
    """Return the share of the average that is kept after `count` averaged steps.

    Example:
        >>> [round(ema_step(n, 0.99), 3) for n in (0, 10, 10_000)]
        [0.1, 0.55, 0.99]
    """
    return min(decay, (1 + count) / (10 + count))

"""Schedule: how the learning rate goes over a run.

It climbs linearly to its full height during `warmup` of the run and falls along half a cosine to
`final` of that height:

    factor(t) = t / w                                       t <= w
    factor(t) = f + (1 - f) (1 + cos(pi (t - w) / (1 - w))) / 2     t > w

with t the share of the run that is done. The first step of a warm-up is not zero. As one cycle it
climbs along half a cosine too, from `start` of its height in the first step, and reaches `final` in
the last (Smith and Topin, "Super-convergence", 2019; momentum is left as it is).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from volspine.errors import ConfigurationError

__all__ = ["Schedule"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A warm-up, then half a cosine.

    Attributes:
        warmup: Share of the run that climbs; 0 for none.
        final: Factor at the end; 1 keeps the rate constant after the warm-up.
        shape: `cosine`: climbs in a line; `onecycle`: along half a cosine.
        start: Factor of the first step of one cycle.
    """

    warmup: float = 0.1
    final: float = 0.01
    shape: Literal["cosine", "onecycle"] = "cosine"
    start: float = 0.04

    def __post_init__(self) -> None:
        factors = self.final, self.start
        if not (0 <= self.warmup < 1 and 0 <= min(factors) <= max(factors) <= 1):
            raise ConfigurationError(
                f"a schedule with warmup {self.warmup:g}, final {self.final:g} and "
                f"start {self.start:g} is impossible",
                remedy="use a warmup from 0 to below 1, and factors from 0 to 1",
                code="VS-CFG-080",
            )

    def factor(self, step: int, total_steps: int) -> float:
        """Return what the learning rate is multiplied by in a step, counted from 0.

        Example:
            >>> [round(Schedule(warmup=0.5, final=0.0).factor(s, 4), 2) for s in range(5)]
            [0.5, 1.0, 1.0, 0.5, 0.0]
        """
        if self.shape == "onecycle":
            return self._of_one_cycle(step, total_steps)
        climbing = self.warmup * total_steps
        if step + 1 <= climbing:
            return (step + 1) / climbing
        done = (step - climbing) / max(total_steps - climbing, 1)
        return self.final + (1 - self.final) * _wave(done)

    def _of_one_cycle(self, step: int, total_steps: int) -> float:
        top, last = self.warmup * total_steps - 1, total_steps - 1
        if step <= top:
            return 1 - (1 - self.start) * _wave(step / top if top > 0 else 1.0)
        return self.final + (1 - self.final) * _wave((step - top) / max(last - top, 1))

    def scheduler(self, optimizer: Optimizer, total_steps: int) -> LambdaLR:
        """Return the scheduler of a run of that many steps."""
        return LambdaLR(optimizer, lambda step: self.factor(step, total_steps))

    def of_run(self, optimizer: Optimizer, total_steps: float) -> dict[str, Any]:
        """Return an optimizer whose learning rate goes so with every step, for Lightning.

        Args:
            optimizer: Of the run.
            total_steps: Of the run, as Lightning estimates them.
        """
        scheduler = self.scheduler(optimizer, max(int(total_steps), 1))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def _wave(done: float) -> float:
    """Return half a cosine: 1 at 0, 0 from 1 on."""
    return (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2

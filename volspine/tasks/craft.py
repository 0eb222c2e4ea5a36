"""Craft: what a recipe may turn on beside the plain training of a grader.

    mixup            studies over one another; see `mixing`
    channels_last    weights, and with them what flows through convolutions, lie channel by channel

Neither is on by default. The second changes how numbers lie in memory and nothing else but the
order in which they are summed; what it is worth depends on the machine.
"""

from dataclasses import dataclass

import torch
from torch import nn

from volspine.errors import ConfigurationError

__all__ = ["Craft", "lay_channels_last"]

_LARGEST_ALPHA = 10.0
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


@dataclass(frozen=True, kw_only=True)
class Craft:
    """What is done beside the plain training of a grader.

    Attributes:
        mixup: The Beta distribution's parameter of `mixing.draw_mix`; 0 mixes nothing.
        channels_last: Whether the weights of 2D and 3D convolutions lie channels last.

    Raises:
        ConfigurationError: If there is no such distribution.
    """

    mixup: float = 0.0
    channels_last: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.mixup <= _LARGEST_ALPHA:
            raise ConfigurationError(
                f"mixup {self.mixup:g} is no parameter to mix by",
                remedy=f"give a number from 0 (nothing is mixed) to {_LARGEST_ALPHA:g}",
                code="VS-CFG-410",
            )

    def check(self, grader: nn.Module) -> None:
        """Check that a grader can be trained so.

        Raises:
            ConfigurationError: If it is told where to look, and would be told two places.
        """
        if self.mixup and getattr(grader, "takes_marks", False):
            raise ConfigurationError(
                f"mixup and a {type(grader).__name__} do not go together: in training it is told "
                "where to look, and two studies that lie over one another have two such places",
                remedy="set model.craft.mixup to 0, or use another grader",
                code="VS-CFG-411",
            )


@torch.no_grad()
def lay_channels_last(module: nn.Module) -> None:
    """Lay the weights of a network's 2D and 3D convolutions channels last, in place."""
    for weights in module.parameters():
        layout = _LAYOUTS.get(weights.ndim)
        if layout is not None:
            weights.data = weights.data.contiguous(memory_format=layout)

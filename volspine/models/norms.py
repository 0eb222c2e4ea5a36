"""Norms: a published network with its batch norms, or with group norms in their place.

Batch normalisation fails at the batch sizes that volumes allow (Wu & He, "Group Normalization",
2018); where a batch of studies is a batch of many boxes or slices it does not, and a plain network
such as VGG learns by it alone.
"""

import math

from torch import Tensor, nn

from volspine.errors import ConfigurationError

__all__ = ["choose_norms", "replace_batch_norms"]

_NORMS = ("group", "batch")
_MAX_GROUPS = 8


class _GroupNormAct(nn.GroupNorm):
    """Group norm and activation in place of timm-3d's batch norm and activation."""

    def __init__(self, norm: nn.BatchNorm3d) -> None:
        super().__init__(math.gcd(norm.num_features, _MAX_GROUPS), norm.num_features, norm.eps)
        self.load_state_dict({"weight": norm.weight, "bias": norm.bias})
        self.drop = getattr(norm, "drop", nn.Identity())
        self.act = getattr(norm, "act", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.act(self.drop(super().forward(x)))
        return result


def choose_norms(network: nn.Module, norm: str) -> None:
    """Leave a network the batch norms it was published with, or put group norms in their place.

    Args:
        network: Changed in place.
        norm: `batch` or `group`.

    Raises:
        ConfigurationError: If it is another norm.
    """
    if norm not in _NORMS:
        raise ConfigurationError(
            f"norm {norm!r} is not offered",
            remedy=f"choose {' or '.join(_NORMS)}",
            code="VS-CFG-291",
        )
    if norm == "group":
        replace_batch_norms(network)


def replace_batch_norms(module: nn.Module) -> None:
    """Put a group norm, with its activation, in the place of every batch norm."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm3d):
            setattr(module, name, _GroupNormAct(child))
        else:
            replace_batch_norms(child)

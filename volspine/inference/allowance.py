"""Allowance: a network may not be built larger than the weights that come with it.

A recipe is plain data, but its numbers size a network: a hostile one could ask for more memory than
there is, or for layers without end, before any weight is looked at. While a network is built, each
tensor that torch is asked to create is measured on the `meta` device, which takes no memory, and
counted against what the file holds:

    elements created <= 4 x elements in the file + 2^27
    tensors created  <= 16 x tensors in the file + 4096

What is created besides the weights are buffers, values that are drawn and thrown away, and the rest
of a published network that is cut early: up to 66 million elements, for a resnet34.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from volspine.errors import ConfigurationError

__all__ = ["Allowance"]

_CREATORS = frozenset({torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones,
                       torch.rand, torch.randn, torch.zeros})  # fmt: skip


class Allowance(TorchFunctionMode):
    """A context in which a network is built; what exceeds the allowance is refused beforehand.

    Args:
        state: The weights that the network is to hold.

    Raises:
        ConfigurationError: Inside the context, when too much is asked for.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._elements = 4 * sum(tensor.numel() for tensor in state.values()) + 2**27
        self._tensors = 16 * len(state) + 4096

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, if it creates no more than is left."""
        del types
        options = dict(kwargs or {})
        if func in _CREATORS and options.get("out") is None:
            planned = func(*args, **{**options, "device": "meta"})
            self._spend(math.prod(planned.shape))
        return func(*args, **options)

    def _spend(self, elements: int) -> None:
        self._elements -= elements
        self._tensors -= 1
        if self._elements < 0 or self._tensors < 0:
            raise ConfigurationError(
                "it asks for a network that is larger than its weights",
                remedy="get the bundle again",
                code="VS-CFG-130",
            )

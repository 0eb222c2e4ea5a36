"""The tensors of a bundle: from the bytes of a safetensors file into a network, checked on the way.

A network is built from plain data by one of our own builders, no larger than the weights that come
with it; then names, shapes and types of all tensors must be its own. Nothing else is accepted, and
no pickle is ever opened.

Weights may be kept in half precision, which takes half the room; they are computed with in full.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from volspine.errors import ConfigurationError, WeightsError
from volspine.inference.allowance import Allowance

__all__ = ["described", "filled", "halved", "malformed", "parse_weights", "plain_tensors",
           "widened"]  # fmt: skip

_REMEDY = "get the bundle again, or make it again with: volspine bundle"

Build = Callable[[Mapping[str, Any]], nn.Module]


def parse_weights(data: bytes, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Args:
        data: Its content.
        path: File to name in errors.

    Raises:
        WeightsError: If it is of another format, or a value is not finite.
    """
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise malformed(path.name, "is not in the safetensors format", path) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise malformed(path.name, f"has a value that is not finite in {name[:80]!r}", path)
    return tensors


def malformed(name: str, what: str, path: Path | None = None) -> WeightsError:
    """Return the error of a file of a bundle that is not what it should be."""
    return WeightsError(f"{name} {what}", path=path, remedy=_REMEDY, code="VS-WGT-004")


def described(data: bytes) -> dict[str, str | int]:
    """Return what the card says of a file."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def filled(
    build: Build, model: Mapping[str, Any], state: Mapping[str, Tensor], path: Path
) -> nn.Module:
    """Return the network that a recipe describes with a state loaded, in evaluation mode.

    Args:
        build: From the recipe to the network; it must know a closed list.
        model: The recipe; plain data.
        state: All tensors of the network.
        path: File to name in errors.

    Raises:
        WeightsError: If the recipe does not build a network, or the state is not its own.
    """
    try:
        with Allowance(state):
            network = build(model)
    except (ConfigurationError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise WeightsError(
            f"the recipe does not build one of our models: {str(error)[:200]}",
            path=path,
            remedy=_REMEDY,
            code="VS-WGT-005",
        ) from error
    _check_fit(network, state, path)
    network.load_state_dict(dict(state))
    return network.eval()


def _check_fit(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    expected = {name: (t.shape, t.dtype) for name, t in network.state_dict().items()}
    found = {name: (t.shape, t.dtype) for name, t in state.items()}
    if expected != found:
        odd = min(n for n in {*expected, *found} if expected.get(n) != found.get(n))
        raise WeightsError(
            f"the weights do not fit the recipe's model: {odd[:80]!r} is {_shown(found.get(odd))}, "
            f"not {_shown(expected.get(odd))}",
            path=path,
            remedy=_REMEDY,
            code="VS-WGT-006",
        )


def _shown(entry: tuple[torch.Size, torch.dtype] | None) -> str:
    return (
        "absent" if entry is None else f"{tuple(entry[0])} {str(entry[1]).removeprefix('torch.')}"
    )


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return float32 tensors in half precision, but for those whose values it cannot hold."""
    largest = torch.finfo(torch.float16).max
    return {
        name: tensor.half()
        if tensor.dtype == torch.float32 and bool((tensor.abs() <= largest).all())
        else tensor
        for name, tensor in state.items()
    }


def widened(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of half precision as float32, the others as they are."""
    return {n: t.float() if t.dtype == torch.float16 else t for n, t in state.items()}


def plain_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies on the CPU, since safetensors refuses tensors that share memory."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}

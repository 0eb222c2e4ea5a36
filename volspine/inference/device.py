"""Which processor computes: a name to a torch device that is really there.

`auto` takes a GPU that works and otherwise the CPU, and logs which; a device that is named must
exist. What runs out of memory is tried once with less, then reported.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from volspine.errors import DeviceError

__all__ = [
    "exact_arithmetic",
    "is_out_of_memory",
    "resolve_device",
    "with_less_on_memory_error",
]

T = TypeVar("T")

log = logging.getLogger("volspine")


def resolve_device(name: str = "auto") -> torch.device:
    """Return a device that works.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        DeviceError: If a named device is unknown or not there.
    """
    if name == "auto":
        return _automatic()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _absent(name, "is no device") from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise _absent(name, "is not supported")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= count:
        raise _absent(name, f"is not there; this machine has {count} CUDA devices")
    return device


def with_less_on_memory_error(
    whole: Callable[[], T], in_parts: Callable[[], T], device: torch.device
) -> T:
    """Return what `whole` computes, or if memory runs out, what `in_parts` does.

    Raises:
        DeviceError: If memory runs out a second time.
    """
    try:
        return whole()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        log.warning("%s ran out of memory; trying again with a smaller batch", device)
    # Outside the handler, so that the first attempt's tensors are free by now.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        return in_parts()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(
            f"{device} has too little memory for this model, even for one volume at a time",
            remedy="free memory, choose --device cpu, or use a bundle with a smaller grid",
            code="VS-DEV-002",
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error of torch says that memory ran out, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _automatic() -> torch.device:
    if not torch.cuda.is_available():
        log.info("no CUDA device; computing on the CPU")
        return torch.device("cpu")
    try:
        torch.zeros(1, device="cuda")
    except RuntimeError as error:
        log.warning("the CUDA device does not work (%s); using the CPU", type(error).__name__)
        return torch.device("cpu")
    log.info("computing on CUDA device 0")
    return torch.device("cuda", 0)


def _absent(name: str, what: str) -> DeviceError:
    return DeviceError(
        f"device {name[:40]!r} {what}",
        remedy="use auto, cpu, cuda or cuda:N",
        code="VS-DEV-001",
    )


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Compute in float32 as it is written: no TF32, no choice of algorithm by timing."""
    cudnn = torch.backends.cudnn
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before

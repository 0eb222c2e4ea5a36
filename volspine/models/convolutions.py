"""Convolutions whose gradients are right on maps smaller than their kernel.

In bfloat16 on a processor, PyTorch (2.13, by oneDNN) gives wrong gradients of the weights, and
writes beyond its memory, where a kernel is longer than the map that it passes over: a kernel of 3
over 2 slices, say, or of stride 2 over 1 (of the latter compare issue 169688 of PyTorch). Deep maps
of small boxes are that small. Where the padding is put around the map first, the kernel fits in,
and both are as they should be.
"""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Conv2d", "Conv3d", "pad_small_map"]


def pad_small_map(
    x: Tensor, kernel: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[Tensor, Sequence[int]]:
    """Return a map with its padding around it if a kernel is longer than it, and what is left.

    Args:
        x: Map; its last axes are those that the kernel passes over.
        kernel: Cells of the kernel along each of them.
        padding: Zeros that a convolution is to put at either end.
        dilation: Steps from cell to cell of the kernel.

    Returns:
        The map, and the padding that the convolution has still to put there.

    Example:
        >>> import torch
        >>> pad_small_map(torch.ones(1, 1, 2), [3], [1], [1])
        (tensor([[[0., 1., 1., 0.]]]), [0])
    """
    lengths = [step * (n - 1) + 1 for n, step in zip(kernel, dilation, strict=True)]
    sizes = x.shape[-len(lengths) :]
    if all(size >= length for size, length in zip(sizes, lengths, strict=True)):
        return x, padding
    ends = [zeros for zeros in reversed(padding) for _ in range(2)]
    return F.pad(x, ends), [0] * len(lengths)


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d` over maps of any size."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved map."""
        given = cast("tuple[int, ...]", self.padding)  # In cells, never by name.
        x, padding = pad_small_map(x, self.kernel_size, given, self.dilation)
        options = (self.stride, tuple(padding), self.dilation, self.groups)
        return F.conv2d(x, self.weight, self.bias, *options)


class Conv3d(nn.Conv3d):
    """`torch.nn.Conv3d` over maps of any size."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved map."""
        given = cast("tuple[int, ...]", self.padding)  # In cells, never by name.
        x, padding = pad_small_map(x, self.kernel_size, given, self.dilation)
        options = (self.stride, tuple(padding), self.dilation, self.groups)
        return F.conv3d(x, self.weight, self.bias, *options)

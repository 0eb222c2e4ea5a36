"""Tokens in three dimensions: from a volume to patches that attend to one another.

    token[a, b, c] = norm(stem(volume))[a, b, c] + p[a] + q[b] + r[c]

The stem is linear in the voxels of its own patch (Dosovitskiy et al., "An image is worth 16x16
words", 2021) or a few strided convolutions with group norm (Xiao et al., "Early convolutions help
transformers see better", 2021). Positions are learned for each axis apart, since a sum of a + b + c
vectors can be learned from few studies and one for each of a b c cells cannot. The norm is of each
number over all tokens of a volume: what they have in common, such as that all was measured, would
drown the little in which they differ. The transformer is torch's own, with the norm before what it
feeds.

Shapes:
    B  volumes    C  channels    I J K  voxels    i j k  patches, N of them    E  width of a token
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from volspine.errors import ConfigurationError
from volspine.models.convolutions import Conv3d

__all__ = [
    "STEMS",
    "ConvolutionalStem",
    "PatchStem",
    "PatchTokens",
    "Transformer",
    "VitOptions",
]

_START = 0.3  # Standard deviation of positions, beside content of standard deviation 1.
_GROUPS = 8
_MLP = 2  # Hidden units of a layer for each number of a token.


@dataclass(frozen=True, kw_only=True)
class VitOptions:
    """Sizes of a transformer of patches; plain data.

    Attributes:
        patch: Voxels of a patch along i, j, k; powers of two, as all strides of this library.
        width: Length of a token.
        layers: Times that tokens attend to one another.
        heads: Of attention.
        dropout: Share of numbers that training silences at random.

    Raises:
        ConfigurationError: If a number cannot work.
    """

    patch: Sequence[int] = (4, 8, 8)
    width: int = 96
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        whole = len(self.patch) == 3 and all(p > 0 and p & (p - 1) == 0 for p in self.patch)
        counts = (self.width, self.layers, self.heads)
        if not whole or min(counts) < 1 or self.width % self.heads or not 0 <= self.dropout < 1:
            raise ConfigurationError(
                f"tokens of patches {list(self.patch)[:4]}, width {self.width}, {self.layers} "
                f"layers, {self.heads} heads and dropout {self.dropout:g} cannot be",
                remedy="give three powers of two, a width that is a multiple of heads, a layer or "
                "more, and dropout from 0 to below 1",
                code="VS-CFG-195",
            )

    def cells(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Return the patches along each axis.

        Args:
            shape: Voxels along i, j, k.

        Raises:
            ConfigurationError: If patches do not fill it.
        """
        if len(shape) != 3 or any(n < p or n % p for n, p in zip(shape, self.patch, strict=True)):
            raise ConfigurationError(
                f"patches of {list(self.patch)} voxels do not fill a volume of {list(shape)[:4]}",
                remedy="give each axis a multiple of its patch; nothing is padded or cut off",
                code="VS-CFG-196",
            )
        i, j, k = (n // p for n, p in zip(shape, self.patch, strict=True))
        return i, j, k

    def plain(self) -> dict[str, Any]:
        """Return the options as a recipe holds them."""
        return {**asdict(self), "patch": [int(p) for p in self.patch]}


class PatchStem(nn.Module):
    """A linear map of all voxels of a patch.

    Args:
        in_channels: Channels C.
        options: Patch and width.
    """

    def __init__(self, in_channels: int, options: VitOptions) -> None:
        super().__init__()
        self.patch = tuple(options.patch)
        a, b, c = self.patch
        self.project = nn.Linear(in_channels * a * b * c, options.width)

    def forward(self, volume: Float[Tensor, "B C I J K"]) -> Float[Tensor, "B N E"]:
        """Return a token for each patch, k fastest."""
        cut = volume
        for axis, size in zip((2, 3, 4), self.patch, strict=True):
            cut = cut.unfold(axis, size, size)  # B C i j k a b c
        flat = cut.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(1, 3).flatten(2)
        tokens: Tensor = self.project(flat)
        return tokens


class ConvolutionalStem(nn.Module):
    """Convolutions of stride 2 until a cell stands for a patch, each twice as wide as the last.

    An axis with fewer halvings than others is halved last, where fewer voxels are left.

    Args:
        in_channels: Channels C.
        options: Patch and width.
    """

    def __init__(self, in_channels: int, options: VitOptions) -> None:
        super().__init__()
        halvings = [p.bit_length() - 1 for p in options.patch]
        steps = max(*halvings, 1)
        channels = in_channels
        made: list[nn.Module] = []
        for step in range(steps):
            i, j, k = (2 if steps - step <= h else 1 for h in halvings)
            wider = max(_GROUPS, options.width >> (steps - 1 - step))
            wider -= wider % _GROUPS
            made += [
                Conv3d(channels, wider, 3, stride=(i, j, k), padding=1, bias=False),
                nn.GroupNorm(_GROUPS, wider),
                nn.GELU(),
            ]
            channels = wider
        self.convolve = nn.Sequential(*made)
        self.project = nn.Linear(channels, options.width)

    def forward(self, volume: Float[Tensor, "B C I J K"]) -> Float[Tensor, "B N E"]:
        """Return a token for each cell, k fastest."""
        tokens: Tensor = self.project(self.convolve(volume).flatten(2).transpose(1, 2))
        return tokens


STEMS: Mapping[str, type[PatchStem | ConvolutionalStem]] = {
    "patch": PatchStem,
    "convolutional": ConvolutionalStem,
}
"""How voxels become tokens."""


class PatchTokens(nn.Module):
    """Voxels to tokens that know their place.

    Args:
        shape: Voxels along i, j, k.
        options: Patch, width and dropout.
        in_channels: Channels C.
        stem: Name in `STEMS`.

    Raises:
        ConfigurationError: If patches do not fill the shape.
    """

    def __init__(
        self, shape: Sequence[int], options: VitOptions, *, in_channels: int, stem: str
    ) -> None:
        super().__init__()
        self.cells = options.cells(shape)
        self.stem = STEMS[stem](in_channels, options)
        self.norm = nn.GroupNorm(options.width, options.width)
        self.places = nn.ParameterList(torch.randn(n, options.width) * _START for n in self.cells)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, volume: Float[Tensor, "B C I J K"]) -> Float[Tensor, "B N E"]:
        """Return the tokens, k fastest."""
        made = self.norm(self.stem(volume).transpose(1, 2)).transpose(1, 2)
        tokens: Tensor = self.dropout(made + self.position())
        return tokens

    def position(self) -> Float[Tensor, "N E"]:
        """Return what each token is told of its place: the sum of one vector for each axis."""
        p, q, r = self.places
        total: Tensor = p[:, None, None] + q[None, :, None] + r[None, None]
        return total.flatten(0, 2)


class Transformer(nn.Module):
    """Layers of self-attention among all tokens, then a norm.

    Each layer is made on its own: `nn.TransformerEncoder` would copy one, and they would start
    equal. Attention itself has no dropout, which would cost its fused form.

    Args:
        options: Width, layers, heads and dropout.
    """

    def __init__(self, options: VitOptions) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_layer(options) for _ in range(options.layers))
        self.norm = nn.LayerNorm(options.width)

    def forward(self, tokens: Float[Tensor, "B N E"]) -> Float[Tensor, "B N E"]:
        """Return the tokens, each with what it heard from all."""
        for layer in self.layers:
            tokens = layer(tokens)
        heard: Tensor = self.norm(tokens)
        return heard


def _layer(options: VitOptions) -> nn.TransformerEncoderLayer:
    made = nn.TransformerEncoderLayer(
        options.width,
        options.heads,
        dim_feedforward=_MLP * options.width,
        dropout=options.dropout,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    made.self_attn.dropout = 0.0
    return made

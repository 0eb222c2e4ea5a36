"""Pooling: from one map of features to one feature vector for each target.

`GlobalAveragePooling` gives every target the same average. `TargetAttentionPooling` asks each
cell of the map, with one learned query a target, "are you the place of this target?":

    a[t, cell] = softmax over cells of  q[t] . (K x[cell] + P u[cell]) / sqrt(D)
    feature[t] = sum over cells of  a[t, cell] * x[cell]

where x are the normalised features of a cell and u its position as sines and cosines (Vaswani et
al., "Attention is all you need", 2017). The attention map is an output of its own: it can be shown,
and it can be taught where to look (`guidance_loss`).

Shapes:
    B  studies    F  features    D  width of query and key    T  targets    i j k  feature cells
"""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from volspine.vocabulary import CHALLENGE, Vocabulary

__all__ = ["GlobalAveragePooling", "Pooling", "TargetAttentionPooling", "position_code"]


class Pooling(nn.Module, ABC):
    """What every pooling does: a feature map in, a vector for each target and a map out.

    Args:
        num_features: Features F of a cell, and of each vector that comes out.
        vocabulary: What is graded.
    """

    def __init__(self, num_features: int, vocabulary: Vocabulary = CHALLENGE) -> None:
        super().__init__()
        self.num_features = num_features
        self.num_targets = len(vocabulary.targets)

    @abstractmethod
    def forward(
        self, features: Float[Tensor, "B F i j k"]
    ) -> tuple[Float[Tensor, "B T F"], Float[Tensor, "B T i j k"] | None]:
        """Return the vectors, and where each was taken from (summing to one) if that is learned."""


class GlobalAveragePooling(Pooling):
    """The average over the whole map, the same for every target."""

    def forward(self, features: Float[Tensor, "B F i j k"]) -> tuple[Float[Tensor, "B T F"], None]:
        """Return the average feature of each study, repeated for every target."""
        average = features.mean(dim=(2, 3, 4))
        return average[:, None].expand(-1, self.num_targets, -1), None


def position_code(shape: tuple[int, int, int], num_frequencies: int) -> Float[Tensor, "N E"]:
    """Return sines and cosines of the position of each cell of a map.

    A coordinate runs from -1 to 1 over the whole extent of its axis, so the centre of cell c of n
    is at (2 c + 1) / n - 1; wavelengths are 4, 2, 1 ... of these units.

    Args:
        shape: Number of cells along i, j, k.
        num_frequencies: Wavelengths for each axis.

    Returns:
        One row a cell, k fastest; 6 columns a frequency.

    Example:
        >>> [round(x, 2) for x in position_code((2, 1, 1), 1)[0].tolist()]
        [-0.71, 0.0, 0.0, 0.71, 1.0, 1.0]
    """
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in shape]
    coordinates = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    waves = math.pi / 2 * 2.0 ** torch.arange(num_frequencies)
    angles = (coordinates[:, None] * waves[:, None]).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class TargetAttentionPooling(Pooling):
    """One learned query a target attends over the cells of the map.

    Args:
        num_features: Features F of a cell.
        vocabulary: What is graded.
        width: Length D of queries and keys.
        num_frequencies: Wavelengths of the position code for each axis; the finest, 4 over 2 to
            the power of this less one, should not be below two cells.
    """

    def __init__(
        self,
        num_features: int,
        vocabulary: Vocabulary = CHALLENGE,
        *,
        width: int = 64,
        num_frequencies: int = 5,
    ) -> None:
        super().__init__(num_features, vocabulary)
        self.num_frequencies = num_frequencies
        self.norm = nn.LayerNorm(num_features)
        self.content = nn.Linear(num_features, width, bias=False)
        self.position = nn.Linear(6 * num_frequencies, width, bias=False)
        self.queries = nn.Parameter(torch.randn(self.num_targets, width))

    def forward(
        self, features: Float[Tensor, "B F i j k"]
    ) -> tuple[Float[Tensor, "B T F"], Float[Tensor, "B T i j k"]]:
        """Return the attended features of each target and its attention map."""
        b, _, i, j, k = features.shape
        tokens = self.norm(features.flatten(2).transpose(1, 2))  # B N F
        code = position_code((i, j, k), self.num_frequencies).to(tokens)
        keys = self.content(tokens) + self.position(code)
        scores = torch.einsum("td,bnd->btn", self.queries, keys) / math.sqrt(keys.shape[-1])
        attention = scores.float().softmax(dim=-1)
        return attention.to(tokens.dtype) @ tokens, attention.view(b, -1, i, j, k)

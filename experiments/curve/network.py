"""A small network: patches of every target in, log-probabilities of its grades out.

Each view has an encoder of its own, in which the slices of a patch are channels; what it says is
added to that of the finding's other view. The package's shared head and cumulative link follow.

Shapes: B studies; T targets of a finding; D slices; S pixels; F features; 25 targets; 3 grades.
"""

from collections.abc import Sequence

import torch
from curve.patches import VIEWS, View
from torch import Tensor, nn

from volspine.anatomy import Finding
from volspine.models.heads import SharedHead
from volspine.models.link import CumulativeLink

FEATURES = 64
WIDTHS = (16, 32)


def layer(inside: int, outside: int, kernel: int, stride: int) -> nn.Sequential:
    """Return a convolution with its norm and activation."""
    convolution = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(8, outside), nn.SiLU())


def encoder(view: View, dropout: float) -> nn.Sequential:
    """Return the network of one view: (B T, D, S, S) to (B T, F)."""
    first, second = WIDTHS
    return nn.Sequential(
        layer(view.slices, first, 5, 2),
        layer(first, second, 3, 2),
        layer(second, second, 3, 1),
        nn.AdaptiveAvgPool2d(5),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(25 * second, FEATURES),
    )


class SmallGrader(nn.Module):
    """Grades the 25 targets of studies from patches around them.

    Args:
        dropout: Share of features that training silences at random.
    """

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoder(view, dropout) for view in VIEWS)
        self.head = SharedHead(FEATURES, hidden=64, dropout=dropout)
        self.link = CumulativeLink()

    def forward(self, patches: Sequence[Tensor]) -> Tensor:
        """Return log-probabilities, (B, 25, 3), of patches (B, T, D, S, S), one for each view."""
        seen: dict[Finding, Tensor] = {}
        for view, encode, patch in zip(VIEWS, self.encoders, patches, strict=True):
            features = encode(patch.flatten(0, 1)).unflatten(0, patch.shape[:2])
            seen[view.finding] = seen.get(view.finding, 0) + features
        scores: Tensor = self.head(torch.cat([seen[f] for f in Finding], dim=1))
        log_probs: Tensor = self.link(scores)
        return log_probs

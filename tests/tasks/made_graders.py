"""A grader small enough to train in a second."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from volspine.models.grader import Graded
from volspine.models.link import CumulativeLink


class TinyGrader(nn.Module):
    """Two numbers a view and half of the body, one linear layer, and the real link."""

    def __init__(self, *, scale: float = 1.0, shape: Sequence[int] = (8, 20, 24)) -> None:
        super().__init__()
        self.shape = [int(n) for n in shape]
        self.linear = nn.Linear(12, 25)
        self.link = CumulativeLink()
        self.scale = scale

    @property
    def recipe(self) -> dict[str, object]:
        return {"grader": "TinyGrader", "scale": self.scale, "shape": self.shape}

    def forward(self, volume: Tensor) -> Graded:
        half = volume.shape[2] // 2
        sides = [volume[:, :, :half], volume[:, :, -half:]]
        features = torch.cat([side.mean(dim=(2, 3, 4)) for side in sides], dim=1)
        severity = self.linear(features) * self.scale
        return Graded(self.link(severity[..., None]), severity, None)

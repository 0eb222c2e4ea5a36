"""DeepLabV3+ on slices (Chen et al., "Encoder-decoder with atrous separable convolution", 2018).

    coarse map -atrous pyramid-> context -attention, if any-> enlarged  +
    fine map   -1x1-> narrowed                                          =  joined -3x3-> features

The pyramid looks at the coarse map through filters whose taps lie 1, r1, r2 ... cells apart, and at
its average. The decoder joins that with the fine map, so that edges stay where they are.

Shapes:
    N  slices    F G  features    D  width of the decoder    j k  cells
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.errors import ConfigurationError
from volspine.models.convolutions import Conv2d
from volspine.models.spineone_attention import DualAttention

__all__ = ["AtrousPyramid", "Decoder"]

_GROUPS = 8
_FINE = 48  # Features kept of the fine map, as published: context shall not drown in it.


class AtrousPyramid(nn.Module):
    """Filters of several reaches side by side, and the average of the slice; the size stays.

    Args:
        num_features: Features of the map.
        width: Features of every branch, and of the result.
        rates: Cells between the taps of each 3x3 branch.

    Raises:
        ConfigurationError: If a rate is not positive.
    """

    def __init__(self, num_features: int, *, width: int, rates: Sequence[int]) -> None:
        super().__init__()
        if not rates or min(rates) < 1:
            raise ConfigurationError(
                f"an atrous pyramid of rates {list(rates)} is not possible",
                remedy="give one or more rates of at least 1",
                code="VS-CFG-265",
            )
        self.branches = nn.ModuleList(
            [_block(num_features, width), *(_block(num_features, width, rate=r) for r in rates)]
        )
        self.average = nn.Sequential(Conv2d(num_features, width, 1), nn.ReLU())
        self.joined = _block(width * (len(rates) + 2), width)

    def forward(self, maps: Float[Tensor, "N F j k"]) -> Float[Tensor, "N D j k"]:
        """Return what all branches say together."""
        whole = self.average(maps.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *maps.shape[2:])
        branches = [branch(maps) for branch in self.branches]
        result: Tensor = self.joined(torch.cat([*branches, whole.to(branches[0].dtype)], dim=1))
        return result


class Decoder(nn.Module):
    """From a fine and a coarse map to one map of features, as fine as the finer.

    Args:
        fine: Features of the fine map.
        coarse: Features of the coarse map.
        width: Features D of the result; a multiple of 8.
        rates: Of the atrous pyramid.
        attention: Whether positions and channels attend to one another between pyramid and decoder.

    Raises:
        ConfigurationError: If the width or a rate is not possible.
    """

    def __init__(
        self, fine: int, coarse: int, *, width: int, rates: Sequence[int], attention: bool
    ) -> None:
        super().__init__()
        if width < _GROUPS or width % _GROUPS:
            raise ConfigurationError(
                f"a decoder of width {width} is not possible",
                remedy=f"choose a multiple of {_GROUPS}",
                code="VS-CFG-265",
            )
        self.pyramid = AtrousPyramid(coarse, width=width, rates=rates)
        self.attention = DualAttention(width) if attention else nn.Identity()
        self.narrow = _block(fine, _FINE)
        self.joined = nn.Sequential(
            _block(width + _FINE, width, rate=1), _block(width, width, rate=1)
        )

    def forward(
        self, fine: Float[Tensor, "N F j k"], coarse: Float[Tensor, "N G j16 k16"]
    ) -> Float[Tensor, "N D j k"]:
        """Return the features of every cell of the fine map."""
        context = self.attention(self.pyramid(coarse))
        size = (int(fine.shape[2]), int(fine.shape[3]))
        enlarged = F.interpolate(context, size=size, mode="bilinear", align_corners=False)
        result: Tensor = self.joined(torch.cat([enlarged, self.narrow(fine)], dim=1))
        return result


def _block(features: int, width: int, *, rate: int = 0) -> nn.Sequential:
    """Return convolution, group norm and ReLU: 3x3 with taps `rate` cells apart, 1x1 at rate 0."""
    size, gap = (3, rate) if rate else (1, 1)
    return nn.Sequential(
        Conv2d(features, width, size, padding=rate, dilation=gap, bias=False),
        nn.GroupNorm(_GROUPS, width),
        nn.ReLU(),
    )

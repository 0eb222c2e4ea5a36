"""A closer look: from the place where each target was found to what small patches show there.

A region of some voxels is cut around every target, each of its patches becomes a token, and one
transformer reads all of them: a class token for each finding (canal, foramen, recess) attends to
the region and is what is said of the target. Right regions are cut mirrored, so one foramen is read
like any other, of either side and of all levels. That is what lets a transformer, which has
everything to learn from data, learn from few studies: of each there are ten foramina.

    region[t, a, b, c] = volume(point[t] + s (a - (A - 1) / 2, b - ..., c - ...)),  s mirrors a

Shapes:
    B  studies    T  targets    C  channels    I J K  voxels of the volume    a b c  of a region
    E  width of a token
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from volspine.anatomy import TARGETS, Finding, Side
from volspine.models.detect_boxes import box_steps, cut_boxes
from volspine.models.parts import Marks
from volspine.models.vit_tokens import PatchTokens, Transformer, VitOptions

__all__ = ["CloserLook", "CloserOptions", "places_near", "regions"]

_START = 0.02
_VOXEL = (1.0, 1.0, 1.0)  # Regions have voxels of the volume, whatever these are in millimetres.


@dataclass(frozen=True, kw_only=True)
class CloserOptions(VitOptions):
    """Sizes of a closer look; plain data.

    Attributes:
        region: Voxels of a region along i, j, k.

    Raises:
        ConfigurationError: If a number cannot work.
    """

    region: Sequence[int] = (8, 24, 24)
    patch: Sequence[int] = (2, 4, 4)
    width: int = 64
    layers: int = 3

    def plain(self) -> dict[str, object]:
        """Return the options as a recipe holds them."""
        return {**super().plain(), "region": [int(n) for n in self.region]}


class CloserLook(nn.Module):
    """Read the region around each target, all findings by one transformer.

    Args:
        options: Sizes.
        in_channels: Channels C.
        stem: How voxels become tokens.

    Raises:
        ConfigurationError: If patches do not fill a region.
    """

    finding: Tensor

    def __init__(self, options: CloserOptions, *, in_channels: int, stem: str) -> None:
        super().__init__()
        self.region = tuple(int(n) for n in options.region)
        self.tokens = PatchTokens(self.region, options, in_channels=in_channels, stem=stem)
        self.classes = nn.Parameter(torch.randn(len(Finding), options.width) * _START)
        self.transformer = Transformer(options)
        kinds = [list(Finding).index(target.finding) for target in TARGETS]
        self.register_buffer("finding", torch.tensor(kinds), persistent=False)

    def forward(
        self, volume: Float[Tensor, "B C I J K"], points: Float[Tensor, "B T 3"]
    ) -> Float[Tensor, "B T E"]:
        """Return what is seen around each target.

        Args:
            volume: The study.
            points: Where to look, as voxel indices (i, j, k).
        """
        cut = regions(volume, points, self.region).flatten(0, 1)
        tokens = self.tokens(cut)
        asked = self.classes[self.finding].to(tokens.dtype).repeat(len(volume), 1)[:, None]
        heard: Tensor = self.transformer(torch.cat([asked, tokens], dim=1))[:, 0]
        return heard.reshape(len(volume), len(TARGETS), -1)


def regions(
    volume: Float[Tensor, "B C I J K"], points: Float[Tensor, "B T 3"], shape: Sequence[int]
) -> Float[Tensor, "B T C a b c"]:
    """Return the voxels around each target; those of right sides mirrored.

    Interpolates linearly, since points lie between voxels; outside the volume all is zero.

    Args:
        volume: The study; i grows to the patient's right.
        points: Middle of each region, as voxel indices (i, j, k).
        shape: Voxels of a region along i, j, k.
    """
    steps = box_steps(shape, _VOXEL, _VOXEL).to(points.device)
    is_right = torch.tensor([t.side is Side.RIGHT for t in TARGETS], device=points.device)
    return cut_boxes(volume.float(), points, steps, is_right)


def places_near(
    found: Float[Tensor, "B T 3"], marks: Marks, reach: Sequence[float]
) -> Float[Tensor, "B T 3"]:
    """Return where to look in training: what was found near its mark, else a place near the mark.

    Args:
        found: Where each target was found, as voxel indices (i, j, k).
        marks: Where it is; without a mark, what was found stays.
        reach: How far from the mark is near, in voxels along i, j, k. Other places are drawn evenly
            within it.
    """
    within = torch.tensor(reach, device=found.device)
    near = ((found - marks.points).abs() <= within).all(dim=-1)
    drawn = marks.points + (2 * torch.rand_like(found) - 1) * within
    return torch.where((near | ~marks.has_point)[..., None], found, drawn)

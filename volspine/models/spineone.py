"""SpineOneGrader: marks and grades at once, from one heat map for each target and grade.

After SpineOne (He et al., "SpineOne: a one-stage detection framework for degenerative discs and
vertebrae", 2021): DeepLabV3+ on a residual network finds key points on a map for each severity, so
that the map that answers says the grade and the place says which target it is. Here it sees every
sagittal slice of the three images on one grid, each by itself, and says

    a[t, cell]  = softmax over cells of  sharpness log sum over grades of exp h[t, grade, cell]
    e[t, grade] = gain sum over cells of  a[t, cell] h[t, grade, cell]
    point[t]    = cell of most attention, plus its offset

with h the heat and e the evidence, of which a link makes probabilities: each grade's evidence, or,
for a link that reads one score, that of the worst grade less that of the mildest.

Shapes:
    B  studies    C  channels: three images, then three masks    I J K  voxels, RAS+
    T  targets    K  grades    i j k  cells
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from volspine.anatomy import PROTOCOLS, TARGETS, Finding
from volspine.models.guidance import cell_strides
from volspine.models.parts import (
    LINKS,
    Graded,
    Part,
    build_part,
    check_options,
    plain_part,
    split_part,
    unknown_name,
    without_weights,
)
from volspine.models.plane_backbone import PlaneBackbone
from volspine.models.spineone_maps import SeverityMaps, TargetMaps, decoded_points
from volspine.models.spineone_pyramid import Decoder

__all__ = ["SpineOneGrader"]

_CHANNELS = 2 * len(PROTOCOLS)
_FINDING = [list(Finding).index(target.finding) for target in TARGETS]
_RATES = (6, 12, 18)  # Of DeepLabV3+ at stride 16.
_OPTIONS = ("width", "rates")


class SpineOneGrader(nn.Module):
    """Grade a study by heat maps of marks, one for each grade of each target.

    Args:
        backbone: Name in `PLANE_BACKBONES`, or a dict of `name` and options of `PlaneBackbone`.
        decoder: `width` and atrous `rates` of the decoder.
        attention: Whether positions and channels attend to one another.
        offsets: Whether cells say the way to the mark.
        link: Name in `LINKS`, or a dict with options.
        shape: Voxels of the volume along i (to the patient's right), j (to anterior), k (up).

    Raises:
        ConfigurationError: If a part is not offered or does not take an option.
        WeightsError: If a weights file of the backbone is missing, damaged or of another network.
    """

    def __init__(
        self,
        *,
        backbone: Part = "resnet50",
        decoder: dict[str, Any] | None = None,
        attention: bool = True,
        offsets: bool = True,
        link: Part = "softmax",
        shape: Sequence[int] = (24, 96, 144),
    ) -> None:
        super().__init__()
        decoder = {"width": 64, "rates": list(_RATES), **(decoder or {})}
        for option in decoder:
            if option not in _OPTIONS:
                raise unknown_name("option of the decoder", option, _OPTIONS)
        self.hyperparameters: dict[str, Any] = {
            "backbone": plain_part(backbone),
            "decoder": decoder,
            "attention": attention,
            "offsets": offsets,
            "link": plain_part(link),
            "shape": [int(n) for n in shape],
        }
        name, options = split_part(backbone)
        check_options(PlaneBackbone, name, options)
        self.backbone = PlaneBackbone(name, **{"in_channels": _CHANNELS, **options})
        self.decoder = Decoder(*self.backbone.num_features, attention=attention, **decoder)
        self.maps = SeverityMaps(int(decoder["width"]), offsets=offsets)
        self.link = build_part(LINKS, "link", link)
        self.log_sharpness = nn.Parameter(torch.zeros(len(Finding)))
        self.log_gain = nn.Parameter(torch.zeros(len(Finding)))

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which `build_grader` makes the same network, without its weights."""
        return {"grader": type(self).__name__, **without_weights(self.hyperparameters, "backbone")}

    def forward(self, volume: Float[Tensor, "B C I J K"]) -> Graded:
        """Return the grades of a batch of studies, with `heat` and `offset` among the extras.

        Args:
            volume: Normalised images of the protocols, then their masks; see `anatomy.PROTOCOLS`.
        """
        maps = self._maps(volume)
        heat, offset = maps.heat, maps.offset
        whole = heat.logsumexp(dim=2).flatten(2) * self.log_sharpness[_FINDING, None].exp()
        attention = whole.softmax(dim=-1)
        evidence = torch.einsum("btn,btgn->btg", attention, heat.flatten(3))
        scores = self._scores(evidence * self.log_gain[_FINDING, None].exp())
        looked = attention.view(*attention.shape[:2], *heat.shape[3:])
        return Graded(
            self.link(scores),
            self.link.severity(scores),
            looked,
            points=decoded_points(looked, offset, cell_strides(volume.shape[2:], heat.shape[3:])),
            extras={"heat": heat} if offset is None else {"heat": heat, "offset": offset},
        )

    def _maps(self, volume: Float[Tensor, "B C I J K"]) -> TargetMaps:
        slices = volume.transpose(1, 2).flatten(0, 1)  # slices of one study after one another
        result: TargetMaps = self.maps(self.decoder(*self.backbone(slices)), volume.shape[2])
        return result

    def _scores(self, evidence: Float[Tensor, "B T K"]) -> Float[Tensor, "B T S"]:
        """Return what the link reads."""
        if self.link.num_scores == evidence.shape[-1]:
            return evidence
        return evidence[..., -1:] - evidence[..., :1]

"""ViewsGrader: a study's axial images, its sagittal ones, or both, to its 25 ordered grades.

A *stream* is the study as one orientation shows it: the volume with the images and masks of the
other one set to zero, so that every image keeps its own channel. One trunk reads all streams.

    volume -only its images-> stream -trunk-> feature map -attention-> a vector a target
    vectors of the streams -gate-> one vector a target -a head for each condition-> score -> grades

Of both streams each counts, for target t, by a learned gate g of the target's condition and by how
much of its look m[s, t] fell on cells with something measured:

    w[s, t] = softmax over s of  ( g[s, condition of t] + log m[s, t] )

The same heads also say what each stream alone would: that is what `views_loss.ViewsLoss` compares.

Shapes:
    B  studies    C  channels: three images, then three masks    I J K  voxels, RAS+
    S  streams    T  targets    K  grades    F  features         i j k  feature cells
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.anatomy import PROTOCOLS, TARGETS, Condition, Protocol
from volspine.models.backbones import Backbone
from volspine.models.parts import (
    HEADS,
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
from volspine.models.pooling import Pooling, TargetAttentionPooling

__all__ = ["ORIENTATIONS", "STREAMS", "ViewsGrader", "only_orientation"]

ORIENTATIONS: Mapping[str, tuple[Protocol, ...]] = {
    "axial": (Protocol.AXIAL_T2,),
    "sagittal": (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2),
}
"""The protocols of each orientation."""

STREAMS: Mapping[str, tuple[str, ...]] = {
    "axial": ("axial",),
    "sagittal": ("sagittal",),
    "both": ("axial", "sagittal"),
}
"""The orientations that a choice reads, in the order of the axis S."""

SEEN_SHARE = 0.5
"""Least part of a look that must have fallen on what its stream measured, for it to have a say."""

_POOLINGS: Mapping[str, type[Pooling]] = {"attention": TargetAttentionPooling}
_CHANNELS = 2 * len(PROTOCOLS)
_CONDITION = [list(Condition).index(target.condition) for target in TARGETS]
_LEAST = 1e-4  # Share of a stream that saw nothing: little, since its logarithm must be finite.


def only_orientation(
    volume: Float[Tensor, "B C I J K"], orientation: str
) -> Float[Tensor, "B C I J K"]:
    """Return the volume with the images and masks of all other orientations set to zero.

    Args:
        volume: Images of the protocols, then their masks; see `anatomy.PROTOCOLS`.
        orientation: Name in `ORIENTATIONS`.

    Example:
        >>> only_orientation(torch.ones(1, 6, 1, 1, 1), "axial").flatten().tolist()
        [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    """
    kept = [float(protocol in ORIENTATIONS[orientation]) for protocol in PROTOCOLS]
    channels = torch.tensor([*kept, *kept], dtype=volume.dtype, device=volume.device)
    return volume * channels.view(1, -1, 1, 1, 1)


class ViewsGrader(nn.Module):
    """Grade a whole study from one orientation or from both.

    Args:
        streams: `axial`, `sagittal` or `both`: what is looked at; see `STREAMS`.
        backbone: The trunk of all streams: a name in `SUPPORTED_BACKBONES`, or a dict of `name`
            and options of `Backbone`.
        pooling: `attention`, or a dict with its options; every stream has its own.
        head: Name in `HEADS`, or a dict with options; by default a network for each condition.
        link: Name in `LINKS`, or a dict with options.
        shape: Voxels of the volume along i (to the patient's right), j (to anterior), k (up).

    Raises:
        ConfigurationError: If a part is not offered or does not take an option.
        WeightsError: If a weights file of the backbone is missing, damaged or of another network.
    """

    def __init__(
        self,
        *,
        streams: str = "both",
        backbone: Part = "tf_efficientnetv2_b0",
        pooling: Part = "attention",
        head: Part | None = None,
        link: Part = "scaled",
        shape: Sequence[int] = (24, 96, 144),
    ) -> None:
        super().__init__()
        head = {"name": "shared", "share": "condition"} if head is None else head
        self.hyperparameters: dict[str, Any] = {
            "streams": streams,
            "backbone": plain_part(backbone),
            "pooling": plain_part(pooling),
            "head": plain_part(head),
            "link": plain_part(link),
            "shape": [int(n) for n in shape],
        }
        if streams not in STREAMS:
            raise unknown_name("choice of streams", streams, STREAMS)
        self.orientations = STREAMS[streams]
        name, options = split_part(backbone)
        check_options(Backbone, name, options)
        self.backbone = Backbone(name, shape=shape, in_channels=_CHANNELS, **options)
        features = self.backbone.num_features
        self.link = build_part(LINKS, "link", link)
        self.poolings = nn.ModuleList(
            build_part(_POOLINGS, "pooling of streams", pooling, features)
            for _ in self.orientations
        )
        self.head = build_part(HEADS, "head", head, features, self.link.num_scores)
        self.gate = nn.Parameter(torch.zeros(len(self.orientations), len(Condition)))

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which `build_grader` makes the same network, without its weights.

        The path that backbone weights were started from is not part of it.
        """
        return {"grader": type(self).__name__, **without_weights(self.hyperparameters, "backbone")}

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """What it looks at; the images of other protocols change nothing."""
        read = [protocol for name in self.orientations for protocol in ORIENTATIONS[name]]
        return tuple(protocol for protocol in PROTOCOLS if protocol in read)

    def forward(self, volume: Float[Tensor, "B 6 I J K"]) -> Graded:
        """Return the grades of a batch of studies; `extras` tells what each stream says.

        Its `stream_log_probs` (B, S, T, K) are the grades as each stream alone gives them,
        `stream_attention` (B, S, T, i, j, k) where it looked, and `stream_seen` (B, S, T) the part
        of that look that fell on something it measured, 0 to 1.

        Args:
            volume: Normalised images of the protocols, then their masks; see `anatomy.PROTOCOLS`.
        """
        streams = [only_orientation(volume, name) for name in self.orientations]
        maps = self.backbone(torch.cat(streams)).chunk(len(streams))
        looks = [pool(each) for pool, each in zip(self.poolings, maps, strict=True)]
        features = torch.stack([vectors for vectors, _ in looks], dim=1)  # B S T F
        attention = torch.stack([look for _, look in looks], dim=1)
        seen = torch.stack([_seen(v, a) for v, (_, a) in zip(streams, looks, strict=True)], dim=1)
        weights = self._weights(seen)
        scores = self.head((weights.to(features)[..., None] * features).sum(dim=1))
        return Graded(
            self.link(scores),
            self.link.severity(scores),
            (weights[..., None, None, None] * attention).sum(dim=1),
            extras={
                "stream_log_probs": self._alone(features),
                "stream_attention": attention,
                "stream_seen": seen,
            },
        )

    def _weights(self, seen: Float[Tensor, "B S T"]) -> Float[Tensor, "B S T"]:
        gate = self.gate.float()[:, _CONDITION]
        return (gate + seen.clamp_min(_LEAST).log()).softmax(dim=1)

    def _alone(self, features: Float[Tensor, "B S T F"]) -> Float[Tensor, "B S T K"]:
        """Return the grades as each stream alone gives them, by the same heads and cutpoints."""
        log_probs: Tensor = self.link(self.head(features.flatten(0, 1)))
        return log_probs.view(*features.shape[:3], -1)


def _seen(
    stream: Float[Tensor, "B 6 I J K"], attention: Float[Tensor, "B T i j k"]
) -> Float[Tensor, "B T"]:
    """Return the part of each look that fell on cells with a voxel that the stream measured.

    It is a fact about the images: nothing is to be learned by looking where there are more.
    """
    masks = stream[:, len(PROTOCOLS) :].float().amax(dim=1, keepdim=True)
    cells = F.adaptive_max_pool3d(masks, attention.shape[2:])
    return (attention.detach() * (cells > 0)).sum(dim=(2, 3, 4))

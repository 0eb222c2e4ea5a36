"""VitGrader: a vision transformer in three dimensions grades a whole study.

    volume -stem-> patch tokens -transformer-> map -25 queries-> where each target is, and a vector
           -regions there-> small patches -transformer-> a second vector    (`closer`, if wanted)
           both vectors -head-> scores -link-> grades

Every token hears all others from the first layer on, which no convolution does; what nearness means
has to be learned. Two things make that possible with a few hundred studies: the queries are told
where to look (`guidance_loss`), and what is read there is read by one network for all levels
and both sides. Without `closer` it is the plain vision transformer.

Shapes:
    B  studies    C  channels: three images, then three masks    I J K  voxels, RAS+
    T  targets    i j k  patches    N  patches in all    E  width of a token
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from volspine.anatomy import PROTOCOLS
from volspine.models.parts import (
    HEADS,
    LINKS,
    Graded,
    Marks,
    Part,
    build_part,
    plain_part,
    unknown_name,
)
from volspine.models.pooling import TargetAttentionPooling
from volspine.models.vit_closer import CloserLook, CloserOptions, places_near
from volspine.models.vit_tokens import STEMS, PatchTokens, Transformer, VitOptions

__all__ = ["VitGrader", "expected_points"]

_CHANNELS = 2 * len(PROTOCOLS)


class VitGrader(nn.Module):
    """Grade a whole study by a transformer of its patches.

    In training the closer look is taken where a target was found if that is near its mark, else
    near the mark: it learns from the first step on, and from what it will see later.

    Args:
        stem: `patch`: tokens are linear in their voxels; `convolutional`: the hybrid, whose tokens
            are made by strided convolutions.
        tokens: Fields of `vit_tokens.VitOptions`.
        closer: Fields of `vit_closer.CloserOptions`; None for no closer look.
        head: Name in `parts.HEADS`, or a dict with options.
        link: Name in `parts.LINKS`, or a dict with options.
        shape: Voxels of the volume along i (to the patient's right), j (to anterior), k (up).

    Raises:
        ConfigurationError: If a part is not offered or does not take an option, or patches do not
            fill the volume.
    """

    takes_marks = True

    def __init__(
        self,
        *,
        stem: str = "patch",
        tokens: dict[str, Any] | None = None,
        closer: dict[str, Any] | None = None,
        head: Part = "shared",
        link: Part = "scaled",
        shape: Sequence[int] = (24, 96, 144),
    ) -> None:
        super().__init__()
        if stem not in STEMS:
            raise unknown_name("stem", stem, STEMS)
        options: VitOptions = _options(VitOptions, "tokens", tokens or {})
        closely: CloserOptions | None = (
            None if closer is None else _options(CloserOptions, "closer", closer)
        )
        self.hyperparameters: dict[str, Any] = {
            "stem": stem,
            "tokens": options.plain(),
            "closer": None if closely is None else closely.plain(),
            "head": plain_part(head),
            "link": plain_part(link),
            "shape": [int(n) for n in shape],
        }
        self.patch = tuple(int(p) for p in options.patch)
        self.tokens = PatchTokens(shape, options, in_channels=_CHANNELS, stem=stem)
        self.transformer = Transformer(options)
        self.pooling = TargetAttentionPooling(options.width)
        self.closer = (
            None if closely is None else CloserLook(closely, in_channels=_CHANNELS, stem=stem)
        )
        features = options.width + (closely.width if closely else 0)
        self.link = build_part(LINKS, "link", link)
        self.head = build_part(HEADS, "head", head, features, self.link.num_scores)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which `grader.build_grader` makes the same network without weights."""
        return {"grader": type(self).__name__, **self.hyperparameters}

    def forward(self, volume: Float[Tensor, "B C I J K"], marks: Marks | None = None) -> Graded:
        """Return the grades of a batch of studies, and where each target was found.

        Args:
            volume: Normalised images of the protocols, then their masks; see `anatomy.PROTOCOLS`.
            marks: In training, where targets are.
        """
        heard = self.transformer(self.tokens(volume)).transpose(1, 2)
        seen, attention = self.pooling(heard.reshape(*heard.shape[:2], *self.tokens.cells))
        points = expected_points(attention, self.patch)
        if self.closer is not None:
            # Where to look is learned from where marks are, not from what is said of the region.
            places = points.detach()
            if marks is not None:
                places = places_near(places, marks, [n / 4 for n in self.closer.region])
            seen = torch.cat([seen, self.closer(volume, places)], dim=-1)
        scores = self.head(seen)
        return Graded(self.link(scores), self.link.severity(scores), attention, points=points)


def expected_points(
    attention: Float[Tensor, "B T i j k"], patch: Sequence[int]
) -> Float[Tensor, "B T 3"]:
    """Return the mean place of each attention map, as voxel indices (i, j, k).

    The middle of patch c of p voxels is at index c p + (p - 1) / 2.

    Args:
        attention: Where each target is looked for; sums to one.
        patch: Voxels of a patch along each axis.

    Example:
        >>> halves = torch.zeros(1, 1, 2, 1, 1) + 0.5
        >>> expected_points(halves, (4, 8, 8))[0, 0].tolist()
        [3.5, 3.5, 3.5]
    """
    means = []
    for axis, size in enumerate(patch):
        others = [2 + other for other in range(3) if other != axis]
        along = attention.float().sum(dim=others)  # B T cells
        middles = torch.arange(along.shape[2], device=along.device) * size + (size - 1) / 2
        means.append(along @ middles)
    return torch.stack(means, dim=-1)


def _options(kind: Any, name: str, options: Mapping[str, Any]) -> Any:
    """Return options of a kind, refusing those that it does not have."""
    accepted = inspect.signature(kind).parameters
    for option in options:
        if option not in accepted:
            raise unknown_name(f"option of {name}", option, accepted)
    return kind(**options)

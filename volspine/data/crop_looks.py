"""Looks: the crops of a study -> the patches that a grader is shown of it this time.

What happens is drawn into a plain record first, from one generator, then applied:

    places    a localizer's measured errors are added to the true ones, in LPS
    mirror    the mirror image of the study; its labels change sides with it
    moves     turn, zoom and shift of every patch within its plane, by the one sampling that cuts it
    colours   v' = gain v^gamma 2^(slope . place) + noise, for v the brightness in units of the mean
    dropout   one protocol of the study, or single patches, are taken away

All of it runs where the crops are, on the CPU or on CUDA, and knows left from right by
`cut_patches` alone. TorchIO may change the colours instead; see `torchio_transforms.recolour`.

Shapes: B studies; N = 40 tokens; T tokens of a view; D slices; S pixels along either edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from volspine.anatomy import LEVELS, PROTOCOLS, TARGETS
from volspine.data.crop_colours import Colours, coloured
from volspine.errors import ConfigurationError
from volspine.types import FloatArray
from volspine.views import TOKEN_VIEW, TOKENS, VIEWS, Patches, StudyCrops
from volspine.volume.jitter import ErrorHistogram
from volspine.volume.patches import Moves, cut_patches

__all__ = [
    "AS_LOCATED",
    "AS_THEY_ARE",
    "Look",
    "Looks",
    "draw_look",
    "seen_patches",
    "stacked_looks",
]

_PROTOCOL = np.array([PROTOCOLS.index(VIEWS[v].protocol) for v in TOKEN_VIEW])


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How studies vary from one time that they are seen to the next.

    Attributes:
        jitter: Times the localizer's measured errors, added to the true places.
        mirror: Probability of the mirror image.
        turn_deg: Largest turn of a patch within its plane.
        zoom: Largest relative change of size.
        shift_mm: Largest further shift of a patch along rows and columns.
        gain: Largest change of the logarithm of a patch's brightness.
        gamma: Largest change of the exponent's logarithm, one for each protocol of a study.
        bias: Largest slope of brightness across a patch; 1 doubles it from edge to edge.
        noise: Largest standard deviation of the noise, where 1 is the mean of a crop.
        drop_protocol: Probability that a protocol of a study is taken away.
        drop_patch: Probability that a patch is taken away.
        colours_by: `torch`, or `torchio` on the CPU, with its own amounts of gamma, bias, blur and
            noise.
    """

    jitter: float = 1.0
    mirror: float = 0.5
    turn_deg: float = 8.0
    zoom: float = 0.08
    shift_mm: float = 0.5
    gain: float = 0.15
    gamma: float = 0.2
    bias: float = 0.3
    noise: float = 0.1
    drop_protocol: float = 0.1
    drop_patch: float = 0.02
    colours_by: Literal["torch", "torchio"] = "torch"

    def __post_init__(self) -> None:
        chances = self.mirror, self.drop_protocol, self.drop_patch
        sizes = (
            self.jitter, self.turn_deg, self.zoom, self.shift_mm, self.gain, self.gamma, self.bias,
            self.noise,
        )  # fmt: skip
        if min(*chances, *sizes) < 0 or max(chances) > 1 or self.zoom >= 1:
            raise ConfigurationError(
                "looks with a probability outside 0 to 1, a zoom from 1 on, or a negative amount",
                remedy="use 0 for what is not wanted",
                code="VS-CFG-141",
            )

    @property
    def has_colours(self) -> bool:
        """Whether brightness is changed here, or patches are taken away."""
        by_torch = self.colours_by == "torch"
        amounts = (self.gain, self.gamma, self.bias, self.noise)
        return (by_torch and max(amounts) > 0) or max(self.drop_protocol, self.drop_patch) > 0


AS_THEY_ARE = Looks(
    jitter=0.0, mirror=0.0, turn_deg=0.0, zoom=0.0, shift_mm=0.0, gain=0.0, gamma=0.0, bias=0.0,
    noise=0.0, drop_protocol=0.0, drop_patch=0.0,
)  # fmt: skip
"""Nothing varies: patches lie on the true places."""

AS_LOCATED = replace(AS_THEY_ARE, jitter=1.0)
"""Patches lie where a localizer would find the targets; nothing else varies."""


class Look(NamedTuple):
    """How a study is seen once; with a leading axis of B for a batch.

    Attributes:
        jitter_mm: (25, 3) float64, added to the places, LPS.
        flip: () bool, whether its mirror image is seen.
        moves: Of the 40 patches.
        colours: None where they stay as they are.
    """

    jitter_mm: Tensor
    flip: Tensor
    moves: Moves
    colours: Colours | None


def draw_look(looks: Looks, errors: ErrorHistogram | None, rng: np.random.Generator) -> Look:
    """Return how a study is seen once.

    Args:
        looks: How much varies.
        errors: Of a localizer; may be None where there is no jitter.
        rng: Where all chance comes from.

    Raises:
        ConfigurationError: If there is a jitter and nothing to draw it from.
    """
    jitter = looks.jitter * _errors(looks, errors, rng)
    flip = rng.random() < looks.mirror
    turn, *shift = rng.uniform(-1, 1, (3, len(TOKENS)))
    zoom = np.exp(rng.uniform(-1, 1, len(TOKENS)) * np.log1p(looks.zoom))
    moves = Moves(
        turn=torch.from_numpy(np.deg2rad(looks.turn_deg) * turn),
        zoom=torch.from_numpy(zoom),
        shift_mm=torch.from_numpy(looks.shift_mm * np.stack(shift, axis=1)),
    )
    colours = _colours(looks, rng) if looks.has_colours else None
    return Look(torch.from_numpy(jitter), torch.tensor(bool(flip)), moves, colours)


def _errors(looks: Looks, errors: ErrorHistogram | None, rng: np.random.Generator) -> FloatArray:
    """Return errors of the 25 targets, (25, 3); those of a level go together."""
    if looks.jitter == 0:
        return np.zeros((len(TARGETS), 3))
    if errors is None:
        raise ConfigurationError(
            "a jitter without the errors of a localizer",
            remedy="set jitter to 0, or pass volspine.volume.jitter.measured_errors()",
            code="VS-CFG-142",
        )
    by_level = errors.draw(rng, len(LEVELS))  # 5 levels, 5 conditions, 3 axes.
    return by_level.transpose(1, 0, 2).reshape(len(TARGETS), 3)


def _colours(looks: Looks, rng: np.random.Generator) -> Colours:
    n, by_torch = len(TOKENS), float(looks.colours_by == "torch")
    gamma = rng.uniform(-1, 1, len(PROTOCOLS))[_PROTOCOL] * looks.gamma * by_torch
    gain = rng.uniform(-1, 1, n) * looks.gain * by_torch
    slope = rng.uniform(-1, 1, (n, 2)) * looks.bias * by_torch
    noise = rng.uniform(0, 1, n) * looks.noise * by_torch
    is_dropped = rng.random(n) < looks.drop_patch
    if rng.random() < looks.drop_protocol:
        is_dropped |= rng.integers(len(PROTOCOLS)) == _PROTOCOL
    rows = (np.exp(gain), np.exp(gamma), slope, noise, ~is_dropped)
    seed = torch.tensor(int(rng.integers(2**62)))
    return Colours(*[*(torch.from_numpy(row.astype(np.float32)) for row in rows), seed])


_Record = TypeVar("_Record", Moves, Colours)


def stacked_looks(looks: Sequence[Look]) -> Look:
    """Return the looks of a batch in one."""
    jitters, flips, moves, colours = zip(*looks, strict=True)
    return Look(
        torch.stack(jitters),
        torch.stack(flips),
        _stacked(moves),
        None if colours[0] is None else _stacked(colours),
    )


def _stacked(records: Sequence[_Record]) -> _Record:
    kind = type(records[0])
    return kind(*(torch.stack(parts) for parts in zip(*records, strict=True)))


def seen_patches(crops: StudyCrops, look: Look) -> tuple[Patches, Tensor]:
    """Return the patches of a batch of studies as they are seen, and where they lie.

    Args:
        crops: Batched; `points_mm` are the true places.
        look: Batched, on any device.

    Returns:
        Patches, and their targets' jittered places (B, 25, 3) in LPS of the patients themselves,
        mirrored or not: `cut_patches(crops, points_mm, flip=look.flip)` shows them anew.
    """
    points = crops.points_mm + look.jitter_mm.to(crops.points_mm)
    patches = cut_patches(crops, points, moves=look.moves, flip=look.flip)
    return (patches if look.colours is None else coloured(patches, look.colours)), points

"""Localizer: from one sagittal series to maps of where each of the 27 landmarks is.

    image, mask -channels-> (2, 24, 96, 128) -stem-> 4 mm cells (24, 48, 64) -U-Net-> heat, offset

One series a call, of any contrast; several are fused afterwards. The stem brings the voxels of
4 x 2 x 2 mm to cells of 4 mm, then a small residual U-Net sees the whole volume. Where a point is
and which level it belongs to are different questions: names are added up from the 4 mm cells and
from those of 8 mm, and offsets are told by kind (canal, left or right foramen, left or right
subarticular zone), alike at every level. Group norms do not mind small batches (Wu & He, "Group
Normalization", 2018); U-Net: Ronneberger et al., 2015.

A localizer is built from plain data by a name in a closed list; nothing in a recipe is imported.

Shapes:
    B  series    I J K  voxels, RAS+    i j k  cells    P  points    Q  kinds of points
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.errors import ConfigurationError
from volspine.landmarks import CHAIN, MIRRORED_POINT, POINTS
from volspine.models.convolutions import Conv3d
from volspine.models.localizer_blocks import Residual, fast_layout
from volspine.models.localizer_input import input_channels
from volspine.models.point_refiner import PointRefiner, build_refiner

__all__ = [
    "KIND_OF_POINT",
    "LOCALIZERS",
    "STEM",
    "Localizer",
    "Located",
    "Maps",
    "average_mirrors",
    "build_localizer",
    "mirror_located",
]

KIND_OF_POINT = (*(0 for _ in CHAIN), *(1 + n // 5 for n in range(len(POINTS) - len(CHAIN))))
"""For each point, its kind: canal, left foramen, right foramen, left and right subarticular."""

STEM = (1, 2, 2)
"""Voxels along i, j, k that a cell spans."""

_KINDS = max(KIND_OF_POINT) + 1
_RARE = -4.0  # Log-odds at first of a cell being near a disc.


class Located(NamedTuple):
    """What a localizer says about a batch of series.

    Attributes:
        heat: Logits of where each point is, over the cells, then of "any disc" in each cell.
        offset: Millimetres from the centre of each cell to each point, along i, j, k.
    """

    heat: Float[Tensor, "B 28 i j k"]
    offset: Float[Tensor, "B 27 3 i j k"]


class Maps(NamedTuple):
    """The same with one offset a kind of point, which is what is trained.

    Attributes:
        heat: See `Located`.
        offset: Millimetres from the centre of each cell to the nearest point of each kind.
    """

    heat: Float[Tensor, "B 28 i j k"]
    offset: Float[Tensor, "B Q 3 i j k"]

    def located(self) -> Located:
        """Return the offset of every point."""
        kinds = torch.tensor(KIND_OF_POINT, device=self.offset.device)
        return Located(self.heat, self.offset.index_select(1, kinds))


class Localizer(nn.Module):
    """Look for 27 landmarks in one series.

    Args:
        channels: Of the cells of 4, 8, 16 and 32 mm; more or fewer numbers give more or fewer
            halvings.
        spacing_mm: Of the voxels along i (to the patient's right), j (to the front), k (up).
        context: Blocks at the coarsest cells, which let each cell see the whole spine.
        shape: Voxels of the grid, which is centred on the series.
        with_mask: Whether the network is shown what was measured as a third channel.

    Attributes:
        refiner: What moves foramina to where they are seen, once trained by itself; mostly None
            until a bundle is made. It is no part of what this network computes.

    Raises:
        ConfigurationError: If the shape cannot be halved that often.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (16, 32, 64, 96),
        context: int = 3,
        spacing_mm: Sequence[float] = (4.0, 2.0, 2.0),
        shape: Sequence[int] = (24, 96, 128),
        with_mask: bool = False,
    ) -> None:
        super().__init__()
        _check(channels, context, spacing_mm, shape)
        self.spacing_mm = tuple(float(step) for step in spacing_mm)
        self.shape = tuple(int(n) for n in shape)
        self.channels = tuple(int(n) for n in channels)
        self.with_mask, self.context = bool(with_mask), int(context)
        first, *deeper = self.channels
        pairs = list(zip(self.channels, deeper, strict=False))
        self.stem = Conv3d(2 + self.with_mask, first, (1, 4, 4), STEM, (0, 1, 1))
        self.entry = Residual(first)
        self.down = nn.ModuleList(Conv3d(a, b, 2, 2) for a, b in pairs)
        self.descent = nn.ModuleList(Residual(b) for b in deeper)
        self.whole = nn.Sequential(*(Residual(self.channels[-1]) for _ in range(context - 1)))
        self.up = nn.ModuleList(Conv3d(b, a, 1) for a, b in pairs)
        self.ascent = nn.ModuleList(Residual(a) for a, _ in pairs)
        self.coarse_names = Conv3d(self.channels[1], len(POINTS), 1)
        self.head = Conv3d(first, len(POINTS) + 1 + 3 * _KINDS, 1)
        self.refiner: PointRefiner | None = None
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.coarse_names.weight.mul_(0.1)
            nn.init.zeros_(bias := cast("Tensor", self.head.bias))
            bias[len(POINTS)] = _RARE

    @property
    def cell_mm(self) -> tuple[float, float, float]:
        """Size of a cell along i, j, k."""
        a, b, c = (n * step for n, step in zip(STEM, self.spacing_mm, strict=True))
        return (a, b, c)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which `build_localizer` makes the same network, without its weights."""
        return {
            "localizer": type(self).__name__,
            "channels": list(self.channels),
            "context": self.context,
            "spacing_mm": list(self.spacing_mm),
            "shape": list(self.shape),
            "with_mask": self.with_mask,
            **({} if self.refiner is None else {"refiner": self.refiner.recipe}),
        }

    def forward(
        self, image: Float[Tensor, "B 1 I J K"], mask: Shaped[Tensor, "B 1 I J K"]
    ) -> Located:
        """Return where everything is.

        Args:
            image: Raw intensities of one series, 0 or more, 0 where not measured.
            mask: Not 0 where measured.
        """
        return self.maps(image, mask).located()

    def maps(self, image: Float[Tensor, "B 1 I J K"], mask: Shaped[Tensor, "B 1 I J K"]) -> Maps:
        """Return where everything is, with one offset a kind of point."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            seen = input_channels(image, mask, spacing_mm=self.spacing_mm, with_mask=self.with_mask)
        trail = [self.entry(self.stem(fast_layout(seen)))]
        for down, block in zip(self.down, self.descent, strict=True):
            trail.append(block(down(trail[-1])))
        x = coarse = self.whole(trail.pop())
        for up, block in zip(reversed(self.up), reversed(self.ascent), strict=True):
            coarse, x = x, block(trail.pop() + _doubled(up(x)))
        return self._split(self.head(x), self.coarse_names(coarse))

    def _split(self, told: Tensor, names: Tensor) -> Maps:
        points = len(POINTS)
        heat = torch.cat([told[:, :points] + _doubled(names), told[:, points : points + 1]], dim=1)
        offset = told[:, points + 1 :].reshape(len(told), _KINDS, 3, *told.shape[2:])
        cell = torch.tensor(self.cell_mm, device=told.device, dtype=told.dtype)
        return Maps(heat, offset * cell.view(3, 1, 1, 1))


LOCALIZERS: Mapping[str, type[Localizer]] = {"Localizer": Localizer}
"""The localizers that a recipe can name."""


def build_localizer(recipe: Mapping[str, Any]) -> Localizer:
    """Return an untrained localizer from plain data.

    Args:
        recipe: `localizer`, a name in `LOCALIZERS`, its arguments, and `refiner` where it has one;
            see `Localizer.recipe`.

    Raises:
        ConfigurationError: If it names another class, or an argument is unknown or impossible.
    """
    arguments = dict(recipe)
    name = arguments.pop("localizer", None)
    refiner = arguments.pop("refiner", None)
    if name not in LOCALIZERS:
        raise _unknown("localizer", name, LOCALIZERS)
    accepted = inspect.signature(LOCALIZERS[name]).parameters
    if unknown := set(arguments) - set(accepted):
        raise _unknown(f"argument of {name}", min(map(str, unknown)), accepted)
    localizer = LOCALIZERS[name](**arguments)
    if refiner is not None:
        localizer.refiner = build_refiner(refiner)
    return localizer


def mirror_located(located: Located) -> Located:
    """Return what is said of the mirrored series: sides exchanged, i reversed with its offsets."""
    points = torch.tensor(MIRRORED_POINT, device=located.heat.device)
    heat = torch.cat([located.heat.index_select(1, points), located.heat[:, len(POINTS) :]], dim=1)
    sign = torch.tensor([-1.0, 1.0, 1.0], device=heat.device, dtype=located.offset.dtype)
    offset = located.offset.index_select(1, points) * sign.view(3, 1, 1, 1)
    return Located(heat.flip(-3), offset.flip(-3))


def average_mirrors(
    localizer: nn.Module,
    image: Float[Tensor, "B 1 I J K"],
    mask: Shaped[Tensor, "B 1 I J K"],
) -> Located:
    """Return the mean of what is said of a series and, mirrored back, of its mirror image.

    A mirrored series then gives exactly the mirrored maps.
    """
    images, masks = torch.cat([image, image.flip(-3)]), torch.cat([mask, mask.flip(-3)])
    both: Located = localizer(images, masks)  # In one batch, which is faster than two.
    here, there = (Located(*parts) for parts in zip(*(m.chunk(2) for m in both), strict=True))
    there = mirror_located(there)
    return Located((here.heat + there.heat) / 2, (here.offset + there.offset) / 2)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _check(
    channels: Sequence[int], context: int, spacing_mm: Sequence[float], shape: Sequence[int]
) -> None:
    step = 1 << (len(channels) - 1)
    fits = (
        len(channels) >= 2
        and min(channels) >= 4
        and context >= 1
        and len(spacing_mm) == len(shape) == 3
        and min(spacing_mm) > 0
        and all(n > 0 and n % (s * step) == 0 for n, s in zip(shape, STEM, strict=True))
    )
    if not fits:
        raise ConfigurationError(
            f"a localizer of channels {list(channels)} and {context} blocks on {list(shape)} "
            f"voxels of {list(spacing_mm)} mm is not possible",
            remedy="give two or more channels of at least 4, at least one block, and a shape that "
            "can be halved once less often than there are channels, along j and k once more",
            code="VS-CFG-100",
        )


def _unknown(kind: str, name: object, choices: Any) -> ConfigurationError:
    return ConfigurationError(
        f"{str(name)[:60]!r} is no {kind}",
        remedy=f"choose one of {', '.join(choices)}",
        code="VS-CFG-101",
    )

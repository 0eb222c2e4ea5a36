"""Crops of a study and the places of its targets -> patches: what a level-mode grader looks at.

For each of the 40 tokens of `volspine.views`: the native slices around the one nearest to the
target's landmark, each sampled once on a square lattice about it (linear, a view at a time, slices
as channels). Nothing is interpolated from slice to slice. With i the landmark's place in the crop,
(slice, row, column),

    slices = round(i_0) + m_0 (-2 ... 2)
    (row, column) = (i_1, i_2) + (1, m_2) * (R(turn) o / zoom + shift) / crop's pixel

for offsets o from the patch's middle, in mm. What is shown mirrored has m_0 = -1 in sagittal and
m_2 = -1 in axial crops; else m = 1. A right side is shown mirrored, so that it looks like
a left one. The mirror image of a study is shown by letting left and right tokens change places,
each mirrored once more, and the canal's be mirrored: bit for bit what the crops of the mirrored
patient would give, but for rounding.

Works where its tensors are, on the CPU and on CUDA alike. Shapes:
    B studies      T tokens of a view, N of all      D  slices      S  pixels along either edge
    H, W  rows and columns of a crop
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from volspine.anatomy import LEVELS, MIRRORED_INDEX, PROTOCOLS, TARGETS, Protocol, Side
from volspine.types import Float
from volspine.views import TOKEN_TARGET, TOKEN_VIEW, VIEWS, Patches, StudyCrops, View

__all__ = ["Moves", "cut_patches", "tokens_of"]

_AXIAL = PROTOCOLS.index(Protocol.AXIAL_T2)
_COUNTED = 12
"""Rows and columns of a patch at which it is looked whether anything was measured."""
_FAR = 1e4
"""A place further out, in voxels, is as far out."""

_LEVEL = tuple(LEVELS.index(TARGETS[t].level) for t in TOKEN_TARGET)
_PROTOCOL = tuple(PROTOCOLS.index(VIEWS[v].protocol) for v in TOKEN_VIEW)
_IS_AXIAL = tuple(VIEWS[v].protocol is Protocol.AXIAL_T2 for v in TOKEN_VIEW)
_IS_RIGHT = tuple(TARGETS[t].side is Side.RIGHT for t in TOKEN_TARGET)
_OTHER_SIDE = tuple(MIRRORED_INDEX[t] for t in TOKEN_TARGET)


class Moves(NamedTuple):
    """How patches are moved within their plane, as they are shown (mirrored or not).

    Axes of length 1 stand for all studies or all tokens.

    Attributes:
        turn: (B, N) radians; lets the content turn from the columns' axis to the rows'.
        zoom: (B, N); above 1 shows it larger.
        shift_mm: (B, N, 2) along rows and columns, from the landmark to the middle of the patch.
    """

    turn: Tensor
    zoom: Tensor
    shift_mm: Tensor


class _Seen(NamedTuple):
    """Where each token is looked for, (B, N, ...).

    Attributes:
        depth: Slice of the landmark in its crop.
        is_there: Whether the target was located.
        along: -1 where slices are shown from last to first, else 1.
        middle: (B, N, 2) row and column of the middle of the patch.
        per_mm: (B, N, 2, 2) from mm along the patch's rows and columns to rows and columns of the
            crop.
    """

    depth: Tensor
    is_there: Tensor
    along: Tensor
    middle: Tensor
    per_mm: Tensor


def tokens_of(view: int) -> slice:
    """Return which of the 40 tokens a view has, in the order of `TOKENS`."""
    first = TOKEN_VIEW.index(view)
    return slice(first, first + TOKEN_VIEW.count(view))


def cut_patches(
    crops: StudyCrops,
    points_mm: Float[Tensor, "B 25 3"],
    *,
    moves: Moves | None = None,
    flip: Tensor | None = None,
) -> Patches:
    """Return the patches of a batch of studies.

    Args:
        crops: Batched, each tensor (B, ...).
        points_mm: Where each target is taken to be, LPS; NaN where it was not located: its patches
            are zero and nothing of them is covered.
        moves: Of each token, as it is shown; none if omitted.
        flip: (B,) bool, which studies are shown as their mirror image; none if omitted. The
            grades that belong to such patches are those of `MIRRORED_INDEX`.
    """
    seen = _seen(crops.affine_lps, points_mm.to(crops.affine_lps), flip)
    seen = _moved(seen, moves)
    values, masks = _by_protocol(crops)
    images, covered = [], []
    for number, view in enumerate(VIEWS):
        tokens = tokens_of(number)
        mine = _Seen(*(part[:, tokens] for part in seen))
        protocol = PROTOCOLS.index(view.protocol)
        picks, is_there = _picked(view, mine, tokens, masks[protocol].shape[2])
        images.append(_sampled(view, values[protocol], mine, picks) * is_there[..., None, None])
        covered.append(_share(view, masks[protocol], mine, picks) * is_there)
    return Patches(tuple(images), tuple(covered))


def _seen(affine: Tensor, points_mm: Tensor, flip: Tensor | None) -> _Seen:
    """Return where each token is; a study's mirror image shows the other side in its place."""
    target, other, is_right, is_axial = (
        torch.tensor(row, device=affine.device)[None].expand(len(affine), -1)
        for row in (TOKEN_TARGET, _OTHER_SIDE, _IS_RIGHT, _IS_AXIAL)
    )
    if flip is not None:
        flip = flip.to(affine.device)[:, None]
        target, is_right = torch.where(flip, other, target), is_right ^ flip
    point = points_mm.gather(1, target[..., None].expand(-1, -1, 3))
    linear = affine[:, :, :, :3, :3]
    inverse = torch.linalg.inv_ex(linear).inverse[:, _LEVEL, _PROTOCOL]
    index = (inverse @ (point - affine[:, _LEVEL, _PROTOCOL, :3, 3])[..., None])[..., 0]
    is_there = index.isfinite().all(dim=-1)
    index = torch.where(is_there[..., None], index, 0.0).clamp(-_FAR, _FAR)
    per_mm = 1.0 / linear.norm(dim=-2)[:, _LEVEL, _PROTOCOL, 1:]
    per_mm[..., 1] *= torch.where(is_right & is_axial, -1.0, 1.0)
    return _Seen(
        depth=index[..., 0],
        is_there=is_there,
        along=torch.where(is_right & ~is_axial, -1, 1),
        middle=index[..., 1:],
        per_mm=torch.diag_embed(per_mm),
    )


def _moved(seen: _Seen, moves: Moves | None) -> _Seen:
    """Return where tokens are looked for after they were moved."""
    if moves is None:
        return seen
    turn, zoom, shift_mm = (part.to(seen.middle) for part in moves)
    cosine, sine = turn.cos() / zoom, turn.sin() / zoom
    map_ = torch.stack([cosine, -sine, sine, cosine], dim=-1).reshape(*cosine.shape, 2, 2)
    shift = (seen.per_mm @ shift_mm[..., None])[..., 0]
    return seen._replace(middle=seen.middle + shift, per_mm=seen.per_mm @ map_)


def _by_protocol(crops: StudyCrops) -> tuple[list[Tensor], list[Tensor]]:
    """Return brightness less one, 0 where not measured, and masks; each (B, 5, D, H, W)."""
    images = [*crops.sagittal.unbind(2)]
    masks = [*crops.sagittal_mask.unbind(2)]
    images.insert(_AXIAL, crops.axial)
    masks.insert(_AXIAL, crops.axial_mask)
    values = [
        torch.where(mask, image, 1.0).float().sub_(1.0)
        for image, mask in zip(images, masks, strict=True)
    ]
    return values, masks


def _picked(view: View, seen: _Seen, tokens: slice, slices: int) -> tuple[Tensor, Tensor]:
    """Return which slice of all levels' and studies' is shown, and whether it is there, (B, T, D).

    Args:
        view: How many slices.
        seen: Of its tokens.
        tokens: Which they are.
        slices: Of a crop.
    """
    device = seen.depth.device
    step = torch.arange(view.slices, device=device) - view.slices // 2
    number = seen.depth.round().long()[..., None] + seen.along[..., None] * step
    is_there = (number >= 0) & (number < slices) & seen.is_there[..., None]
    level = torch.tensor(_LEVEL[tokens], device=device)[:, None]
    study = torch.arange(len(number), device=device)[:, None, None]
    return (study * len(LEVELS) + level) * slices + number.clamp(0, slices - 1), is_there


def _line(view: View, like: Tensor) -> Tensor:
    """Return the millimetres from the middle of a patch to each row, or column, (S,)."""
    line = torch.arange(view.pixels, device=like.device, dtype=like.dtype)
    return (line - (view.pixels - 1) / 2) * view.pixel_mm


def _lattice(seen: _Seen, line: Tensor) -> Tensor:
    """Return row and column in the crop, (B, T, S, S, 2), for rows and columns in mm."""
    map_ = seen.per_mm[:, :, None, None].to(line.dtype)
    middle = seen.middle[:, :, None, None].to(line.dtype)
    return middle + map_[..., 0] * line[:, None, None] + map_[..., 1] * line[:, None]


def _sampled(view: View, values: Tensor, seen: _Seen, picks: Tensor) -> Tensor:
    """Return slices (B, T, D) of crops (B, 5, D, H, W) as patches: (B, T, D, S, S)."""
    half = (torch.tensor(values.shape[-2:], device=values.device) - 1) / 2
    scaled = seen._replace(
        middle=(seen.middle / half - 1.0).flip(-1), per_mm=(seen.per_mm / half[:, None]).flip(-2)
    )  # Columns first, and from -1 to 1, as `grid_sample` counts.
    grid = _lattice(scaled, _line(view, values)).flatten(0, 1)
    slices = values.flatten(0, 2).index_select(0, picks.flatten())
    slices = slices.reshape(-1, picks.shape[2], *values.shape[-2:])
    found = F.grid_sample(slices, grid, padding_mode="zeros", align_corners=True)
    return found.reshape(*picks.shape[:2], *found.shape[1:])


def _share(view: View, masks: Tensor, seen: _Seen, picks: Tensor) -> Tensor:
    """Return how much of every slice of a patch was measured, (B, T, D), by some of its pixels."""
    height, width = masks.shape[-2:]
    some = torch.linspace(0, view.pixels - 1, _COUNTED, device=masks.device).round().long()
    place = _lattice(seen, _line(view, seen.middle)[some]).round().long()
    row, column = place.unbind(-1)
    is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixel = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    flat = picks[..., None, None] * (height * width) + pixel[:, :, None]
    measured = masks.reshape(-1)[flat] & is_inside[:, :, None]
    return measured.float().mean(dim=(-2, -1))

"""Look: the patches of one study and the networks that graded it -> saliency in the patient.

What networks were shown is laid out for them: patches of right sides are mirrored. What comes out
here lies in the patient as he is, right sides mirrored back, with an affine to LPS millimetres.

Shapes:
    D  slices    S  pixels along either edge    d h w  cells    T  targets of a view
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from volspine.anatomy import LEVELS, MIRRORED_INDEX, PROTOCOLS, TARGETS, Protocol, Side, Target
from volspine.inference.device import exact_arithmetic
from volspine.inference.saliency import Maps, Method, Seeing, attention_maps, gradcam_maps
from volspine.types import FloatArray
from volspine.views import TOKENS, VIEWS, Patches, StudyCrops
from volspine.volume.heat import PatchHeat, Saliency
from volspine.volume.patches import cut_patches
from volspine.volume.study_crops import batched

__all__ = ["LevelLook", "Token", "both_images", "tokens_at"]


class Token(NamedTuple):
    """Where one target in one view was looked at.

    Attributes:
        view: Index in `VIEWS`.
        target: Index in `TARGETS`.
        slices: Numbers in the crop of the slices of its patch, to the left or the head; some may
            lie outside of the crop.
        affine_lps: (4, 4) slice, row and column of the patch to LPS millimetres, not mirrored.
    """

    view: int
    target: int
    slices: tuple[int, ...]
    affine_lps: FloatArray


def tokens_at(crops: StudyCrops) -> tuple[Token, ...]:
    """Return where each target that was located was looked at in each view.

    Args:
        crops: Of one study.
    """
    affines, points = crops.affine_lps.cpu().numpy(), crops.points_mm.cpu().numpy()
    return tuple(
        _token(v, t, affines[LEVELS.index(TARGETS[t].level)], points[t])
        for v, t in TOKENS
        if np.isfinite(points[t]).all()
    )


def _token(v: int, t: int, affines: FloatArray, point: FloatArray) -> Token:
    view = VIEWS[v]
    affine = np.array(affines[PROTOCOLS.index(view.protocol)], dtype=np.float64)
    place = np.linalg.solve(affine[:3, :3], point - affine[:3, 3])
    first = int(np.rint(place[0])) - view.slices // 2
    step = view.pixel_mm / np.linalg.norm(affine[:3, 1:3], axis=0)
    corner = [first, *(place[1:] - step * (view.pixels - 1) / 2), 1.0]
    patch = affine.copy()
    patch[:3, 3] = (affine @ corner)[:3]
    patch[:3, 1:3] *= step
    return Token(v, t, tuple(range(first, first + view.slices)), patch)


def both_images(
    crops: StudyCrops, device: torch.device, *, move_mm: FloatArray | None = None
) -> Patches:
    """Return the patches of a study and of its mirror image, in one batch.

    Args:
        crops: Of one study.
        device: Where the patches are to be.
        move_mm: (25, 3), LPS, how the places are moved; those of the mirror image are moved as much
            in the mirror, so that a mirrored study gets the same two images in the other order.
    """
    both = StudyCrops(*(part.to(device) for part in batched([crops, crops])))
    points = both.points_mm
    if move_mm is not None:
        reflected = move_mm[list(MIRRORED_INDEX)] * [-1.0, 1.0, 1.0]
        points = points + torch.from_numpy(np.stack([move_mm, reflected])).to(points)
    return cut_patches(both, points, flip=torch.tensor([False, True], device=device))


@dataclass(frozen=True, eq=False)
class LevelLook:
    """What can be asked about what the grades of a study looked at.

    Attributes:
        graders: The members of the ensemble; each must be `Seeing`.
        crops: Of the study.
        device: Where the graders are.
    """

    graders: tuple[nn.Module, ...]
    crops: StudyCrops
    device: torch.device

    def saliency(
        self, target: Target, method: Method = "attention", *, is_raised: bool = True
    ) -> Saliency:
        """Return how much the grade of a target looked at each place of its patches.

        Views in which nothing of it was measured are left out; primary ones come first.

        Args:
            target: One that was graded.
            method: See `Saliency`.
            is_raised: Whether the grade is moderate or severe; of no matter for attention.
        """
        maps = (
            self._attention if method == "attention" else self._gradcam(target, is_raised=is_raised)
        )
        mine = [t for t in self._tokens if t.target == target.index and self._is_seen(t)]
        primary = target.finding.primary_views
        mine.sort(key=lambda token: VIEWS[token.view].protocol not in primary)
        return Saliency(target, method, tuple(_heat(token, maps[token.view]) for token in mine))

    @cached_property
    def _both(self) -> Patches:
        return both_images(self.crops, self.device)

    @cached_property
    def _tokens(self) -> tuple[Token, ...]:
        return tokens_at(self.crops)

    @property
    def _seeing(self) -> list[Seeing]:
        return [cast("Seeing", grader) for grader in self.graders]

    def _is_seen(self, token: Token) -> bool:
        row = VIEWS[token.view].targets.index(token.target)
        return bool((self._both.covered[token.view][0, row] > 0).any())

    @cached_property
    def _attention(self) -> list[Tensor]:
        """For each view the members' mean attention on the patches' lattice, (T, D, S, S)."""
        with torch.no_grad(), exact_arithmetic():
            return _mean([attention_maps(grader, self._both) for grader in self._seeing], total=1)

    @cached_property
    def _maps(self) -> list[Maps]:
        with torch.no_grad(), exact_arithmetic():
            return [grader.features(self._both) for grader in self._seeing]

    def _gradcam(self, target: Target, *, is_raised: bool) -> list[Tensor]:
        """Return for each view the members' mean Grad-CAM on the patches' lattice."""
        sign = 1.0 if is_raised else -1.0
        with exact_arithmetic():
            return _mean([
                gradcam_maps(grader, self._both, maps, target=target.index, sign=sign)
                for grader, maps in zip(self._seeing, self._maps, strict=True)
            ])  # fmt: skip


def _mean(members: Sequence[Sequence[Tensor]], *, total: float | None = None) -> list[Tensor]:
    """Return the mean over members for each view, laid on the patches' lattice."""
    found = []
    for view, maps in zip(VIEWS, zip(*members, strict=True), strict=True):
        size = (view.slices, view.pixels, view.pixels)
        mean = torch.stack([_spread(m, size) for m in maps]).mean(dim=0)
        if total is not None:
            mean = mean * (total / mean.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1e-30))
        found.append(mean)
    return found


def _spread(maps: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Return maps of cells (T, d, h, w) on the lattice of a patch, between cells linearly."""
    fine = F.interpolate(maps[None].float(), size=size, mode="trilinear", align_corners=False)
    return fine[0].cpu()


def _heat(token: Token, maps: Tensor) -> PatchHeat:
    """Return the heat of one token in the patient: what was mirrored is mirrored back."""
    view = VIEWS[token.view]
    seen = maps[view.targets.index(token.target)]
    if TARGETS[token.target].side is Side.RIGHT:
        seen = seen.flip(2 if view.protocol is Protocol.AXIAL_T2 else 0)
    return PatchHeat(view.protocol, seen.contiguous().numpy(), token.affine_lps)

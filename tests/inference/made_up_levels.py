"""A grader of levels known by heart, landmarks of the made-up spine, and a predictor of both."""

import numpy as np
import torch
from torch import nn

from tests.inference.made_up import tiny_card
from volspine.anatomy import LEVELS, TARGETS, Finding, Side
from volspine.inference.bundle import Bundle
from volspine.inference.predictor import Predictor
from volspine.landmarks import CHAIN, Landmarks
from volspine.models.localizer import Localizer
from volspine.models.parts import Graded
from volspine.views import VIEWS

BESIDE = {
    Finding.CANAL: {None: 0.0},
    Finding.FORAMEN: {Side.LEFT: 17.0, Side.RIGHT: -17.0},
    Finding.RECESS: {Side.LEFT: 9.0, Side.RIGHT: -9.0},
}
FIRST_VIEW = [next(v for v, w in enumerate(VIEWS) if t.index in w.targets) for t in TARGETS]
LAST_VIEW = [max(v for v, w in enumerate(VIEWS) if t.index in w.targets) for t in TARGETS]


def landmarks(*, absent=(), top_mm=36.0):
    """Five levels 18 mm apart, the first at z = `top_mm`: from there every series shows them."""
    points = np.array([
        (BESIDE[t.finding][t.side], 2.0, top_mm - 18.0 * LEVELS.index(t.level)) for t in TARGETS
    ])  # fmt: skip
    there = np.array([t not in absent for t in range(len(TARGETS))])
    points[~there] = np.nan
    chain = np.full((len(CHAIN), 3), np.nan)
    chain[1:-1] = points[: len(LEVELS)]
    return Landmarks(
        points_mm=points,
        spread_mm=np.where(there, 2.0, np.nan),
        confidence=np.where(there, 0.9, 0.0),
        reasons=tuple("" if t else "not found" for t in there),
        chain_mm=chain,
        level_confidence=np.full(len(LEVELS), 0.8),
    )


class BrightnessGrader(nn.Module):
    """Severity: brightness of the middle of a target's patches; the canal's, of their left halves.

    It looks at the brightest cell of each patch. Cells are voxels, of one feature: brightness.
    """

    def __init__(self, scale=3.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, patches):
        return self.grade(self.features(patches), patches.covered)

    def features(self, patches):
        return tuple(images[:, :, None] + 1.0 for images in patches.images)

    def grade(self, maps, covered):
        columns = []
        for target, first, last in zip(TARGETS, FIRST_VIEW, LAST_VIEW, strict=True):
            seen = []
            for v in {first, last}:
                patch = maps[v][:, VIEWS[v].targets.index(target.index), 0]
                seen.append(self._read(patch, target.finding, axial=v in (1, 4)))
            columns.append(sum(seen) / len(seen))
        severity = self.scale * (torch.stack(columns, dim=1) - 1.0)
        cuts = torch.sigmoid(torch.stack([1.0 - severity, 2.5 - severity], dim=-1))
        p = torch.stack([cuts[..., 0], cuts[..., 1] - cuts[..., 0], 1 - cuts[..., 1]], dim=-1)
        return Graded(p.clamp_min(1e-6).log(), severity, None)

    def _read(self, patch, finding, *, axial):
        edge = patch.shape[-1]
        if finding is Finding.CANAL and axial:
            return patch[:, 2, :, edge // 2 :].mean(dim=(-2, -1))
        if finding is Finding.CANAL:
            return patch[:, 3:].mean(dim=(-3, -2, -1))
        third = slice(edge // 3, edge - edge // 3)
        return patch[:, 1:4, third, third].mean(dim=(-3, -2, -1))

    def look(self, patches):
        looks = []
        for images in patches.images:
            flat = images.flatten(2)
            hot = nn.functional.one_hot(flat.argmax(dim=-1), flat.shape[-1]).float()
            looks.append(hot.unflatten(-1, images.shape[2:]))
        return tuple(looks)


def level_bundle(*graders, localizer=None, **card):
    """A bundle of level mode in memory."""
    known = {"grid": None, **card}
    recipe = {"model": {"grader": "LevelGrader"}, "members": max(len(graders), 1)}
    members = graders or (BrightnessGrader(),)
    return Bundle(tiny_card(**known), recipe, members, localizer or Localizer(channels=(4, 8)))


def level_predictor(monkeypatch, found, *graders, **card):
    """A predictor of level mode whose localizer finds what it is told to."""
    from volspine.inference import placed
    from volspine.inference.locate import shift_landmarks

    def locate(study, localizer, *, device, shift_levels):
        return shift_landmarks(found, shift_levels)

    monkeypatch.setattr(placed, "locate", locate)
    return Predictor(level_bundle(*graders, **card), device="cpu")

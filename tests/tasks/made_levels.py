"""Level mode in a second: crops of a formula, and a grader of a few numbers."""

from functools import cache

import torch
from torch import nn

from tests.volume.made_crops import crops_of, numbered
from volspine.anatomy import LEVELS, TARGETS, Finding
from volspine.models.grader import Graded
from volspine.models.link import CumulativeLink
from volspine.phantom.levels import PhantomLevels
from volspine.phantom.spec import Spec
from volspine.views import VIEWS, Patches, StudyCrops

FIRST_VIEWS = [next(v for v, view in enumerate(VIEWS) if view.finding is f) for f in Finding]


@cache
def formula_crops() -> StudyCrops:
    """A person at each of whose targets a ball says which target it is."""
    crops = crops_of(numbered)
    return crops._replace(sagittal=crops.sagittal.half(), axial=crops.axial.half())


def formula_person(spec: Spec) -> PhantomLevels:
    """That person with grades that differ from target to target."""
    number = torch.arange(25)
    grades = (number // 5 + number + spec.index) % 3
    return PhantomLevels(formula_crops(), grades, torch.stack([grades] * 3))


class TinyLevelGrader(nn.Module):
    """A number for each finding and level, one for the brightness of a patch, and the real link."""

    def __init__(self, *, scale: float = 1.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.zeros(len(Finding), len(LEVELS)))
        self.bright = nn.Parameter(torch.full((len(Finding), 5), 0.1))
        self.link = CumulativeLink()
        self.dropout = nn.Dropout(dropout)
        self.scale = scale
        self.finding = [list(Finding).index(t.finding) for t in TARGETS]
        self.level = [LEVELS.index(t.level) for t in TARGETS]

    @property
    def recipe(self) -> dict[str, object]:
        return {"grader": "TinyLevelGrader", "scale": self.scale}

    def forward(self, patches: Patches) -> Graded:
        slices = [patches.images[v].mean(dim=(-1, -2)) for v in FIRST_VIEWS]  # B T D
        seen = self.dropout(torch.cat(slices, dim=1))
        severity = self.base[self.finding, self.level] + (self.bright[self.finding] * seen).sum(-1)
        severity = severity * self.scale
        return Graded(self.link(severity[..., None]), severity, None)

"""Study mode: a study on one grid, all of it before the network at once -> its 25 grades.

    choose series -> sample on the model's grid -> normalise -> networks

A target that no primary view covers, or whose place, as far as the network looks at one, none of
them measured, is not graded and has a reason.

Shapes:
    X, Y, Z  voxels of the grid, RAS order     i j k  feature cells
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from volspine.anatomy import PROTOCOLS, TARGETS, Protocol
from volspine.inference.agreement import look_facts
from volspine.inference.coverage import missing_views, reasons_not_shown
from volspine.inference.levels import level_shift
from volspine.inference.members import Members, Said
from volspine.inference.provenance import Use, grid_facts
from volspine.inference.run import Answer, Run
from volspine.inference.shown import Unseen, as_seen, mean_look, unseen_targets, why_unseen
from volspine.inference.variants import check_variants, grid_shifts
from volspine.models.mirror import mirror_volume
from volspine.volume.grid import Grid
from volspine.volume.sample import SampledStudy, Sampling, sample_study

__all__ = ["StudyReader"]

_NOT_LOOKED_AT = "the model does not look at {} images"
_NOT_ASKED = "the model does not grade this condition"


@dataclass(frozen=True, eq=False)
class StudyReader:
    """Grades a whole study from one grid.

    Attributes:
        members: The networks.
        grid: What they see, without a centre.
        sampling: How the voxels of a study become those of the grid; as in training.
    """

    members: Members
    grid: Grid
    sampling: Sampling = "resample"

    def read(self, run: Run) -> Answer:
        """Return what the networks say of a study."""
        with run.timings.measure("sample"):
            sampled = sample_study(run.study, self.grid, normalize=True, sampling=self.sampling)
        unread = {
            p: _NOT_LOOKED_AT.format(p.label) for p in PROTOCOLS if p not in self.members.read
        }
        missing = {**missing_views(run.usable, sampled), **unread}
        reasons = self._asked(reasons_not_shown(missing))
        uses = _uses(run, sampled, unread)
        if all(reasons):
            nothing = np.full((len(TARGETS), 3), np.nan)
            return Answer(reasons, nothing, uses, grid_facts(sampled.grid))
        with run.timings.measure("grade"):
            said = self._ask([sampled, *self._variants(run, sampled.grid)])
        said, reasons = _renamed(run, said, reasons, _unseen(said, sampled, missing), unread)
        facts = {**grid_facts(sampled.grid), "looks": look_facts(said.samples, reasons)}
        return Answer(reasons, said.probabilities, uses, facts)

    def _asked(self, not_shown: Sequence[str]) -> tuple[str, ...]:
        """Return why targets are not graded, those that the networks are not for among them."""
        pairs = zip(not_shown, self.members.asked, strict=True)
        return tuple(why if asked else _NOT_ASKED for why, asked in pairs)

    def _variants(self, run: Run, placed: Grid) -> Iterator[SampledStudy]:
        """Yield the study on grids a little beside the one that was placed."""
        middle = np.asarray(placed.center_mm, dtype=np.float64)
        for shift in grid_shifts(check_variants(run.how.tta)):
            x, y, z = (middle + shift).tolist()
            grid = replace(placed, center_mm=(x, y, z))
            yield sample_study(run.study, grid, normalize=True, sampling=self.sampling)

    def _ask(self, looks: Sequence[SampledStudy]) -> Said:
        """Return what the networks say of (6, X, Y, Z) volumes, the first not moved."""
        volumes = [torch.from_numpy(look.volume) for look in looks]
        both = torch.stack([each for v in volumes for each in (v, mirror_volume(v))])
        device = self.members.device
        return self.members.ask(lambda size: [part.to(device) for part in torch.split(both, size)])


def _renamed(
    run: Run,
    said: Said,
    not_shown: Sequence[str],
    unseen: Sequence[Unseen],
    unread: Container[Protocol],
) -> tuple[Said, tuple[str, ...]]:
    """Return what is said, and reasons, with the levels named as asked for."""
    shift = level_shift(run.how.shift_levels)
    reasons = tuple(
        shift.reason if s is None else not_shown[s] or why_unseen(target, unseen[s], unread)
        for target, s in zip(TARGETS, shift.source, strict=True)
    )
    source = [s or 0 for s in shift.source]
    probabilities, samples = said.probabilities[source], said.samples[:, source]
    return said._replace(probabilities=probabilities, samples=samples), reasons


def _unseen(said: Said, sampled: SampledStudy, missing: Container[Protocol]) -> Sequence[Unseen]:
    """Return what is amiss with the place of each target, where the grader looks somewhere."""
    attention = mean_look([as_seen(parts) for parts in said.looks])
    if attention is None:
        return [""] * len(TARGETS)
    masks = torch.from_numpy(sampled.masks.copy())
    masks[[p for p, protocol in enumerate(PROTOCOLS) if protocol in missing]] = False
    return unseen_targets(attention, masks, sampled.grid.spacing_mm)


def _uses(run: Run, sampled: SampledStudy, unread: Mapping[Protocol, str]) -> dict[str, Use]:
    """Return how each series was used; `unread` says why some protocols are not."""
    choices: dict[Protocol, Any] = {choice.protocol: choice for choice in sampled.choices}
    return {
        series.name: Use(False, unread[series.protocol])
        if series.protocol in unread
        else Use(series.name in choice.used, choice.reason)
        for series in run.study.series
        if (choice := choices.get(series.protocol)) is not None
    }

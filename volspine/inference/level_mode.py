"""Level mode: native crops around each located level, cut into patches -> the 25 grades.

    landmarks -> crops of 5 levels x 3 protocols -> patches around the 25 places -> networks

The mirror image is not read again: the same crops give its patches. A target is graded where one of
its primary views measured the very place; the others have a reason: it was not located, the study
has no such series, its slices do not reach there. Landmarks already bear the names asked for, so
nothing is renamed here.

Where it was measured what a model doubts, it is also told how strange the study is to it (`doubt`),
from what the networks saw while they graded: there is no second look.

Shapes:
    5 levels     3 protocols, in the order of `PROTOCOLS`     25 targets
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from volspine.anatomy import LEVELS, PROTOCOLS, TARGETS, Protocol, Target
from volspine.errors import InputError
from volspine.inference.agreement import look_facts
from volspine.inference.coverage import why_set_aside
from volspine.inference.doubt import Impression, pictures_of
from volspine.inference.doubt_record import DoubtRecord, warnings_of
from volspine.inference.look import LevelLook, both_images, tokens_at
from volspine.inference.members import Members, Said
from volspine.inference.noting import Noting
from volspine.inference.provenance import Use
from volspine.inference.run import Answer, Run
from volspine.inference.shown import why_unseen
from volspine.inference.variants import check_variants, place_moves
from volspine.types import BoolArray, FloatArray
from volspine.views import VIEWS, Patches, StudyCrops
from volspine.volume.crop_records import CropSource
from volspine.volume.level_study import study_crops_of

__all__ = ["LevelReader", "measured_targets"]

Sources = Sequence[Sequence[CropSource]]
"""For each level, for each protocol, where its crop comes from."""


@dataclass(frozen=True, eq=False)
class LevelReader:
    """Grades a study from the surroundings of its targets.

    Attributes:
        members: The networks.
        doubt: What they were measured to doubt; None where that is not known.
    """

    members: Members
    doubt: DoubtRecord | None = None

    def read(self, run: Run) -> Answer:
        """Return what the networks say of a study whose levels have been looked for."""
        if run.found is None or not run.found.found.any():
            nothing = np.full((len(TARGETS), 3), np.nan)
            return Answer(run.unlocated, nothing, {}, {})
        with run.timings.measure("crop"):
            crops, sources = study_crops_of(run.study, run.found)
        reasons = _reasons(run, crops, sources)
        uses, facts = _uses(run, sources), {"crops": _crop_facts(crops, sources)}
        if all(reasons):
            return Answer(reasons, np.full((len(TARGETS), 3), np.nan), uses, facts)
        with run.timings.measure("grade"):
            both = both_images(crops, self.members.device)
            moves = place_moves(check_variants(run.how.tta))
            device = self.members.device
            variants = [both_images(crops, device, move_mm=move) for move in moves]
            said, features = self._ask(both, variants)
        facts["looks"] = look_facts(said.samples, reasons)
        if self.doubt is not None:
            with run.timings.measure("doubt"):
                graded = [t for t, reason in enumerate(reasons) if not reason]
                seen = Impression(said.samples[:, graded], features, pictures_of(both))
                facts["doubt"] = _doubted(run, self.doubt, seen)
        look = LevelLook(self.members.graders, crops, self.members.device)
        return Answer(reasons, said.probabilities, uses, facts, look)

    def _ask(
        self, both: Patches, variants: Sequence[Patches]
    ) -> tuple[Said, tuple[FloatArray, ...]]:
        """Return what the networks say, and mean features of what they saw if doubt needs them."""

        def looks(size: int) -> list[Patches]:
            return [part for each in (both, *variants) for part in _split(each, size)]

        if self.doubt is None:
            return self.members.ask(looks), ()
        noting = Noting(self.members.graders[0])

        def batches(size: int) -> list[Patches]:
            noting.noted.clear()  # It starts again where memory ran out.
            return looks(size)

        members = replace(self.members, graders=(noting, *self.members.graders[1:]))
        said = members.ask(batches)
        del noting.noted[len(noting.noted) // (1 + len(variants)) :]  # Variants doubt nothing.
        return said, noting.features()


def measured_targets(crops: StudyCrops) -> BoolArray:
    """Return for each target and protocol whether the very place was measured, (25, 3).

    Args:
        crops: Of one study.
    """
    masks = [*crops.sagittal_mask.unbind(1), crops.axial_mask]
    inverse = torch.linalg.inv(crops.affine_lps)
    measured = np.zeros((len(TARGETS), len(PROTOCOLS)), dtype=np.bool_)
    for target, point in zip(TARGETS, crops.points_mm, strict=True):
        if not bool(point.isfinite().all()):
            continue
        level = LEVELS.index(target.level)
        for p, mask in enumerate(masks):
            place = inverse[level, p, :3, :3] @ point + inverse[level, p, :3, 3]
            index = place.round().long().tolist()
            sizes = mask.shape[1:]
            if all(0 <= n < size for n, size in zip(index, sizes, strict=True)):
                measured[target.index, p] = bool(mask[level][tuple(index)])
    return measured


def _split(patches: Patches, size: int) -> list[Patches]:
    """Return the patches of several studies, `size` studies at a time."""
    parts = [[torch.split(part, size) for part in kind] for kind in patches]
    return [
        Patches(*(tuple(part[n] for part in kind) for kind in parts))
        for n in range(len(parts[0][0]))
    ]


def _doubted(run: Run, record: DoubtRecord, seen: Impression) -> dict[str, Any]:
    """Return the doubts about a study and warn of those that no usual study deserves.

    Raises:
        InputError: If there is one, and refusals are to be errors.
    """
    judged = record.judged(seen)
    warnings = warnings_of(judged, record)
    if warnings and run.how.strict:
        raise InputError(
            f"the study is unlike those that the model was measured on: {warnings[0]}",
            remedy="look at the images; without --strict it is graded with a warning",
            code="VS-INP-070",
        )
    run.warnings.extend(warnings)
    return judged


def _reasons(run: Run, crops: StudyCrops, sources: Sources) -> tuple[str, ...]:
    """Return 25 texts: why a target is not graded, else empty."""
    measured = measured_targets(crops)
    set_aside = run.usable.set_aside
    return tuple(
        unlocated or _why_not(target, measured[target.index], sources, set_aside)
        for target, unlocated in zip(TARGETS, run.unlocated, strict=True)
    )


def _why_not(
    target: Target, measured: BoolArray, sources: Sources, set_aside: Mapping[Protocol, str]
) -> str:
    """Return why no primary view shows a target that was located; empty if one does."""
    views = target.finding.primary_views
    if any(measured[PROTOCOLS.index(view)] for view in views):
        return ""
    reasons = []
    for view in views:
        source = sources[LEVELS.index(target.level)][PROTOCOLS.index(view)]
        if view in set_aside:
            reasons.append(why_set_aside(view, set_aside[view]))
        elif source.reason:
            reasons.append(source.reason)
    return "; ".join(reasons) or why_unseen(target, "view")


def _uses(run: Run, sources: Sources) -> dict[str, Use]:
    """Return for each series of a graded protocol which levels it was cropped for."""
    shown: dict[str, list[str]] = {}
    for level, of_level in zip(LEVELS, sources, strict=True):
        for source in of_level:
            if source.series and not source.reason:
                shown.setdefault(source.series, []).append(level.label)
    return {
        series.name: Use(True, f"shows {', '.join(dict.fromkeys(shown[series.name]))}")
        if series.name in shown
        else Use(False, "it shows no level better than another series")
        for series in run.study.series
        if series.protocol in PROTOCOLS
    }


def _crop_facts(crops: StudyCrops, sources: Sources) -> dict[str, Any]:
    """Return for each level and protocol where its crop is from, and what each target was shown."""
    tokens = tokens_at(crops)
    facts: dict[str, Any] = {}
    for number, level in enumerate(LEVELS):
        facts[level.value] = {
            protocol.value: _source_facts(sources[number][p])
            for p, protocol in enumerate(PROTOCOLS)
        }
        for token in tokens:
            target, view = TARGETS[token.target], VIEWS[token.view]
            source = sources[number][PROTOCOLS.index(view.protocol)]
            if target.level is level and source.slices and not source.reason:
                facts_of_view = facts[level.value][view.protocol.value]
                facts_of_view.setdefault("slices", {})[target.condition.term] = [
                    source.slices[d] for d in token.slices if 0 <= d < len(source.slices)
                ]
                side = round(view.pixels * view.pixel_mm, 2)
                facts_of_view.setdefault("side_mm", {})[target.condition.term] = side
    return facts


def _source_facts(source: CropSource) -> dict[str, Any]:
    if source.reason:
        return {"reason": source.reason}
    return {"series": source.series, "stack": source.stack}

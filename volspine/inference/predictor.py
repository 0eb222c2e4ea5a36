"""Predictor: a bundle and a study -> 25 calibrated grades.

    read -> screen -> locate the levels -> choose series -> sample on the model's grid
         -> normalise -> grade it and its mirror image -> average -> temperature -> probabilities

The mirror image goes through the same network with its sides swapped back, so a mirrored study gets
exactly the mirrored grades. With p the mean over both and over the members of an ensemble, and T
the temperature of the target, the report is

    softmax(log p / T).

A target that no primary view covers, or whose place, as far as the network looks at one, none of
them measured, gets the frequencies of the training data and a reason. Nothing random is drawn and
no process is started.

Shapes:
    X, Y, Z  voxels of the grid, RAS order     T  25 targets    K  3 grades
    i j k  feature cells
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from volspine import __version__
from volspine.anatomy import PROTOCOLS, TARGETS, Protocol
from volspine.dicom.reading import read_study
from volspine.dicom.study import Study
from volspine.errors import NoUsableSeriesError, VolspineError
from volspine.grades import StudyGrades
from volspine.inference.answer import Answer
from volspine.inference.bundle import Bundle, load_bundle
from volspine.inference.coverage import (
    Usable,
    missing_views,
    reasons_not_shown,
    usable_part,
    why_set_aside,
)
from volspine.inference.device import (
    exact_arithmetic,
    resolve_device,
    with_less_on_memory_error,
)
from volspine.inference.graded import GradedStudy
from volspine.inference.levels import level_shift
from volspine.inference.placed import place_levels
from volspine.inference.provenance import Timings, model_facts, study_facts
from volspine.inference.screen import judge_spine
from volspine.inference.shown import as_seen, mean_look, why_unseen
from volspine.landmarks import Landmarks
from volspine.models.mirror import mirror_targets, mirror_volume
from volspine.types import FloatArray
from volspine.volume.sample import SampledStudy, sample_study

__all__ = ["Options", "Predictor", "predict"]

NOT_LOCATED = "the model has no localizer, so levels are not located"
"""Why no target of a model without a localizer has a place."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a study is read and named.

    Attributes:
        protocol: What a lone NIfTI file is.
        strict: Turn repairs and refusals into errors.
        shift_levels: Name each finding this many levels lower.
    """

    protocol: Protocol | str | None = None
    strict: bool = False
    shift_levels: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the provenance of a result."""
        protocol = None if self.protocol is None else str(Protocol(self.protocol).value)
        return {
            "protocol": protocol,
            "strict": self.strict,
            "shift_levels": self.shift_levels,
        }


class Predictor:
    """A model that is loaded once and grades any number of studies.

    Args:
        bundle: Folder of the model; None is the demo bundle.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        WeightsError: If the bundle is missing or damaged.
        DeviceError: If a named device is not there.
    """

    def __init__(self, bundle: str | Path | Bundle | None = None, *, device: str = "auto") -> None:
        self.device = resolve_device(device)
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self._graders = [grader.to(self.device) for grader in self.bundle.graders]

    def predict(self, study: str | Path | Study, options: Options | None = None) -> GradedStudy:
        """Grade one study.

        Args:
            study: A folder, a zip, a NIfTI file, or what `volspine.read_study` returned.
            options: How to read it and name its levels.

        Raises:
            VolspineError: If nothing usable can be read, or memory runs out. A study that can be
                read but is not a lumbar MRI that this model grades is `refused` instead.
        """
        how, timings = options or Options(), Timings()
        with timings.measure("read"):
            opened = study if isinstance(study, Study) else _read(study, how)
            usable = usable_part(opened, strict=how.strict)
        run = _Run(usable, how, timings)
        if not any(series.protocol in PROTOCOLS for series in usable.study.series):
            return self._refused(run, None, _why_nothing(opened, usable))
        with timings.measure("screen"):
            judged = judge_spine(usable.study)
        if judged.refusal:
            return self._refused(run, None, judged.refusal)
        run.warnings.extend(filter(None, [judged.warning]))
        run.found = self._located(run)
        with timings.measure("sample"):
            sampled = sample_study(usable.study, self.bundle.card.grid, normalize=True)
        missing = missing_views(usable, sampled)
        reasons = reasons_not_shown(missing)
        if all(reasons):
            return self._refused(run, sampled, _each_once(reasons))
        with timings.measure("grade"):
            answer = self._answer(torch.from_numpy(sampled.volume))
        return self._graded(run, sampled, answer.with_reasons(reasons, sampled, missing))

    def predict_many(
        self, studies: Iterable[str | Path | Study], options: Options | None = None
    ) -> Iterator[GradedStudy | VolspineError]:
        """Yield the result of each study in order; of one that fails, its error.

        Args:
            studies: As for `predict`.
            options: The same for all.
        """
        for study in studies:
            try:
                yield self.predict(study, options)
            except VolspineError as error:
                yield error

    def _located(self, run: "_Run") -> Landmarks | None:
        """Return where the levels are; None if the model has no localizer."""
        localizer = self.bundle.localizer
        if localizer is None:
            return None
        with run.timings.measure("locate"):
            shift = run.how.shift_levels
            found, warnings = place_levels(
                run.study, localizer, device=self.device, shift_levels=shift
            )
        run.warnings.extend(warnings)
        return found

    def _answer(self, volume: Tensor) -> Answer:
        """Return what the network says of a (6, X, Y, Z) volume, calibrated."""
        mean, attention = with_less_on_memory_error(
            lambda: self._mean(volume, batch_size=2),
            lambda: self._mean(volume, batch_size=1),
            self.device,
        )
        temperature = torch.from_numpy(self.bundle.card.temperature)[:, None]
        tiny = torch.finfo(torch.float64).tiny
        log_probs = mean.clamp_min(tiny).log() / temperature
        probabilities = np.asarray(log_probs.softmax(dim=-1).numpy(), dtype=np.float64)
        return Answer(probabilities, attention)

    def _mean(self, volume: Tensor, *, batch_size: int) -> tuple[Tensor, Tensor | None]:
        """Return the means over the mirror images and the members: (25, 3), and (25, i, j, k)."""
        both = torch.stack([volume, mirror_volume(volume)])
        found, looks = [], []
        with torch.inference_mode(), exact_arithmetic():
            for grader in self._graders:
                batches = torch.split(both, batch_size)
                parts = [grader(batch.to(self.device)) for batch in batches]
                as_is, mirrored = torch.cat([p.log_probs for p in parts]).double().cpu().exp()
                found.append((as_is + mirror_targets(mirrored, dim=0)) / 2)
                looks.append(as_seen([part.attention for part in parts]))
        return torch.stack(found).mean(dim=0), mean_look(looks)

    def _graded(self, run: "_Run", sampled: SampledStudy, answer: Answer) -> GradedStudy:
        frequencies = self.bundle.card.frequencies
        shift = level_shift(run.how.shift_levels)
        named = [
            shift.reason if s is None else answer.reasons[s] or why_unseen(t, answer.unseen[s])
            for t, s in zip(TARGETS, shift.source, strict=True)
        ]
        if all(named):
            return self._refused(run, sampled, _each_once(named))
        imputed = np.array([bool(reason) for reason in named])
        moved = answer.probabilities[[s or 0 for s in shift.source]]
        missing = _each_once(named)
        grades = StudyGrades(
            name=run.study.name,
            probabilities=np.where(imputed[:, None], frequencies, moved),
            imputed=imputed,
            reasons=tuple(a or b for a, b in zip(named, run.unlocated, strict=True)),
            points_mm=run.points_mm,
            status="partial" if missing else "graded",
            reason=missing,
            provenance=self._provenance(run, sampled),
        )
        return GradedStudy(grades, run.study, frequencies)

    def _refused(self, run: "_Run", sampled: SampledStudy | None, reason: str) -> GradedStudy:
        text = f"not a lumbar MRI that this model grades: {reason}"
        if run.how.strict:
            raise NoUsableSeriesError(
                text, remedy="leave out --strict to list it as refused", code="VS-SER-060"
            )
        grades = StudyGrades.refused(run.study.name, text, self._provenance(run, sampled))
        return GradedStudy(grades, run.study, self.bundle.card.frequencies)

    def _provenance(self, run: "_Run", sampled: SampledStudy | None) -> dict[str, Any]:
        return {
            "volspine": __version__,
            "model": model_facts(self.bundle),
            "device": str(self.device),
            "seed": None,
            "settings": run.how.to_dict(),
            "warnings": list(run.warnings),
            **study_facts(run.study, sampled),
            **({} if run.found is None else {"landmarks": run.found.to_dict()}),
            "timings_s": dict(run.timings.seconds),
        }


@dataclass
class _Run:
    """One study on its way through the predictor, and what was found of it so far."""

    usable: Usable
    how: Options
    timings: Timings
    warnings: list[str] = field(default_factory=list)
    found: Landmarks | None = None

    @property
    def points_mm(self) -> FloatArray:
        """Where each target is, (25, 3)."""
        nowhere = np.full((len(TARGETS), 3), np.nan)
        return nowhere if self.found is None else self.found.points_mm

    @property
    def unlocated(self) -> tuple[str, ...]:
        """25 texts: why a target has no place, else empty."""
        return (NOT_LOCATED,) * len(TARGETS) if self.found is None else self.found.reasons

    @property
    def study(self) -> Study:
        return self.usable.study


def predict(
    study: str | Path | Study,
    model: str | Path | None = None,
    *,
    device: str = "auto",
    protocol: Protocol | str | None = None,
    strict: bool = False,
) -> GradedStudy:
    """Grade one study; the model is loaded for it alone, so use a `Predictor` for several.

    Args:
        study: A folder, a zip, a NIfTI file, or what `volspine.read_study` returned.
        model: Folder of a bundle; None is the demo bundle, which was trained on phantoms.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        protocol: What a lone NIfTI file is.
        strict: Turn repairs and refusals into errors.

    Raises:
        VolspineError: If the model or the study cannot be used.
    """
    predictor = Predictor(model, device=device)
    return predictor.predict(study, Options(protocol=protocol, strict=strict))


def _read(path: str | Path, how: Options) -> Study:
    return read_study(path, strict=how.strict, protocol=how.protocol)


def _each_once(reasons: Iterable[str]) -> str:
    """Return what several reasons are made of, without repeating a part."""
    parts = [part for reason in reasons if reason for part in reason.split("; ")]
    return "; ".join(dict.fromkeys(parts))


def _why_nothing(study: Study, usable: Usable) -> str:
    if usable.set_aside:
        return "; ".join(why_set_aside(p, why) for p, why in usable.set_aside.items())
    found = ", ".join(dict.fromkeys(series.reason for series in study.series))
    return f"none of its series is sagittal T1, sagittal T2 or axial T2 ({found[:300]})"

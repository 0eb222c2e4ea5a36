"""Predictor: a bundle and a study -> 25 calibrated grades.

    read -> screen -> locate the levels -> grade it and its mirror image -> average
         -> temperature -> probabilities

What the networks see of it is the business of the bundle's mode (`study_mode`, `level_mode`). A
target that the study does not show gets the frequencies of the training data and a reason. Nothing
random is drawn and no process is started.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from volspine import __version__
from volspine.anatomy import PROTOCOLS, Protocol
from volspine.dicom.reading import read_study
from volspine.dicom.study import Study
from volspine.errors import NoUsableSeriesError, VolspineError, WeightsError
from volspine.grades import StudyGrades
from volspine.inference.bundle import Bundle, load_bundle
from volspine.inference.bundle_mode import without_localizer
from volspine.inference.coverage import Usable, usable_part, why_set_aside
from volspine.inference.device import resolve_device
from volspine.inference.graded import GradedStudy
from volspine.inference.level_mode import LevelReader
from volspine.inference.members import Members
from volspine.inference.placed import place_levels
from volspine.inference.provenance import Timings, model_facts, study_facts
from volspine.inference.run import NOT_LOCATED, Answer, Options, Reader, Run, each_once
from volspine.inference.screen import judge_spine
from volspine.inference.study_mode import StudyReader
from volspine.landmarks import Landmarks

__all__ = ["NOT_LOCATED", "Options", "Predictor", "predict"]


class Predictor:
    """A model that is loaded once and grades any number of studies.

    Args:
        bundle: Folder of the model; None is the demo bundle.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        WeightsError: If the bundle is missing or damaged.
        ConfigurationError: If it grades levels and cannot find them.
        DeviceError: If a named device is not there.
    """

    def __init__(self, bundle: str | Path | Bundle | None = None, *, device: str = "auto") -> None:
        self.device = resolve_device(device)
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self._reader = _reader(self.bundle, self.device)

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
        run = Run(usable, how, timings)
        if not any(series.protocol in PROTOCOLS for series in usable.study.series):
            return self._refused(run, _why_nothing(opened, usable))
        with timings.measure("screen"):
            judged = judge_spine(usable.study)
        if judged.refusal:
            return self._refused(run, judged.refusal)
        run.warnings.extend(filter(None, [judged.warning]))
        run.found = self._located(run)
        answer = self._reader.read(run)
        if all(answer.reasons):
            return self._refused(run, each_once(answer.reasons), answer)
        return self._graded(run, answer)

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

    def _located(self, run: Run) -> Landmarks | None:
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

    def _graded(self, run: Run, answer: Answer) -> GradedStudy:
        frequencies = self.bundle.card.frequencies
        imputed = np.array([bool(reason) for reason in answer.reasons])
        missing = each_once(answer.reasons)
        grades = StudyGrades(
            name=run.study.name,
            probabilities=np.where(imputed[:, None], frequencies, answer.probabilities),
            imputed=imputed,
            reasons=tuple(a or b for a, b in zip(answer.reasons, run.unlocated, strict=True)),
            points_mm=run.points_mm,
            status="partial" if missing else "graded",
            reason=missing,
            provenance=self._provenance(run, answer),
        )
        return GradedStudy(grades, run.study, frequencies, answer.look)

    def _refused(self, run: Run, reason: str, answer: Answer | None = None) -> GradedStudy:
        text = f"not a lumbar MRI that this model grades: {reason}"
        if run.how.strict:
            raise NoUsableSeriesError(
                text, remedy="leave out --strict to list it as refused", code="VS-SER-060"
            )
        grades = StudyGrades.refused(run.study.name, text, self._provenance(run, answer))
        return GradedStudy(grades, run.study, self.bundle.card.frequencies)

    def _provenance(self, run: Run, answer: Answer | None) -> dict[str, Any]:
        return {
            "volspine": __version__,
            "model": model_facts(self.bundle),
            "device": str(self.device),
            "seed": None,
            "settings": run.how.to_dict(),
            "warnings": list(run.warnings),
            **study_facts(run.study, None if answer is None else answer.uses),
            **({} if answer is None else answer.facts),
            **({} if run.found is None else {"landmarks": run.found.to_dict()}),
            "timings_s": dict(run.timings.seconds),
        }


def _reader(bundle: Bundle, device: torch.device) -> Reader:
    """Return what reads studies in the bundle's mode."""
    graders = tuple(grader.to(device) for grader in bundle.graders)
    members = Members(graders, device, bundle.card.temperature, bundle.card.member_weights)
    if bundle.mode == "level":
        if bundle.localizer is None:
            raise without_localizer()
        return LevelReader(members, bundle.doubt)
    if bundle.card.grid is None:
        raise WeightsError("the model has no grid", code="VS-WGT-012")
    return StudyReader(members, bundle.card.grid, bundle.card.sampling)


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


def _why_nothing(study: Study, usable: Usable) -> str:
    if usable.set_aside:
        return "; ".join(why_set_aside(p, why) for p, why in usable.set_aside.items())
    found = ", ".join(dict.fromkeys(series.reason for series in study.series))
    return f"none of its series is sagittal T1, sagittal T2 or axial T2 ({found[:300]})"

"""What a cross-validation came to: its folds -> tables, numbers, temperatures and a text.

    DIR/oof.csv             what was said of every study while it was held out
    DIR/oof_calibrated.csv  the same at the temperatures that the other folds ask for
    DIR/calibration.json    the temperature of each target that all folds ask for, and its effect
    DIR/metrics.json        of oof_calibrated.csv, as `volspine test` gives them
    DIR/label_noise.csv     labels that look like mistakes, the worst first

Shapes:
    N  studies    T  the 25 targets    K  the 3 grades
"""

import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from volspine.anatomy import TARGETS, Finding
from volspine.decide import frequencies
from volspine.errors import WeightsError
from volspine.jobs import write_text
from volspine.metrics.headline import CalibrationChange, calibration_change
from volspine.metrics.intervals import Estimate
from volspine.metrics.label_noise import Suspect, label_noise_csv, suspects
from volspine.tasks.cross_validation import METRICS, PREDICTIONS, CrossValidation
from volspine.tasks.evaluation import Evaluation, evaluate
from volspine.tasks.out_of_fold import OutOfFold, gather, member_weights, write_oof
from volspine.tasks.plain import CHECKPOINT_KEY
from volspine.types import FloatArray

__all__ = ["Summary", "checkpoint_temperature", "summarise"]

_SURE = 0.1
_TOLD = {"likelihood_loss": "- ln p of a label:", "calibration_error": "calibration error:"}


@dataclass(frozen=True, eq=False)
class Summary:
    """What a cross-validation came to.

    Attributes:
        said: What was said of every study while it was held out.
        calibrated: Probabilities at the temperatures that the other folds ask for, (N, T, K).
        temperature: That all folds ask for, (T,).
        change: What the temperatures change, of all targets and of each finding.
        evaluation: Of the calibrated probabilities.
        fold_scores: The challenge's score of each fold's model on its own held-out studies.
        noise: Labels that look like mistakes, the worst first.
    """

    said: OutOfFold
    calibrated: FloatArray
    temperature: FloatArray
    change: CalibrationChange
    evaluation: Evaluation
    fold_scores: tuple[float, ...]
    noise: tuple[Suspect, ...]

    def __str__(self) -> str:
        scores = ", ".join(f"{score:.3f}" for score in self.fold_scores)
        heats = ", ".join(
            f"{finding.term.replace('_', ' ')} {self.temperature[_first(finding)]:.2f}"
            for finding in Finding
        )
        doubted = sum(one.p_label < _SURE for one in self.noise)
        return "\n".join(
            [
                f"folds: {scores}",
                f"out of fold, calibrated: {self.evaluation}",
                f"temperatures: {heats}",
                *(f"{name} {_told(self.change['all'][kept])}" for kept, name in _TOLD.items()),
                f"labels of less than {_SURE:.0%} probability: {doubted}",
            ]
        )

    def write(self, folder: Path) -> None:
        """Write the tables and numbers.

        Raises:
            OutputError: If they cannot be written.
        """
        write_oof(self.said, folder / "oof.csv")
        write_oof(replace(self.said, probabilities=self.calibrated), folder / "oof_calibrated.csv")
        _write_json(folder / "calibration.json", self._calibration())
        _write_json(folder / "metrics.json", self.evaluation.to_dict())
        write_text(folder / "label_noise.csv", label_noise_csv(self.noise))

    def write_weights(self, path: Path) -> Path:
        """Write how much each fold's model may count for each target, and return the file."""
        _write_json(path, {"member_weights": member_weights(self.said).tolist()})
        return path

    def _calibration(self) -> dict[str, Any]:
        studies, folds = len(self.said.keys), len(self.fold_scores)
        return {
            "temperature": self.temperature.tolist(),
            "fitted_on": f"out-of-fold predictions of {studies} studies in {folds} folds",
            "effect_out_of_fold": {
                group: {
                    name: dict(zip(("before", "after", "change"), _rounded(three), strict=True))
                    for name, three in measures.items()
                }
                for group, measures in self.change.items()
            },
        }


def summarise(validation: CrossValidation, *, seed: int = 0) -> Summary:
    """Return what finished folds came to.

    Args:
        validation: All of its folds are finished.
        seed: Of the draws behind the intervals.

    Raises:
        TableError: If what a fold wrote is damaged or of other studies.
    """
    numbers = range(1, len(validation.folds) + 1)
    runs = [validation.run_folder(n) for n in numbers]
    heats = [checkpoint_temperature(validation.checkpoint(n)) for n in numbers]
    said = gather(validation.folds, [run / PREDICTIONS for run in runs], temperatures=heats)
    calibrated = said.calibrated()
    return Summary(
        said=said,
        calibrated=calibrated,
        temperature=said.temperature(),
        change=calibration_change(said.probabilities, calibrated, said.grades, seed=seed),
        # The prior knows the frequencies of all labels, which no fold's model did.
        evaluation=evaluate(calibrated, said.grades, frequencies(said.grades), seed=seed),
        fold_scores=tuple(_score(run / METRICS) for run in runs),
        noise=suspects(calibrated, said.grades, said.keys),
    )


def checkpoint_temperature(path: Path) -> FloatArray:
    """Return the temperature of each target, (T,), that a run reported at; 1 where it has none.

    Raises:
        WeightsError: If the checkpoint is missing or damaged.
    """
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)[CHECKPOINT_KEY]
        heat = np.asarray(kept.get("temperature") or np.ones(len(TARGETS)), dtype=np.float64)
    except (OSError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise WeightsError(
            "the checkpoint of a fold is missing or damaged",
            path=path,
            remedy="remove the folder of this fold and run volspine cv again",
            code="VS-WGT-061",
        ) from error
    return heat


def _score(path: Path) -> float:
    found = json.loads(path.read_text(encoding="utf-8"))
    return float(found["score"])


def _told(three: Sequence[Estimate]) -> str:
    before, after, change = three
    return (
        f"{before.value:.4f} before the temperatures, {after.value:.4f} after, change "
        f"{change.value:+.4f} (95 % {change.low:+.4f} to {change.high:+.4f})"
    )


def _rounded(three: Sequence[Estimate]) -> list[list[float | None]]:
    # JSON has no word for what is not defined, such as a finding without any label.
    return [[None if np.isnan(x) else round(x, 6) for x in one] for one in three]


def _first(finding: Finding) -> int:
    return next(target.index for target in TARGETS if target.finding is finding)


def _write_json(path: Path, data: dict[str, Any]) -> None:
    write_text(path, json.dumps(data, indent=1) + "\n")

"""OwnGradingTask: how a grader of own targets is trained, chosen and tested.

It does what `GradingTask` does; only what is tied to the challenge's 25 targets is replaced: which
side becomes which in a mirror, and how studies that were held out are scored (`own_evaluation`).
A checkpoint's `model` then says what is graded, under `targets`.
"""

import json
from typing import Any

import torch
from torch import Tensor, nn

from volspine.data.dataset import Batch
from volspine.data.own_datamodule import OwnDataModule
from volspine.decide import frequencies
from volspine.errors import ConfigurationError
from volspine.jobs import write_text
from volspine.metrics.own_scores import OwnMetric
from volspine.models.mirror import mirror_targets
from volspine.tasks.grading import GradingTask
from volspine.tasks.own_evaluation import OwnEvaluation, evaluate_own, own_predictions_csv
from volspine.types import FloatArray, IntArray
from volspine.vocabulary import Vocabulary

__all__ = ["OwnGradingTask"]

Said = tuple[Tensor, Tensor, list[str]]


class OwnGradingTask(GradingTask):
    """Train, validate and test a grader of own targets.

    Args:
        grader: One that was told what to grade; it says so by its `vocabulary`.
        options: `loss`, `optimizer`, `schedule`, `average_mirrors`, `seed`, as of `GradingTask`.

    Attributes:
        vocabulary: What is graded.
        evaluation: What the last test came to, an `OwnEvaluation`.

    Raises:
        ConfigurationError: If the grader does not take own targets, or the loss is of the
            challenge's.
    """

    DATA = OwnDataModule

    def __init__(self, grader: nn.Module, **options: Any) -> None:
        super().__init__(grader, **options)
        self.vocabulary = self.loss.vocabulary = _vocabulary_of(grader)
        self._check_loss()
        metric: Any = OwnMetric(self.vocabulary)  # Of another kind, with the same methods.
        self._metric = metric
        self._said: list[Said] = []

    def swapped(self, values: Tensor) -> Tensor:
        """Return values (B, T, ...) of mirror images with left and right put back."""
        return mirror_targets(values, order=self.vocabulary.mirrored_index)

    def learned(self) -> FloatArray:
        """Return the frequencies of the grades that training may use, shape (T, K)."""
        return frequencies(self._data().known_grades(), self.vocabulary.num_grades)

    def on_test_epoch_start(self) -> None:
        """Forget what was said before."""
        self._said = []

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Remember what was said about a batch."""
        del batch_idx
        probabilities = self.reported(self(self.seen(batch)).double())
        self._said.append((probabilities, batch["grades"], batch["study_id"]))

    def on_test_epoch_end(self) -> None:
        """Evaluate beside the prior; write `test_metrics.json` and the predictions."""
        probabilities = torch.cat([p for p, _, _ in self._said]).cpu().numpy()
        grades = torch.cat([g for _, g, _ in self._said]).cpu().numpy()
        keys = [key for _, _, several in self._said for key in several]
        self.known = self.learned() if self.known is None else self.known
        result: Any = evaluate_own(probabilities, grades, self.known, vocabulary=self.vocabulary)
        self.evaluation = result
        self.log_dict(
            {
                "test/score": result.everything.score,
                "test/prior": result.everything.prior,
                "test/kappa": result.everything.kappa,
                "test/gain_low": result.interval.low,
                "test/gain_high": result.interval.high,
            }
        )
        if self.trainer.is_global_zero:
            self._write_own(result, probabilities, grades, keys)

    def _write_own(
        self, result: OwnEvaluation, probabilities: FloatArray, grades: IntArray, keys: list[str]
    ) -> None:
        folder = self._folder()
        metrics = {**result.to_dict(), "data": self._recipe()}
        table = own_predictions_csv(probabilities, grades, keys, vocabulary=self.vocabulary)
        write_text(folder / "test_metrics.json", json.dumps(metrics, indent=1) + "\n")
        write_text(folder / "test_predictions.csv", table)

    def _check_loss(self) -> None:
        weights = self.loss.grade_weights
        if self.loss.any_severe:
            raise ConfigurationError(
                "any_severe asks for severe stenosis of the canal, which is no own target",
                remedy="leave any_severe out of the loss",
                code="VS-CFG-162",
            )
        if weights and len(weights) != self.vocabulary.num_grades:
            raise ConfigurationError(
                f"{len(weights)} grade_weights do not fit {self.vocabulary.num_grades} grades",
                remedy="give the loss one weight for each grade, or none",
                code="VS-CFG-163",
            )


def _vocabulary_of(grader: nn.Module) -> Vocabulary:
    found = getattr(grader, "vocabulary", None)
    if not isinstance(found, Vocabulary):
        raise ConfigurationError(
            f"{type(grader).__name__} does not take own targets",
            remedy="use a StudyGrader",
            code="VS-CFG-164",
        )
    return found

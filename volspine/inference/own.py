"""OwnPredictor: a checkpoint of own targets and a study -> its grades.

    read -> sample on the model's grid -> grade it and its mirror image -> average -> probabilities

A bundle and `volspine predict` speak of the challenge's 25 targets; what was trained on own ones is
used from its checkpoint. Nothing in that is executed, nothing random is drawn.

Shapes:
    T  targets    K  grades
"""

from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
import torch

from volspine.dicom.reading import read_study
from volspine.dicom.study import Study
from volspine.errors import NoUsableSeriesError, WeightsError
from volspine.inference.bundle_weights import filled
from volspine.inference.checkpoint import read_checkpoint
from volspine.inference.device import exact_arithmetic, resolve_device
from volspine.models.grader import StudyGrader, build_grader
from volspine.models.mirror import mirror_targets, mirror_volume
from volspine.types import FloatArray, VoxelArray
from volspine.vocabulary import Vocabulary
from volspine.volume.sample import sample_study

__all__ = ["OwnGrades", "OwnPredictor"]


class OwnGrades(NamedTuple):
    """What a model of own targets says of a study.

    Attributes:
        name: Of the study.
        vocabulary: What was graded.
        probabilities: Shape (T, K).
        trained: Shape (T, K); frequencies of the grades in the training split, to compare with.
    """

    name: str
    vocabulary: Vocabulary
    probabilities: FloatArray
    trained: FloatArray

    @property
    def grades(self) -> tuple[str, ...]:
        """The likeliest grade of each target."""
        return tuple(self.vocabulary.grades[n] for n in self.probabilities.argmax(axis=1))

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each target: `target`, a column for each grade, and `grade`."""
        columns = dict(zip(self.vocabulary.grades, self.probabilities.T, strict=True))
        return pd.DataFrame({"target": self.vocabulary.names, **columns, "grade": self.grades})


class OwnPredictor:
    """A model of own targets that is loaded once and grades any number of studies.

    Args:
        checkpoint: File that `volspine fit` wrote for a recipe with own targets.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        WeightsError: If it is missing, damaged, or of the challenge's targets.
        DeviceError: If a named device is not there.
    """

    def __init__(self, checkpoint: str | Path, *, device: str = "auto") -> None:
        self.device = resolve_device(device)
        kept = read_checkpoint(checkpoint)
        if "targets" not in kept.model or kept.grid is None:
            raise WeightsError(
                "the checkpoint grades no own targets",
                path=checkpoint,
                remedy="make a bundle of it: volspine bundle CKPT --out DIR",
                code="VS-WGT-023",
            )
        network = filled(build_grader, kept.model, kept.state, Path(checkpoint))
        self.grader = cast("StudyGrader", network).to(self.device)
        self.grid, self.sampling = kept.grid, kept.sampling
        self.vocabulary = self.grader.vocabulary
        self.trained = kept.frequencies

    def predict(self, study: str | Path | Study) -> OwnGrades:
        """Grade one study.

        Args:
            study: A folder, a zip, or what `volspine.read_study` returned.

        Raises:
            VolspineError: If nothing usable can be read.
        """
        opened = study if isinstance(study, Study) else read_study(study)
        sampled = sample_study(opened, self.grid, normalize=True, sampling=self.sampling)
        if not sampled.masks.any():
            raise NoUsableSeriesError(
                "the study shows nothing of what this model looks at",
                remedy="give one with sagittal T1, sagittal T2 or axial T2 series",
                code="VS-SER-061",
            )
        return OwnGrades(
            opened.name, self.vocabulary, self._ask(sampled.volume), np.array(self.trained)
        )

    def _ask(self, volume: VoxelArray) -> FloatArray:
        """Return probabilities, (T, K), of a (6, X, Y, Z) volume: mean of it and its mirror."""
        one = torch.from_numpy(volume)[None].to(self.device)
        order = self.vocabulary.mirrored_index
        with torch.inference_mode(), exact_arithmetic():
            as_is, mirrored = (self.grader(v).log_probs for v in (one, mirror_volume(one)))
            both = (as_is.double().exp() + mirror_targets(mirrored.double().exp(), order=order)) / 2
        return np.asarray(both[0].cpu().numpy(), dtype=np.float64)

"""Synthetic people without images: severities, true grades, a reader's labels, and the best guess.

What needs labels only, such as the statistics of a table or a picture of a score, needs no image.
The belief is that of whoever knows each severity exactly: the probability of each label that a
reader then gives. Nobody can say better what the labels are, so it is the ceiling of every grader.

Shapes:
    N  people    25  targets    3  grades
"""

from dataclasses import dataclass

import numpy as np

from volspine.anatomy import LEVELS
from volspine.phantom.card import reader_posterior
from volspine.phantom.labels import draw_severity, drop_labels, grades_of, read_labels
from volspine.phantom.prevalence import cutpoints
from volspine.phantom.spec import Noise
from volspine.types import FloatArray, IntArray

__all__ = ["People", "draw_people"]


@dataclass(frozen=True, eq=False)
class People:
    """Synthetic people.

    Attributes:
        severity: Latent, (N, 25); each standard normal, correlated as in patients.
        truth: Grades, (N, 25).
        labels: What a reader wrote down, (N, 25); -1 where missing.
        belief: Probability of each label given the severity, (N, 25, 3).
    """

    severity: FloatArray
    truth: IntArray
    labels: IntArray
    belief: FloatArray


def draw_people(number: int, *, seed: int = 0, noise: Noise = Noise.SINGLE_READER) -> People:
    """Draw people and have them read; the same again for the same number and seed.

    Args:
        number: Of people.
        seed: Of the draw.
        noise: Of the reader.

    Example:
        >>> draw_people(4).labels.shape
        (4, 25)
    """
    rng = np.random.default_rng(seed)
    severity = draw_severity(rng, number)
    truth = grades_of(severity, cutpoints())
    covered = (True,) * len(LEVELS)
    labels = [
        drop_labels(read_labels(z, grades, noise, rng), covered, rng)
        for z, grades in zip(severity, truth, strict=True)
    ]
    return People(severity, truth, np.array(labels), reader_posterior(severity, noise))

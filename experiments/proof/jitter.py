"""Jitter: errors as the shipped localizer was measured to make, for the points of whole studies."""

import numpy as np
import torch
from torch import Tensor

from volspine.anatomy import LEVELS, TARGETS
from volspine.volume.jitter import measured_errors


def errors_mm(rng: np.random.Generator, studies: int) -> Tensor:
    """Return errors of the 25 targets of some studies, (N, 25, 3), LPS mm.

    The five targets of a level err together; errors of over 15 mm and misses are left out.
    """
    drawn = measured_errors().draw(rng, studies * len(LEVELS))  # (N times levels, conditions, 3)
    by_level = drawn.reshape(studies, len(LEVELS), -1, 3)
    return torch.from_numpy(by_level.transpose(0, 2, 1, 3).reshape(studies, len(TARGETS), 3))

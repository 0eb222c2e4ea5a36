"""Refit: probabilities of the true grade -> probabilities of what a reader writes down.

A model that is trained on grades without reader noise is surer than any reader's labels allow, and
one trained on balanced people expects too many severe grades. What is due to that and not to what
it sees is found by fitting few numbers to the labels of other people of the cohort (Alexandari,
2020: bias-corrected temperature scaling):

    log p'[k]  =  log p[k] / T[finding]  +  b[finding, level, k]  +  constant

Sides share all numbers, so mirrored studies stay mirrored.

Shapes: N studies; 25 targets; 3 grades; L levels.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from proof.measures import FINDINGS, Graded
from volspine.anatomy import LEVELS, TARGETS
from volspine.metrics.calibration import fit_temperature

Refit = Callable[[np.ndarray], np.ndarray]

RIDGE = 1.0
"""Pulls offsets to 0, as much as a label or so would."""

_LEVEL = torch.tensor([LEVELS.index(t.level) for t in TARGETS])


def temperature_of(found: Graded) -> Refit:
    """Return what a temperature for each finding makes of probabilities, (N, 25, 3)."""
    heat = fit_temperature(logs(found.probabilities), found.labels)[:, None]
    return lambda p: torch.from_numpy(logs(p) / heat).softmax(dim=-1).numpy()


def temperature_and_offsets_of(found: Graded) -> Refit:
    """Return what a temperature for each finding, and offsets of its levels, make of them."""
    scores, labels = torch.from_numpy(logs(found.probabilities)), torch.from_numpy(found.labels)
    cold = torch.zeros(len(TARGETS), 1, dtype=torch.float64)  # Logarithms of temperatures.
    offsets = torch.zeros(len(TARGETS), 3, dtype=torch.float64)
    for columns in FINDINGS.values():
        levels = _LEVEL[columns]
        heat, shift = _fitted(scores[:, columns], labels[:, columns], levels)
        cold[columns], offsets[columns] = heat, shift[levels]
    return lambda p: (torch.from_numpy(logs(p)) / cold.exp() + offsets).softmax(dim=-1).numpy()


def logs(probabilities: np.ndarray) -> np.ndarray:
    """Return logarithms, of what is never quite 0."""
    return np.asarray(np.log(np.maximum(probabilities, 1e-12)))


def _fitted(scores: Tensor, labels: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithm of the temperature, (), and the offsets, (L, 3), of one finding."""
    heat = torch.zeros((), dtype=torch.float64, requires_grad=True)
    free = torch.zeros(len(LEVELS), 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([heat, free], max_iter=100, line_search_fn="strong_wolfe")
    known = labels >= 0

    def cost() -> Tensor:
        optimizer.zero_grad()
        said = (scores / heat.exp() + _padded(free)[levels]).log_softmax(dim=-1)
        told = said.gather(-1, labels.clamp_min(0)[..., None])[..., 0]
        loss = -told[known].sum() + RIDGE / 2 * free.square().sum()
        loss.backward()
        return loss

    optimizer.step(cost)
    return heat.detach(), _padded(free).detach()


def _padded(free: Tensor) -> Tensor:
    return torch.nn.functional.pad(free, (1, 0))

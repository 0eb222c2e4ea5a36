"""Training: from studies as patches to the probabilities of studies that were not trained on.

Every run has the same recipe and may take as many steps; the averaged weights that validation likes
best are kept, so a run that learns by heart is stopped where it began to. The loss is the plain
negative log-likelihood of the labels as read, each finding counting alike.

Shapes: N, B studies; 25 targets; 3 grades.
"""

import copy
import math
from dataclasses import dataclass

import torch
from curve.network import SmallGrader
from curve.patches import MARGIN, VIEWS, Studies
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from volspine.anatomy import Finding, Protocol
from volspine.decide import frequencies
from volspine.models.losses import grade_loss

BATCH = 4
CHECKS = 25
"""How often a run of full length is validated."""
PATIENCE = 0.3
"""Share of the steps that a run may take without a better validation."""


@dataclass(frozen=True)
class Recipe:
    """How long and how hard."""

    steps: int
    seed: int
    rate: float = 2e-3
    decay: float = 0.05
    dropout: float = 0.2


@dataclass(frozen=True)
class Trained:
    """What came of a run: the network, its validation loss, and the step that it is of."""

    network: SmallGrader
    loss: float
    step: int


def train(studies: Studies, validation: Studies, recipe: Recipe) -> Trained:
    """Train a network and return what validation likes best."""
    torch.manual_seed(recipe.seed)
    network = SmallGrader(recipe.dropout)
    network.link.start_from(torch.from_numpy(frequencies(studies.labels.numpy())).float())
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.98))
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: pace(n / recipe.steps))
    best = Trained(network, math.inf, 0)
    order = batches(len(studies.labels), recipe.steps)
    for step, rows in enumerate(order, start=1):
        network.train()
        batch = studies.of(rows)
        loss = grade_loss(network(augmented(batch.patches)), batch.labels, balance="findings")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        if step % max(recipe.steps // CHECKS, 1) == 0 or step == recipe.steps:
            best = better(best, average.module, validation, step)
            if step - best.step > PATIENCE * recipe.steps:
                break
    return best


def better(best: Trained, network: SmallGrader, validation: Studies, step: int) -> Trained:
    """Return the better of what was best and what is there now."""
    loss = float(grade_loss(predict(network, validation), validation.labels, balance="findings"))
    return Trained(copy.deepcopy(network), loss, step) if loss < best.loss else best


def pace(done: float) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine."""
    return min(done / 0.05 + 1e-3, 1.0) * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def batches(studies: int, steps: int) -> Tensor:
    """Return the studies of every step, (steps, B): all of them before one comes again."""
    wanted = steps * BATCH
    rounds = [torch.randperm(studies) for _ in range(-(-wanted // studies))]
    return torch.cat(rounds)[:wanted].view(steps, BATCH)


def augmented(patches: tuple[Tensor, ...]) -> list[Tensor]:
    """Shift, mirror and recolour the patches of every study at random."""
    mirror = torch.rand(len(patches[0])) < 0.5
    result = []
    for view, patch in zip(VIEWS, patches, strict=True):
        shifts = torch.randint(0, 2 * MARGIN + 1, (len(patch), 2)).tolist()
        moved = torch.stack(
            [one[..., r : r + view.pixels, c : c + view.pixels]
             for one, (r, c) in zip(patch, shifts, strict=True)]
        ).float()  # fmt: skip
        if view.finding is Finding.CANAL:
            axis = -1 if view.protocol is Protocol.AXIAL_T2 else -3
            moved = torch.where(mirror[:, None, None, None, None], moved.flip(axis), moved)
        gain = 1 + 0.1 * torch.randn(len(moved), 1, 1, 1, 1)
        result.append(moved * gain + 0.1 * torch.randn_like(gain))
    return result


@torch.no_grad()
def predict(network: SmallGrader, studies: Studies) -> Tensor:
    """Return log-probabilities, (N, 25, 3)."""
    network.eval()
    found = []
    for start in range(0, len(studies.labels), BATCH):
        patches = studies.of(slice(start, start + BATCH)).patches
        inner = [
            p[..., MARGIN : MARGIN + v.pixels, MARGIN : MARGIN + v.pixels].float()
            for v, p in zip(VIEWS, patches, strict=True)
        ]
        found.append(network(inner))
    return torch.cat(found)

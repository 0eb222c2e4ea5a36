"""Training: one recipe for every variant and for study mode, from batches to averaged weights.

AdamW, a short rise and half a cosine, gradients of norm 1 at most, a running average of the weights
that is what is tested. How far a run is follows the steps, or the clock where that is what two
networks share.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Step = tuple[Any, dict[str, Tensor]]
Loss = Callable[[Any, dict[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """How long and how hard.

    Attributes:
        steps: Most steps.
        rate: Largest learning rate.
        seed: Of weights and draws.
        seconds: Ends the run where given, whatever the steps; see `clock_of`.
        decay: Of weights.
        average: Share of the running average that a step keeps, at most.
        half: Whether to compute in bfloat16 where torch says it may.
    """

    steps: int
    rate: float
    seed: int
    seconds: float | None = None
    decay: float = 0.05
    average: float = 0.98
    half: bool = True


@dataclass(frozen=True)
class Trained:
    """What came of a run."""

    network: nn.Module
    seconds: float
    steps: int


def train(network: nn.Module, feed: Iterable[Step], loss: Loss, recipe: Recipe) -> Trained:
    """Train a network on batches of inputs and what is known of them.

    Args:
        network: On its device.
        feed: Endless, or of `recipe.steps`.
        loss: Of what the network says and what is known; a dict with `loss`.
        recipe: How.
    """
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    clock = clock_of(network)
    start, step, done = clock(), 0, 0.0
    network.train()
    for shown, known in feed:
        if done >= 1.0:
            break
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * pace(done)
        parts = _one_step(network, (shown, known), loss, recipe)
        optimizer.step()
        step += 1
        if step >= 10:  # The first steps are far from what follows.
            average.update_parameters(network)
        done = _done(step, clock() - start, recipe)
        _say(step, done, parts, clock() - start)
    kept = average.module if step >= 10 else network
    return Trained(copy.deepcopy(kept).eval(), clock() - start, step)


def clock_of(network: nn.Module) -> Callable[[], float]:
    """Return a clock in seconds: of the processor, all threads, which other work does not slow.

    On a GPU it is that on the wall.
    """
    on_cpu = next(network.parameters()).device.type == "cpu"
    return time.process_time if on_cpu else time.perf_counter


def _one_step(network: nn.Module, step: Step, loss: Loss, recipe: Recipe) -> dict[str, Tensor]:
    """Leave the clipped gradient of one step in the network and return the loss's parts."""
    network.zero_grad(set_to_none=True)
    device = next(network.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=recipe.half):
        graded = network(step[0])
    parts = loss(graded, step[1])
    parts["loss"].backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    return parts


def _done(step: int, seconds: float, recipe: Recipe) -> float:
    by_clock = 0.0 if recipe.seconds is None else seconds / recipe.seconds
    return max(step / recipe.steps, by_clock)


def _say(step: int, done: float, parts: dict[str, Tensor], seconds: float) -> None:
    if step % 50 == 0 or done >= 1.0:
        loss = parts["grades"].item()
        print(
            f"    step {step}, {100 * min(done, 1):.0f} %, {seconds:.0f} s: {loss:.4f}", flush=True
        )


def pace(done: float) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine."""
    done = min(done, 1.0)
    return min(done / 0.05 + 1e-2, 1.0) * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


@torch.inference_mode()
def predict(network: nn.Module, feed: Iterable[Any], *, half: bool) -> Tensor:
    """Return log-probabilities, (N, 25, 3), of batches of inputs."""
    device = next(network.parameters()).device.type
    found = []
    for shown in feed:  # Made outside of autocast, which does not stack numbers of 64 bits.
        with torch.autocast(device, torch.bfloat16, enabled=half):
            found.append(network(shown).log_probs.float().cpu())
    return torch.cat(found)

"""25 cumulative links at once, against one spacecutter module for each target.

Forward and backward of the ordinal loss of a batch of 64 studies.
"""

import time
from collections.abc import Callable

import torch
from spacecutter.losses import CumulativeLinkLoss
from spacecutter.models import LogisticCumulativeLink
from timing import Row, compare
from torch.nn.functional import nll_loss

from volspine.anatomy import TARGETS
from volspine.models.link import CumulativeLink

__all__ = ["rows"]

BATCH = 64
AT_ONCE = 20


def rows(*, rounds: int = 21, clock: Callable[[], float] = time.perf_counter) -> list[Row]:
    """Compare one step of the link and its loss."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(BATCH, len(TARGETS), 1, generator=generator)
    grades = torch.randint(0, 3, (BATCH, len(TARGETS)), generator=generator)
    link = CumulativeLink(share="target")
    modules = [LogisticCumulativeLink(3) for _ in TARGETS]
    for module, cutpoints in zip(modules, link.cutpoints.detach(), strict=True):
        module.cutpoints.data = cutpoints.clone()
    loss_of = CumulativeLinkLoss()

    def ours() -> torch.Tensor:
        severity = scores.clone().requires_grad_()
        loss = nll_loss(link(severity).flatten(0, 1), grades.flatten())
        loss.backward()
        return loss.detach()

    def theirs() -> torch.Tensor:
        severity = scores.clone().requires_grad_()
        columns = zip(modules, severity.unbind(1), grades.unbind(1), strict=True)
        losses = [loss_of(module(s), g[:, None]) for module, s, g in columns]
        loss = torch.stack(losses).mean()
        loss.backward()
        return loss.detach()

    difference = float((ours() - theirs()).abs())
    if difference > 1e-5:
        raise AssertionError(f"the losses differ by {difference}")
    return [
        compare(
            "20 times an ordinal link, 64 x 25, forward and backward",
            ("CumulativeLink", lambda: [ours() for _ in range(AT_ONCE)]),
            ("25 spacecutter heads", lambda: [theirs() for _ in range(AT_ONCE)]),
            agreement=f"loss within {difference:.1e}",
            rounds=rounds,
            clock=clock,
        )
    ]

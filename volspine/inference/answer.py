"""Answer: what a network says of one study, and which of its targets the study did not show."""

from collections.abc import Container
from typing import NamedTuple

import torch
from torch import Tensor

from volspine.anatomy import PROTOCOLS, TARGETS, Protocol
from volspine.inference.shown import Unseen, unseen_targets
from volspine.types import FloatArray
from volspine.volume.sample import SampledStudy

__all__ = ["Answer"]


class Answer(NamedTuple):
    """What the network says of one study.

    Attributes:
        probabilities: Calibrated, shape (25, 3).
        attention: Where each target was looked for, shape (25, i, j, k), if the network does so.
        reasons: 25 texts; why no primary view of a target is there, else empty.
        unseen: What is amiss with the place where a target was looked for.
    """

    probabilities: FloatArray
    attention: Tensor | None
    reasons: tuple[str, ...] = ("",) * len(TARGETS)
    unseen: tuple[Unseen, ...] = tuple("" for _ in TARGETS)

    def with_reasons(
        self, reasons: tuple[str, ...], sampled: SampledStudy, missing: Container[Protocol]
    ) -> "Answer":
        """Return the answer together with what the study does not show."""
        if self.attention is None:
            return self._replace(reasons=reasons)
        masks = torch.from_numpy(sampled.masks.copy())
        masks[[p for p, protocol in enumerate(PROTOCOLS) if protocol in missing]] = False
        unseen = unseen_targets(self.attention, masks, sampled.grid.spacing_mm)
        return self._replace(reasons=reasons, unseen=unseen)

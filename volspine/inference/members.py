"""Members: the networks of a bundle, asked about a study and its mirror image -> one report.

With p the mean probability over both images and over the members of an ensemble (weighted, where
the card says how much each counts for a target), and T the temperature of a target, the report is

    softmax(log p / T).

The mirror image goes through the same networks with its sides swapped back, so a mirrored study
gets exactly the mirrored report.

Shapes:
    T  25 targets    K  3 grades
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from volspine.anatomy import PROTOCOLS, TARGETS, Protocol
from volspine.errors import WeightsError
from volspine.inference.device import exact_arithmetic, with_less_on_memory_error
from volspine.models.mirror import mirror_targets
from volspine.types import FloatArray

__all__ = ["Batches", "Members", "Said"]

Batches = Callable[[int], Sequence[Any]]
"""From how many images at a time to inputs of a network: of the study, then of its mirror image, in
one batch of two or in two batches of one; then the same of each variant (`inference.variants`)."""


class Said(NamedTuple):
    """What the members say of one study.

    Attributes:
        probabilities: Calibrated, shape (25, 3).
        looks: For each member, for each batch, where it looked, as it says it; not of variants.
        samples: What each member says of the study and then of its mirror image, sides put back;
            calibrated, shape (2 x members, 25, 3); not of variants.
    """

    probabilities: FloatArray
    looks: list[list[Any]]
    samples: FloatArray


@dataclass(frozen=True, eq=False)
class Members:
    """The networks of a bundle on their device.

    Attributes:
        graders: One or more, in evaluation mode.
        device: Where they are.
        temperature: Shape (25,); equal for both sides.
        weights: Shape (members, 25), summing to one over the members, equal for both sides; None
            counts them equally.
    """

    graders: tuple[nn.Module, ...]
    device: torch.device
    temperature: FloatArray
    weights: FloatArray | None = None

    def __post_init__(self) -> None:
        """Refuse weights of another number of members.

        Raises:
            WeightsError: If there is not one row for each.
        """
        if self.weights is not None and len(self.weights) != len(self.graders):
            raise WeightsError(
                f"weights of {len(self.weights)} members for an ensemble of {len(self.graders)}",
                remedy="make the bundle again with: volspine bundle",
                code="VS-WGT-060",
            )

    @property
    def read(self) -> frozenset[Protocol]:
        """The protocols that any of them looks at; the images of others change nothing."""
        looked_at = [getattr(grader, "protocols", PROTOCOLS) for grader in self.graders]
        return frozenset(protocol for protocols in looked_at for protocol in protocols)

    @property
    def asked(self) -> tuple[bool, ...]:
        """For each target, whether any of them grades it; of others they say what is frequent."""
        everything = torch.ones(len(TARGETS), dtype=torch.bool)
        kept = [getattr(grader, "asked", everything).cpu() for grader in self.graders]
        return tuple(torch.stack(kept).any(dim=0).tolist())

    def ask(self, batches: Batches) -> Said:
        """Return the report about a study, with less at a time where memory runs out.

        Raises:
            DeviceError: If memory runs out a second time.
        """
        found, looks = with_less_on_memory_error(
            lambda: self._each(batches(2)), lambda: self._each(batches(1)), self.device
        )
        plain = found.view(len(self.graders), -1, *found.shape[1:])[:, :2].flatten(0, 1)
        return Said(self._tempered(self._mean(found)), looks, self._tempered(plain))

    def _mean(self, found: Tensor) -> Tensor:
        """Return the mean, (25, 3), of what each member says of all images, (images, 25, 3)."""
        if self.weights is None:
            return found.mean(dim=0)
        each = found.view(len(self.graders), -1, *found.shape[1:]).mean(dim=1)
        mean: Tensor = (torch.from_numpy(self.weights)[..., None] * each).sum(dim=0)
        return mean

    def _tempered(self, p: Tensor) -> FloatArray:
        temperature = torch.from_numpy(self.temperature)[:, None]
        log_probs = p.clamp_min(torch.finfo(torch.float64).tiny).log() / temperature
        return np.asarray(log_probs.softmax(dim=-1).numpy(), dtype=np.float64)

    def _each(self, batches: Sequence[Any]) -> tuple[Tensor, list[list[Any]]]:
        """Return what each member says of all images, (members x images, 25, 3), and looks."""
        found, looks = [], []
        with torch.inference_mode(), exact_arithmetic():
            for grader in self.graders:
                parts = [grader(batch) for batch in batches]
                said = torch.cat([p.log_probs for p in parts]).double().cpu().exp()
                for as_is, mirrored in said.view(-1, 2, *said.shape[1:]):
                    found.extend([as_is, mirror_targets(mirrored, dim=0)])
                plain = len(parts) * 2 // len(said)
                looks.append([part.attention for part in parts[:plain]])
        return torch.stack(found), looks

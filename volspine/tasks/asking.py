"""Asking: what a grader is shown of a batch, what it says, and what that costs.

A task of another kind of input, or of other targets, overrides what a batch is to the grader
(`seen`, `mirrored`, `mixed`, `swapped`); how mirror images are averaged and studies are mixed stays
the same.

Shapes:
    B  studies of a batch    T  targets    K  grades
"""

from typing import Any

from torch import Tensor, nn

from volspine.data.dataset import Batch
from volspine.data.lightning import pl
from volspine.models.losses import GradingLoss
from volspine.models.mirror import mirror_targets, mirror_volume
from volspine.models.parts import Graded, Marks
from volspine.tasks.craft import Craft
from volspine.tasks.mixing import Mix, draw_mix, mixed_losses, mixed_volume, partners_of

__all__ = ["AskingTask"]


class AskingTask(pl.LightningModule):
    """A task that asks a grader; whoever trains, chooses and tests it sets the attributes.

    Attributes:
        grader: From what it reads to `Graded`.
        loss: From what the grader says and the batch to `loss` and its parts.
        average_mirrors: Whether a study and its mirror image are graded and averaged.
        seed: Of mixup.
        craft: What else is done in training.
    """

    grader: nn.Module
    loss: GradingLoss
    average_mirrors: bool
    seed: int
    craft: Craft

    def forward(self, seen: Any) -> Tensor:
        """Return the probability of every grade, (B, 25, 3), of what the grader reads."""
        return self._averaged(self.grader(seen), seen)

    def _averaged(self, graded: Graded, seen: Any) -> Tensor:
        """Return probabilities, (B, 25, 3), also of the mirror images where that is asked for."""
        direct = graded.log_probs.float().exp()
        if not self.average_mirrors:
            return direct
        reflected = self.grader(self.mirrored(seen)).log_probs.float().exp()
        both: Tensor = (direct + self.swapped(reflected)) / 2
        return both

    def seen(self, batch: Batch) -> Any:
        """Return what the grader reads of a batch."""
        return batch["volume"]

    def mirrored(self, seen: Any) -> Any:
        """Return what the grader would read of the same patients' mirror images."""
        return mirror_volume(seen)

    def taught(self, batch: Batch) -> Graded:
        """Return what the grader says in training; one that takes marks is told where to look."""
        if not getattr(self.grader, "takes_marks", False) or "points" not in batch:
            untold: Graded = self.grader(self.seen(batch))
            return untold
        marks = Marks(batch["points"], batch["has_point"])
        told: Graded = self.grader(self.seen(batch), marks)
        return told

    def mixed(self, batch: Batch, mix: Mix) -> Batch:
        """Return a batch whose studies lie over their partners, with their own targets."""
        return {**batch, "volume": mixed_volume(batch["volume"], mix)}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return `loss` and its parts in training.

        Studies lie over one another, and the mirror images are graded, where that is asked for.
        """
        mix = None
        if self.craft.mixup:
            step = self.trainer.global_step
            mix = draw_mix(self.craft.mixup, batch["study_id"], seed=self.seed, step=step)
            batch = self.mixed(batch, mix)
        graded = self.taught(batch)
        graded = graded._replace(log_probs=graded.log_probs.float())
        mirrored = self.grader(self.mirrored(self.seen(batch))) if self.loss.mirror else None
        parts: dict[str, Tensor] = self.loss(graded, batch, mirrored)
        if mix is None:
            return parts
        return mixed_losses(parts, self.loss(graded, partners_of(batch, mix), mirrored), mix)

    def swapped(self, values: Tensor) -> Tensor:
        """Return values (B, T, ...) of mirror images with left and right put back."""
        return mirror_targets(values)

    def reported(self, probabilities: Tensor) -> Tensor:
        """Return probabilities as a report gives them."""
        return probabilities

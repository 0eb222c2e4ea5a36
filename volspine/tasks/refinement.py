"""RefinementTask: how a point refiner is trained and chosen; the refiner is injected.

A checkpoint carries what prediction needs as plain data under the key `volspine`, as that of
`LocalizationTask` does: version, the refiner's recipe, who was trained on, and the errors.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from volspine import __version__
from volspine.data.lightning import pl
from volspine.models.point_refiner import PointRefiner, refiner_loss
from volspine.tasks.plain import CHECKPOINT_KEY, parameter_groups, plain_arguments
from volspine.tasks.schedule import Schedule

__all__ = ["RefinementTask"]

_SCHEDULE = Schedule(warmup=0.05, final=0.01)

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
Batch = dict[str, Any]


class RefinementTask(pl.LightningModule):
    """Train and validate a point refiner.

    Args:
        refiner: From patches to where the points are in them.
        optimizer: From parameters to an optimizer.
        schedule: How the learning rate goes.

    Attributes:
        evaluation: What the last test came to, in words.
    """

    def __init__(
        self,
        refiner: PointRefiner,
        *,
        optimizer: MakeOptimizer = torch.optim.AdamW,
        schedule: Schedule = _SCHEDULE,
    ) -> None:
        super().__init__()
        with plain_arguments(self):
            self.save_hyperparameters(logger=False)
        self.refiner = refiner
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.evaluation = ""
        self._away: list[Tensor] = []

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule, which advances with every step."""
        optimizer = self.make_optimizer(parameter_groups(self.refiner))
        return self.schedule.of_run(optimizer, self.trainer.estimated_stepping_batches)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        del batch_idx
        said = self.refiner(batch["patches"])
        loss = refiner_loss(said, batch["true_mm"], self.refiner.cells_mm)
        size = len(batch["patches"])
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=size)
        self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=size)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the errors of a batch."""
        del batch_idx
        said = self.refiner(batch["patches"])
        self._away.append((said.offset_mm - batch["true_mm"]).norm(dim=1))

    def on_validation_epoch_end(self) -> None:
        """Log the median error and that which 95 % stay below, in the plane, mm."""
        error, p95 = self._recall()
        self.log("val/error", error, prog_bar=True)
        self.log("val/p95", p95)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the errors of a batch."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Log what validation logs, and keep it in words."""
        error, p95 = self._recall()
        self.log_dict({"test/error": error, "test/p95": p95})
        self.evaluation = f"median {error:.2f} mm in the plane, 95 % below {p95:.2f} mm"

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put in what prediction needs, as plain data."""
        data: Any = getattr(self.trainer, "datamodule", None)
        logged = self.trainer.callback_metrics
        checkpoint[CHECKPOINT_KEY] = {
            "version": __version__,
            "model": self.refiner.recipe,
            "data": {} if data is None else data.recipe(),
            "validation": {
                name: float(value) for name, value in logged.items() if name.startswith("val/")
            },
        }

    def _recall(self) -> tuple[float, float]:
        """Return the median of the errors and what 95 % stay below, and begin anew."""
        away, self._away = torch.cat(self._away), []
        return float(away.median()), float(away.quantile(0.95))

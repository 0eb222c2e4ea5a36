"""LocalizationTask: how a localizer is trained, chosen and tested; the localizer is injected.

A checkpoint carries what prediction needs as plain data under the key `volspine`, so that it loads
with `weights_only=True` and no class name in it is ever looked up:

    version        of this library
    model          the localizer's recipe: name in a closed list, and its arguments
    data           grid, and who was trained on
    validation     the errors of this very state, where there was a validation set
"""

import json
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from volspine import __version__
from volspine.data.lightning import pl
from volspine.errors import ConfigurationError, WeightsError
from volspine.jobs import write_text
from volspine.metrics.landmarks_streaming import LandmarkMetric
from volspine.models.localizer import Localizer, Located, average_mirrors
from volspine.models.localizer_loss import LocalizerLoss
from volspine.models.localizer_readout import SoftPoints, locate_soft
from volspine.tasks.localization_decode import named_points, true_points
from volspine.tasks.localization_errors import PointErrors
from volspine.tasks.plain import CHECKPOINT_KEY, parameter_groups, plain_arguments
from volspine.tasks.schedule import Schedule

__all__ = ["LocalizationTask"]

_SCHEDULE = Schedule(warmup=0.05, final=0.01)

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
Batch = dict[str, Any]


class LocalizationTask(pl.LightningModule):
    """Train, validate and test a localizer.

    Args:
        localizer: From one series to `Located`.
        loss: From what the localizer says and where the points are to `loss` and its parts.
        optimizer: From parameters to an optimizer.
        schedule: How the learning rate goes.
        average_mirrors: Whether validation and test look at each series and its mirror image.
        start_from: Checkpoint of an earlier run whose weights a new run starts from; a run that
            is resumed goes on from its own.
    """

    def __init__(
        self,
        localizer: Localizer,
        *,
        loss: LocalizerLoss | None = None,
        optimizer: MakeOptimizer = torch.optim.AdamW,
        schedule: Schedule = _SCHEDULE,
        average_mirrors: bool = True,
        start_from: str | None = None,
    ) -> None:
        super().__init__()
        with plain_arguments(self):
            self.save_hyperparameters(logger=False)
        self.localizer = localizer
        self.loss = loss or LocalizerLoss()
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.average_mirrors = average_mirrors
        self.start_from = start_from
        self.evaluation: PointErrors | None = None
        self._errors = PointErrors()
        self._named = LandmarkMetric()

    def forward(self, image: Tensor, mask: Tensor) -> SoftPoints:
        """Return the place of every point."""
        return locate_soft(self._look(image, mask), self.localizer)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule, which advances with every step."""
        optimizer = self.make_optimizer(parameter_groups(self.localizer))
        return self.schedule.of_run(optimizer, self.trainer.estimated_stepping_batches)

    def setup(self, stage: str) -> None:
        """Take the weights of an earlier run, before anything averages or resumes them.

        Raises:
            WeightsError: If they are missing, damaged or of another localizer.
        """
        if stage == "fit" and self.start_from is not None:
            self.localizer.load_state_dict(_weights(Path(self.start_from), self.localizer))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        del batch_idx
        maps = self.localizer.maps(batch["image"], batch["mask"])
        parts = self.loss(maps, batch["points_index"], batch["visible"])
        size = len(batch["study_id"])
        named = {f"train/{name}": value.detach() for name, value in parts.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=size)
        self.log("loss", parts["loss"].detach(), prog_bar=True, logger=False, batch_size=size)
        loss: Tensor = parts["loss"]
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the errors of a batch."""
        del batch_idx
        self._measure(batch)

    def on_validation_epoch_end(self) -> None:
        """Log what the errors come to."""
        found = self._recall().summary()
        self.log("val/error", found.pop("error"), prog_bar=True)
        self.log_dict({f"val/{name}": value for name, value in found.items()})

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the errors of a batch, before and after the points are named in order."""
        del batch_idx
        located = self._measure(batch)
        found = named_points(located, batch["mask"], self.localizer)
        true = true_points(batch["points_index"], batch["visible"], self.localizer)
        # What lies out of view is neither right nor wrong here.
        places = torch.where(true.isnan(), torch.nan, found.places_mm)
        self._named.update(places, true, found.spread_mm)

    def on_test_epoch_end(self) -> None:
        """Log what the errors come to and write `test_metrics.json`."""
        named = {name: float(value) for name, value in self._named.compute().items()}
        self._named.reset()
        result = self.evaluation = replace(self._recall(), named=named)
        self.log_dict({f"test/{name}": value for name, value in result.summary().items()})
        if self.trainer.is_global_zero:
            text = json.dumps({**result.to_dict(), "data": self._recipe()}, indent=1)
            write_text(Path(self.trainer.default_root_dir) / "test_metrics.json", text + "\n")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put in what prediction needs, as plain data."""
        logged = self.trainer.callback_metrics
        checkpoint[CHECKPOINT_KEY] = {
            "version": __version__,
            "model": self.localizer.recipe,
            "data": self._recipe(),
            "validation": {
                name: float(value) for name, value in logged.items() if name.startswith("val/")
            },
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check whose checkpoint it is.

        Raises:
            ConfigurationError: If the checkpoint is of another model.
        """
        kept = checkpoint.get(CHECKPOINT_KEY)
        mine = self.localizer.recipe
        if isinstance(kept, Mapping) and kept.get("model") != mine:
            theirs = kept.get("model") or {}
            odd = sorted(k for k in {*mine, *theirs} if mine.get(k) != theirs.get(k))
            raise ConfigurationError(
                f"the checkpoint is of another localizer: {', '.join(odd)} differ",
                remedy="use the recipe that it was trained with",
                code="VS-CFG-106",
            )

    def _look(self, image: Tensor, mask: Tensor) -> Located:
        if self.average_mirrors:
            located = average_mirrors(self.localizer, image, mask)
        else:
            located = self.localizer(image, mask)
        return Located(*(each.float() for each in located))

    def _measure(self, batch: Batch) -> Located:
        located = self._look(batch["image"], batch["mask"])
        found = locate_soft(located, self.localizer)
        spacing = torch.tensor(self.localizer.spacing_mm, device=found.voxels.device)
        away = ((found.voxels - batch["points_index"]) * spacing).norm(dim=-1)
        self._errors.add(away, found.presence, batch["visible"])
        return located

    def _recall(self) -> PointErrors:
        """Return the errors of this epoch and begin anew."""
        result, self._errors = self._errors, PointErrors()
        return result

    def _recipe(self) -> dict[str, Any]:
        data: Any = getattr(self.trainer, "datamodule", None)
        recipe: dict[str, Any] = {} if data is None else data.recipe()
        return recipe


def _weights(path: Path, localizer: Localizer) -> dict[str, Tensor]:
    """Return the weights of a localizer like this one out of a checkpoint; nothing in it is run."""
    prefix = "localizer."
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        same = content[CHECKPOINT_KEY]["model"] == localizer.recipe
        state = content["state_dict"].items()
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError,
            AttributeError, pickle.UnpicklingError) as error:  # fmt: skip
        raise _no_start(path, f"it cannot be read ({type(error).__name__})") from error
    if not same:
        raise _no_start(path, "it is of another localizer")
    return {name.removeprefix(prefix): t for name, t in state if name.startswith(prefix)}


def _no_start(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"a run cannot start from this checkpoint: {why}",
        path=path,
        remedy="give a checkpoint that volspine fit wrote for the same localizer",
        code="VS-WGT-052",
    )

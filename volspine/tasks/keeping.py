"""How a run is kept, so that it may be stopped at any moment and go on where it was.

    end of an epoch, every so many steps or minutes, a signal  ->  checkpoints/last.ckpt

A checkpoint in the middle of an epoch holds weights, averages, the optimizer's and the schedule's
state, and how many batches of the epoch are done; who is seen next and how follows from these
(`data.resuming`), so a run that goes on from it takes the very steps of one that never stopped.
Files appear whole or not at all.

A run that is told to stop (SIGTERM, SIGUSR1, SIGUSR2 or Ctrl-C) finishes its step, keeps itself and
leaves. In the last step of an epoch it first validates and keeps the whole epoch. Several processes
(DDP) agree on the step. A second Ctrl-C stops at once.
"""

import io
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from volspine.data.lightning import Checkpoint, TorchCheckpointIO, pl
from volspine.errors import ConfigurationError
from volspine.jobs import write_bytes

__all__ = ["STOPPED", "AtomicCheckpoints", "KeepLast", "KeepPlan", "Requests", "Stopped"]

STOPPED = 130
"""Exit code of a run that was told to stop."""

_SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2")
_SECONDS_A_MINUTE = 60.0


class Stopped(SystemExit):
    """A run that was told to stop, and was kept.

    Args:
        message: What happened, in a line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(STOPPED)
        self.message = message


@dataclass(frozen=True, kw_only=True)
class KeepPlan:
    """How often a run is kept between the ends of its epochs.

    Attributes:
        steps: Every so many steps; 0 for never.
        minutes: After so many minutes, at the next step; 0 for never.

    Raises:
        ConfigurationError: If one is negative.
    """

    steps: int = 0
    minutes: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 0 or not 0 <= self.minutes < float("inf"):
            raise ConfigurationError(
                f"a run cannot be kept every {self.steps} steps or {self.minutes:g} minutes",
                remedy="give numbers from 0, where 0 is at the end of epochs alone",
                code="VS-CFG-400",
            )


class Requests:
    """Signals that ask a run to stop, while they are listened to.

    Attributes:
        received: Name of the first; None before.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals over; only a process's main thread can."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None:
                self._before[number] = signal.signal(number, self._note)

    def leave(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number).name


class KeepLast(Checkpoint):
    """Keep a run in `last.ckpt`, and stop it in good order when it is told to.

    Args:
        folder: Of the checkpoints.
        plan: How often.

    Attributes:
        requests: What it listens to.
    """

    def __init__(self, folder: Path, plan: KeepPlan | None = None) -> None:
        self.plan = plan or KeepPlan()
        self.requests = Requests()
        self._folder = folder
        self._path = folder / "last.ckpt"
        self._step, self._kept_step, self._kept_at = 0, -1, 0.0

    @property
    def state_key(self) -> str:
        """The key under which earlier versions kept theirs, so that their runs go on quietly."""
        options = {
            "monitor": None, "mode": "min", "every_n_train_steps": 0, "every_n_epochs": 1,
            "train_time_interval": None,
        }  # fmt: skip
        return f"ModelCheckpoint{options!r}"

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the file: that of a run that goes on, and a free one for a new run."""
        del pl_module
        self._path = _file_of(self._folder, trainer.ckpt_path)
        if trainer.is_global_zero:
            for half in self._folder.glob(".last*.ckpt.*.ckpt"):
                half.unlink(missing_ok=True)  # Of a run that was killed while it wrote.

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to listen."""
        del trainer, pl_module
        self.requests.listen()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to listen, and to count."""
        del pl_module
        self.requests.listen()
        self._step, self._kept_at = trainer.global_step, time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave between two epochs.

        Raises:
            Stopped: If the run was told to stop.
        """
        del pl_module
        if self._is_told(trainer):
            raise self._stopped(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Keep the run where that is due, and leave where it was told to.

        Raises:
            Stopped: If it was.
        """
        del pl_module
        if trainer.global_step == self._step:
            return  # Gradients are still being gathered.
        self._step = trainer.global_step
        if trainer.is_last_batch or trainer.global_step == trainer.max_steps:
            return  # The end of the epoch is about to be kept, validated.
        is_told = self._is_told(trainer)
        if is_told or self._is_due(trainer):
            self._keep(trainer)
        if is_told:
            raise self._stopped(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the run."""
        del pl_module
        self._keep(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        del trainer, pl_module, exception
        self.requests.leave()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        del trainer, pl_module, stage
        self.requests.leave()

    def _is_told(self, trainer: pl.Trainer) -> bool:
        told = self.requests.received is not None
        return bool(trainer.strategy.reduce_boolean_decision(told, all=False))

    def _is_due(self, trainer: pl.Trainer) -> bool:
        plan = self.plan
        if plan.steps and trainer.global_step % plan.steps == 0:
            return True
        seconds = time.monotonic() - self._kept_at
        # One process's clock decides for all.
        late = plan.minutes > 0 and seconds >= plan.minutes * _SECONDS_A_MINUTE
        return bool(trainer.strategy.broadcast(late)) if plan.minutes else False

    def _keep(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self._path)
        self._kept_step, self._kept_at = trainer.global_step, time.monotonic()

    def _stopped(self, trainer: pl.Trainer) -> Stopped:
        name = self.requests.received or "another process"
        if self._kept_step < 0:
            return Stopped(f"stopped by {name} before the first step; nothing is lost")
        return Stopped(
            f"stopped by {name} after step {trainer.global_step}; "
            "go on with --ckpt_path last, as if it had not been stopped"
        )


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, whenever their writer is killed."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: If it cannot be written; the one before is as it was.
        """
        del storage_options
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getvalue())


def _file_of(folder: Path, resumed: Any) -> Path:
    """Return where a run is kept, given the checkpoint that it goes on from."""
    if resumed is not None:
        path = Path(resumed)
        is_ours = path.parent.resolve() == folder.resolve() and path.name.startswith("last")
        return path if is_ours else folder / "last.ckpt"
    taken, path = 0, folder / "last.ckpt"
    while path.exists():
        taken += 1
        path = folder / f"last-v{taken}.ckpt"
    return path

"""A trainer that says nothing and writes no more than it is told to."""

import time
from pathlib import Path
from typing import Any

from volspine.data.lightning import pl
from volspine.tasks.callbacks import StopOnNonFiniteLoss

__all__ = ["Slowly", "trainer"]


def trainer(folder: Path, epochs: int = 2, **options: Any) -> pl.Trainer:
    """Return a trainer for the CPU."""
    return pl.Trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **{"callbacks": [StopOnNonFiniteLoss()], "enable_checkpointing": False, **options},
    )


class Slowly(pl.Callback):
    """Wait after every step, so that a run can be met in the middle of one."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_end(self, *_: Any) -> None:
        """Wait."""
        time.sleep(self.seconds)

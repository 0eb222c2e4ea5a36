"""A trainer that says nothing and writes no more than it is told to."""

from pathlib import Path
from typing import Any

from volspine.data.lightning import pl
from volspine.tasks.callbacks import StopOnNonFiniteLoss

__all__ = ["trainer"]


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

"""What the tasks share: checkpoints of plain data and of the same grader; which weights decay."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from volspine.data.lightning import pl
from volspine.errors import ConfigurationError

__all__ = ["CHECKPOINT_KEY", "check_same_grader", "parameter_groups", "plain_arguments"]

CHECKPOINT_KEY = "volspine"
"""Where a checkpoint holds what prediction needs."""


@contextlib.contextmanager
def plain_arguments(task: pl.LightningModule) -> Iterator[None]:
    """Forget those arguments of a task, saved in the block, that are more than plain data."""
    with warnings.catch_warnings():
        # Lightning advises to ignore modules, which would lose the recipe that the CLI gives.
        warnings.simplefilter("ignore")
        yield
    for name in [name for name, value in task.hparams.items() if not _is_plain(value)]:
        del task.hparams[name]


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Return the weights, and apart from them, undecayed, what scales, shifts and cuts."""
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    free = {name for name, p in named if p.ndim < 2 or name.startswith("link.")}
    return [
        {"params": [p for name, p in named if name not in free]},
        {"params": [p for name, p in named if name in free], "weight_decay": 0.0},
    ]


def check_same_grader(kept: Any, mine: Mapping[str, Any]) -> None:
    """Check that a checkpoint is of this grader.

    Args:
        kept: The checkpoint's recipe.
        mine: The grader's.

    Raises:
        ConfigurationError: If it is of another.
    """
    if kept != mine:
        odd = sorted(k for k in {*mine, *kept} if mine.get(k) != kept.get(k))
        raise ConfigurationError(
            f"the checkpoint is of another grader: {', '.join(odd)} differ",
            remedy="use the recipe that it was trained with",
            code="VS-CFG-081",
        )


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(each) for each in value.values())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)

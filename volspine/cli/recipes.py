"""Which of our tasks a recipe is for: the one whose network it configures.

    model: {grader: ...}      GradingTask on RsnaDataModule; also where neither is there
    model: {localizer: ...}   LocalizationTask on PhantomMaps

The list is closed. A recipe is only looked at here; everything in it is checked when it is parsed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from volspine.data.lightning import pl

__all__ = ["Kind", "kind_of"]

_KEY, _OPTION = "localizer", "--model.localizer"


class Kind(NamedTuple):
    """A task, what it learns from, and what chooses its best checkpoint.

    Attributes:
        task: The LightningModule.
        data: The LightningDataModule.
        monitor: Logged value that is least for the best checkpoint.
        links: Options of the data that are also options of the model.
    """

    task: type[pl.LightningModule]
    data: type[pl.LightningDataModule]
    monitor: str
    links: tuple[tuple[str, str], ...] = ()


def kind_of(arguments: Sequence[str]) -> Kind:
    """Return which task the options and the recipes they name configure."""
    configures = any(word.startswith(_OPTION) for word in arguments)
    if configures or any(_KEY in _model_of(path) for path in _recipes(arguments)):
        from volspine.data.phantom_maps import PhantomMaps
        from volspine.tasks.localization import LocalizationTask

        return Kind(LocalizationTask, PhantomMaps, "val/error")
    from volspine.data.datamodule import RsnaDataModule
    from volspine.tasks.grading import GradingTask

    link = ("data.grid.shape", "model.grader.init_args.shape")
    return Kind(GradingTask, RsnaDataModule, "val/score", (link,))


def _recipes(arguments: Sequence[str]) -> Iterator[Path]:
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name in ("-c", "--config"):
            yield Path(value or following)


def _model_of(path: Path) -> dict[str, Any]:
    """Return a recipe's `model`; nothing where the parser will find fault with the recipe."""
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    model = recipe.get("model") if isinstance(recipe, dict) else None
    return model if isinstance(model, dict) else {}

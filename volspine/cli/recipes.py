"""Which of our tasks a recipe is for: the one whose network it configures.

    model: {grader: a LevelGrader}   LevelGradingTask on LevelCrops
    model: {grader: another}         GradingTask on RsnaDataModule; also where none is there
    model: {localizer: ...}          LocalizationTask on PhantomMaps
    model: {refiner: ...}            RefinementTask on RefinerPatches

The list is closed. A recipe is only looked at here; everything in it is checked when it is parsed.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from volspine.data.lightning import pl

__all__ = ["Kind", "kind_of"]

_LOCALIZER, _LOCALIZER_OPTION = "localizer", "--model.localizer"
_REFINER, _REFINER_OPTION = "refiner", "--model.refiner"
_LEVEL_GRADER = "LevelGrader"
_GRID = ("shape", "spacing_mm")


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
    models = [_model_of(path) for path in _recipes(arguments)]
    if _names_localizer(arguments) or any(_LOCALIZER in model for model in models):
        from volspine.data.phantom_maps import PhantomMaps
        from volspine.tasks.localization import LocalizationTask

        return Kind(LocalizationTask, PhantomMaps, "val/error")
    if _names_refiner(arguments) or any(_REFINER in model for model in models):
        from volspine.data.refiner_patches import RefinerPatches
        from volspine.tasks.refinement import RefinementTask

        return Kind(RefinementTask, RefinerPatches, "val/error")
    if _names_level_grader(arguments) or any(map(_is_level_grader, models)):
        from volspine.data.level_datamodule import LevelCrops
        from volspine.tasks.level_grading import LevelGradingTask

        return Kind(LevelGradingTask, LevelCrops, "val/score")
    from volspine.data.datamodule import RsnaDataModule
    from volspine.tasks.grading import GradingTask

    # A link to an argument that a grader does not take is no link.
    links = tuple((f"data.grid.{name}", f"model.grader.init_args.{name}") for name in _GRID)
    return Kind(GradingTask, RsnaDataModule, "val/score", links)


def _names_localizer(arguments: Sequence[str]) -> bool:
    return any(word.startswith(_LOCALIZER_OPTION) for word in arguments)


def _names_refiner(arguments: Sequence[str]) -> bool:
    return any(word.startswith(_REFINER_OPTION) for word in arguments)


def _names_level_grader(arguments: Sequence[str]) -> bool:
    """Whether an option says so: --model.grader[.class_path][=] LevelGrader."""
    options = [word.partition("=") for word in arguments]
    following = [*arguments[1:], ""]
    return any(
        name in ("--model.grader", "--model.grader.class_path")
        and (value or after).endswith(_LEVEL_GRADER)
        for (name, _, value), after in zip(options, following, strict=True)
    )


def _is_level_grader(model: Mapping[str, Any]) -> bool:
    grader = model.get("grader")
    name = grader.get("class_path") if isinstance(grader, Mapping) else grader
    return isinstance(name, str) and name.endswith(_LEVEL_GRADER)


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

"""Which of our tasks a recipe is for: the one whose network it configures.

    model: {grader: a LevelGrader}   LevelGradingTask on LevelCrops
    model: {grader: another}         GradingTask on RsnaDataModule; also where none is there
    data: {labels: ...}              OwnGradingTask on OwnDataModule: own targets, as a file says
    model: {localizer: ...}          LocalizationTask on PhantomMaps
    model: {refiner: ...}            RefinementTask on RefinerPatches

The list is closed. A recipe is only looked at here; everything in it is checked when it is parsed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from volspine.data.lightning import pl

__all__ = ["Kind", "kind_of"]

_LOCALIZER, _LOCALIZER_OPTION = "localizer", "--model.localizer"
_REFINER, _REFINER_OPTION = "refiner", "--model.refiner"
_LABELS, _LABELS_OPTION = "labels", "--data.labels"
_LEVEL_GRADER = "LevelGrader"


Link = tuple[str, str, Callable[[Any], Any]]


class Kind(NamedTuple):
    """A task, what it learns from, and what chooses its best checkpoint.

    Attributes:
        task: The LightningModule.
        data: The LightningDataModule.
        monitor: Logged value that is least for the best checkpoint.
        links: Options of the data that are also options of the model, and how one is made from
            the other.
    """

    task: type[pl.LightningModule]
    data: type[pl.LightningDataModule]
    monitor: str
    links: tuple[Link, ...] = ()


def kind_of(arguments: Sequence[str]) -> Kind:
    """Return which task the options and the recipes they name configure."""
    recipes = [_read(path) for path in _recipes(arguments)]
    models = [_part(recipe, "model") for recipe in recipes]
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
    link = ("data.grid.shape", "model.grader.init_args.shape", list)
    # A link to an argument that a grader does not take is no link.
    spacing = ("data.grid.spacing_mm", "model.grader.init_args.spacing_mm", list)
    if _names_labels(arguments) or any(_LABELS in _part(recipe, "data") for recipe in recipes):
        from volspine.data.own_datamodule import OwnDataModule
        from volspine.data.own_tables import targets_of_file
        from volspine.tasks.own_grading import OwnGradingTask

        told = ("data.labels.targets", "model.grader.init_args.targets", targets_of_file)
        return Kind(OwnGradingTask, OwnDataModule, "val/score", (link, told))
    from volspine.data.datamodule import RsnaDataModule
    from volspine.tasks.grading import GradingTask

    return Kind(GradingTask, RsnaDataModule, "val/score", (link, spacing))


def _names_localizer(arguments: Sequence[str]) -> bool:
    return any(word.startswith(_LOCALIZER_OPTION) for word in arguments)


def _names_refiner(arguments: Sequence[str]) -> bool:
    return any(word.startswith(_REFINER_OPTION) for word in arguments)


def _names_labels(arguments: Sequence[str]) -> bool:
    return any(word.startswith(_LABELS_OPTION) for word in arguments)


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


def _read(path: Path) -> dict[str, Any]:
    """Return a recipe; nothing where the parser will find fault with it."""
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _part(recipe: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = recipe.get(name)
    return part if isinstance(part, dict) else {}

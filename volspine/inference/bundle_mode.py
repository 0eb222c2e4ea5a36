"""The mode of a bundle: which grader it has, and what that grader cannot do without.

study   sees the whole study on the grid that the card tells of
level   sees native slices around each target, which a localizer has to find; no grid
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from volspine.data.crop_store import VERSION
from volspine.errors import ConfigurationError
from volspine.inference.bundle_weights import malformed
from volspine.inference.card import Card
from volspine.views import VIEWS

__all__ = ["MODE_OF", "Mode", "check_mode", "level_input", "mode_of", "without_localizer"]

Mode = Literal["study", "level"]

MODE_OF: Mapping[str, Mode] = MappingProxyType(
    {
        "StudyGrader": "study",
        "LevelGrader": "level",
        "ViewsGrader": "study",
        "SpineOneGrader": "study",
        "VitGrader": "study",
    }
)
"""What each grader of the closed list sees."""

_RECIPE = "recipe.yaml"


def mode_of(model: Mapping[str, Any]) -> Mode:
    """Return the mode of the grader that a recipe names; `study` where it names none of ours."""
    return MODE_OF.get(str(model.get("grader")), "study")


def level_input() -> dict[str, Any]:
    """Return what a grader of levels is shown by this version, as plain data."""
    return {
        "crops_version": VERSION,
        "views": {view.name: [view.slices, view.pixels, view.pixel_mm] for view in VIEWS},
    }


def check_mode(recipe: Mapping[str, Any], card: Card, place: Path) -> None:
    """Refuse a recipe whose mode is not its grader's, or that lacks what its mode needs.

    Args:
        recipe: Of the bundle, with a `model` that is a mapping.
        card: Of the same bundle.
        place: Folder to name in errors.

    Raises:
        WeightsError: If it does not fit together.
    """
    mode = mode_of(recipe["model"])
    if "targets" in recipe["model"]:
        raise malformed(_RECIPE, "is of own targets, which no model folder has", place)
    if recipe.get("mode", mode) != mode:
        raise malformed(_RECIPE, f"is of mode {str(recipe['mode'])[:20]!r}, its grader not", place)
    if mode == "level":
        if "localizer" not in recipe:
            raise malformed(_RECIPE, "grades levels, but has no localizer to find them", place)
        if any(recipe.get(key) != value for key, value in level_input().items()):
            raise malformed(_RECIPE, "is of a model that saw other patches than these", place)
        return
    if card.grid is None:
        raise malformed("card.json", "tells of no grid, which a grader of studies needs", place)
    shape = list(card.grid.shape)
    if recipe["model"].get("shape", shape) != shape:
        raise malformed(_RECIPE, "is for a grid of another shape than the card's", place)


def without_localizer() -> ConfigurationError:
    """Return the error of a model that grades levels and cannot find them."""
    return ConfigurationError(
        "this model grades levels, and there is no localizer to find them",
        remedy="add one: volspine bundle GRADER.ckpt --localizer LOCALIZER.ckpt --out DIR",
        code="VS-CFG-131",
    )

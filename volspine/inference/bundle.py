"""Bundle: a model as a folder of plain data, and back.

    weights.safetensors     tensors; of an ensemble, each member's under its number: `0.trunk...`
    localizer.safetensors   tensors of the localizer, if there is one, in half precision
    doubt.json              in level mode, where it was measured, what the model doubts
    recipe.yaml             mode, which of our models, with which arguments, how many members
    card.json, card.md      what it was trained on, how well it did, sha256 of those above

Nothing in a bundle is ever executed: no pickle is opened, no class name is read from it (the recipe
names one of a closed list of models), YAML is loaded safely, a file whose size or sha256 is not the
card's is refused before it is parsed, and no network is built that is larger than its weights.

In *study mode* a grader sees the whole study on one grid. In *level mode* it sees the surroundings
of each target, which a localizer has to find, so its bundle has one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import yaml
from torch import Tensor, nn

from volspine.errors import ConfigurationError, OutputError, WeightsError
from volspine.inference.bundle_mode import (
    Mode,
    check_mode,
    level_input,
    mode_of,
    without_localizer,
)
from volspine.inference.bundle_weights import (
    described,
    filled,
    halved,
    malformed,
    parse_weights,
    plain_tensors,
    widened,
)
from volspine.inference.card import Card, card_from_dict, card_markdown, card_to_dict
from volspine.inference.doubt_record import DoubtRecord, doubt_from_bytes
from volspine.jobs import write_bytes, write_text
from volspine.models.grader import build_grader
from volspine.models.localizer import Localizer, build_localizer

__all__ = [
    "CARD",
    "DOUBT",
    "LOCALIZER",
    "READABLE",
    "RECIPE",
    "WEIGHTS",
    "Bundle",
    "demo_folder",
    "load_bundle",
    "write_bundle",
]

WEIGHTS, RECIPE, CARD, READABLE = "weights.safetensors", "recipe.yaml", "card.json", "card.md"
LOCALIZER, DOUBT = "localizer.safetensors", "doubt.json"

MAX_TEXT_BYTES = 2**20
"""Largest recipe or card."""

MAX_WEIGHTS_BYTES = 2**33
"""Largest file of weights."""

MAX_MEMBERS = 64

_REMEDY = "get the bundle again, or make it again with: volspine bundle"


@dataclass(frozen=True)
class Bundle:
    """A model that is ready to grade.

    Attributes:
        card: What is known about it.
        recipe: Which model with which arguments, and how many members; plain data.
        graders: Members of the ensemble, one or more, in evaluation mode on the CPU.
        localizer: What finds the levels, in evaluation mode on the CPU; None if there is none.
        doubt: What the model was measured to doubt; None if it was not.
    """

    card: Card
    recipe: Mapping[str, Any]
    graders: tuple[nn.Module, ...]
    localizer: Localizer | None = None
    doubt: DoubtRecord | None = None

    @property
    def mode(self) -> Mode:
        """`study` or `level`: what the graders see."""
        return mode_of(self.recipe["model"])

    @property
    def features(self) -> int | None:
        """Number of features of the first grader's trunk; None in study mode."""
        trunk = getattr(self.graders[0], "trunk", None)
        return None if trunk is None else int(trunk.num_features)


def demo_folder() -> Path:
    """Return where the bundle is that comes with the package."""
    return Path(__file__).parent / "demo_bundle"


def load_bundle(folder: str | Path | None = None) -> Bundle:
    """Load and verify a bundle.

    Args:
        folder: A folder written by `write_bundle`; None is the demo bundle.

    Raises:
        WeightsError: If a file is missing, damaged or not what the card says, or if the weights
            do not fit the model that the recipe names.
    """
    place = demo_folder() if folder is None else Path(folder)
    if not (place / CARD).is_file():
        raise _missing(place, is_demo=folder is None)
    card = card_from_dict(_parse_json(_read(place / CARD, MAX_TEXT_BYTES)))
    recipe = _parse_recipe(_verified(place / RECIPE, card, MAX_TEXT_BYTES))
    check_mode(recipe, card, place)
    tensors = parse_weights(_verified(place / WEIGHTS, card, MAX_WEIGHTS_BYTES), place / WEIGHTS)
    members = _members(recipe, tensors)
    graders = tuple(
        filled(build_grader, recipe["model"], state, place / WEIGHTS) for state in members
    )
    bundle = Bundle(card, recipe, graders, _localizer(place, recipe, card))
    return replace(bundle, doubt=_doubt(place, bundle)) if DOUBT in card.files else bundle


def write_bundle(
    folder: str | Path,
    states: Sequence[Mapping[str, Tensor]],
    *,
    recipe: Mapping[str, Any],
    card: Card,
    localizer: Localizer | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a bundle; the card comes last, so a folder that has one is complete.

    Args:
        folder: Where to.
        states: The state of each member of the ensemble; one for a single model. What is `halved`
            is kept so.
        recipe: The model's part of it: what `build_grader` takes; plain data.
        card: What is known about the model; the checksums are filled in here.
        localizer: What finds the levels, if there is one.
        overwrite: Replace a bundle that is there.

    Raises:
        ConfigurationError: If the graders see levels and there is no localizer to find them.
        OutputError: If there is a bundle and `overwrite` is not set, or it cannot be written.
        WeightsError: If the states do not fit the model that the recipe names.
    """
    place = Path(folder)
    if (place / CARD).exists() and not overwrite:
        raise OutputError(
            "there is a bundle already",
            path=place,
            remedy="choose another folder, or add --overwrite",
            code="VS-OUT-010",
        )
    if mode_of(recipe) == "level" and localizer is None:
        raise without_localizer()
    for state in states:
        filled(build_grader, recipe, widened(state), place / WEIGHTS)
    contents = {
        WEIGHTS: safetensors.torch.save(_numbered(states)),
        RECIPE: _recipe_text(recipe, len(states), localizer).encode("utf-8"),
    }
    if localizer is not None:
        halves = halved(localizer.state_dict())
        contents[LOCALIZER] = safetensors.torch.save(plain_tensors(halves))
    complete = replace(card, files={name: described(data) for name, data in contents.items()})
    for stale in (CARD, LOCALIZER, DOUBT):
        (place / stale).unlink(missing_ok=True)
    for name, data in contents.items():
        write_bytes(place / name, data)
    write_text(place / READABLE, card_markdown(complete))
    write_text(place / CARD, json.dumps(card_to_dict(complete), indent=2) + "\n")
    return place


def _missing(place: Path, *, is_demo: bool) -> WeightsError:
    if is_demo:
        return WeightsError(
            "the demo bundle is not in this installation",
            path=place,
            remedy="install volspine again, or name a bundle with --model",
            code="VS-WGT-001",
        )
    return WeightsError(
        f"there is no {CARD} in the bundle",
        path=place,
        remedy="give a folder written by: volspine bundle",
        code="VS-WGT-001",
    )


def _read(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise WeightsError(
                f"{path.name} is larger than {limit} bytes",
                path=path,
                remedy=_REMEDY,
                code="VS-WGT-002",
            )
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path.name} cannot be read ({error.strerror})",
            path=path,
            remedy=_REMEDY,
            code="VS-WGT-001",
        ) from error


def _verified(path: Path, card: Card, limit: int) -> bytes:
    """Return a file's content if it is the one that the card describes."""
    data = _read(path, limit)
    expected = card.files.get(path.name, {})
    actual = hashlib.sha256(data).hexdigest()
    if len(data) != expected.get("bytes") or actual != expected.get("sha256"):
        raise WeightsError(
            f"{path.name} is damaged or not the card's: {len(data)} bytes with sha256 {actual}, "
            f"not {expected.get('bytes')} bytes with {expected.get('sha256')}",
            path=path,
            remedy=_REMEDY,
            code="VS-WGT-003",
        )
    return data


def _parse_json(data: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise malformed(CARD, "is not JSON") from error
    if not isinstance(parsed, dict):
        raise malformed(CARD, "is not a JSON object")
    return parsed


def _parse_recipe(data: bytes) -> Mapping[str, Any]:
    try:
        parsed = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(RECIPE, "is not plain YAML") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("model"), dict):
        raise malformed(RECIPE, "names no model")
    return parsed


def _members(recipe: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the state of each member."""
    count = recipe.get("members", 1)
    if not isinstance(count, int) or not 1 <= count <= MAX_MEMBERS:
        raise malformed(RECIPE, f"has {str(count)[:20]!r} members")
    states: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for key, tensor in widened(tensors).items():
        number, _, name = key.partition(".")
        if not (number.isdigit() and int(number) < count and name):
            raise malformed(WEIGHTS, f"has {key[:80]!r}, which belongs to no member")
        states[int(number)][name] = tensor
    return states


def _numbered(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {
        f"{number}.{name}": tensor
        for number, state in enumerate(states)
        for name, tensor in plain_tensors(state).items()
    }


def _recipe_text(recipe: Mapping[str, Any], members: int, localizer: Localizer | None) -> str:
    data: dict[str, Any] = {"schema": 1, "mode": mode_of(recipe), "members": members}
    data |= level_input() if mode_of(recipe) == "level" else {}
    data["model"] = dict(recipe)
    if localizer is not None:
        data["localizer"] = localizer.recipe
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _localizer(place: Path, recipe: Mapping[str, Any], card: Card) -> Localizer | None:
    if "localizer" not in recipe:
        return None
    if not isinstance(recipe["localizer"], dict):
        raise malformed(RECIPE, "describes no localizer", place)
    path = place / LOCALIZER
    tensors = parse_weights(_verified(path, card, MAX_WEIGHTS_BYTES), path)
    network = filled(build_localizer, recipe["localizer"], widened(tensors), path)
    return cast("Localizer", network)


def _doubt(place: Path, bundle: Bundle) -> DoubtRecord:
    """Return what a bundle says that it doubts, if that is its own."""
    try:
        record = doubt_from_bytes(_verified(place / DOUBT, bundle.card, MAX_TEXT_BYTES))
        record.check_fit(bundle.features, bundle.card.weights_sha256)
    except ConfigurationError as error:
        raise malformed(DOUBT, f"is of no use: {error.message}", place / DOUBT) from error
    if bundle.mode != "level":
        raise malformed(DOUBT, "belongs to a model of levels, which this is not", place / DOUBT)
    return record

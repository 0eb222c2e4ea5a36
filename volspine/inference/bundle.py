"""Bundle: a model as a folder of plain data, and back.

    weights.safetensors   tensors; of an ensemble, each member's under its number: `0.trunk...`
    recipe.yaml           which of our models, with which arguments, and how many members
    card.json, card.md    what it was trained on, how well it did, sha256 of the two above

Nothing in a bundle is ever executed: no pickle is opened, no class name is read from it (the recipe
names one of a closed list of models), YAML is loaded safely, and a file whose size or sha256 is not
the card's is refused before it is parsed.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
import yaml
from torch import Tensor, nn

from volspine.errors import ConfigurationError, OutputError, WeightsError
from volspine.inference.card import Card, card_from_dict, card_markdown, card_to_dict
from volspine.jobs import write_bytes, write_text
from volspine.models.grader import build_grader

__all__ = ["CARD", "RECIPE", "WEIGHTS", "Bundle", "demo_folder", "load_bundle", "write_bundle"]

WEIGHTS, RECIPE, CARD, READABLE = "weights.safetensors", "recipe.yaml", "card.json", "card.md"

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
    """

    card: Card
    recipe: Mapping[str, Any]
    graders: tuple[nn.Module, ...]


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
    grid_shape = list(card.grid.shape)
    if recipe["model"].get("shape", grid_shape) != grid_shape:
        raise _malformed(RECIPE, "is for a grid of another shape than the card's", place)
    tensors = _parse_weights(_verified(place / WEIGHTS, card, MAX_WEIGHTS_BYTES), place / WEIGHTS)
    members = _members(recipe, tensors)
    graders = tuple(_filled(recipe["model"], state, place / WEIGHTS) for state in members)
    return Bundle(card, recipe, graders)


def write_bundle(
    folder: str | Path,
    states: Sequence[Mapping[str, Tensor]],
    *,
    recipe: Mapping[str, Any],
    card: Card,
    overwrite: bool = False,
) -> Path:
    """Write a bundle; the card comes last, so a folder that has one is complete.

    Args:
        folder: Where to.
        states: The state of each member of the ensemble; one for a single model.
        recipe: The model's part of it: what `build_grader` takes; plain data.
        card: What is known about the model; the checksums are filled in here.
        overwrite: Replace a bundle that is there.

    Raises:
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
    for state in states:
        _filled(recipe, state, place / WEIGHTS)
    contents = {
        WEIGHTS: safetensors.torch.save(_numbered(states)),
        RECIPE: _recipe_text(recipe, len(states)).encode("utf-8"),
    }
    complete = replace(card, files={name: _described(data) for name, data in contents.items()})
    (place / CARD).unlink(missing_ok=True)
    for name, data in contents.items():
        write_bytes(place / name, data)
    write_text(place / READABLE, card_markdown(complete))
    write_text(place / CARD, json.dumps(card_to_dict(complete), indent=2) + "\n")
    return place


def _described(data: bytes) -> dict[str, str | int]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


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
        raise _malformed(CARD, "is not JSON") from error
    if not isinstance(parsed, dict):
        raise _malformed(CARD, "is not a JSON object")
    return parsed


def _parse_recipe(data: bytes) -> Mapping[str, Any]:
    try:
        parsed = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(RECIPE, "is not plain YAML") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("model"), dict):
        raise _malformed(RECIPE, "names no model")
    return parsed


def _parse_weights(data: bytes, path: Path) -> dict[str, Tensor]:
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise _malformed(WEIGHTS, "is not in the safetensors format", path) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise _malformed(WEIGHTS, f"has a value that is not finite in {name[:80]!r}", path)
    return tensors


def _malformed(name: str, what: str, path: Path | None = None) -> WeightsError:
    return WeightsError(f"{name} {what}", path=path, remedy=_REMEDY, code="VS-WGT-004")


def _members(recipe: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the state of each member."""
    count = recipe.get("members", 1)
    if not isinstance(count, int) or not 1 <= count <= MAX_MEMBERS:
        raise _malformed(RECIPE, f"has {str(count)[:20]!r} members")
    states: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        if not (number.isdigit() and int(number) < count and name):
            raise _malformed(WEIGHTS, f"has {key[:80]!r}, which belongs to no member")
        states[int(number)][name] = tensor
    return states


def _numbered(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    # Clones, since safetensors refuses tensors that share memory.
    return {
        f"{number}.{name}": tensor.detach().cpu().contiguous().clone()
        for number, state in enumerate(states)
        for name, tensor in state.items()
    }


def _recipe_text(recipe: Mapping[str, Any], members: int) -> str:
    data = {"schema": 1, "members": members, "model": dict(recipe)}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _filled(model: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Build the model and load one member's state into it."""
    try:
        grader = build_grader(model)
    except (ConfigurationError, TypeError, ValueError) as error:
        raise WeightsError(
            f"the recipe does not build one of our models: {str(error)[:200]}",
            path=path,
            remedy=_REMEDY,
            code="VS-WGT-005",
        ) from error
    _check_fit(grader, state, path)
    grader.load_state_dict(dict(state))
    return grader.eval()


def _check_fit(grader: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    expected = {name: (t.shape, t.dtype) for name, t in grader.state_dict().items()}
    found = {name: (t.shape, t.dtype) for name, t in state.items()}
    if expected != found:
        odd = min(n for n in {*expected, *found} if expected.get(n) != found.get(n))
        raise WeightsError(
            f"the weights do not fit the recipe's model: {odd[:80]!r} is {_shown(found.get(odd))}, "
            f"not {_shown(expected.get(odd))}",
            path=path,
            remedy=_REMEDY,
            code="VS-WGT-006",
        )


def _shown(entry: tuple[torch.Size, torch.dtype] | None) -> str:
    return (
        "absent" if entry is None else f"{tuple(entry[0])} {str(entry[1]).removeprefix('torch.')}"
    )

"""The card of a model: what it was trained on, how well it did, and what it needs, as plain data.

`card.json` is read by the program and `card.md` by people; the second is written from the first.

    {"schema": 1, "name": ..., "trained_on": ..., "phantom_only": ..., "preprocessing": ...,
     "held_out": {"score": ..., "prior": ..., "studies": ...},
     "frequencies": 25 x 3, "temperature": 25, "calibrated_on": ...,
     "member_weights": members x 25,                    where members do not count equally
     "grid": {"spacing_mm": ..., "shape": ...},         in study mode
     "sampling": "cloud",                               where it is not "resample"
     "localizer": {"people": ..., "validation": ...},   where there is one
     "files": {"weights.safetensors": {"sha256": ..., "bytes": ...}, "recipe.yaml": {...}}}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from volspine.anatomy import MIRRORED_INDEX, TARGETS, Condition, Grade
from volspine.data.cache import PREPROCESSING_VERSION
from volspine.decide import decide
from volspine.errors import VolspineError, WeightsError
from volspine.grades import RESEARCH_USE
from volspine.inference.held_out import held_out_lines
from volspine.inference.plain_numbers import plain_numbers
from volspine.inference.temperature_file import by_condition
from volspine.types import FloatArray
from volspine.volume.grid import Grid
from volspine.volume.sample import Sampling, check_sampling

__all__ = [
    "SCHEMA",
    "Card",
    "card_from_dict",
    "card_markdown",
    "card_to_dict",
    "grid_from_dict",
    "sampling_from_dict",
]

SCHEMA = 1
"""Version of the layout of a bundle."""

MAX_VOXELS = 2**28
"""Largest grid."""

_REMEDY = "make the bundle again with: volspine bundle"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known about a model.

    Attributes:
        name: Short name of the model.
        trained_on: The training data, in words.
        phantom_only: Whether it has only ever seen synthetic studies.
        frequencies: Shape (25, 3); how often each grade occurred in the training data; left and
            right are pooled.
        temperature: Shape (25,); positive; divides log-probabilities before they are reported; one
            for both sides.
        calibrated_on: What the temperature was fitted on, in words; empty where it was on the
            labels that training was validated with, or not at all.
        grid: The lattice that a model of study mode sees, without a centre; None in level mode,
            whose model sees native slices.
        sampling: How the voxels of a study become those of the grid.
        member_weights: Shape (members, 25); how much each member counts for each target, one for
            both sides, summing to one over the members; None where they count equally.
        held_out: `score` on studies never trained on, `prior` on the same ones, and `studies`;
            where known also `floor`, `terms`, `kappa` and intervals.
        localizer: What is known of the localizer; empty where there is none.
        files: For each file of the bundle, `sha256` and `bytes`.
    """

    name: str
    trained_on: str
    phantom_only: bool
    frequencies: FloatArray
    grid: Grid | None = None
    sampling: Sampling = "resample"
    temperature: FloatArray = field(default_factory=lambda: np.ones(len(TARGETS)))
    calibrated_on: str = ""
    member_weights: FloatArray | None = None
    held_out: Mapping[str, Any] = field(default_factory=dict)
    localizer: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frequencies = np.asarray(self.frequencies, dtype=np.float64)
        temperature = np.asarray(self.temperature, dtype=np.float64)
        if frequencies.shape != (len(TARGETS), len(Grade)):
            raise _bad_card(f"frequencies have shape {frequencies.shape}, not (25, 3)")
        if not (np.all(frequencies > 0) and np.allclose(frequencies.sum(axis=1), 1, atol=1e-4)):
            raise _bad_card("frequencies are not positive or do not sum to one")
        if temperature.shape != (len(TARGETS),) or not _positive(temperature):
            raise _bad_card("temperature is not 25 positive numbers")
        # A mirrored study must get the mirrored report, so the sides share these numbers.
        index = list(MIRRORED_INDEX)
        object.__setattr__(self, "frequencies", (frequencies + frequencies[index]) / 2)
        object.__setattr__(self, "temperature", (temperature + temperature[index]) / 2)
        if self.member_weights is not None:
            weights = _checked_weights(self.member_weights)
            object.__setattr__(self, "member_weights", (weights + weights[:, index]) / 2)

    @property
    def weights_sha256(self) -> str:
        """Of the weights; empty when the card was never written."""
        return str(self.files.get("weights.safetensors", {}).get("sha256", ""))


def card_to_dict(card: Card) -> dict[str, Any]:
    """Return the card as plain data that JSON can hold."""
    return {
        "schema": SCHEMA,
        "name": card.name,
        "trained_on": card.trained_on,
        "phantom_only": card.phantom_only,
        "research_use": RESEARCH_USE,
        "preprocessing": PREPROCESSING_VERSION,
        "held_out": dict(card.held_out),
        "frequencies": np.asarray(card.frequencies).tolist(),
        "temperature": np.asarray(card.temperature).tolist(),
        **({"calibrated_on": card.calibrated_on} if card.calibrated_on else {}),
        **_weights_to_dict(card.member_weights),
        **_grid_to_dict(card.grid),
        **({} if card.sampling == "resample" else {"sampling": card.sampling}),
        **({"localizer": dict(card.localizer)} if card.localizer else {}),
        "files": {name: dict(entry) for name, entry in card.files.items()},
    }


def card_from_dict(data: Mapping[str, Any]) -> Card:
    """Return the card that plain data describes.

    Raises:
        WeightsError: If it is of another version, or a field is missing or impossible.
    """
    _check_versions(data)
    try:
        return Card(
            name=str(data["name"]),
            trained_on=str(data["trained_on"]),
            phantom_only=bool(data["phantom_only"]),
            frequencies=np.array(data["frequencies"], dtype=np.float64),
            temperature=np.array(data["temperature"], dtype=np.float64),
            calibrated_on=str(data.get("calibrated_on", "")),
            member_weights=_weights_from_dict(data),
            grid=grid_from_dict(data["grid"]) if "grid" in data else None,
            sampling=sampling_from_dict(data),
            held_out=dict(data["held_out"]),
            localizer=dict(data.get("localizer", {})),
            files={str(name): dict(entry) for name, entry in data["files"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _bad_card(f"a field is missing or malformed ({type(error).__name__})") from error


def _checked_weights(values: FloatArray) -> FloatArray:
    weights = np.asarray(values, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[1] != len(TARGETS) or len(weights) < 1:
        raise _bad_card(f"member weights have shape {weights.shape}, not (members, 25)")
    if not (np.all(weights >= 0) and np.allclose(weights.sum(axis=0), 1, atol=1e-6)):
        raise _bad_card("member weights are negative, or do not sum to one over the members")
    return weights


def _weights_to_dict(weights: FloatArray | None) -> dict[str, Any]:
    return {} if weights is None else {"member_weights": np.asarray(weights).tolist()}


def _weights_from_dict(data: Mapping[str, Any]) -> FloatArray | None:
    if "member_weights" not in data:
        return None
    return plain_numbers(data["member_weights"], (None, len(TARGETS)))


def _grid_to_dict(grid: Grid | None) -> dict[str, Any]:
    if grid is None:
        return {}
    return {"grid": {"spacing_mm": list(grid.spacing_mm), "shape": list(grid.shape)}}


def grid_from_dict(data: Mapping[str, Any]) -> Grid:
    """Return the lattice that `spacing_mm` and `shape` describe, without a centre.

    Raises:
        WeightsError: If it is impossible or has more than `MAX_VOXELS`.
    """
    try:
        (a, b, c), (i, j, k) = data["spacing_mm"], data["shape"]
        grid = Grid(spacing_mm=(float(a), float(b), float(c)), shape=(int(i), int(j), int(k)))
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_card("the grid lacks a field") from error
    except VolspineError as error:
        raise _bad_card(error.message) from error
    if math.prod(grid.shape) > MAX_VOXELS:
        raise _bad_card(f"a grid of shape {grid.shape} is too large")
    return grid


def sampling_from_dict(data: Mapping[str, Any]) -> Sampling:
    """Return how voxels become those of the grid; `resample` where nothing is said of it.

    Raises:
        WeightsError: If there is no such sampling.
    """
    try:
        return check_sampling(str(data.get("sampling", "resample")))
    except VolspineError as error:
        raise _bad_card(error.message) from error


def card_markdown(card: Card) -> str:
    """Return the card for people, as Markdown."""
    return "\n".join([*_markdown_head(card), "", *_markdown_table(card), ""])


def _check_versions(data: Mapping[str, Any]) -> None:
    for key, known in (("schema", SCHEMA), ("preprocessing", PREPROCESSING_VERSION)):
        if data.get(key) != known:
            raise WeightsError(
                f"the bundle's {key} version is {str(data.get(key))[:20]!r}; this is {known}",
                remedy="use the version of volspine that made it, or make it again",
                code="VS-WGT-010",
            )


def _positive(values: FloatArray) -> bool:
    return bool(np.all(np.isfinite(values) & (values > 0)))


def _bad_card(message: str) -> WeightsError:
    return WeightsError(f"in the card: {message}", remedy=_REMEDY, code="VS-WGT-011")


def _markdown_head(card: Card) -> list[str]:
    validity = (
        "It has only ever seen synthetic phantoms: its grades of a real patient are not valid."
        if card.phantom_only
        else "Its worth on patients other than those it was tested on is not known."
    )
    return [
        f"# {card.name}",
        "",
        f"**{RESEARCH_USE}** {validity}",
        "",
        f"- Trained on: {card.trained_on}",
        *_markdown_temperature(card),
        *(f"- {line}" for line in held_out_lines(card.held_out)),
        f"- Mode: {_input_in_words(card)}; preprocessing version {PREPROCESSING_VERSION}",
        f"- Weights sha256: `{card.weights_sha256}`",
        *_markdown_localizer(card),
    ]


def _markdown_temperature(card: Card) -> list[str]:
    heat = by_condition(card.temperature)
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in heat.items())
    said = f"fitted on: {card.calibrated_on}" if card.calibrated_on else "fitted while training"
    if not numbers:
        return [f"- Temperature {said}"] if card.calibrated_on else []
    if set(heat.values()) == {1.0} and not card.calibrated_on:
        return []
    return [f"- Temperature {said}: {numbers}"]


def _input_in_words(card: Card) -> str:
    if card.grid is None:
        return "level; native slices around each target, which the localizer finds"
    size = f"{card.grid.shape} voxels of {card.grid.spacing_mm} mm, right, front and head"
    return f"study; {size}" + "; means of clouds of points" * (card.sampling == "cloud")


def _markdown_localizer(card: Card) -> list[str]:
    if not card.localizer:
        return []
    people = card.localizer.get("people", {}).get("train", "an unknown number of")
    errors = card.localizer.get("validation", {})
    found = "; ".join(f"{name.removeprefix('val/')}: {value}" for name, value in errors.items())
    told = f"single series of others, one at a time (mm, shares): {found or 'not measured'}"
    return [
        f"- Localizer: trained on phantoms of {people} people; {told}",
        *_markdown_refiner(card.localizer.get("refiner", {})),
        f"- Localizer sha256: `{card.files.get('localizer.safetensors', {}).get('sha256', '')}`",
    ]


def _markdown_refiner(facts: Mapping[str, Any]) -> list[str]:
    if not facts:
        return []
    people = sum(facts.get("people", {}).values())
    error = facts.get("validation", {}).get("val/error", "not measured")
    told = f"median error within the slices of others, from 2 mm beside them: {error} mm"
    return [f"- Refiner of its foramina: trained on phantoms of {people} people; {told}"]


def _markdown_table(card: Card) -> list[str]:
    rows = []
    for condition in Condition:
        ours = [target.index for target in TARGETS if target.condition is condition]
        severe = ", ".join(f"{card.frequencies[t][Grade.SEVERE]:.3f}" for t in ours)
        decided = ", ".join(f"{row[Grade.SEVERE]:.3f}" for row in decide(card.frequencies[ours]))
        rows.append(f"| {condition.label} | {severe} | {decided} |")
    return [
        "| condition | frequency of Severe, L1/L2 to L5/S1 | the same as the prior reports it |",
        "|---|---|---|",
        *rows,
    ]

"""A training checkpoint -> what a bundle needs, without running anything that is in it.

A checkpoint is a pickle, so it is opened with `weights_only=True`, which admits tensors and plain
data and nothing else. What prediction needs lies under the key `volspine` (see
`volspine.tasks.grading`); hyper-parameters, with their class paths, are not looked at.
"""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from volspine.data.cache import PREPROCESSING_VERSION
from volspine.errors import ConfigurationError, WeightsError
from volspine.inference.bundle_mode import level_input, mode_of
from volspine.inference.card import grid_from_dict, sampling_from_dict
from volspine.models.localizer import Localizer, build_localizer
from volspine.models.point_refiner import PointRefiner, build_refiner
from volspine.types import FloatArray
from volspine.volume.grid import Grid
from volspine.volume.sample import Sampling

__all__ = [
    "Checkpoint",
    "LocalizerCheckpoint",
    "read_checkpoint",
    "read_localizer",
    "read_refiner",
    "same_kind",
]

_KEY, _PREFIX, _LOCALIZER_PREFIX = "volspine", "grader.", "localizer."
_REFINER_PREFIX = "refiner."
_REMEDY = "give a checkpoint written by: volspine fit"


@dataclass(frozen=True)
class Checkpoint:
    """What a bundle needs of a checkpoint.

    Attributes:
        state: Weights of the grader.
        model: What `build_grader` takes.
        grid: The lattice that a model of study mode was trained on; None in level mode.
        frequencies: Shape (25, 3); of the grades in the training split.
        facts: What else is known about the training: roots, numbers of studies, version.
        temperature: Shape (25,), as fitted on held-out studies; None where it was not.
        sampling: How the voxels of a study became those of the grid.
    """

    state: dict[str, Tensor]
    model: Mapping[str, Any]
    grid: Grid | None
    frequencies: FloatArray
    facts: Mapping[str, Any]
    temperature: FloatArray | None = None
    sampling: Sampling = "resample"


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of `volspine fit`.

    Raises:
        WeightsError: If it is missing, damaged, holds anything but tensors and plain data, or lacks
            what prediction needs.
    """
    place = Path(path)
    content = _load(place)
    kept = content.get(_KEY)
    if not isinstance(kept, Mapping) or not isinstance(content.get("state_dict"), Mapping):
        raise _unusable(place, "it does not say how to build its model")
    try:
        return _checkpoint(kept, content["state_dict"], place)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigurationError) as error:
        raise _unusable(place, f"a field is malformed ({type(error).__name__})") from error


@dataclass(frozen=True)
class LocalizerCheckpoint:
    """A localizer from a checkpoint, and what is known of it.

    Attributes:
        localizer: In evaluation mode.
        facts: Plain data: `people` it was trained on, and its errors of `validation`.
    """

    localizer: Localizer
    facts: Mapping[str, Any]


def read_localizer(path: str | Path) -> LocalizerCheckpoint:
    """Read a checkpoint of `volspine fit` for a localizer.

    Raises:
        WeightsError: If it is missing, damaged, holds anything but tensors and plain data, or is
            not of a localizer.
    """
    place = Path(path)
    content = _load(place)
    kept, state = content.get(_KEY), content.get("state_dict")
    if not isinstance(kept, Mapping) or not isinstance(state, Mapping):
        raise _unusable(place, "it does not say how to build its model")
    try:
        localizer = build_localizer(kept["model"])
        inner = {
            name.removeprefix(_LOCALIZER_PREFIX): tensor
            for name, tensor in state.items()
            if name.startswith(_LOCALIZER_PREFIX)
        }
        localizer.load_state_dict(inner)
        people = {name: int(count) for name, count in kept["data"]["people"].items()}
        errors = {name: round(float(v), 3) for name, v in kept["validation"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, ConfigurationError) as error:
        raise _unusable(place, f"it is not of a localizer ({type(error).__name__})") from error
    except RuntimeError as error:
        raise _unusable(place, "its weights are not those of its localizer") from error
    facts = {"people": people, "validation": errors}
    return LocalizerCheckpoint(localizer.eval(), facts)


def read_refiner(path: str | Path) -> tuple[PointRefiner, Mapping[str, Any]]:
    """Read a checkpoint of `volspine fit` for a point refiner.

    Returns:
        The refiner in evaluation mode, and plain data: `people` it was trained on, and its errors
        of `validation`.

    Raises:
        WeightsError: If it is missing, damaged, holds anything but tensors and plain data, or is
            not of a point refiner.
    """
    place = Path(path)
    content = _load(place)
    try:
        kept, state = content[_KEY], content["state_dict"]
        refiner = build_refiner(kept["model"])
        refiner.load_state_dict({
            name.removeprefix(_REFINER_PREFIX): tensor for name, tensor in state.items()
        })  # fmt: skip
        people = {name: int(count) for name, count in kept["data"]["people"].items()}
        errors = {name: round(float(v), 3) for name, v in kept["validation"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, ConfigurationError) as error:
        raise _unusable(place, f"it is not of a refiner ({type(error).__name__})") from error
    except RuntimeError as error:
        raise _unusable(place, "its weights are not those of its refiner") from error
    return refiner.eval(), {"people": people, "validation": errors}


def same_kind(checkpoints: list[Checkpoint]) -> Checkpoint:
    """Return the first of several checkpoints of one recipe, such as the folds of one run.

    Raises:
        ConfigurationError: If model or grid differ, so that they make no ensemble, or if they
            grade own targets.
    """
    first = checkpoints[0]
    if "targets" in first.model:
        raise ConfigurationError(
            "a model folder is of the challenge's targets, this checkpoint of own ones",
            remedy="use it as it is, with volspine.inference.own.OwnPredictor",
            code="VS-CFG-065",
        )
    for other in checkpoints[1:]:
        if _kind(other) != _kind(first):
            raise ConfigurationError(
                "the checkpoints are of different models, grids or samplings",
                remedy="make an ensemble of checkpoints of one recipe",
                code="VS-CFG-062",
            )
    return first


def _kind(checkpoint: Checkpoint) -> tuple[Mapping[str, Any], Grid | None, Sampling]:
    return checkpoint.model, checkpoint.grid, checkpoint.sampling


def _load(path: Path) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of odd pickles, which are refused just below.
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise _unusable(path, "there is no such file") from error
    except pickle.UnpicklingError as error:
        raise _unusable(path, "it holds more than tensors and plain data, or is damaged") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise _unusable(path, f"it is damaged ({type(error).__name__})") from error
    if not isinstance(content, Mapping):
        raise _unusable(path, "it is no checkpoint")
    return content


def _checkpoint(kept: Mapping[str, Any], state: Mapping[str, Any], path: Path) -> Checkpoint:
    data = kept["data"]
    is_of_levels = mode_of(kept["model"]) == "level"
    ours = level_input() if is_of_levels else {"preprocessing_version": PREPROCESSING_VERSION}
    if any(data[key] != value for key, value in ours.items()):
        raise _unusable(path, "it was trained with another version of the preprocessing")
    if kept["frequencies"] is None:
        raise _unusable(path, "it has seen no training data")
    return Checkpoint(
        state={
            name.removeprefix(_PREFIX): tensor
            for name, tensor in state.items()
            if name.startswith(_PREFIX)
        },
        model=dict(kept["model"]),
        grid=None if is_of_levels else grid_from_dict(data["grid"]),
        frequencies=np.array(kept["frequencies"], dtype=np.float64),
        facts={"version": kept["version"], **data},
        temperature=_temperature(kept.get("temperature")),
        sampling=sampling_from_dict(data),
    )


def _temperature(kept: Any) -> FloatArray | None:
    return None if kept is None else np.array(kept, dtype=np.float64)


def _unusable(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"the checkpoint cannot be used: {why}", path=path, remedy=_REMEDY, code="VS-WGT-020"
    )

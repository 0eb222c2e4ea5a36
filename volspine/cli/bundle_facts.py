"""What a bundle's card is told by files: held-out results, temperatures, weights of members.

Each is plain JSON that another command wrote; what is not of the right shape is refused.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from volspine.anatomy import TARGETS
from volspine.errors import ConfigurationError, TableError
from volspine.inference.plain_numbers import plain_numbers
from volspine.inference.temperature_file import read_temperature
from volspine.types import FloatArray

__all__ = ["calibrated", "held_out", "member_weights"]

_NEEDED = frozenset({"score", "prior", "studies"})
_ALSO = frozenset({"floor", "terms", "kappa"})
"""What else is kept of measured results, with all intervals; see `inference.held_out`."""


def calibrated(path: Path) -> dict[str, Any]:
    """Return the card's temperature, and what it was fitted on, from a file."""
    heat, words = read_temperature(path)
    return {"temperature": heat, "calibrated_on": words}


def member_weights(path: Path, members: int) -> FloatArray:
    """Return how much each member counts for each target, from a file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["member_weights"]
        return plain_numbers(found, (members, len(TARGETS)))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f"not weights of {members} members for {len(TARGETS)} targets",
            path=path,
            remedy="give member_weights.json of volspine cv, and the checkpoints of its folds",
            code="VS-CFG-308",
        ) from error


def held_out(paths: Sequence[Path]) -> dict[str, Any]:
    """Return what measured results say, later files over earlier ones; nothing without any."""
    merged: dict[str, Any] = {}
    for path in paths:
        merged |= _measured(path)
    if paths and not merged.keys() >= _NEEDED:
        raise _no_metrics(paths[0])
    return merged


def _measured(path: Path) -> dict[str, Any]:

    try:
        metrics = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _no_metrics(path) from error
    known = _NEEDED | _ALSO
    return {k: v for k, v in metrics.items() if k in known or k.endswith("_interval_90")}


def _no_metrics(path: Path) -> TableError:

    return TableError(
        "not a test_metrics.json with score, prior and studies",
        path=path,
        remedy="give the file that volspine test wrote",
        code="VS-TAB-060",
    )

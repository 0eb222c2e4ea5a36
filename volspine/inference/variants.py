"""Variants: from how many to the moves of what a network is shown, for test-time augmentation.

The report is the mean over looks. Without variants there are two, the study and its mirror image;
each variant adds two more, from a little beside:

    level mode   every place is moved as the localizer errs (`volume.jitter`): what stage one might
                 as well have found
    study mode   the grid is moved forward or back and up or down, by `SHIFT_MM`

The mirror image is moved as a mirror would show it, so a mirrored study still gets exactly the
mirrored report; a grid is not moved sideways, which keeps that true at the cost of one sampling.
Moves are drawn from a fixed seed, the same for every study: nothing in a report is left to chance.

Frame: LPS millimetres. Shapes:
    V  variants    T  targets, 25
"""

import numpy as np

from volspine.anatomy import LEVELS
from volspine.errors import ConfigurationError
from volspine.types import FloatArray
from volspine.volume.jitter import measured_errors

__all__ = ["MOST", "SHIFT_MM", "check_variants", "grid_shifts", "place_moves"]

MOST = 32
"""Greatest number of variants."""

SHIFT_MM = 2.0
"""Standard deviation of the shift of a grid along either axis: half a slice or two pixels."""

_SEED = 20241


def check_variants(number: int) -> int:
    """Return a number of variants.

    Args:
        number: 0 for the study and its mirror image alone.

    Raises:
        ConfigurationError: If it is negative or more than `MOST`.
    """
    if not 0 <= number <= MOST:
        raise ConfigurationError(
            f"{number} variants for test-time augmentation are not possible",
            remedy=f"give --tta a number from 0 to {MOST}",
            code="VS-CFG-192",
        )
    return number


def place_moves(number: int) -> FloatArray:
    """Return how each place is moved in each variant, shape (V, T, 3); far errors are not drawn.

    Args:
        number: V.
    """
    rng, errors = np.random.default_rng(_SEED), measured_errors()
    drawn = [errors.draw(rng, len(LEVELS)).transpose(1, 0, 2).reshape(-1, 3) for _ in range(number)]
    return np.stack(drawn) if drawn else np.zeros((0, 25, 3))


def grid_shifts(number: int) -> FloatArray:
    """Return how the grid is moved in each variant, shape (V, 3); never sideways.

    Args:
        number: V.
    """
    shifts = SHIFT_MM * np.random.default_rng(_SEED).standard_normal((number, 3))
    return np.asarray(shifts * [0.0, 1.0, 1.0])

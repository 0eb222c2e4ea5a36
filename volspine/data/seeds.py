"""Seeds: from a seed, a number that counts and a name to a generator of its own.

All randomness of training is a function of such three, so it depends neither on the number of
workers nor on where a run was interrupted.
"""

import hashlib

import numpy as np

__all__ = ["rng_for"]


def rng_for(seed: int, count: int, text: str) -> np.random.Generator:
    """Return the generator of one study in one epoch, or of whatever else is named and counted.

    Args:
        seed: Of the run.
        count: An epoch, or a step.
        text: A study's name, or another.

    Example:
        >>> rng_for(0, 3, "7").random() == rng_for(0, 3, "7").random()
        True
    """
    words = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype=np.uint32)
    return np.random.default_rng([seed, count, *words.tolist()])

"""Held out: what a card says of studies that the model was not trained on -> lines for people.

    score, prior, studies          the challenge's score; its prior on the same studies
    floor                          the score of one who knows all that the images can tell
    terms, kappa                   by finding; quadratic kappa of the most probable grade
    <name>_interval_90             [low, high] of `score`, `prior_minus_score`, `kappa` (by finding)

Only the first three are always there.
"""

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["held_out_lines"]


def held_out_lines(held_out: Mapping[str, Any], *, of: str = "studies") -> list[str]:
    """Return one line for the score, one for its parts, one for kappa, as far as they are known.

    Args:
        held_out: Of a card.
        of: What was held out, in words.

    Example:
        >>> held_out_lines({"score": 0.386, "prior": 0.971, "studies": 60})
        ['Held out: weighted log loss 0.386 on 60 studies, beside 0.971 for the prior, which has \
learned nothing.']
    """
    score, prior = _number(held_out.get("score")), _number(held_out.get("prior"))
    if score is None or prior is None:
        return ["Held out: not measured."]
    return [
        _score_line(held_out, (score, prior), of),
        *_gain_line(held_out, prior - score),
        *_by_finding("Its parts", held_out, "terms"),
        *_by_finding("Quadratic kappa", held_out, "kappa"),
    ]


def _score_line(held_out: Mapping[str, Any], numbers: tuple[float, float], of: str) -> str:
    score, prior = numbers
    count, floor = held_out.get("studies", "?"), _number(held_out.get("floor"))
    below = "" if floor is None else f", and {floor:.3f} for the floor, where all is learned"
    return (
        f"Held out: weighted log loss {score:.3f}{_interval(held_out.get('score_interval_90'))} on "
        f"{count} {of}, beside {prior:.3f} for the prior, which has learned nothing{below}."
    )


def _gain_line(held_out: Mapping[str, Any], gain: float) -> list[str]:
    ends = _interval(held_out.get("prior_minus_score_interval_90"))
    if not ends:
        return []
    low = float(held_out["prior_minus_score_interval_90"][0])
    untrained = "" if low > 0 else "; not shown to have learned anything"
    return [f"Better than the prior by {gain:.3f}{ends}{untrained}."]


def _by_finding(title: str, held_out: Mapping[str, Any], key: str) -> list[str]:
    values, ends = held_out.get(key), held_out.get(f"{key}_interval_90")
    if not isinstance(values, Mapping):
        return []
    known = ends if isinstance(ends, Mapping) else {}
    parts = [
        f"{str(name).replace('_', ' ')} {number:.3f}{_interval(known.get(name))}"
        for name, value in values.items()
        if (number := _number(value)) is not None
    ]
    return [f"{title}: {', '.join(parts)}."] if parts else []


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _interval(ends: Any) -> str:
    """Return a 90 % interval in words; nothing where it is not known."""
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return ""
    low, high = (_number(end) for end in ends)
    return "" if low is None or high is None else f" (90 %: {low:.3f} to {high:.3f})"

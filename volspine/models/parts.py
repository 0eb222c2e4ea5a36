"""Parts of graders: chosen by name from closed lists, with options as plain numbers and strings.

A *part* in a recipe is a name, or `{"name": ..., option: value, ...}`. Nothing in a recipe is ever
imported or executed: a name that is in no list, or an option that its part does not take, is
refused.

Shapes:
    B  studies    T  targets    K  grades    V  tokens: targets as single views show them
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from volspine.errors import ConfigurationError
from volspine.models.heads import Head, LinearHead, SharedHead
from volspine.models.link import CumulativeLink, Link, ScaledLink, SoftmaxLink, SpacecutterLink

__all__ = [
    "HEADS",
    "LINKS",
    "Graded",
    "Marks",
    "Part",
    "build_part",
    "check_options",
    "plain_part",
    "split_part",
    "unknown_name",
    "without_weights",
]

HEADS: Mapping[str, type[Head]] = {"shared": SharedHead, "linear": LinearHead}
LINKS: Mapping[str, type[Link]] = {
    "cumulative": CumulativeLink,
    "scaled": ScaledLink,
    "spacecutter": SpacecutterLink,
    "softmax": SoftmaxLink,
}

Part = str | dict[str, Any]
"""A part by name, or `{"name": ..., option: value, ...}`."""


class Graded(NamedTuple):
    """What a grader says about a batch of studies.

    Attributes:
        log_probs: Log-probability of every grade of every target.
        severity: One number for each target that grows with its stenosis; unitless.
        attention: Where each target was looked for, summing to one over the cells; None where the
            pooling does not look.
        view_log_probs: Of graders of views: the same log-probabilities as every token alone would
            give them, in the order of `views.TOKENS`.
        seen: Which tokens there were.
        points: Where each target was found, as voxel indices (i, j, k) of the volume; None of
            graders that do not say.
        extras: What only the loss of this kind of grader reads, by name.
    """

    log_probs: Float[Tensor, "B T K"]
    severity: Float[Tensor, "B T"]
    attention: Float[Tensor, "B T i j k"] | None
    view_log_probs: Float[Tensor, "B V K"] | None = None
    seen: Bool[Tensor, "B V"] | None = None
    points: Float[Tensor, "B T 3"] | None = None
    extras: Mapping[str, Tensor] | None = None


class Marks(NamedTuple):
    """Where the targets of a training batch are.

    Attributes:
        points: Voxel indices (i, j, k) of the volume; anything where unknown.
        has_point: Where they are known.
    """

    points: Float[Tensor, "B T 3"]
    has_point: Bool[Tensor, "B T"]


def plain_part(part: Part) -> Part:
    """Return a copy of a part that is not changed from outside."""
    return part if isinstance(part, str) else dict(part)


def split_part(part: Part) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a part."""
    if isinstance(part, str):
        return part, {}
    options = {str(key): value for key, value in part.items()}
    return str(options.pop("name", "")), options


def build_part(
    choices: Mapping[str, Callable[..., Any]], kind: str, part: Part, *given: Any
) -> Any:
    """Return the part that is chosen.

    Args:
        choices: The closed list.
        kind: What it is a list of, as in a message.
        part: Name and options.
        given: What every choice is given first, such as sizes.

    Raises:
        ConfigurationError: If the name or an option is unknown.
    """
    name, options = split_part(part)
    if name not in choices:
        raise unknown_name(kind, name, choices)
    check_options(choices[name], name, options)
    return choices[name](*given, **options)


def check_options(maker: Callable[..., Any], name: str, options: Collection[str]) -> None:
    """Check that a part takes the options: they are its keyword-only arguments.

    Raises:
        ConfigurationError: If one is unknown.
    """
    parameters = inspect.signature(maker).parameters.values()
    accepted = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in accepted:
            raise unknown_name(f"option of {name or 'the backbone'}", option, accepted)


def without_weights(arguments: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return arguments without the file that the weights of their backbone were started from."""
    backbone = arguments.get(key)
    if not isinstance(backbone, Mapping):
        return dict(arguments)
    return {**arguments, key: {k: v for k, v in backbone.items() if k != "weights"}}


def unknown_name(kind: str, name: object, choices: Collection[str]) -> ConfigurationError:
    """Return the error of a name that is in no list."""
    return ConfigurationError(
        f"{str(name)[:60]!r} is no {kind}",
        remedy=f"choose one of {', '.join(choices) or 'none: it takes no options'}",
        code="VS-CFG-045",
    )

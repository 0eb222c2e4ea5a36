"""StudyGrader: from the voxel grid of a whole study to its 25 ordered grades.

    volume -backbone-> feature map -pooling-> a vector a target -head-> scores -link-> grades

Each part is chosen by name from a closed list, with its options as plain numbers and strings, so
that a grader can be written down in a recipe and built again from it. Nothing in a recipe is ever
imported or executed.

Shapes:
    B  studies    C  channels: three images, then three masks    I J K  voxels, RAS+
    T  targets    K  grades    i j k  feature cells
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from volspine.anatomy import PROTOCOLS
from volspine.errors import ConfigurationError
from volspine.models.backbones import Backbone
from volspine.models.heads import Head, LinearHead, SharedHead
from volspine.models.link import CumulativeLink, Link, SoftmaxLink, SpacecutterLink
from volspine.models.pooling import GlobalAveragePooling, Pooling, TargetAttentionPooling

__all__ = ["GRADERS", "HEADS", "LINKS", "POOLINGS", "Graded", "StudyGrader", "build_grader"]

POOLINGS: Mapping[str, type[Pooling]] = {
    "attention": TargetAttentionPooling,
    "average": GlobalAveragePooling,
}
HEADS: Mapping[str, type[Head]] = {"shared": SharedHead, "linear": LinearHead}
LINKS: Mapping[str, type[Link]] = {
    "cumulative": CumulativeLink,
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
    """

    log_probs: Float[Tensor, "B T K"]
    severity: Float[Tensor, "B T"]
    attention: Float[Tensor, "B T i j k"] | None


class StudyGrader(nn.Module):
    """Grade a whole study from one voxel grid.

    Args:
        backbone: Name in `SUPPORTED_BACKBONES`, or a dict of `name` and options of `Backbone`.
        pooling: Name in `POOLINGS`, or a dict with options.
        head: Name in `HEADS`, or a dict with options.
        link: Name in `LINKS`, or a dict with options.
        shape: Voxels of the volume along i (to the patient's right), j (to anterior), k (up).
        in_channels: Channels of the volume.

    Raises:
        ConfigurationError: If a part is not offered or does not take an option.
        WeightsError: If a weights file of the backbone is missing, damaged or of another network.
    """

    def __init__(
        self,
        *,
        backbone: Part = "tf_efficientnetv2_b0",
        pooling: Part = "attention",
        head: Part = "shared",
        link: Part = "cumulative",
        shape: Sequence[int] = (32, 96, 144),
        in_channels: int = 2 * len(PROTOCOLS),
    ) -> None:
        super().__init__()
        self.hyperparameters: dict[str, Any] = {
            "backbone": _plain(backbone),
            "pooling": _plain(pooling),
            "head": _plain(head),
            "link": _plain(link),
            "shape": [int(n) for n in shape],
            "in_channels": in_channels,
        }
        name, options = _split(backbone)
        _check_options(Backbone, name, options)
        self.backbone = Backbone(name, shape=shape, in_channels=in_channels, **options)
        features = self.backbone.num_features
        self.link: Link = _build(LINKS, "link", link)
        self.pooling: Pooling = _build(POOLINGS, "pooling", pooling, features)
        self.head: Head = _build(HEADS, "head", head, features, self.link.num_scores)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which `build_grader` makes the same network, without its weights.

        The path that backbone weights were started from is not part of it.
        """
        return {"grader": type(self).__name__, **_without_weights(self.hyperparameters)}

    def forward(self, volume: Float[Tensor, "B C I J K"]) -> Graded:
        """Return the grades of a batch of studies.

        Args:
            volume: Normalised images of the protocols, then their masks; see `anatomy.PROTOCOLS`.
        """
        features, attention = self.pooling(self.backbone(volume))
        scores = self.head(features)
        return Graded(self.link(scores), self.link.severity(scores), attention)


GRADERS: Mapping[str, type[StudyGrader]] = {"StudyGrader": StudyGrader}
"""The graders that a recipe can name."""


def build_grader(recipe: Mapping[str, Any]) -> StudyGrader:
    """Return an untrained grader from plain data.

    Args:
        recipe: `grader`, a name in `GRADERS`, and its arguments; see `StudyGrader.recipe`. A path
            to backbone weights in it is ignored, since a trained grader brings its own.

    Raises:
        ConfigurationError: If it names another class or an unknown argument.
    """
    arguments = dict(recipe)
    name = arguments.pop("grader", None)
    if name not in GRADERS:
        raise _unknown("grader", name, GRADERS)
    accepted = set(inspect.signature(GRADERS[name]).parameters)
    if unknown := set(arguments) - accepted:
        raise _unknown(f"argument of {name}", min(map(str, unknown)), accepted)
    return GRADERS[name](**_without_weights(arguments))


def _without_weights(arguments: Mapping[str, Any]) -> dict[str, Any]:
    backbone = arguments.get("backbone")
    if not isinstance(backbone, Mapping):
        return dict(arguments)
    return {**arguments, "backbone": {k: v for k, v in backbone.items() if k != "weights"}}


def _plain(part: Part) -> Part:
    return part if isinstance(part, str) else dict(part)


def _split(part: Part) -> tuple[str, dict[str, Any]]:
    if isinstance(part, str):
        return part, {}
    options = {str(key): value for key, value in part.items()}
    return str(options.pop("name", "")), options


def _build(choices: Mapping[str, Callable[..., Any]], kind: str, part: Part, *sizes: int) -> Any:
    name, options = _split(part)
    if name not in choices:
        raise _unknown(kind, name, choices)
    _check_options(choices[name], name, options)
    return choices[name](*sizes, **options)


def _check_options(maker: Callable[..., Any], name: str, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(maker).parameters.values()
    accepted = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in accepted:
            raise _unknown(f"option of {name or 'the backbone'}", option, accepted)


def _unknown(kind: str, name: object, choices: Any) -> ConfigurationError:
    return ConfigurationError(
        f"{str(name)[:60]!r} is no {kind}",
        remedy=f"choose one of {', '.join(choices) or 'none: it takes no options'}",
        code="VS-CFG-045",
    )

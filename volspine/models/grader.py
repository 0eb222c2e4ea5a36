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
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from volspine.anatomy import PROTOCOLS
from volspine.models.backbones import Backbone
from volspine.models.detect_grader import DetectGrader
from volspine.models.level_grader import LevelGrader
from volspine.models.parts import (
    HEADS,
    LINKS,
    Graded,
    Part,
    build_part,
    check_options,
    plain_part,
    split_part,
    unknown_name,
    without_weights,
)
from volspine.models.pooling import GlobalAveragePooling, Pooling, TargetAttentionPooling
from volspine.models.spineone import SpineOneGrader
from volspine.models.views_grader import ViewsGrader
from volspine.models.vit_grader import VitGrader
from volspine.vocabulary import CHALLENGE, vocabulary_from_dict

__all__ = ["GRADERS", "HEADS", "LINKS", "POOLINGS", "Graded", "StudyGrader", "build_grader"]

POOLINGS: Mapping[str, type[Pooling]] = {
    "attention": TargetAttentionPooling,
    "average": GlobalAveragePooling,
}


class StudyGrader(nn.Module):
    """Grade a whole study from one voxel grid.

    Args:
        backbone: Name in `SUPPORTED_BACKBONES`, or a dict of `name` and options of `Backbone`.
        pooling: Name in `POOLINGS`, or a dict with options.
        head: Name in `HEADS`, or a dict with options.
        link: Name in `LINKS`, or a dict with options.
        shape: Voxels of the volume along i (to the patient's right), j (to anterior), k (up).
        in_channels: Channels of the volume.
        targets: Own targets as plain data, see `volspine.vocabulary`; the challenge's if omitted.

    Raises:
        ConfigurationError: If a part is not offered or does not take an option.
        WeightsError: If a weights file of the backbone is missing, damaged or of another network.
    """

    def __init__(  # noqa: PLR0913  one grader has these seven properties
        self,
        *,
        backbone: Part = "tf_efficientnetv2_b0",
        pooling: Part = "attention",
        head: Part = "shared",
        link: Part = "scaled",
        shape: Sequence[int] = (32, 96, 144),
        in_channels: int = 2 * len(PROTOCOLS),
        targets: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.vocabulary = CHALLENGE if targets is None else vocabulary_from_dict(targets)
        own = {} if targets is None else {"targets": self.vocabulary.to_dict()}
        self.hyperparameters: dict[str, Any] = {
            "backbone": plain_part(backbone),
            "pooling": plain_part(pooling),
            "head": plain_part(head),
            "link": plain_part(link),
            "shape": [int(n) for n in shape],
            "in_channels": in_channels,
            **own,
        }
        name, options = split_part(backbone)
        check_options(Backbone, name, options)
        self.backbone = Backbone(name, shape=shape, in_channels=in_channels, **options)
        features = self.backbone.num_features
        known = self.vocabulary
        self.link = build_part(LINKS, "link", link, known)
        self.pooling: Pooling = build_part(POOLINGS, "pooling", pooling, features, known)
        self.head = build_part(HEADS, "head", head, features, self.link.num_scores, known)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which `build_grader` makes the same network, without its weights.

        The path that backbone weights were started from is not part of it.
        """
        return {"grader": type(self).__name__, **without_weights(self.hyperparameters, "backbone")}

    def forward(self, volume: Float[Tensor, "B C I J K"]) -> Graded:
        """Return the grades of a batch of studies.

        Args:
            volume: Normalised images of the protocols, then their masks; see `anatomy.PROTOCOLS`.
        """
        features, attention = self.pooling(self.backbone(volume))
        scores = self.head(features)
        return Graded(self.link(scores), self.link.severity(scores), attention)


Grader = StudyGrader | LevelGrader | DetectGrader | VitGrader | SpineOneGrader | ViewsGrader

GRADERS: Mapping[str, type[Grader]] = {
    "StudyGrader": StudyGrader,
    "LevelGrader": LevelGrader,
    "DetectGrader": DetectGrader,
    "ViewsGrader": ViewsGrader,
    "SpineOneGrader": SpineOneGrader,
    "VitGrader": VitGrader,
}
"""The graders that a recipe can name."""

_BACKBONES = {
    "StudyGrader": "backbone",
    "LevelGrader": "trunk",
    "DetectGrader": "trunk",
    "ViewsGrader": "backbone",
    "SpineOneGrader": "backbone",
    "VitGrader": "stem",
}


def build_grader(recipe: Mapping[str, Any]) -> Grader:
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
        raise unknown_name("grader", name, GRADERS)
    accepted = set(inspect.signature(GRADERS[name]).parameters)
    if unknown := set(arguments) - accepted:
        raise unknown_name(f"argument of {name}", min(map(str, unknown)), accepted)
    return GRADERS[name](**without_weights(arguments, _BACKBONES[name]))

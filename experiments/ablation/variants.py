"""Variants: a grader of level mode with one part off at a time, everything else equal.

full            as it is
no mirroring    right sides lie as they are, each side has a reading of its own, and no mirrored
                study is shown in training
no fusion       each finding in its first view alone: canal sagittal T2, foramen sagittal T1,
                recess axial T2
average         cells of a patch are averaged instead of attended to
no cross-level  tokens of different levels do not attend to one another
no jitter       trained at the true points; tested, like all, at jittered ones
softmax         grades without order
cumulative      a link whose noise is as wide for every study
study mode      no crops at all: one voxel grid of the whole study (`ablation.whole`)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FULL = "full"
STUDY_MODE = "study mode"


@dataclass(frozen=True)
class Variant:
    """One row.

    Attributes:
        words: What is off.
        grader: Arguments of `LevelGrader` that differ; those of `tokens` are merged.
        jitter: Whether training moves the points as a localizer errs.
        mirror: Whether training shows mirrored studies, too.
    """

    words: str
    grader: Mapping[str, Any] = field(default_factory=dict)
    jitter: bool = True
    mirror: bool = True


VARIANTS: Mapping[str, Variant] = {
    FULL: Variant("nothing"),
    "no mirroring": Variant(
        "right sides are not read as left ones", {"share_sides": False}, mirror=False
    ),
    "no fusion": Variant("views but the first of a finding", {"tokens": {"fusion": False}}),
    "average": Variant("attention over slices and cells", {"pooling": "average"}),
    "no cross-level": Variant("attention across levels", {"tokens": {"across_levels": False}}),
    "no jitter": Variant("jitter in training", jitter=False),
    "softmax": Variant("order of the grades", {"link": "softmax"}),
    "cumulative": Variant("a width of its own for each study", {"link": "cumulative"}),
}


def arguments_of(variant: Variant, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `LevelGrader` of a variant.

    Args:
        variant: Which.
        base: Those of the full grader.
    """
    merged = {**base, **variant.grader}
    tokens = {**base.get("tokens", {}), **variant.grader.get("tokens", {})}
    return {**merged, "tokens": tokens}
